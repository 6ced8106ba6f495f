"""`python -m nbcore data mutants`, and what else makes data out of programs that were graded."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from nbcore.cli import bars
from nbcore.cli.runs import err, out
from nbcore.config import prompt_form
from nbcore.runs import commit


def mutants(
    crates: Annotated[
        list[str] | None,
        typer.Argument(metavar="CRATE", help="Crates that need std alone: folders, or what librust-*-dev installs."),
    ] = None,
    out_: Annotated[Path, typer.Option("--out", metavar="FILE", help="Records are written here, as JSON lines.")] = ...,
    count: Annotated[int, typer.Option(min=0, help="So many mutants of tasks, beside those of the crates.")] = 500,
    tasks: Annotated[str, typer.Option(help="katas, or a file of tasks with solutions.")] = "katas",
    split: Annotated[
        str, typer.Option(help="Of the katas: train, or heldout, whose faults are a task set to evaluate with.")
    ] = "train",
    per_task: Annotated[int, typer.Option(min=1, help="At most so many faults tried of one task.")] = 4,
    per_crate: Annotated[int, typer.Option(min=1, help="At most so many faults tried of one crate.")] = 60,
    cargo_mutants: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="What `cargo mutants --list --json` printed for the one crate given."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Which tasks and which faults.")] = 0,
    jobs: Annotated[int | None, typer.Option(min=1, help="Programs tried at once; default: the processors.")] = None,
):
    """One-edit faults of working Rust, each kept only if it compiles and a test fails. Given again, it goes on.

    Example: python -m nbcore data mutants fnv either strsim --out mutants.jsonl --count 500
    """
    from nbcore.data import mutants as made

    began = time.monotonic()
    with bars.by_kind("up to ") as progress:
        report = made.make(
            out_,
            tasks,
            count,
            crates or (),
            per_task=per_task,
            per_crate=per_crate,
            cargo=cargo_mutants,
            split=split,
            seed=seed,
            jobs=jobs,
            progress=progress,
        )
    for name, why in report["refused"].items():
        err.print(f"left out {name}, whose own tests do not pass here: {' '.join(why.split())[:200]}")
    out.print(f"{'source':32} {'tried':>6} {'kept':>6}")
    for name, counts in report["sources"].items():
        out.print(f"{name:32} {counts['tried']:>6} {counts['kept']:>6}")
    for what in ("kinds", "verdicts"):
        words = ", ".join(f"{name} {n}" for name, n in sorted(report[what].items(), key=lambda item: -item[1]))
        out.print(f"{what}: {words}")
    out.print(f"{report['mutants']} mutants in {out_}, {time.monotonic() - began:.0f} s")


Samples = Annotated[
    Path, typer.Argument(metavar="SAMPLES", help="A file of graded answers, or the folder of a run that has one.")
]
Form = Annotated[str, typer.Option("--prompt-form", help="How the tasks were asked: bare, chat, or a template.")]
Tasks = Annotated[str, typer.Option(help="katas, or the file of tasks that were asked; for forms with a signature.")]


def pairs(
    samples: Samples,
    file: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where to write; `pairs` of ipo reads it.")],
    per_task: Annotated[int, typer.Option(min=1, help="At most so many pairs of one task.")] = 2,
    form: Form = "bare",
    tasks: Tasks = "katas",
):
    """Preference pairs of graded rollouts: an answer that passes over one that does not.

    Example: python -m nbcore data pairs runs/ipo/20260101T000000Z-tiny-0123456789ab --out pairs.jsonl
    """
    from nbcore.data import preferences

    mixed, asked = _rollouts(samples, form, tasks)
    made = [
        preferences.pair(chosen, rejected, asked(rejected))
        for group in mixed.values()
        for chosen, rejected in preferences.paired(group, per_task)
    ]
    _write(file, made, "pairs")


def best_of_n(
    samples: Samples,
    file: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where to write; `rows` of sft reads it.")],
    keep: Annotated[int, typer.Option(min=1, help="At most so many different answers of one task.")] = 1,
    form: Form = "bare",
    tasks: Tasks = "katas",
):
    """Rows of the best answers among graded rollouts: those that pass, fewest lints first, then the shortest.

    Example: python -m nbcore data best-of-n runs/ipo/20260101T000000Z-tiny-0123456789ab --out rows.jsonl
    """
    from nbcore.data import preferences

    mixed, asked = _rollouts(samples, form, tasks)
    _write(file, preferences.best_of_n(mixed, asked, keep), "rows")


def _rollouts(samples: Path, form: str, source: str) -> tuple[dict, Callable[[dict], str]]:
    """The rollouts of tasks that some answers pass and some fail, and what was asked in each."""
    from nbcore.data import preferences
    from nbcore.tasks import sets

    try:
        template = prompt_form.SHIPPED.get(form) or prompt_form.check(form)
    except ValueError as error:
        raise ValueError(f"prompt-form: {form!r}: {error}") from None
    rollouts, held_out = preferences.read(samples)
    found = preferences.groups(rollouts)
    out.print(", ".join(f"{name} {count}" for name, count in {**found.counts, "held_out": held_out}.items()))
    if not found.mixed:
        why = "they answer held-out katas" if held_out else "no task has both a passing and a failing answer"
        raise ValueError(f"SAMPLES: {samples} gives nothing to prefer: {why}; sample more answers of training tasks")
    signatures: dict[str, str] = {}
    if template != prompt_form.BARE:
        known = sets.tasks(source, "train", None, 0)
        signatures = {task["id"]: task.get("signature") or "" for task in known}
        if missing := [id_ for id_ in found.mixed if id_ not in signatures]:
            raise ValueError(f"tasks: {source} has no task {missing[0]!r}; give the file that was asked")
    return found.mixed, lambda row: prompt_form.fill(template, row["prompt"], signatures.get(row["id"], ""))


def _write(file: Path, made: list[dict], what: str) -> None:
    if file.is_dir() or not file.absolute().parent.is_dir():
        raise ValueError(f"OUT: {file} is no file in a folder that exists; name another, or make the folder")
    commit.write_durably(file, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in made))
    out.print(f"{len(made)} {what} in {file}")
