"""Writing on a disk that may be full: make room by pruning, and where that is not enough pause the run.

A full disk never costs a run: what was committed stays, and the same command goes on once there is room.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from nbcore.runs import layout
from nbcore.runs.disk import free, is_full, is_refused
from nbcore.runs.pruning import prune

EXIT = 75  # the exit code that batch systems read as "try again later"
MARGIN = 64 * 2**20  # bytes to keep free for logs, metrics and the copy of the notebook

T = TypeVar("T")


class Paused(RuntimeError):
    """The run stopped because the disk is full; everything is committed, and it goes on once there is room."""


def require(run: Path, bytes_: int, what: str) -> None:
    """Raises Paused where `what`, of so many bytes, does not fit on the disk even after pruning the run."""
    if free(run) < bytes_ + MARGIN:
        prune(run)
    if (left := free(run)) < bytes_ + MARGIN:
        raise Paused(words(run, f"{what} needs {(bytes_ + MARGIN) / 2**20:.0f} MB, {left / 2**20:.0f} MB are free"))


def write(run: Path, action: Callable[[], T], again: Callable[[], None] = lambda: None) -> T:
    """The result of `action`; where the disk is full, prune the run and try once more.

    `again` clears away what a failed try left. Raises Paused where the disk is still full or takes no writes at all,
    and whatever else `action` raises.
    """
    try:
        return action()
    except Exception as error:
        if not is_full(error):
            if is_refused(error):
                raise Paused(words(run, f"the disk does not take writes ({error})")) from error
            raise
    again()
    prune(run)
    try:
        return action()
    except Exception as error:
        again()
        if is_full(error):
            raise Paused(words(run, "the disk is full")) from error
        raise


def words(run: Path, why: str) -> str:
    return (
        f"{layout.run_id(run)} is paused: {why}. Everything committed is safe. Make room in "
        f"{layout.store_of(run)} (`python -m nbcore runs usage`, `runs prune`), then give the same command again: "
        "it goes on from there"
    )
