"""Sets of tasks: the shipped katas or a person's file; what a policy is asked, and what the grader is given."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

from nbcore.core import lines
from nbcore.tasks import katas


def tasks(source: str, split: str, limit: int | None, seed: int, *, undemonstrated: bool = False) -> list[dict]:
    """Tasks with hidden tests: the shipped katas of a split, or a .jsonl file (whose tasks are all of one split).

    `undemonstrated` keeps only those that SFT has no demonstration of, where the source tells.
    """
    found = katas.load(split) if source == "katas" else lines.objects(source, ("id", "prompt", "tests"), "tasks.source")
    repeated = [id_ for id_, count in Counter(task["id"] for task in found).items() if count > 1]
    if repeated:  # its prompt would be graded by another task's tests
        raise ValueError(f"tasks.source: {source}: 'id' {repeated[0]!r} stands on more than one line; ids are unique")
    if undemonstrated:
        found = [task for task in found if not task.get("meta", {}).get("demonstrated")]
    return drawn(found, limit, seed)


def question(task: dict) -> list[dict]:
    """The conversation that asks for a task's function. Tests and solution stay out of it."""
    return [{"role": "user", "content": task["prompt"]}]


def sample(task: dict, completion: str) -> dict:
    """What the grader takes: a completion beside the task's hidden tests."""
    return {
        "id": task["id"],
        "completion": completion,
        "tests": task["tests"],
        "signature": task.get("signature"),
        "edition": task.get("edition", "2021"),
    }


def drawn(found: list[Any], limit: int | None, seed: int) -> list[Any]:
    """`limit` of them drawn with the seed, or all in their own order where there are no more."""
    if limit is None or limit >= len(found):
        return found
    return random.Random(seed).sample(found, limit)
