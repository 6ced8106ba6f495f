"""Problems made of tasks and of crates: one fault each, verified by compiler and tests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from nbcore.agent.problem import Problem
from nbcore.core.records import Task
from nbcore.grading.rust.syntax import attributes, edited, introduced, parse, text_of, walk
from nbcore.tasks import checking

ROOT = "src/lib.rs"


def of_task(task: Task, id_: str, kind: str, code: str) -> Problem:
    """A problem of one function: `code` is its solution with a fault. Half of its tests are visible."""
    visible = (
        f"#[cfg(test)]\nmod visible_tests {{\n#[allow(unused_imports)]\nuse super::*;\n{half(task['tests'])}\n}}\n"
    )
    return Problem(
        id=id_,
        source=task["id"],
        kind=kind,
        prompt=task["prompt"],
        files={ROOT: code},
        working={ROOT: checking.solution(task)},
        visible={ROOT: visible},
        tests=task["tests"],
        signature=task.get("signature"),
        edition=task.get("edition") or "2021",
    )


def of_mutants(records: Iterable[Mapping[str, Any]]) -> list[Problem]:
    """Problems of the lines that `data mutants` wrote about tasks."""
    found = []
    for row in records:
        if "tests" in row:
            task = {name: row.get(name) for name in ("prompt", "signature", "tests", "edition")}
            task |= {"id": row["source"], "solution": row["working"]}
            problem = of_task(task, row["id"], row["fault"], row["code"])
            found.append(Problem.of_record(problem.record() | {"working": {ROOT: row["working"]}}))
    return found


def half(tests: str) -> str:
    """Tests with every second test function left out; where there is one function, with the later half of its
    assertions left out. At least one stays."""
    functions = [node for node, before in _all(parse(tests)) if node.type == "function_item" and _is_test(before)]
    functions.sort(key=lambda node: node.start_byte)
    if len(functions) > 1:
        spare = [_whole(node) for node in functions[1::2]]
    else:
        body = functions[0].child_by_field_name("body") if functions else None
        asserts = [node for node in body.named_children if text_of(node).startswith("assert")] if body else []
        spare = [(node.start_byte, node.end_byte) for node in asserts[(len(asserts) + 1) // 2 :]]
    return edited(tests.encode(), [(start, end, b"") for start, end in spare]).decode()


def _all(root: Any):
    for parent in walk(root):
        if parent.child_count:
            yield from introduced(parent)


def _is_test(before: list[Any]) -> bool:
    return any(name == "test" for name, _ in attributes(before))


def _whole(node: Any) -> tuple[int, int]:
    """A function's place, with the attributes before it."""
    start = node
    while start.prev_sibling is not None and start.prev_sibling.type == "attribute_item":
        start = start.prev_sibling
    return start.start_byte, node.end_byte
