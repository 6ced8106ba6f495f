"""Refuse tasks whose tests test nothing, before a model is asked: their answers would pass, or fail, whatever they say.

    refuse_untested   by reading: there is no #[test] function that would run
    refuse_failing    by running: the tests do not compile, the task's own solution fails them, or any function passes

The shipped katas need neither.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from nbcore.core.records import Sample, Task, Verdict
from nbcore.grading.rust import vacuous
from nbcore.grading.rust.answer import defines, target

NAMED = 3  # how many of the refused tasks the error names
NEVER_ASKING = ("run_timeout", "early_exit")  # how tests end that run on, or stop, whatever the function does


def refuse_untested(tasks: Iterable[Task], source: str) -> None:
    """Raises ValueError naming the tasks of the file `source` whose tests would run nothing."""
    problems = {task["id"]: untested_in(task) for task in tasks}
    _refuse({id_: problem for id_, problem in problems.items() if problem}, source)


def untested_in(task: Task) -> str | None:
    """Why the tests of a task, in its language, would run nothing; None where they would run."""
    if language(task) == "python":
        return None if re.search(r"^def check\(", task["tests"], re.MULTILINE) else "its tests have no check(candidate)"
    return untested(task["tests"])


def untested(tests: str) -> str | None:
    """Why these tests would run nothing, or not all of them; None where they would run."""
    return f"its tests {problem}" if (problem := vacuous.problem(tests)) else None


def refuse_failing(tasks: Sequence[Task], source: str, grade: Callable[[list[Sample]], list[Verdict]]) -> None:
    """Grade each task's solution, and a function that is not written yet, by its tests.

    Raises ValueError naming the tasks of the file `source` whose tests cannot be right. A task that the grader could
    not judge (infra_error) is not refused.
    """
    _refuse(failing(tasks, grade), source)


def failing(tasks: Sequence[Task], grade: Callable[[list[Sample]], list[Verdict]]) -> dict[str, str]:
    """Task id -> what is wrong with its tests, of those whose tests cannot be right."""
    samples: list[Sample] = []
    for task in tasks:
        if language(task) == "python":
            samples += _python(task)
            continue
        common = {"tests": task["tests"], "edition": task.get("edition")}
        samples.append(vacuous.trial(task, f"unwritten {task['id']}"))
        if reference := solution(task):
            signature = task.get("signature")
            samples.append({"id": f"solution {task['id']}", "code": reference, "signature": signature, **common})
    verdicts = {verdict["id"]: verdict for verdict in grade(samples)}
    problems = {}
    for task in tasks:
        of_unwritten, of_solution = (verdicts.get(f"{kind} {task['id']}") for kind in ("unwritten", "solution"))
        if problem := _failing(of_unwritten, of_solution, signed=target(task.get("signature")) is not None):
            problems[task["id"]] = problem
    return problems


def language(task: Task) -> str:
    """The language that a task is answered in: "rust" or "python"."""
    return (task.get("meta") or {}).get("language", "rust")


def _python(task: Task) -> list[Sample]:
    common = {"tests": task["tests"], "signature": task["signature"], "language": "python"}
    samples = [{"id": f"unwritten {task['id']}", "completion": "    raise NotImplementedError\n", **common}]
    if task.get("solution"):
        samples.append({"id": f"solution {task['id']}", "completion": task["solution"], **common})
    return samples


def solution(task: Task) -> str | None:
    """The source of a task's reference: `solution` by itself, or behind the signature where it is the body alone."""
    signature, text = task.get("signature") or "", task.get("solution")
    if not (text and text.strip()):
        return None
    name = target(signature)
    return text if name is None or defines(text, name) else signature + text


def _failing(of_unwritten: Verdict, of_solution: Verdict | None, signed: bool) -> str | None:
    """What is wrong with tests that gave these verdicts on the unwritten function and on the solution."""
    if of_solution and of_solution["verdict"] not in ("pass", "infra_error"):
        error = f": {of_solution['errors'][0]['message']}" if of_solution["errors"] else ""
        return f"its solution ends in {of_solution['verdict']}{error}"
    if not of_solution and of_unwritten["verdict"] == "compile_error":
        # An error with a line is in the function itself: todo!() is no body for one that returns `impl Trait`. Without
        # a signature nobody knows the names that the tests use, and only an error without a code, of grammar, tells.
        errors = [error for error in of_unwritten["errors"] if signed or error["code"] is None]
        if errors and all(error["line"] is None for error in errors):
            return f"its tests do not compile: {errors[0]['message']}"
    if of_unwritten["passed"]:
        return f"its tests pass with the body {vacuous.BODY}"
    if of_unwritten["verdict"] in NEVER_ASKING and not of_solution:
        return f"its tests end in {of_unwritten['verdict']} even with the body {vacuous.BODY}"
    return None


def _refuse(problems: Mapping[str, Any], source: str) -> None:
    if not problems:
        return
    named = "; ".join(f"{id_!r}: {problem}" for id_, problem in list(problems.items())[:NAMED])
    more = f"; and {len(problems) - NAMED} more" if len(problems) > NAMED else ""
    raise ValueError(
        f"tasks.source: {source}: {len(problems)} tasks whose tests cannot tell a right answer ({named}{more}); "
        "mend their tests, or take them out"
    )
