"""Sets of tasks: the shipped katas or a person's file; what a policy is asked, and what the grader is given."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from nbcore.config import TaskSet, prompt_form, tasksets
from nbcore.core import lines
from nbcore.core.formats import benchmarks, loading
from nbcore.core.records import Message, Sample, Task
from nbcore.tasks import checking, katas

REFUSALS = Path(__file__).parents[1] / "assets" / "refusals.jsonl"


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


class Drawn(NamedTuple):
    """The tasks of a named set, and what they are."""

    set: TaskSet
    tasks: list[Task]
    sha256: str
    """Of all tasks of the set, whatever was drawn of them."""
    set_aside: dict[str, int]


def of_set(taskset: TaskSet, seed: int) -> Drawn:
    """The tasks of a named set. Raises ValueError where they are not what its sha256 says, or cannot be asked so."""
    counts: dict[str, Any] = {}
    if taskset.source == tasksets.REFUSALS:
        everything = loading.load(REFUSALS, "tasks", "tasksets").records
    elif taskset.source == "katas":
        everything = katas.load(taskset.split)
    else:
        loaded = loading.load(taskset.source, "tasks", f"tasksets.{taskset.name}").told(counts)
        everything = [task for task in loaded if taskset.kind == "refusals" or not checking.untested_in(task)]
        if not everything:
            checking.refuse_untested(loaded, taskset.source)
        if untested := len(loaded) - len(everything):
            counts["set_aside"] = {**counts.get("set_aside", {}), "untested": untested}
    content = lines.digest(everything)
    path = Path(taskset.source).expanduser()
    known = {content, *([hashlib.sha256(path.read_bytes()).hexdigest()] if path.is_file() else [])}
    if taskset.sha256 and taskset.sha256 not in known:
        raise ValueError(
            f"tasksets: {taskset.name}: sha256 is {taskset.sha256}, and {taskset.source} has {sorted(known)[0]}; put "
            "back what was there, or write the new hash into the set"
        )
    if taskset.prompt_form == prompt_form.COMPLETE and (mute := [task["id"] for task in everything if not raw(task)]):
        raise ValueError(
            f"tasksets: {taskset.name}: prompt_form is 'complete', and {mute[0]!r} has no signature to go on from; "
            "choose bare or chat"
        )
    limit = None if taskset.kind == "repairs" else taskset.limit  # which is of faults there
    return Drawn(taskset, drawn(everything, limit, seed), content, counts.get("set_aside", {}))


def raw(task: Task) -> str | None:
    """The text that a base model goes on from: a benchmark's own, or the prompt as a comment over the signature."""
    meta, signature = task.get("meta") or {}, (task.get("signature") or "").rstrip()
    if meta.get("raw"):
        return meta["raw"]
    if not signature.endswith("{"):
        return None
    words = task["prompt"].strip().removesuffix(signature.removesuffix("{").rstrip()).strip()
    comment = (
        words if words.startswith(("//", "/*")) else "\n".join(f"/// {line}".rstrip() for line in words.split("\n"))
    )
    return f"{comment}\n{signature}\n"


def question(task: Task, form: str = prompt_form.BARE) -> list[Message]:
    """The conversation that asks for a task's function, in a prompt form. Tests and solution stay out of it."""
    words = {"rust": "Rust", "python": "Python"}[checking.language(task)]
    text = prompt_form.fill(form, task["prompt"], task.get("signature") or "", words)
    return [{"role": "user", "content": text}]


def sample(task: Task, completion: str, form: str = prompt_form.BARE) -> Sample:
    """What the grader takes: a completion beside the task's hidden tests, or all that a base model wrote."""
    if form == prompt_form.COMPLETE:
        meta = task.get("meta") or {}
        body = cut(completion, meta.get("stop") or benchmarks.RUST_STOP)
        return {**_sample(task), "code": raw(task) + body + meta.get("closing", "\n}\n")}
    return {**_sample(task), "completion": completion}


def cut(completion: str, stops: Sequence[str]) -> str:
    """A completion up to the first of the stop tokens."""
    ends = [at for stop in stops if (at := completion.find(stop)) >= 0]
    return completion[: min(ends, default=len(completion))]


def _sample(task: Task) -> dict[str, Any]:
    other = {} if checking.language(task) == "rust" else {"language": checking.language(task)}
    return {
        "id": task["id"],
        "tests": task["tests"],
        "signature": task.get("signature"),
        "edition": task.get("edition", "2021"),
        **other,
    }


def drawn(items: list[Any], limit: int | None, seed: int) -> list[Any]:
    """`limit` of the items, drawn with the seed; all of them, in their own order, where there are no more than that."""
    if limit is None or limit >= len(items):
        return items
    return random.Random(seed).sample(items, limit)
