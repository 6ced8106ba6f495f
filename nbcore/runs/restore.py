"""Bring runs back from the mirror: on a new machine, or where this disk is behind or damaged."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Callable
from pathlib import Path

from nbcore.runs import checkpoints, commit, lease, mirror


def bring(store: Path, phase: str, choose: Callable[[list[str]], list[str]]) -> None:
    """Bring back those runs of a phase that `choose` takes from the mirror's ids and that are further there than here.

    A mirror that cannot be read is told, and never stops anybody.
    """
    found = mirror.here()
    if found is None:
        return
    try:
        for run in choose(found.runs(phase)):
            restore(found, store, run)
    except Exception as error:  # whatever the medium's library raises
        print(f"the mirror {found.backend} cannot be read ({error}); going by this disk alone", flush=True)


def bring_newest(store: Path, phase: str, than: str) -> None:
    """Bring back the newest finished run of a phase, where its id is greater (later) than `than`."""
    found = mirror.here()

    def newest(ids: list[str]) -> list[str]:
        return [run for run in ids if run > than and found.has_finished(run)][-1:]

    bring(store, phase, newest)


def restore(of: mirror.Mirror, store: Path, run: str) -> mirror.Record | None:
    """Bring the newest state that verifies to this disk, if it is ahead of what is here; None where it is not.

    What stood here before goes to <store>/aside/, so nothing is lost.
    """
    path = store / run
    if lease.holder(path):
        return None  # another process is at work in it
    for record in of.records(run):
        if (record.finished, record.step) <= reached(path):
            return None
        with mirror.folder(path) as staging:
            try:
                of.fetch(record, staging / "run", staging)
            except mirror.FAILED as error:
                print(f"{run}: {Path(record.name).name} of the mirror cannot be used ({error}); trying another")
                continue
            if path.exists():
                aside = store / "aside" / f"{run}.{uuid.uuid4().hex[:8]}"
                aside.parent.mkdir(parents=True, exist_ok=True)
                path.rename(aside)
            path.parent.mkdir(parents=True, exist_ok=True)
            (staging / "run").rename(path)
            commit.sync(path.parent)
        state = "finished" if record.finished else f"step {record.step}"
        print(f"{run}: brought back from the mirror, {state}, copied {record.created[:16]}Z", flush=True)
        return record
    return None


def reached(path: Path) -> tuple[bool, int]:
    """How far a run is on this disk: (finished, step)."""
    if not commit.problems(path, "run.json"):
        return True, sys.maxsize
    if not (path / "open.json").is_file():
        return False, -1
    checkpoint, _ = checkpoints.newest(path)
    return False, max(checkpoint.step if checkpoint else 0, checkpoints.trained(path).get("steps", 0))
