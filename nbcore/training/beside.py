"""Grading beside generation: a batch of answers is judged in a thread while the model writes the next one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent import futures
from typing import Any

from nbcore.core.records import Completion, Verdict

PIECE = 64  # answers judged in one call: what an interrupt has to wait for at most
LOOK = 0.5  # seconds between two words on how far the rest is

Judge = Callable[[Sequence[int], Sequence[Completion], Callable[[int], None]], list[Verdict]]


class Grading:
    """Batches come in as they are generated, verdicts go out by index. A with statement ends the thread.

    `judge(indices, completions, done)` judges answers; it runs in one other thread, in the order in which they came,
    and says with `done` how many of them it has.
    """

    def __init__(self, judge: Judge):
        self.judge = judge
        self.thread = futures.ThreadPoolExecutor(1, thread_name_prefix="nbcore-grading")
        self.pieces: list[tuple[list[int], futures.Future]] = []
        self.stopped = threading.Event()
        self.graded, self.within = 0, 0

    def __enter__(self) -> Grading:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: Any) -> None:
        if kind is not None:
            self.stopped.set()
        self.thread.shutdown(wait=True, cancel_futures=kind is not None)

    def add(self, indices: list[int], completions: list[Completion]) -> None:
        """Have these judged. Raises what the judging of an earlier batch raised."""
        for _, piece in self.pieces:
            if piece.done():
                piece.result()
        for start in range(0, len(indices), PIECE):
            part = slice(start, start + PIECE)
            self.pieces.append((indices[part], self.thread.submit(self._one, indices[part], completions[part])))

    def verdicts(self, count: int, doing: Callable[[int], None]) -> list[Verdict]:
        """The verdicts on answers 0 … count - 1, all of which have been added; `doing` is told how many there are."""
        judged: list[Verdict | None] = [None] * count
        for indices, piece in self.pieces:
            while not futures.wait([piece], LOOK).done:
                doing(self.graded + self.within)
            for index, verdict in zip(indices, piece.result(), strict=True):
                judged[index] = verdict
        doing(count)
        return judged

    def _one(self, indices: list[int], completions: list[Completion]) -> list[Verdict]:
        if self.stopped.is_set():
            raise futures.CancelledError
        found = self.judge(indices, completions, self._note)
        self.graded, self.within = self.graded + len(indices), 0
        return found

    def _note(self, done: int) -> None:
        self.within = done
