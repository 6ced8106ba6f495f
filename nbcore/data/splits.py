"""Which split a row belongs to: decided by its content, and the same for all rows that are nearly alike."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from typing import Any

from nbcore.core.output import shown

SPLITS = ("train", "validation", "test")
RATIOS = (0.8, 0.1, 0.1)


def checked_ratios(splits: str | Sequence[float]) -> tuple[float, float, float]:
    """(train, validation, test) from numbers or from text such as "0.8,0.1,0.1". Raises ValueError with the remedy."""
    wanted = "give three numbers of 0 or more that sum to 1, such as 0.8,0.1,0.1"
    parts = splits.split(",") if isinstance(splits, str) else list(splits)
    try:
        numbers = [float(part) for part in parts]
    except (TypeError, ValueError):
        raise ValueError(f"splits: {shown(str(splits))!r} is not three numbers; {wanted}") from None
    if len(numbers) != 3:
        raise ValueError(f"splits: {shown(str(splits))!r} has {len(numbers)} numbers; {wanted}")
    if not all(math.isfinite(number) and number >= 0 for number in numbers):
        raise ValueError(f"splits: {shown(str(splits))!r} has a number that is negative or not finite; {wanted}")
    if abs(sum(numbers) - 1) > 1e-6:
        raise ValueError(f"splits: {shown(str(splits))!r} sums to {sum(numbers):.6g}; {wanted}")
    return tuple(numbers)


def content_digest(messages: list[dict], tools: Any = None) -> bytes:
    """32 bytes that are equal for the same conversation, whatever its id and its white space."""
    turns = [
        [message["role"], " ".join((message.get("content") or "").split()), message.get("tool_calls")]
        for message in messages
    ]
    return hashlib.sha256(json.dumps([turns, tools], sort_keys=True).encode()).digest()


def grouped(near: Sequence[Sequence[int]], questions: Sequence[bytes]) -> list[int]:
    """For each row the first row of its group. A group is near copies, the near copies of those and so on, and rows
    that ask the same question. `near` has groups of indexes, `questions` the digest of each row's question."""
    leader = list(range(len(questions)))

    def lead(row: int) -> int:
        while leader[row] != row:
            leader[row] = leader[leader[row]]
            row = leader[row]
        return row

    first_asked: dict[bytes, int] = {}
    same_question = [(first_asked.setdefault(question, row), row) for row, question in enumerate(questions)]
    for group in [*near, *same_question]:
        for row in group[1:]:
            first, other = sorted((lead(group[0]), lead(row)))
            leader[other] = first
    return [lead(row) for row in range(len(questions))]


def of_groups(first: Sequence[int], digests: Sequence[bytes], ratios: tuple[float, ...], seed: int) -> list[str]:
    """The split of each row: the smallest digest in its group decides, so the order of the rows does not."""
    smallest: dict[int, bytes] = {}
    for leader, digest in zip(first, digests, strict=True):
        smallest[leader] = min(smallest.get(leader, digest), digest)
    chosen = {leader: split_of(digest, ratios, seed) for leader, digest in smallest.items()}
    return [chosen[leader] for leader in first]


def split_of(digest: bytes, ratios: tuple[float, ...], seed: int) -> str:
    """The split of a row by the digest of its content: it stays the same whatever rows stand beside it."""
    drawn = int.from_bytes(hashlib.sha256(b"%d " % seed + digest).digest()[:8]) / 2**64
    if drawn < ratios[0]:
        return "train"
    if drawn < ratios[0] + ratios[1] or ratios[2] == 0:
        return "validation" if ratios[1] else "train"
    return "test"
