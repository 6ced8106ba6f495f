"""Chats in which a function is read with a tool and written again: what a base needs to know of calls, and no more.

A small model copies what stands right before, in a frame it has seen; behind a prefix or across a gap that it was never
trained with, it does not. So the code stands behind a list of tools, and tests and their answers stand between it and
its copy. Nothing here repairs anything: what an instruction means is for the phases after it to teach.
"""

from __future__ import annotations

import random
from typing import Any

from nbcore.core.records import Document, Task
from nbcore.tasks import katas

NAMES = ("read_file", "write_file", "cargo_test", "reset")
_NOTHING = {"type": "object", "properties": {}, "additionalProperties": False}


def tools(names: tuple[str, ...]) -> list[dict[str, Any]]:
    """The tools of these names as a brief episode of the agent has them (tests/data/test_calls.py)."""
    takes = {"write_file": {"type": "string"}}
    named = [{"name": name, "description": "", "parameters": takes.get(name, _NOTHING)} for name in names]
    return [{"type": "function", "function": function} for function in named]


def document(task: Task) -> Document:
    """A chat about a task's solution, of one of three kinds: read and write; with a test between; and written, tested,
    taken back and written again."""
    rng, code = random.Random(task["id"]), katas.code(task)
    total = rng.randint(2, 4)
    passed, failed = f"all {total} visible tests pass", _failing(rng, total)
    read, write, again = (
        ("read_file", "{}", code),
        ("write_file", code, "written"),
        ("reset", "{}", f"{code}\n{failed}"),
    )
    steps, names = rng.choice(
        [
            ([read, write], NAMES[:2]),
            ([read, ("cargo_test", "{}", failed), write, ("cargo_test", "{}", passed)], NAMES),
            ([read, write, ("cargo_test", "{}", failed), again, write, ("cargo_test", "{}", passed)], NAMES),
        ]
    )
    messages: list[dict[str, Any]] = [{"role": "user", "content": task["signature"].removesuffix(" {")}]
    for number, (name, written, answer) in enumerate(steps):
        call = {"id": f"call_{number}", "type": "function", "function": {"name": name, "arguments": written}}
        messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
        messages.append({"role": "tool", "name": name, "tool_call_id": call["id"], "content": answer})
    messages.append({"role": "assistant", "content": "Done."})
    return {"id": f"calls-{task['id']}", "messages": messages, "tools": tools(names), "source": "calls"}


def _failing(rng: random.Random, total: int) -> str:
    """What a failing test says, with values that mean nothing."""
    left, right = rng.sample(range(-20, 100), 2)
    values = rng.choice([(left, right), ([left, 3], [right]), (f'"{left}"', f'"{right}"')])
    head = f"{rng.randint(0, total - 1)} of {total} visible tests pass\ncase_{rng.randint(0, 5)}: "
    return head + f"assertion `left == right` failed\n  left: {values[0]}\n right: {values[1]}"
