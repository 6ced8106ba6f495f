"""Preference pairs and best-of-n rows out of graded rollouts: several answers to each task, with their verdicts.

A task that every answer passes, or none, is left out: between its answers there is nothing to prefer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from nbcore.core import lines
from nbcore.core.records import Pair, Row
from nbcore.runs import layout
from nbcore.tasks import katas

Rollout = dict[str, Any]
"""A line of samples.jsonl or rollouts.jsonl: id, prompt, completion, truncated, and the fields of a verdict."""
_FIELDS = ("id", "prompt", "completion", "verdict", "passed")


class Groups(NamedTuple):
    """Rollouts by task, in the order of the file, and what became of the others."""

    mixed: dict[str, list[Rollout]]
    """Of tasks that some answers pass and some fail."""
    counts: dict[str, int]
    """tasks, rollouts, and of these: ungraded, unfinished; of the tasks: always, never, mixed."""


def read(samples: Path) -> tuple[list[Rollout], int]:
    """The rollouts of a file, or of a run's folder (its rollouts.jsonl, else its samples.jsonl), and how many others
    are left out because they answer held-out katas: rows made of these would make every evaluation worthless.

    Raises FileNotFoundError, and ValueError naming file, line and what is wrong.
    """
    if samples.is_dir():
        kept = [samples / name for name in (layout.ROLLOUTS, layout.SAMPLES) if (samples / name).is_file()]
        if not kept:
            raise FileNotFoundError(f"SAMPLES: {samples} has no rollouts.jsonl and no samples.jsonl; name another run")
        samples = kept[0]
    rows = [row for _, row in lines.parsed(samples, _checked, "SAMPLES")]
    if not rows:
        raise ValueError(f"SAMPLES: {samples} is empty; a line is {', '.join(_FIELDS)}")
    held_out = {task["id"] for task in katas.load() if task["meta"]["split"] != "train"}
    allowed = [row for row in rows if row.get("id") not in held_out]
    return allowed, len(rows) - len(allowed)


def _checked(row: Any) -> Rollout:
    if not isinstance(row, dict):
        raise ValueError(f"no mapping; a line is {', '.join(_FIELDS)}")
    graded = "verdict" in row
    for field in ("id", "prompt", "completion", "verdict") if graded else ():
        if not isinstance(row.get(field), str):
            raise ValueError(f"{field!r} is missing or no text; a line is {', '.join(_FIELDS)}")
    if graded and not isinstance(row.get("passed"), bool):
        raise ValueError("'passed' is missing, or neither true nor false")
    for field in ("tests_passed", "clippy_warnings") if graded else ():
        if not isinstance(row.get(field, 0), int):
            raise ValueError(f"{field!r} is no whole number")
    return row


def groups(rollouts: Iterable[Rollout], spoiled: Callable[[str], bool] = lambda text: False) -> Groups:
    """Rollouts by task. Answers that could not be graded, were cut short or are `spoiled` are left out and counted.

    Lines without a verdict (those of a perplexity) are passed over.
    """
    counts = dict.fromkeys(("tasks", "rollouts", "ungraded", "unfinished", "always", "never", "mixed"), 0)
    by_task: dict[str, list[Rollout]] = {}
    for row in rollouts:
        if any(field not in row for field in _FIELDS):
            continue
        counts["rollouts"] += 1
        group = by_task.setdefault(row["id"], [])
        if row["verdict"] == "infra_error":
            counts["ungraded"] += 1
        elif row.get("truncated") or spoiled(row["completion"]):
            counts["unfinished"] += 1
        else:
            group.append(row)
    mixed = {}
    for id_, group in by_task.items():
        passed = sum(row["passed"] for row in group)
        kind = "mixed" if 0 < passed < len(group) else "always" if passed else "never"
        counts[kind] += 1
        if kind == "mixed":
            mixed[id_] = group
    return Groups(mixed, counts | {"tasks": len(by_task)})


def paired(group: list[Rollout], most: int) -> list[tuple[Rollout, Rollout]]:
    """At most `most` (chosen, rejected) of one task's rollouts; no rejected answer is taken twice.

    Rejected answers nearest to passing come first: a pair teaches most where the two differ least.
    """
    chosen = list({row["completion"]: row for row in group if row["passed"]}.values())
    rejected = list({row["completion"]: row for row in group if not row["passed"]}.values())
    rejected.sort(key=lambda row: (-bool(row.get("compiles")), -row.get("tests_passed", 0)))
    return [(chosen[index % len(chosen)], row) for index, row in enumerate(rejected[:most] if chosen else [])]


def pair(chosen: Rollout, rejected: Rollout, asked: str) -> Pair:
    """The pair as a line of a pairs file; `asked` is what the model was asked."""
    texts = {"chosen": chosen["completion"], "rejected": rejected["completion"], "because": rejected["verdict"]}
    return {"id": rejected["id"], "prompt": asked, **texts}


def best(group: list[Rollout], most: int = 1) -> list[Rollout]:
    """The best `most` different answers of one task that pass: fewest lints first, then the shortest."""
    passing = {row["completion"]: row for row in group if row["passed"]}.values()
    return sorted(passing, key=lambda row: (row.get("clippy_warnings", 0), len(row["completion"]), row["completion"]))[
        :most
    ]


def best_of_n(mixed: dict[str, list[Rollout]], asked: Callable[[Rollout], str], most: int = 1) -> list[Row]:
    """Rows to train on: for each task its best `most` answers. The first keeps the task's id."""
    rows = []
    for id_, group in mixed.items():
        meta = {"passed": sum(row["passed"] for row in group), "of": len(group), "family": group[0].get("family", "")}
        for number, row in enumerate(best(group, most)):
            messages = [
                {"role": "user", "content": asked(row)},
                {"role": "assistant", "content": row["completion"]},
            ]
            rows.append({"id": f"{id_}-{number + 1}" if number else id_, "messages": messages, "meta": meta})
    return rows
