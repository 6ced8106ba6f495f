"""The exact sequence of rows that a run trains on, as a plain list: the same after a resume, whatever else happened.

Samplers that draw from a global generator replay the first epoch's order after every resume.
"""

from __future__ import annotations

import random
from collections.abc import Callable
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
