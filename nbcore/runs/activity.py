"""What a run is busy with beside its steps: loading, answering, grading, saving, copying.

The process that works writes it to a hidden file of the run directory, which is neither committed nor mirrored; whoever
watches the run from another process (the pipeline's progress line) reads it there.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from nbcore.runs import layout

EVERY = 1.0  # seconds between two writes of the same words


class Doing(NamedTuple):
    """What a run was doing at a moment."""

    words: str
    done: int
    total: int
    """How many of what the words name there are in all; 0 where that is not counted."""
    begun: float
    """When these words were first said, in seconds since 1970."""
    time: float

    def line(self) -> str:
        """For people: "answering 8 tasks: 3/8"."""
        return f"{self.words}: {self.done}/{self.total}" if self.total else self.words


class Activity:
    """Call it with what is being done, as often as anything moves: `activity("answering 8 tasks", 3, 8)`."""

    def __init__(self, run: Path, show: Callable[[Doing], None] = lambda doing: None):
        """`show` is told of every call, for a display in this process."""
        self.path, self.show = run / layout.ACTIVITY, show
        self.latest = Doing("", 0, 0, 0.0, 0.0)
        self.written = float("-inf")

    def __call__(self, words: str, done: int = 0, total: int = 0) -> None:
        now = time.time()
        same = words == self.latest.words
        self.latest = Doing(words, done, total, self.latest.begun if same else now, now)
        self.show(self.latest)
        if same and time.monotonic() - self.written < EVERY:
            return
        self.written = time.monotonic()
        fresh = self.path.with_name(f"{self.path.name}.new")
        with suppress(OSError):  # a full disk must not end a run for the sake of a line of progress
            fresh.write_text(json.dumps(self.latest._asdict()), "utf-8")
            os.replace(fresh, self.path)


def read(run: Path) -> Doing | None:
    """What a run says that it is doing, or was when its process ended; None where it says nothing."""
    try:
        return Doing(**json.loads((run / layout.ACTIVITY).read_text("utf-8")))
    except (OSError, ValueError, TypeError):  # none, or another version's
        return None


def clear(run: Path) -> None:
    """A finished run does nothing."""
    with suppress(OSError):
        (run / layout.ACTIVITY).unlink(missing_ok=True)
