"""What a person sees while a pipeline runs: which stage, how far, how long still, the latest numbers.

A moving bar on a terminal; elsewhere (a log, a notebook, Colab's `!`) a plain line every 15 seconds.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Column

from nbcore.core import output
from nbcore.runs import activity

EVERY = 15.0  # seconds between plain lines
BESIDE = {"time", "step", "epoch"}  # numbers of a row that are no measurement
TELLING = ("pass@1", "compile_rate", "perplexity", "reward", "loss", "kept")  # endings of names, the most telling first


class Tail:
    """Follows a metrics.jsonl that grows: each `read` takes only what was appended since the one before."""

    def __init__(self, path: Path):
        self.path, self.offset, self.first, self.last, self.numbers = path, 0, None, None, {}
        self.since = time.time()

    def read(self) -> None:
        """Read the new lines; one that is still being written is left for the next call."""
        if not self.path.is_file():
            return
        with self.path.open("rb") as file:
            file.seek(self.offset)
            whole, newline, _ = file.read().rpartition(b"\n")
        self.offset += len(whole) + len(newline)
        for line in whole.split(b"\n"):
            try:
                row = json.loads(line)
            except ValueError:
                continue  # cut short when the machine died; the run's own reader skips it too
            self.numbers |= flat(row)
            if "step" in row and row["time"] >= self.since:  # the pace is that of this process, not of an earlier one
                self.last = (row["step"], row["time"])
                self.first = self.first or self.last

    def doing(self) -> activity.Doing | None:
        """What the run does beside steps: what it has said since the stage began and since the last step."""
        doing = activity.read(self.path.parent)
        since = max(self.since, self.last[1] if self.last else 0.0)
        return doing if doing and doing.time > since else None

    def seconds_left(self, total: int | None) -> float | None:
        """Seconds until step `total` at the pace so far; None while that is not known, and once no step is left."""
        if not total or not self.first or self.last[0] <= self.first[0] or self.last[0] >= total:
            return None
        pace = (self.last[1] - self.first[1]) / (self.last[0] - self.first[0])
        return max(0.0, pace * (total - self.last[0]))


class Show:
    """Shows the progress of stages, one after the other."""

    def __init__(self, console: Console | None = None):
        output.replace_unknown_characters()
        self.console = console or Console()
        self.moving = self.console.is_terminal and not self.console.is_jupyter
        self.begun = time.monotonic()
        self.bar: Progress | None = None

    def start(self, number: int, count: int, name: str, usual: float | None = None) -> None:
        """Stage `number` of `count` begins; `usual` is how many seconds it took another time."""
        self.label, self.usual, self.tail = f"[{number}/{count}] {name}", usual, None
        self.started = self.spoken = time.monotonic()
        if self.moving:
            whole = Column(no_wrap=True, min_width=len(self.label))  # on a narrow terminal only the words are cut
            columns = (
                TextColumn("{task.description}", table_column=whole),
                BarColumn(bar_width=16),
                TextColumn("{task.fields[words]}"),
            )
            self.bar = Progress(*columns, console=self.console, transient=True, refresh_per_second=4)
            self.task = self.bar.add_task(escape(self.label), total=None, words="starting")
            self.bar.start()
        else:
            self._print(f"{self.label} starting")

    def update(self, metrics: Path | None, steps: int | None) -> None:
        """Look at the stage's metrics.jsonl once more; `steps` is where the stage will end, where that is known."""
        if metrics and self.tail is None:
            self.tail = Tail(metrics)
            self.tail.since -= time.monotonic() - self.started
        elapsed, step, left, latest = time.monotonic() - self.started, None, None, []
        if self.tail:
            self.tail.read()
            step = self.tail.last[0] if self.tail.last else None
            left, latest = self.tail.seconds_left(steps), words_of(self.tail.numbers)
            if doing := self.tail.doing():
                left, latest = None, [doing.line(), *latest]
        if left is None and self.usual and self.usual > elapsed:
            left = self.usual - elapsed
        words = []
        if step is not None:
            words.append(f"step {step}/{steps}" if steps else f"step {step}")
        words.append(f"{clock(elapsed)} elapsed")
        if left is not None:
            words.append(f"about {clock(left)} left")
        words += latest
        if self.bar:
            self.bar.update(self.task, completed=step or 0, total=steps, words=escape(" · ".join(words)))
        elif time.monotonic() - self.spoken >= EVERY:
            self.spoken = time.monotonic()
            self._print(" · ".join([self.label, *words]))

    def end(self, words: str) -> None:
        """The stage has ended, well or not."""
        if self.bar:
            self.bar.stop()
            self.bar = None
        took = time.monotonic() - self.started
        self._print(f"{self.label} {words} · {clock(took)}, {clock(time.monotonic() - self.begun)} in all")

    def skip(self, number: int, count: int, name: str, words: str) -> None:
        """Say that a stage need not run, and why."""
        self._print(f"[{number}/{count}] {name} {words}")

    def note(self, text: str) -> None:
        """Print a line between stages."""
        self._print(text)

    def _print(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)


def flat(row: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """The numbers of a row of metrics, by name; of an estimate with an interval only the estimate."""
    numbers: dict[str, float] = {}
    for name, value in row.items():
        if isinstance(value, Mapping):
            numbers |= {f"{prefix}{name}": value["value"]} if "value" in value else flat(value, f"{name} ")
        elif isinstance(value, int | float) and name not in BESIDE:
            numbers[f"{prefix}{name}"] = value
    return numbers


def words_of(numbers: Mapping[str, float], most: int = 3) -> list[str]:
    """Up to `most` of the numbers in words, the most telling first."""
    told = [name for mark in TELLING for name in numbers if name.endswith(mark)]
    return [f"{name} {numbers[name]:.4g}" for name in list(dict.fromkeys(told))[:most]]


def clock(seconds: float) -> str:
    """Seconds as m:ss or h:mm:ss."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
