"""The exact sequence of rows that a run trains on, as a plain list: the same after a resume, whatever else happened.

Samplers that draw from a global generator replay the first epoch's order after every resume.
"""

from __future__ import annotations

import hashlib
import json
import random
from array import array
from collections.abc import Callable, Iterable
from itertools import cycle, islice
from typing import Any


def in_order(
    rows: list[dict],
    steps: int,
    batch: int,
    seed: int,
    length: Callable[[dict], Any] = lambda row: len(row["input_ids"]),
    pool: int = 16,
) -> list[dict]:
    """The rows of `steps` batches: epochs of permutations, each settled by (seed, epoch), like lengths side by side.

    Sorting inside a pool of batches saves most of the padding; shuffling the batches keeps the order random.
    """
    sequence: list[dict] = []
    epoch = 0
    while len(sequence) < steps * batch:
        shuffle = random.Random(f"{seed}:{epoch}")
        order = shuffle.sample(rows, len(rows))
        for start in range(0, len(order), pool * batch):
            chunk = sorted(order[start : start + pool * batch], key=length)
            batches = [chunk[at : at + batch] for at in range(0, len(chunk), batch)]
            shuffle.shuffle(batches)
            sequence += [row for each in batches for row in each]
        epoch += 1
    return sequence[: steps * batch]


def as_given(rows: list[dict], steps: int, batch: int, start: int = 0) -> list[dict]:
    """The rows of `steps` batches in the order that they have, from row `start` on, and from the first again after the
    last."""
    start %= len(rows)
    return list(islice(cycle(rows), start, start + steps * batch))


def digest(rows: Iterable[dict]) -> str:
    """sha256 over what the rows hold, in the order in which they first come: equal token ids, equal digest."""
    total, seen = hashlib.sha256(), set()
    for row in rows:
        if id(row) not in seen:  # an epoch has the same dicts as the one before
            seen.add(id(row))
            for name in sorted(row):
                total.update(name.encode() + _content(row[name]))
    return total.hexdigest()


def _content(value: Any) -> bytes:
    if isinstance(value, list) and value and all(isinstance(item, int) for item in value):
        return array("q", value).tobytes()
    return json.dumps(value, sort_keys=True).encode()
