"""Answers graded as they end, while the others of their batch are still being written.

TRL generates all completions of a step in one call and asks for rewards afterwards, so that processors wait for a GPU,
and then the GPU for them. Here each answer goes to the grader at its last token. The grader remembers the verdict, and
the reward that asks for it later gets the very same: order and values are those of grading after the generation.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def endings(model: Any, stops: Sequence[int], ended: Callable[[int, list[int]], None]) -> Iterator[None]:
    """For as long as it lasts, generation calls `ended(row, ids)` once for each row that has ended at one of `stops`:
    its number in the batch, and what it emitted, the stop included. Rows that end with the last token of a batch are
    not told: generation is over then, too.
    """
    ends = set(stops)
    rows: list[list[int]] = []
    running: set[int] = set()

    def look(_module: Any, inputs: tuple[torch.Tensor, ...]) -> None:
        # A step of generation feeds the token that the step before has drawn; what is longer is a batch of prompts.
        ids = inputs[0]
        if ids.shape[1] != 1 or len(ids) != len(rows):
            rows[:] = [[] for _ in ids]
            running.clear()
            running.update(range(len(ids)))
            return
        for row, (token,) in enumerate(ids.tolist()):
            if row in running:
                rows[row].append(token)
                if token in ends:
                    running.remove(row)
                    ended(row, rows[row])

    handle = model.get_input_embeddings().register_forward_pre_hook(look)
    try:
        yield
    finally:
        handle.remove()


class Ahead:
    """Grades what it is given in one other thread: at each turn all that has come meanwhile, so that a grader with
    several workers has work for each of them. `grade` gets the answers and must remember what it found."""

    def __init__(self, grade: Callable[[list[Any]], int]):
        self.grade = grade
        self.thread = futures.ThreadPoolExecutor(1, thread_name_prefix="nbcore-ahead")
        self.waiting: list[Any] = []
        self.lock = threading.Lock()
        self.turns: list[futures.Future[int]] = []

    def add(self, answer: Any) -> None:
        """Have an answer graded soon."""
        with self.lock:
            self.waiting.append(answer)
            if len(self.waiting) > 1:
                return  # the turn that takes the first one takes this one as well
        self.turns.append(self.thread.submit(self._turn))

    def finished(self) -> int:
        """Wait until all are graded; returns the sum of what `grade` returned. Raises what it raised."""
        turns, self.turns = self.turns, []
        return sum(turn.result() for turn in turns)

    def _turn(self) -> int:
        with self.lock:
            answers, self.waiting = self.waiting, []
        return self.grade(answers)
