"""`python -m nbcore data strength`: what the hidden tests of a task set are worth, and stronger ones."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from nbcore.cli import bars
from nbcore.cli.runs import Judged, Store, out
from nbcore.core import environment, lines
from nbcore.runs import commit


def strength(
    taskset: Annotated[str, typer.Argument(metavar="TASKSET", help="A name of configs/tasksets/, or a .yaml file.")],
    out_: Annotated[Path, typer.Option("--out", metavar="FILE", help="The record is written here, as JSON.")] = ...,
    per_task: Annotated[int, typer.Option(min=1, help="At most so many mutants of a reference.")] = 10,
    limit: Annotated[int | None, typer.Option(min=1, help="Only so many tasks, drawn with the seed.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Which tasks, which mutants, which inputs.")] = 0,
    answers: Annotated[
        list[str] | None,
        typer.Option(metavar="RUN", help="A run whose recorded answers are tried too; may be given again."),
    ] = None,
    sharpen: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the tasks, with the tests that mutants called for: .jsonl[.gz]."),
    ] = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Programs tried at once; default: the processors.")] = None,
    store: Store = None,
):
    """How many wrong programs the hidden tests accept at most: one-edit mutants of each reference are graded by them,
    and what a policy answered, where --answers names runs. Generated inputs tell which of the accepted are wrong.

    Given again, it goes on. Example:
    python -m nbcore data strength katas_heldout --out strength.json --limit 100 --sharpen stronger.jsonl
    """
    from nbcore.config import tasksets
    from nbcore.evaluation import strength as measured
    from nbcore.evaluation import telling
    from nbcore.grading.grader import RustGrader
    from nbcore.tasks import sets

    for option, path in (("--out", out_), ("--sharpen", sharpen)):
        if path and (path.is_dir() or not path.absolute().parent.is_dir()):
            raise ValueError(f"{option}: {path} is no file in a folder that exists; name another, or make the folder")
    wanted = tasksets.resolve(taskset)
    drawn = sets.of_set(wanted.model_copy(update={"limit": limit or wanted.limit}), seed)
    names, rows = _recorded(environment.store(store), answers or [])
    tried = measured.samples(drawn.tasks, per_task, seed)
    programs = {sample["id"]: sample for sample in [*tried, *measured.answers(drawn.tasks, rows)]}
    if not tried:
        measured.report([], [])  # says why not
    grader = RustGrader(jobs=jobs, lint=False)
    try:
        with bars.by_kind() as tell:
            kept = out_.with_name(f"{out_.name}.{drawn.sha256[:8]}.verdicts.jsonl")
            verdicts = _graded(grader, programs, kept, tell)
            accepted = [row["id"] for row in verdicts if row["passed"]]
            own = {task["id"]: task for task in drawn.tasks}
            sources = {name: (name.split(" ")[0], programs[name]["code"]) for name in accepted}
            told, differ = telling.apart(grader, own, sources, seed, tell)
            found = measured.report(drawn.tasks, verdicts, told)
            by_policy = measured.policy(verdicts, told)
            if sharpen:
                more = differ.tests({name for name in sources if measured.BETWEEN in name})
                made, left_out = telling.sharpened(grader, drawn.tasks, more)
    finally:
        grader.close()
    record = {"taskset": wanted.name, "set_sha256": drawn.sha256, "seed": seed, "per_task": per_task, **found}
    record["policy"] = by_policy and {"runs": names, **by_policy}
    commit.write_durably(out_, json.dumps(record, indent=1) + "\n")
    _say(wanted.name, record, out_)
    if sharpen:
        text = "".join(json.dumps(task, ensure_ascii=False) + "\n" for task in made)
        sharpen.write_bytes(gzip.compress(text.encode(), mtime=0) if sharpen.suffix == ".gz" else text.encode())
        words = f", {left_out} additions left out that the reference fails" if left_out else ""
        out.print(f"{sharpen}: {len(made)} tasks, {len(more) - left_out} of them with more tests{words}")
    if found["infra_errors"]:
        raise Judged(f"{found['infra_errors']} mutants could not be graded (infra_error): they are in no number")


def _say(name: str, record: dict[str, Any], path: Path) -> None:
    def percent(rate: dict[str, Any]) -> str:
        return f"{rate['value']:.1%} wrong programs [{rate['low']:.1%}-{rate['high']:.1%}]"

    out.print(
        f"{name}: {record['mutants']} mutants of {record['tasks']} tasks; its tests accept at most "
        f"{percent(record['accepts_at_most'])}; {path} names the survivors"
    )
    out.print(
        f"of {record['accepted']} survivors {len(record['wrong'])} are proved wrong by an input, "
        f"{record['same_on_all_inputs']} are the same on all inputs tried, {record['not_tried']} could not be tried; "
        f"without the same ones: {percent(record['accepts'])}"
    )
    if known := record["policy"]:
        out.print(
            f"of {known['wrong']} wrong programs that {len(known['runs'])} runs answered with, {known['accepted']} "
            f"were accepted: {percent(known['accepts'])}"
        )


def _recorded(store: Path, references: list[str]) -> tuple[list[str], list[dict[str, Any]]]:
    """The ids of the runs named, and their recorded answers."""
    from nbcore import runs

    named = [runs.find(store, reference, field="--answers") for reference in references]
    rows = [row for run in named for row in run.samples()]
    if named and not any(row.get("code") for row in rows):
        raise ValueError(f"--answers: {named[0].id} has no recorded programs; name an evaluation")
    return [run.id for run in named], rows


def _graded(grader: Any, programs: dict[str, dict], kept: Path, tell: Callable[[str, int, int], None]) -> list[dict]:
    """The verdicts on all programs, those of an earlier call read back."""
    from nbcore.grading import batch

    known = batch.done_ids(kept)
    todo = [sample for name, sample in programs.items() if name not in known]
    tell("grading", 0, len(todo))
    for _ in batch.grade(grader, todo, kept, lambda done: tell("grading", done, len(todo))) if todo else ():
        pass
    return [row for row in lines.read(kept) if row["id"] in programs]
