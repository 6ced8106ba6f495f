"""`python -m nbcore data strength`: what the hidden tests of a task set are worth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich import progress as bars

from nbcore.cli.runs import Judged, err, out
from nbcore.core import lines
from nbcore.runs import commit


def strength(
    taskset: Annotated[str, typer.Argument(metavar="TASKSET", help="A name of configs/tasksets/, or a .yaml file.")],
    out_: Annotated[Path, typer.Option("--out", metavar="FILE", help="The record is written here, as JSON.")] = ...,
    per_task: Annotated[int, typer.Option(min=1, help="At most so many mutants of a reference.")] = 10,
    limit: Annotated[int | None, typer.Option(min=1, help="Only so many tasks, drawn with the seed.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Which tasks and which mutants.")] = 0,
    jobs: Annotated[int | None, typer.Option(min=1, help="Programs tried at once; default: the processors.")] = None,
):
    """How many wrong programs the hidden tests accept at most: one-edit mutants of each reference are graded by them.

    Given again, it goes on from FILE.verdicts.jsonl. Example:
    python -m nbcore data strength katas_heldout --out strength.json --limit 100
    """
    from nbcore.config import tasksets
    from nbcore.evaluation import strength as measured
    from nbcore.grading import batch
    from nbcore.grading.grader import RustGrader
    from nbcore.tasks import sets

    if out_.is_dir() or not out_.absolute().parent.is_dir():
        raise ValueError(f"--out: {out_} is no file in a folder that exists; name another, or make the folder")
    wanted = tasksets.resolve(taskset)
    drawn = sets.of_set(wanted.model_copy(update={"limit": limit or wanted.limit}), seed)
    samples = measured.samples(drawn.tasks, per_task, seed)
    kept = out_.with_name(f"{out_.name}.verdicts.jsonl")
    known = batch.done_ids(kept)
    todo = [sample for sample in samples if sample["id"] not in known]
    kinds = (bars.BarColumn, bars.MofNCompleteColumn, bars.TimeElapsedColumn, bars.TimeRemainingColumn)
    columns = (bars.TextColumn("grading mutants"), *(kind() for kind in kinds))
    if not err.is_terminal:
        err.print(f"grading {len(todo)} mutants of {len(drawn.tasks)} tasks, {len(samples) - len(todo)} known")
    with bars.Progress(*columns, console=err, disable=not err.is_terminal) as shown:
        bar = shown.add_task("grading mutants", total=len(todo))
        if todo:
            grader = RustGrader(jobs=jobs, lint=False)
            for _ in batch.grade(grader, todo, kept, lambda done: shown.update(bar, completed=done)):
                pass
    mine = {sample["id"] for sample in samples}
    found = measured.report(drawn.tasks, [row for row in lines.read(kept) if row["id"] in mine])
    record = {"taskset": wanted.name, "set_sha256": drawn.sha256, "seed": seed, "per_task": per_task, **found}
    commit.write_durably(out_, json.dumps(record, indent=1) + "\n")
    rate = found["accepts_at_most"]
    out.print(
        f"{wanted.name}: {found['mutants']} mutants of {found['tasks']} tasks; its tests accept at most "
        f"{rate['value']:.1%} wrong programs [{rate['low']:.1%}-{rate['high']:.1%}]; {out_} names the survivors"
    )
    if found["infra_errors"]:
        raise Judged(f"{found['infra_errors']} mutants could not be graded (infra_error): they are in no number")
