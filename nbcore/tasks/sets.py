"""Sets of tasks: the shipped katas or a person's file; what a policy is asked, and what the grader is given."""

from __future__ import annotations

import random
from typing import Any

from nbcore.config import prompt_form
from nbcore.core.formats import loading
from nbcore.core.records import Message, Sample, Task
from nbcore.tasks import checking, katas


def tasks(
    source: str,
    split: str,
    limit: int | None,
    seed: int,
    *,
    undemonstrated: bool = False,
    counts: dict[str, Any] | None = None,
) -> list[Task]:
    """Tasks with hidden tests: the shipped katas of a split, or a person's file or folder of them (all of one split).

    `undemonstrated` keeps only those that SFT has no demonstration of, where the source tells. `counts` gets
    "set_aside", how many tasks of the file were bad, by reason, where any were.
    """
    if source == "katas":
        loaded = katas.load(split)
    else:
        loaded = loading.load(source, "tasks", "tasks.source").told(counts)
        checking.refuse_untested(loaded, source)
    if undemonstrated:
        loaded = [task for task in loaded if not task.get("meta", {}).get("demonstrated")]
    return drawn(loaded, limit, seed)


def question(task: Task, form: str = prompt_form.BARE) -> list[Message]:
    """The conversation that asks for a task's function, in a prompt form. Tests and solution stay out of it."""
    return [{"role": "user", "content": prompt_form.fill(form, task["prompt"], task.get("signature") or "")}]


def sample(task: Task, completion: str) -> Sample:
    """What the grader takes: a completion beside the task's hidden tests."""
    return {
        "id": task["id"],
        "completion": completion,
        "tests": task["tests"],
        "signature": task.get("signature"),
        "edition": task.get("edition", "2021"),
    }


def drawn(items: list[Any], limit: int | None, seed: int) -> list[Any]:
    """`limit` of the items, drawn with the seed; all of them, in their own order, where there are no more than that."""
    if limit is None or limit >= len(items):
        return items
    return random.Random(seed).sample(items, limit)
