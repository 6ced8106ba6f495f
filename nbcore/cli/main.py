"""The commands of `python -m nbcore`. Each only calls functions that the notebooks call as well.

Exit codes: 0 success; 1 the command did its work, and the outcome is bad; 2 bad usage; 75 paused because a disk is
full; 130 interrupted; `gate` has 3 for INVESTIGATE, `grade` 4 for lines set aside. Every code but 0 comes with one line
that says why.
"""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from nbcore import runs
from nbcore.cli import export, gates, plan, push, talk
from nbcore.cli.agent import agent_app
from nbcore.cli.data import data_app
from nbcore.cli.experiment import experiment
from nbcore.cli.models import models_app
from nbcore.cli.profile import profile
from nbcore.cli.reports import audit, card, compare, report, show_report
from nbcore.cli.runs import Judged, Store, err, out, runs_app
from nbcore.cli.watch import watch
from nbcore.core import environment, output
from nbcore.core.redact import redact
from nbcore.core.suggest import did_you_mean
from nbcore.runs import pausing

app = typer.Typer(
    name="python -m nbcore",
    help="Train language models to write Rust, judged by the real compiler. Each command has an example in its --help.",
    add_completion=False,
    rich_markup_mode=None,
)
app.add_typer(runs_app, name="runs")
app.add_typer(data_app, name="data")
app.add_typer(agent_app, name="agent")
app.add_typer(models_app, name="models")
app.command()(export.merge)
app.command()(push.push)
app.command()(plan.plan)
app.command()(profile)
app.command()(talk.chat)
app.command()(talk.serve)
# typer brings its own copy of click since 0.26, and Colab may have an older typer: in both, this is click's UsageError.
UsageError = typer.BadParameter.__base__


@app.callback()
def _everywhere(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks; NBCORE_DEBUG=1 does it too.")] = False,
):
    if debug:
        os.environ["NBCORE_DEBUG"] = "1"


