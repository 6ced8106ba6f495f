"""`python -m nbcore agent …`: the repair agent."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from nbcore.cli.runs import Judged, Store, err, out
from nbcore.core import environment
from nbcore.core.output import shown

ALL = "all"
UNKNOWN, SMALL, ROOM = 8192, 2048, 64  # tokens of a context: of one unknown, of a short one, and what must be left
BRIEFLY = 160  # characters of an answer in a brief row, as the tiny profile has them
LINES, WIDEST = 40, 300  # lines of one text that are shown, and characters of a line
COLOURS = {"+": "cyan", "-": "red"}
agent_app = typer.Typer(help="The repair agent: record demonstrations, repair a crate.", rich_markup_mode=None)


@agent_app.callback()
def _group():
    """The repair agent."""


@agent_app.command()
def record(
    crates: Annotated[
        list[str] | None,
        typer.Argument(metavar="CRATE", help="Crates that need std alone: folders, or what librust-*-dev installs."),
    ] = None,
    file: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="Where to write chat rows with tools, as .jsonl.")
    ] = ...,
    tasks: Annotated[
        str, typer.Option(help="katas, or a file of tasks with solutions, such as HumanEval-X.")
    ] = "katas",
    count: Annotated[int, typer.Option(min=1, help="How many rows.")] = 100,
    seed: Annotated[int, typer.Option(help="Another number draws other faults.")] = 0,
    tools: Annotated[
        str, typer.Option(help="Only these; a tiny context has room for read_file,write_file,cargo_test.")
    ] = ALL,
    json_: Annotated[bool, typer.Option("--json", help="Code in JSON strings, not as raw text.")] = False,
    brief: Annotated[
        bool, typer.Option("--brief", help="For a context of some hundred tokens: no instructions, tools undescribed.")
    ] = False,
    most: Annotated[
        int | None, typer.Option("--shown", min=100, help="Characters of an answer in a row; default: 6000, brief 160.")
    ] = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Programs at once; default: the processors.")] = None,
):
    """A scripted agent repairs faults with the real tools; what it did and what it was told is written down.

    Each row was repaired by the hidden tests' word, and was played twice with the same answers. Given again, it goes
    on where it stopped. The rows are for `rows` of 04_sft.

    Example: python -m nbcore agent record either strsim --out repairs.jsonl --count 200
    """
    from rich import progress as bars

    from nbcore.agent import record as recording
    from nbcore.agent.tools import FEW, MOST_SHOWN

    kinds = (bars.BarColumn, bars.MofNCompleteColumn, bars.TimeElapsedColumn, bars.TimeRemainingColumn)
    columns = (bars.TextColumn("recording"), *(kind() for kind in kinds))
    with bars.Progress(*columns, console=err, disable=not err.is_terminal) as progress:
        bar = progress.add_task("recording", total=count)

        def tell(words: str, done: int, total: int) -> None:
            progress.update(bar, completed=min(done, total))
            if not err.is_terminal:
                err.print(f"{words}: {done} of {total}")

        names = recording.NAMES if tools == ALL else [name.strip() for name in tools.split(",")]
        if brief and tools == ALL:
            names = FEW
        options = {"seed": seed, "raw": not json_, "tools": names, "brief": brief, "jobs": jobs, "progress": tell}
        options["shown"] = most or (BRIEFLY if brief else MOST_SHOWN)
        report = recording.record(file, tasks, count, crates=crates or (), **options)
    for title in ("kinds", "variants"):
        out.print(f"{title}: {', '.join(f'{number} {name}' for name, number in sorted(report[title].items()))}")
    out.print(f"{report['rows']} rows of {report['tried']} faults in {file}")


@agent_app.command()
def replay(
    rows: Annotated[Path, typer.Argument(metavar="ROWS", help="What record wrote, with its .part.jsonl beside it.")],
    jobs: Annotated[int | None, typer.Option(min=1, help="Programs at once; default: the processors.")] = None,
):
    """Play the calls of recorded rows again with the real tools: are the answers the same, and the crates repaired?

    Exit code 1 where a row differs.

    Example: python -m nbcore agent replay repairs.jsonl
    """
    from nbcore.agent import record as recording
    from nbcore.core import lines
    from nbcore.grading.grader import RustGrader

    grader = RustGrader(jobs=jobs, lint=False)
    try:
        changed = recording.replay(rows, grader)
    finally:
        grader.close()
    count = len(lines.read(rows))
    out.print(f"{count - len(changed)} of {count} rows give the same answers, and are repaired")
    if changed:
        raise Judged(f"these differ: {', '.join(changed[:10])}{', …' if changed[10:] else ''}")


@agent_app.command()
def run(
    whom: Annotated[
        str, typer.Argument(metavar="RUN_OR_FOLDER", help="A trained run, or a folder with a model or an adapter.")
    ],
    folder: Annotated[Path, typer.Argument(metavar="CRATE_DIR", help="The crate, with tests of which one fails.")],
    steps: Annotated[int, typer.Option(min=1, help="Actions at most.")] = 12,
    tokens: Annotated[int, typer.Option(min=1, help="Tokens of one action at most.")] = 1024,
    temperature: Annotated[float, typer.Option(min=0.0, max=5.0, help="0 is greedy.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Of sampling, where the temperature is above 0.")] = 0,
    tools: Annotated[str, typer.Option(help="Only these; default: those that the context has room for.")] = ALL,
    brief: Annotated[
        bool, typer.Option("--brief", help="The short form that a model of a short context was trained in.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Apply a repair that passes all tests without asking.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show the repair.")] = False,
    jobs: Annotated[int | None, typer.Option(min=1, help="Programs at once; default: the processors.")] = None,
    store: Store = None,
):
    """A trained model repairs a crate: it works on a copy in the jail, each of its steps is shown, and the final diff.
    Nothing is written to CRATE_DIR without a yes. Ctrl-C ends it, and changes nothing.

    Its own tests say when it is repaired: exit code 1 where they still fail. What it needs beside std must be on the
    disk (`cargo vendor`), and be Rust alone: no build scripts, no procedural macros.

    Example: python -m nbcore agent run grpo my_crate
    """
    from nbcore.agent import own_crate
    from nbcore.grading.grader import RustGrader

    grader = RustGrader(jobs=jobs, lint=False)
    try:
        own = own_crate.opened(folder, grader)
        out.print(f"{own.problem.id}: {own.said}")
        how = (tools, brief, steps, seed, tokens, temperature)
        game = _played(whom, environment.store(store), own.problem, grader, *how)
        changed = own_crate.repaired(own, game.files)
        if not changed:
            raise Judged(f"the agent changed nothing in {len(game.steps)} actions (ended by {game.episode.done})")
        passes, words = own_crate.judged(own, changed, grader)
        _show_change(own, changed, words)
        agreed = not dry_run and (passes if yes else _agreed(passes))
    except (KeyboardInterrupt, typer.Abort):
        err.print("\nstopped: nothing was written")
        raise
    finally:
        grader.close()
    if agreed:
        own_crate.apply(own, changed)
    out.print(f"written: {', '.join(changed)}" if agreed else "nothing was written")
    if not passes:
        raise Judged("the tests still fail, or cannot be believed")


def _show_change(own: Any, changed: dict[str, str], words: str) -> None:
    from nbcore.agent.played import difference

    out.print("\nthe whole change:", style="bold")
    for line in difference({name: own.crate.files.get(name, "") for name in changed}, changed).split("\n"):
        out.print(shown(line, len(line)), style=COLOURS.get(line[:1]))  # whole: a yes is to what was shown
    out.print(f"\ntests with this change: {words}")


def _played(
    whom: str,
    store: Path,
    problem: Any,
    grader: Any,
    tools: str,
    brief: bool,
    steps: int,
    seed: int,
    tokens: int,
    temperature: float,
) -> Any:
    """The episode, its steps shown as they come."""
    from nbcore.agent.episode import Budget
    from nbcore.agent.tools import FEW, NAMES
    from nbcore.config import Generation
    from nbcore.training import agent_play
    from nbcore.training.export import talking

    talker = talking.in_process(whom, store)
    err.print(f"loading {talker.name}")
    with talker.opened() as speaker:
        model, way = speaker.model, agent_play.speaker(speaker.tokenizer, speaker.date)
        context = agent_play.context_of(model, UNKNOWN)
        names = [name.strip() for name in tools.split(",")]
        if tools == ALL:
            names = list(FEW if context < SMALL else NAMES)
        room = context - len(agent_play.first_prompt(way, problem, names, brief))
        if room < ROOM:
            raise ValueError(f"RUN: its context has {max(room, 0)} tokens left for its work: name fewer --tools")
        sampling = Generation(max_new_tokens=min(tokens, room), temperature=temperature)
        options = {"budgets": Budget(steps=steps), "sampling": sampling, "seed": seed, "names": names, "brief": brief}
        told = lambda _, step: _show(step)  # noqa: E731 - there is one episode
        [game] = agent_play.play(model, speaker.tokenizer, way, [problem], grader=grader, each=told, **options)
    return game


def _show(step: dict[str, Any]) -> None:
    """One action: what was called or changed, and what it was answered."""
    out.print(f"\n{shown(step['name'] or step['action'])}{'' if step['valid'] else ' (not valid)'}", style="bold")
    for text in (step["diff"] or step["arguments"], step["answer"]):
        lines = text.split("\n")
        for line in lines[:LINES]:
            out.print(f"  {shown(line, WIDEST)}")
        if lines[LINES:]:
            out.print(f"  … {len(lines) - LINES} more lines")


def _agreed(passes: bool) -> bool:
    """What a person says; no where nobody is there to ask."""
    if not sys.stdin.isatty():
        out.print("nobody is here to ask: --yes applies a repair that passes all tests")
        return False
    question = "apply it?" if passes else "its tests still fail, or cannot be believed: apply it all the same?"
    return typer.confirm(question, default=False)
