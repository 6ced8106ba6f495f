"""What the tests of a task set are worth: one-edit mutants of each reference are graded by the hidden tests.

A mutant that passes is a wrong program that the tests accept, or one that does the same as the reference: nobody has
looked which. So the share of mutants that pass is told as "accepts at most".
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from nbcore import stats
from nbcore.core.records import Sample, Task, Verdict
from nbcore.grading.rust import mutants
from nbcore.grading.rust.answer import target
from nbcore.tasks import checking

RECORDS = Path(__file__).parents[1] / "assets" / "strength"
BETWEEN = " mutant "  # of the task's id and the mutant's number, in the id of a sample


def shipped(set_sha256: str | None) -> dict[str, Any] | None:
    """The record that ships of a set of this content; None where there is none."""
    records = [json.loads(path.read_text("utf-8")) for path in sorted(RECORDS.glob("*.json"))]
    return next((record for record in records if record["set_sha256"] == set_sha256), None)


def samples(tasks: Sequence[Task], per_task: int, seed: int) -> list[Sample]:
    """At most `per_task` mutants of each Rust task's reference, drawn with the seed; none of a task without one."""
    made: list[Sample] = []
    for task in tasks:
        reference = checking.solution(task) if checking.language(task) == "rust" else None
        if reference is None:
            continue
        found = mutants.mutants(reference, target(task.get("signature")))
        numbers = list(range(len(found)))
        random.Random(f"{seed} {task['id']}").shuffle(numbers)
        for number in sorted(numbers[:per_task]):
            made.append(
                {
                    **{"id": f"{task['id']}{BETWEEN}{number}", "code": found[number], "tests": task["tests"]},
                    **{"signature": task.get("signature"), "edition": task.get("edition")},
                }
            )
    return made


def report(tasks: Sequence[Task], verdicts: Iterable[Verdict]) -> dict[str, Any]:
    """{"tasks", "mutants", "not_compiled", "infra_errors", "accepted", "accepts_at_most", "by_family", "survivors"} of
    the verdicts on such samples; the interval is drawn over tasks, as the mutants of one are alike.

    Raises ValueError where no mutant compiles.
    """
    families = {task["id"]: task.get("family") or task["id"] for task in tasks}
    passed: dict[str, list[bool]] = {}
    counts, survivors = {"not_compiled": 0, "infra_errors": 0}, []
    for verdict in verdicts:
        task = verdict["id"].partition(BETWEEN)[0]
        if verdict["verdict"] == "infra_error":
            counts["infra_errors"] += 1
        elif not verdict["compiles"]:
            counts["not_compiled"] += 1
        elif task in families:
            passed.setdefault(task, []).append(verdict["passed"])
            survivors += [verdict["id"]] if verdict["passed"] else []
    if not passed:
        raise ValueError("tasks: no mutant of a reference compiles; the tasks need Rust solutions that can be changed")
    by_family = {
        family: _accepted({id_: values for id_, values in passed.items() if families[id_] == family})
        for family in sorted({families[id_] for id_ in passed})
    }
    return {
        **{"schema": 1, "tasks": len(passed), "mutants": sum(map(len, passed.values())), **counts},
        **{"accepted": len(survivors), "accepts_at_most": _accepted(passed), "by_family": by_family},
        "survivors": survivors,
    }


def _accepted(passed: dict[str, list[bool]]) -> dict[str, Any]:
    values = [float(each) for group in passed.values() for each in group]
    if not any(values) or all(values):  # a bootstrap of equal values knows no doubt; one vote for each task does
        return stats.wilson(len(passed) if all(values) else 0, len(passed))._asdict() | {"n": len(values)}
    clusters = [id_ for id_, group in passed.items() for _ in group]
    return stats.mean_bootstrap(values, clusters=clusters)._asdict()
