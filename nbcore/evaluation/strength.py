"""What the tests of a task set are worth: mutants of each reference, and what a policy answered, meet the hidden tests.

A one-edit mutant that passes is a wrong program that the tests accept, or one that does the same as the reference. So
the share of mutants that pass is told as "accepts at most". Generated inputs then tell which of them are wrong
(telling.py); one that nothing tells apart is reported as the same on all inputs tried, and stays in the bound.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from nbcore import stats
from nbcore.core.records import Sample, Task, Verdict
from nbcore.evaluation.telling import Told
from nbcore.grading.rust import mutants
from nbcore.grading.rust.answer import target
from nbcore.tasks import checking

BETWEEN = " mutant "  # of the task's id and the mutant's number, in the id of a sample
ANSWER = " answer "  # of the task's id and the hash of a program that a policy wrote


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
        made += [_sample(task, f"{BETWEEN}{number}", found[number]) for number in sorted(numbers[:per_task])]
    return made


def answers(tasks: Sequence[Task], rows: Iterable[Mapping[str, Any]]) -> list[Sample]:
    """The different programs that compile among recorded answers to these tasks, but those that are the reference."""
    known = {task["id"]: task for task in tasks if checking.language(task) == "rust" and checking.solution(task)}
    programs: dict[str, list[str]] = {}
    for row in rows:
        if row.get("compiles") and row.get("code") and row.get("id") in known:
            own = programs.setdefault(row["id"], [])
            if row["code"].strip() not in (checking.solution(known[row["id"]]).strip(), *own):
                own.append(row["code"].strip())
    return [
        _sample(known[id_], f"{ANSWER}{hashlib.sha256(code.encode()).hexdigest()[:12]}", code)
        for id_, own in programs.items()
        for code in own
    ]


def report(
    tasks: Sequence[Task], verdicts: Iterable[Verdict], told: Mapping[str, Told] | None = None
) -> dict[str, Any]:
    """{"tasks", "mutants", "not_compiled", "infra_errors", "accepted", "accepts_at_most", "by_family", "survivors"} of
    the verdicts on mutants; the interval is drawn over tasks, as the mutants of one are alike. With `told`, what became
    of each survivor: "wrong" ones by name, how many are the "same_on_all_inputs", and "accepts", the rate of those
    proved wrong among the mutants that are not the same.

    Raises ValueError where no mutant compiles.
    """
    families = {task["id"]: task.get("family") or task["id"] for task in tasks}
    passed: dict[str, dict[str, bool]] = {}
    counts = {"not_compiled": 0, "infra_errors": 0}
    for verdict in verdicts:
        task, between, _ = verdict["id"].partition(BETWEEN)
        if not between or task not in families:
            continue
        if verdict["verdict"] == "infra_error":
            counts["infra_errors"] += 1
        elif not verdict["compiles"]:
            counts["not_compiled"] += 1
        else:
            passed.setdefault(task, {})[verdict["id"]] = verdict["passed"]
    if not passed:
        raise ValueError("tasks: no mutant of a reference compiles; the tasks need Rust solutions that can be changed")
    by_family = {
        family: _accepted({id_: values for id_, values in passed.items() if families[id_] == family})
        for family in sorted({families[id_] for id_ in passed})
    }
    survivors = [name for group in passed.values() for name, accepted in group.items() if accepted]
    return {
        **{"schema": 2, "tasks": len(passed), "mutants": sum(map(len, passed.values())), **counts},
        **{"accepted": len(survivors), "accepts_at_most": _accepted(passed)},
        **(_proved(passed, survivors, told) if told is not None else {}),
        **{"by_family": by_family, "survivors": survivors},
    }


def policy(verdicts: Iterable[Verdict], told: Mapping[str, Told]) -> dict[str, Any] | None:
    """{"programs", "wrong", "accepted", "accepts", "accepted_names"}: of the wrong programs that a policy wrote, the
    share that the tests accept. Wrong is what fails the tests, and what an input tells from the reference. None where
    no program was wrong."""
    passed: dict[str, dict[str, bool]] = {}
    programs = 0
    for verdict in verdicts:
        task, between, _ = verdict["id"].partition(ANSWER)
        if not between or verdict["verdict"] == "infra_error" or not verdict["compiles"]:
            continue
        programs += 1
        if not verdict["passed"] or told.get(verdict["id"], Told(None, 0)).apart:
            passed.setdefault(task, {})[verdict["id"]] = verdict["passed"]
    if not passed:
        return None
    accepted = [name for group in passed.values() for name, was in group.items() if was]
    counts = {"programs": programs, "wrong": sum(map(len, passed.values())), "accepted": len(accepted)}
    return {**counts, "accepts": _accepted(passed), "accepted_names": accepted}


def _proved(
    passed: Mapping[str, Mapping[str, bool]], survivors: Sequence[str], told: Mapping[str, Told]
) -> dict[str, Any]:
    wrong = [name for name in survivors if told[name].apart]
    same = {name for name in survivors if told[name].apart is False}
    left = {id_: {name: was for name, was in group.items() if name not in same} for id_, group in passed.items()}
    known = {id_: {name: was and name in wrong for name, was in group.items()} for id_, group in left.items() if group}
    return {
        **{"wrong": wrong, "same_on_all_inputs": len(same), "not_tried": len(survivors) - len(wrong) - len(same)},
        "accepts": _accepted(known),
    }


def _sample(task: Task, name: str, code: str) -> Sample:
    return {
        **{"id": f"{task['id']}{name}", "code": code, "tests": task["tests"]},
        **{"signature": task.get("signature"), "edition": task.get("edition")},
    }


def _accepted(passed: Mapping[str, Mapping[str, bool]]) -> dict[str, Any]:
    values = [float(each) for group in passed.values() for each in group.values()]
    if not any(values) or all(values):  # a bootstrap of equal values knows no doubt; one vote for each task does
        return stats.wilson(len(passed) if all(values) else 0, len(passed))._asdict() | {"n": len(values)}
    clusters = [id_ for id_, group in passed.items() for _ in group]
    return stats.mean_bootstrap(values, clusters=clusters)._asdict()
