"""Faults of tasks as problems, verified: the visible tests notice them, and the hidden tests do."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from nbcore.agent import compile_faults, problems
from nbcore.agent.episode import run
from nbcore.agent.problem import Problem, judge
from nbcore.core.records import Task
from nbcore.data import faults
from nbcore.grading.grader import RustGrader
from nbcore.tasks import checking

CHUNK = 24  # candidates verified at once
PER_TASK = 8  # faults at most


def drawn(
    tasks: Sequence[Task],
    count: int,
    seed: int,
    grader: RustGrader,
    doing: Callable[[str, int, int], None] = lambda words, done, total: None,
) -> list[Problem]:
    """`count` verified faults of tasks, drawn with the seed; fewer where the tasks have no more. Raises ValueError
    where there is none."""
    mixed = list(tasks)
    random.Random(seed).shuffle(mixed)
    found: list[Problem] = []
    waiting = candidates(mixed, PER_TASK, seed)
    while len(found) < count and (chunk := list(islice(waiting, CHUNK))):
        doing("verifying faults", len(found), count)
        found += verified(chunk, grader)
    if not found:
        raise ValueError("no fault could be made of these tasks that their tests notice; name others")
    return found[:count]


def candidates(tasks: Sequence[Task], per_task: int, seed: int) -> Iterator[Problem]:
    """Faults of tasks that have a solution, not tried yet: the first of each task, then the second, and so on. Every
    third is one that the compiler sees."""
    seen: set[tuple[str, str]] = set()
    for turn in range(per_task):
        for number, task in enumerate(tasks):
            working = checking.solution(task) if checking.language(task) == "rust" else None
            fault = _fault(working, (number + turn) % 3 == 2, random.Random(f"{seed} {turn} {task['id']}"))
            if fault and (task["id"], fault[1]) not in seen:
                seen.add((task["id"], fault[1]))
                yield problems.of_task(task, f"{task['id']}-{turn}", *fault)


def _fault(working: str | None, compiled: bool, rng: random.Random) -> tuple[str, str] | None:
    """The kind of one fault and the text with it: where `compiled`, one that the compiler sees if there is any."""
    if not working:
        return None
    found = compile_faults.find(working) if compiled else []
    if found:
        kind = rng.choice(sorted({fault.kind for fault in found}))
        return kind, rng.choice([fault for fault in found if fault.kind == kind]).code
    chosen = faults.choose(_found(working), 1, rng)
    return (chosen[0].kind, chosen[0].applied(working)) if chosen else None


def verified(found: Sequence[Problem], grader: RustGrader) -> list[Problem]:
    """Those whose fault is what its kind says, that the visible tests notice, and that the working code repairs."""
    said = run(grader, [problem.test(problem.files) for problem in found])
    noticed = []
    for problem, verdict in zip(found, said, strict=True):
        codes = compile_faults.KINDS.get(problem.kind)
        if codes is None:
            right = verdict["compiles"] and not verdict["passed"] and verdict["verdict"] != "infra_error"
        else:
            right = any(error["code"] in codes for error in verdict["errors"])
        if right:
            noticed.append(problem)
    pairs = [(problem, texts) for problem in noticed for texts in (problem.files, problem.working)]
    judged = judge(grader, pairs)
    return [
        problem
        for problem, faulty, working in zip(noticed, judged[::2], judged[1::2], strict=True)
        if working["passed"] and not faulty["passed"] and faulty["verdict"] != "infra_error"
    ]


def _found(working: str) -> list[faults.Fault]:
    try:
        return faults.find(working)
    except ValueError:  # a person's solution that does not parse: checking refuses it in better words
        return []
