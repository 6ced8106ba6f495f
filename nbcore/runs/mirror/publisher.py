"""Copy runs to the mirror in a background thread, so that training never waits for it.

Of each run only the newest state is copied; what fails is tried again after a pause. The three levels of safety:

LOCAL      committed on this disk
COPIED     on the mirror, every part read back and its record written
CONFIRMED  the medium says that it has it (on a Drive: uploaded, not only in the cache of the mount)
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from nbcore.core.redact import redact
from nbcore.runs import checkpoints, layout, retention
from nbcore.runs.mirror import decisions, mirror

BACK_OFF = (2.0, 300.0)  # seconds before the first new try, doubling up to the second
FAILING = 20.0  # seconds that somebody waits for copies while every try fails
POLL = 15.0  # seconds between two questions whether a copy is confirmed


class Offer(NamedTuple):
    """A state of a run that is to be copied."""

    run: Path
    step: int
    checkpoint: Path | None
    metric: float | None
    finished: bool
    policy: retention.Policy = retention.USUAL
    notebook: bool = False
    """Only the executed notebook is to be copied: it is kept after the run itself."""

    @property
    def key(self) -> tuple[Path, bool]:
        return self.run, self.notebook


class Status(NamedTuple):
    """The newest state of a run on each level: (step, time in seconds); None where there is none."""

    local: tuple[int, float] | None = None
    copied: tuple[int, float] | None = None
    confirmed: tuple[int, float] | None = None
    error: str | None = None

    def words(self, now: float | None = None) -> str:
        """One line for a notebook: "mirror: last confirmed: step 480, 3 minutes ago", then levels that are ahead."""
        now = now or time.time()
        parts, shown_step = [], -1
        for level, state in (("confirmed", self.confirmed), ("copied", self.copied), ("local", self.local)):
            if state and state[0] > shown_step:
                parts.append(f"last {level}: step {state[0]}, {_ago(now - state[1])}")
                shown_step = state[0]
        parts = parts or ["nothing yet"]
        if self.error:
            parts.append(f"{self.error}; trying again")
        return f"mirror: {' · '.join(parts)}"


class Publisher:
    """One thread that copies what it is offered; a newer offer of the same run replaces one that waits."""

    def __init__(self, to: mirror.Mirror):
        self.mirror = to
        self.waiting: dict[tuple[Path, bool], Offer] = {}  # by run; its notebook apart
        self.current: Offer | None = None
        self.unconfirmed: dict[Path, tuple[mirror.Record, retention.Policy]] = {}
        self.status: dict[Path, Status] = {}
        self.changed = threading.Condition()
        self.thread: threading.Thread | None = None
        self.failing = False  # the last try

    def offer(self, offer: Offer) -> None:
        """Have a committed state copied soon; returns at once."""
        with self.changed:
            self.waiting.pop(offer.key, None)
            self.waiting[offer.key] = offer
            self._note(offer.run, **({} if offer.notebook else {"local": (offer.step, time.time())}))
            if self.thread is None:
                self.thread = threading.Thread(target=self._work, name="nbcore-mirror", daemon=True)
                self.thread.start()
            self.changed.notify_all()

    def busy_with(self, run: Path) -> Path | None:
        """The checkpoint of a run that is being copied or waits for it; it must not be deleted until then."""
        with self.changed:
            current = self.current if self.current and self.current.key == (run, False) else None
            offer = current or self.waiting.get((run, False))
            return offer.checkpoint if offer else None

    def flush(self, patience: float = 120.0, waiting: Callable[[], None] = lambda: None) -> bool:
        """Wait until everything offered is COPIED; False where not a byte has moved for `patience` seconds.

        `waiting` is called twice a second meanwhile.
        """
        moved, since = self.mirror.backend.moved, time.monotonic()
        with self.changed:
            while self.waiting or self.current:
                waiting()
                self.changed.wait(timeout=0.5)
                if self.mirror.backend.moved != moved:
                    moved, since = self.mirror.backend.moved, time.monotonic()
                if time.monotonic() - since > (min(patience, FAILING) if self.failing else patience):
                    return False
        return True

    def _work(self) -> None:
        if sys.platform == "linux":
            with suppress(OSError):
                # Linux takes the id of a thread here: it is the priority of this thread alone.
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)
        pause = BACK_OFF[0]
        while True:
            with self.changed:
                if not self.waiting:
                    self.changed.wait(timeout=POLL if self.unconfirmed else None)
                self.current = self.waiting.pop(next(iter(self.waiting)), None) if self.waiting else None
            offer = self.current
            try:
                if offer:
                    self._publish(offer)
                    offer = None  # done, whatever comes after
                self._confirm()
                pause, self.failing = BACK_OFF[0], False
            except Exception as error:  # whatever the medium's library raises must not stop the thread, nor training
                with self.changed:
                    self.failing = True
                    if offer:
                        self._note(offer.run, error=redact(f"{type(error).__name__}: {error}"))
                        self.waiting.setdefault(offer.key, offer)
                    self.current = None
                    self.changed.wait_for(lambda: False, timeout=pause)
                pause = min(2 * pause, BACK_OFF[1])
            with self.changed:
                self.current = None
                self.changed.notify_all()

    def _publish(self, offer: Offer) -> None:
        if offer.notebook:
            self.mirror.put_notebook(offer.run)
            self._note(offer.run, error=None)
            return
        if offer.finished and (record := self.mirror.finished(layout.run_id(offer.run))):
            decisions.put(self.mirror, offer.run)
            self.unconfirmed[offer.run] = record, offer.policy
            self._note(offer.run, copied=(record.step, time.time()), error=None)
            return
        try:
            record = self.mirror.publish(offer.run, offer.step, offer.checkpoint, offer.metric, offer.finished)
        except FileNotFoundError:
            if offer.run.is_dir() and (offer.checkpoint is None or offer.checkpoint.is_dir()):
                raise
            return  # the checkpoint was pruned while it waited, so nothing is left to copy
        except OSError:
            with suppress(Exception):
                self._prune(offer.run, offer.policy)  # the mirror may be full: make room for the next try
            raise
        if offer.finished:
            decisions.put(self.mirror, offer.run)
        self.unconfirmed[offer.run] = record, offer.policy
        self._note(offer.run, copied=(offer.step, time.time()), error=None)

    def _confirm(self) -> None:
        for run, (record, policy) in list(self.unconfirmed.items()):
            if self.mirror.confirmed(record):
                del self.unconfirmed[run]
                self._note(run, confirmed=(record.step, time.time()))
                self._prune(run, policy)

    def _prune(self, run: Path, policy: retention.Policy) -> None:
        self.mirror.prune(layout.run_id(run), checkpoints.blessed(run), policy)

    def _note(self, run: Path, **levels) -> None:
        with self.changed:
            self.status[run] = self.status.get(run, Status())._replace(**levels)


_publishers: dict[str | None, Publisher] = {}


def current() -> Publisher | None:
    """The publisher of this process to the configured mirror; None where there is no mirror.

    Once made it stays, and nobody looks again whether the mirror is there: on a Drive that has dropped the look itself
    can hang. And that runs are no longer copied has to be shown, not forgotten.
    """
    named = os.environ.get("NBCORE_MIRROR")
    if named not in _publishers and (configured := mirror.configured()):
        _publishers[named] = Publisher(configured)
    return _publishers.get(named)


def _ago(seconds: float) -> str:
    if seconds < 90:
        return f"{max(0, round(seconds))} s ago"
    return f"{round(seconds / 60)} minutes ago" if seconds < 5400 else f"{seconds / 3600:.1f} hours ago"