@app.command()
def run(
    pipeline: Annotated[Path, typer.Argument(help="A YAML file of stages.", metavar="PIPELINE")],
    only: Annotated[str | None, typer.Option(help="Only these stages, by id: sft,ipo.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="Override a field: sft.max_steps=2 for a phase, seed=1 for all. Repeatable."),
    ] = None,
    store: Store = None,
):
    """Run notebooks in order, then write the report. Given again, it goes on where it stopped.

    With NBCORE_MIRROR=/another/disk in the environment every run is copied there while it trains, and the same command
    on an empty disk brings back what is there. Ctrl-C ends the step in hand and saves; a second one stops at once.

    Example: python -m nbcore run configs/pipeline/tiny.yaml --only sft,sft_eval --set sft.max_steps=20
    """
    from nbcore import pipeline as pipelines
    from nbcore import report as reports

    where = environment.store(store)
    try:
        pipelines.run(pipelines.load(pipeline, only, set_ or ()), where)
    except pipelines.GateClosed as error:
        out.print(f"report: {reports.build(where, stopped=str(error))}")
        raise
    try:
        page = reports.build(where)
    except ValueError as error:  # stages ran, but none of them is part of a chain yet
        return out.print(f"no report yet: {error}")
    show_report(where, page)


@app.command()
def doctor(store: Store = None):
    """What this machine can train, and what is missing.

    Example: python -m nbcore doctor
    """
    from nbcore.cli import doctor as checks

    if checks.main(store):
        raise Judged("something that the tiny profile needs is missing: see the table")


LINES_SET_ASIDE = 4


@app.command()
def grade(
    samples: Annotated[Path, typer.Argument(metavar="IN.jsonl", help="Samples: id, completion or code, tests.")],
    verdicts: Annotated[Path, typer.Argument(metavar="OUT.jsonl", help="Verdicts are appended; known ids skipped.")],
    jobs: Annotated[int | None, typer.Option(min=1, help="Programs graded at once; default: the processors.")] = None,
    tier: Annotated[
        str, typer.Option(help="check (types only), lint (clippy too), or test (run the tests too).")
    ] = "test",
    allow_degraded: Annotated[bool, typer.Option("--allow-degraded", help="Grade where the sandbox is weak.")] = False,
):
    """Compile, lint and test Rust that a model wrote, in a sandbox. Given again, it goes on where it stopped.

    Exit code 0: every line has its verdict, whatever that is. 4: the others have, and lines that are no samples, or
    whose tests cannot tell right from wrong, were set aside in OUT.bad.jsonl with the reason. 1: some sample could not
    be graded, which is no fault of its own. 2: nothing was graded.

    Example: python -m nbcore grade answers.jsonl verdicts.jsonl --jobs 4
    """
    from rich import progress as bars

    from nbcore.grading import batch
    from nbcore.grading.grader import RustGrader
    from nbcore.grading.verdicts import fault

    if verdicts.is_dir() or not verdicts.absolute().parent.is_dir():
        raise ValueError(f"OUT: {verdicts} is no file in a folder that exists; name another, or make the folder")
    good, bad = batch.read(samples, tested=tier == "test")
    _set_aside(samples, verdicts, bad, bad)
    if not good:
        raise ValueError(f"IN: {samples} holds no sample; a line is {{id, completion or code, tests}}")
    known = batch.done_ids(verdicts)
    todo = [sample for sample in good if sample["id"] not in known]
    kinds = (bars.BarColumn, bars.MofNCompleteColumn, bars.TimeElapsedColumn, bars.TimeRemainingColumn)
    columns = (bars.TextColumn("grading"), *(kind() for kind in kinds))
    counts: dict[str, int] = {}
    known_before = len(good) - len(todo)
    ungraded: list[Any] = []
    refused: dict[str, str] = {}
    trying = refused if tier == "test" else None
    with bars.Progress(*columns, console=err, disable=not err.is_terminal) as progress:
        task = progress.add_task("grading", total=len(todo))
        grader = RustGrader(jobs=jobs, tier=tier, allow_degraded=allow_degraded)
        for verdict in batch.grade(grader, todo, verdicts, lambda done: progress.update(task, completed=done), trying):
            counts[verdict["verdict"]] = counts.get(verdict["verdict"], 0) + 1
            if verdict["verdict"] == "infra_error":
                ungraded.append(verdict)
    words = ", ".join(f"{name} {count}" for name, count in sorted(counts.items(), key=lambda item: -item[1]))
    if refused:
        found = batch.lines_of(samples, refused)
        bad = sorted(bad + found)
        _set_aside(samples, verdicts, found, bad)
    out.print(
        f"graded {len(todo) - len(refused)} ({words or 'nothing new'}), {known_before} known, {len(bad)} bad lines"
    )
    if ungraded:
        why = f"{len(ungraded)} samples could not be graded in three tries (infra_error): {fault(ungraded)}"
        raise Judged(f"{why}; {verdicts} says which, and without those lines they are graded again")
    if bad:
        lines = len(good) - len(refused) + len(bad)
        err.print(f"{len(bad)} of {lines} lines have no verdict: exit code {LINES_SET_ASIDE}")
        raise typer.Exit(LINES_SET_ASIDE)


def _set_aside(samples: Path, verdicts: Path, new: Sequence[Any], bad: list[Any]) -> None:
    """Write the bad lines beside OUT, and say what is wrong with the first of the new ones."""
    from nbcore.grading import batch

    if not bad:
        return
    aside = batch.set_aside(bad, verdicts)
    for line in new[:10]:
        err.print(f"{samples}:{line.line}: {line.problem}")
    err.print(f"{len(bad)} bad lines set aside in {aside}")


app.command()(report)
app.command()(compare)
app.command()(watch)
app.command()(experiment)
app.command()(gates.gate)
app.command()(gates.chain)
app.command()(audit)
app.command()(card)


@app.command()
def address(
    owner_repo: Annotated[str, typer.Argument(metavar="OWNER/REPO", help="Where this project lives on GitHub.")],
):
    """Set the project's address: in the badges, the notebooks' setup cells, pyproject.toml and the README.

    Example: python -m nbcore address rust-lang/book
    """
    from nbcore.cli import address as addresses

    changed = addresses.set_everywhere(environment.REPO, owner_repo)
    out.print("\n".join([*changed, f"address: {addresses.current(environment.REPO)} in {len(changed)} files"]))
    if not changed:
        out.print("nothing to change: it was set already")


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return its exit code. Whatever a person can mend is printed as one line (with --debug as a
    traceback); only an error that nobody foresaw is raised."""
    given = sys.argv[1:] if arguments is None else arguments
    if debug := "--debug" in given:  # typer wants it first, but who has just seen an error adds it at the end
        given = ["--debug", *(word for word in given if word != "--debug")]
    debug = debug or os.environ.get("NBCORE_DEBUG") == "1"
    output.replace_unknown_characters()
    signal.signal(signal.SIGTERM, _interrupt)  # a plain `kill` then stops a running notebook as Ctrl-C does: it saves
    try:
        environment.read_env_file()
        code = app(given, standalone_mode=False) or 0
    except (KeyboardInterrupt, typer.Abort):
        code = 130  # what newer versions of typer return by themselves
    except UsageError as error:
        command = error.ctx.command_path if error.ctx else app.info.name
        return _say(f"{_explained(error)} ({command} --help tells more)", 2, debug)
    except (ValueError, OSError) as error:
        return _say(error, 2, debug)
    except runs.Paused as error:
        return _say(error, pausing.EXIT, debug)
    except RuntimeError as error:
        return _say(error, 1, debug)
    if code == 130:
        err.print("interrupted; the same command goes on from here")
    return code


def _explained(error: Exception) -> str:
    """The message of a usage error; for an unknown command it suggests the most similar one."""
    message = error.format_message()
    word = re.match(r"No such command '([^']*)'", message)
    if word and error.ctx:
        return f"No such command {word[1]!r}{did_you_mean(word[1], error.ctx.command.list_commands(error.ctx))}."
    return message


def _interrupt(*_) -> None:
    raise KeyboardInterrupt


def _say(error: Exception | str, code: int, debug: bool) -> int:
    """Print an error in one line, or with its traceback; returns `code`."""
    if debug:
        err.print_exception()
    else:
        message = redact(f"error: {' '.join(str(error).split())}")
        err.print(output.shown(message, longest=len(message)))  # it may quote a file that somebody else wrote
    return code
