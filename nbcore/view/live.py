"""Progress of a training run while it runs: one curve that redraws itself, or one plain line now and then."""

from __future__ import annotations

import html
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from nbcore.core import environment
from nbcore.runs import activity
from nbcore.view import figures

REDRAW, REPORT = 2.0, 10.0  # seconds between two pictures, and between two lines
HEADLINES = ("loss", "eval_loss", "reward")


class Live:
    """Call `update(step, total, numbers)` at every log and `close()` at the end; only now and then something is shown.

    In a notebook that a person watches, one display is updated in place. Elsewhere (terminal, papermill, a log file)
    a line is printed: progress bars that redraw themselves freeze or flood there.
    """

    def __init__(self, title: str = "", clock: Callable[[], float] = time.monotonic, screen: Any = None):
        """`clock` and `screen` (IPython's display handle) are arguments for the sake of the tests."""
        self.title, self.clock, self.screen = title, clock, screen
        self.watched = screen is not None or environment.watched_notebook()
        self.rows: list[Mapping] = []
        self.newest: dict[str, Any] = {}
        self.step = self.total = 0
        self.note = ""  # what else the line should tell: how far the mirror is
        self.doing = ""  # what is done now beside steps
        self.picture = ""
        self.started: tuple[float, int] | None = None  # the first row seen: a resumed run does not begin at step 0
        self.shown = float("-inf")
        self.wait = REDRAW if self.watched else REPORT

    def update(self, step: int, total: int, numbers: Mapping[str, Any] = MappingProxyType({})) -> None:
        """Take the metrics logged at step `step` of `total`."""
        now = self.clock()
        self.rows.append({"step": step, **numbers})
        self.newest |= numbers
        self.step, self.total, self.doing = step, total, ""
        self.started = self.started or (now, step)
        if now - self.shown >= self.wait:
            self._show()

    def tell(self, doing: activity.Doing) -> None:
        """Take what is done beside steps: loading, answering, grading, saving. It is shown until the next step."""
        begins = not self.doing.startswith(doing.words)
        self.doing = doing.line()
        if self.clock() - self.shown >= self.wait or (begins and self.watched):
            self._show(draw=False)

    def close(self) -> None:
        """Show the last state, even if something was shown a moment ago."""
        self.doing = ""
        if self.rows:
            self._show()

    def line(self) -> str:
        """One line: step, the newest numbers, time gone and time left."""
        if self.started is None:
            return " · ".join(part for part in (self.title, self.doing, self.note) if part)
        parts = [f"{self.title} step {self.step}/{self.total}".strip()]
        parts += [f"{key} {self.newest[key]:.4g}" for key in HEADLINES if key in self.newest]
        begun, first = self.started
        gone = self.clock() - begun
        parts.append(f"{_duration(gone)} gone")
        if self.doing:
            parts.append(self.doing)
        elif first < self.step < self.total:
            parts.append(f"{_duration(gone / (self.step - first) * (self.total - self.step))} left")
        if self.note:
            parts.append(self.note)
        return " · ".join(parts)

    def _show(self, draw: bool = True) -> None:
        self.shown = begun = self.clock()
        line = self.line()
        if not self.watched:
            print(line, flush=True)
            return
        if self.screen is None:  # not before there is something to show: a finished run shows nothing here
            self.screen = _screen()
        if draw and any(key in self.newest for key in HEADLINES):
            self.picture = f"<br>{figures.svg(figures.learning(self.rows), line)}"
        markup = f"<small>{html.escape(line)}</small>{self.picture}"
        self.screen.update({"text/html": markup, "text/plain": line}, raw=True)
        # Drawing uses the cores that train, so it may take a twentieth of the time at most.
        self.wait = max(REDRAW, 20 * (self.clock() - begun))


def _screen() -> Any:
    """IPython's handle of a display that is updated in place."""
    from IPython import display

    return display.display({"text/plain": ""}, raw=True, display_id=True)


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {seconds:02} s" if minutes else f"{seconds} s"
