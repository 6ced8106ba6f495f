"""Bring runs back from the mirror: on a new machine, or where what this disk has is older or damaged."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path

from nbcore.core.redact import redact
from nbcore.runs import checkpoints, commit, layout, lease
from nbcore.runs.mirror import decisions, mirror

ANSWER = 60.0  # seconds that a mirror has to list what it holds: a mount that is gone never answers


def bring(
    store: Path,
    phase: str,
    wanted: Callable[[list[str]], list[str]],
    parents: tuple[str | None, ...] | None = None,
) -> list[str]:
    """Bring one run of a phase back from the mirror, if that has more of it than this disk.

    `wanted` gets the ids of the phase's runs on the mirror, oldest first, and returns those that would do; of them the
    one with the most steps is taken. `parents`: only a run that started from one of these. Returns the ids that the
    mirror has. A mirror that cannot be read or does not answer has none, which is printed and stops nobody.
    """
    copies, ids = mirror.configured(), []
    if copies is None:
        return ids
    try:
        ids = _within(ANSWER, lambda: copies.runs(phase))
        newest = []
        for run in wanted(ids):
            records = copies.records(run)
            if records and (parents is None or records[0].parent in parents):
                newest.append((records[0].order, run))
        if newest:
            restore(copies, store, max(newest)[1])
    except Exception as error:  # whatever the medium's library raises
        words = redact(str(error))
        print(f"the mirror {copies.backend} cannot be read ({words}); going by this disk alone", flush=True)
    return ids


def _within(seconds: float, ask: Callable[[], list[str]]) -> list[str]:
    """What `ask` returns or raises; TimeoutError where it does neither in time (its thread is left behind)."""
    answer: list[list[str] | Exception] = []

    def work() -> None:
        try:
            answer.append(ask())
        except Exception as error:
            answer.append(error)

    thread = threading.Thread(target=work, name="nbcore-mirror-list", daemon=True)
    thread.start()
    thread.join(seconds)
    if not answer:
        raise TimeoutError(f"no answer for {seconds:.0f} s")
    if isinstance(answer[0], Exception):
        raise answer[0]
    return answer[0]


def restore(of: mirror.Mirror, store: Path, run: str) -> mirror.Record | None:
    """Bring the newest state of a run that verifies to this disk; None where this disk has as much already.

    What this disk had of the run is moved to aside/, so nothing is lost.
    """
    path = store / run
    if lease.holder(path):
        return None  # another process is at work in it
    for record in of.records(run):
        if (record.finished, record.step) <= reached(path):
            return None
        with mirror.staging_folder(path) as staging:
            try:
                of.fetch(record, staging / "run", staging)
            except mirror.FAILED as error:
                print(f"{run}: {Path(record.name).name} of the mirror cannot be used ({error}); trying another")
                continue
            if path.exists():
                aside = layout.set_aside(path)
                aside.parent.mkdir(parents=True, exist_ok=True)
                path.rename(aside)
            path.parent.mkdir(parents=True, exist_ok=True)
            (staging / "run").rename(path)
            commit.sync(path.parent)
        if record.finished:
            decisions.bring(of, store, run)
        state = "finished" if record.finished else f"step {record.step}"
        print(f"{run}: brought back from the mirror, {state}, copied {record.created[:16]}Z", flush=True)
        return record
    return None


def reached(path: Path) -> tuple[bool, int]:
    """How far a run has come on this disk: (finished?, newest step that verifies); step -1 where there is no run."""
    if not commit.problems(path, layout.RUN):
        return True, sys.maxsize
    if not (path / layout.OPENING).is_file():
        return False, -1
    checkpoint, _ = checkpoints.newest(path)
    return False, max(checkpoint.step if checkpoint else 0, checkpoints.trained(path).get("steps", 0))
