"""Room for what a run writes: told before it is needed, made by pruning, and a pause where there is none.

A full disk never costs a run: what was committed stays, and the same command goes on once there is room.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from nbcore.runs import layout
from nbcore.runs.disk import free, is_full, is_refused
from nbcore.runs.pruning import prune

EXIT = 75  # what batch systems read as "not now, try again"
MARGIN = 64 * 2**20  # bytes that stay free: logs, the next metrics, the notebook's own copy

T = TypeVar("T")


class Paused(RuntimeError):
    """The run stopped for want of room, with everything committed; it goes on when there is some."""


def require(run: Path, bytes_: int, what: str) -> None:
    """Raises Paused where `bytes_` do not fit beside the margin, after making what room the policy allows."""
    if free(run) < bytes_ + MARGIN:
        prune(run)
    if (left := free(run)) < bytes_ + MARGIN:
        raise Paused(words(run, f"{what} needs {(bytes_ + MARGIN) / 2**20:.0f} MB, {left / 2**20:.0f} MB are free"))


def write(run: Path, action: Callable[[], T], again: Callable[[], None] = lambda: None) -> T:
    """Do `action`; where the disk is full make room, clear away (`again`) and do it once more; then pause."""
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
