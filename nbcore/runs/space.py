"""Room on the disk: told before it is needed, made by the retention policy, and a pause where there is none.

A full disk never costs a run: what was committed stays, and the same command goes on once there is room.
"""

from __future__ import annotations

import errno
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import yaml

from nbcore.runs import checkpoints, commit, lines, publisher, retain

EXIT = 75  # what batch systems read as "not now, try again"
MARGIN = 64 * 2**20  # bytes that stay free: logs, the next metrics, the notebook's own copy
# torch.save and safetensors report the system's error in words alone.
FULL = re.compile(r"No space left on device|os error (28|122)\b|Disk quota exceeded|file write failed")

T = TypeVar("T")


class Paused(RuntimeError):
    """The run stopped for want of room, with everything committed; it goes on when there is some."""


def is_full(error: BaseException) -> bool:
    """Whether an error, or what caused it, says that a disk or a quota is full."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        if FULL.search(str(error)):
            return True
        error = error.__cause__ or error.__context__
    return False


def is_refused(error: BaseException) -> bool:
    """Whether an error says that a disk does not take writes at all now: read-only, failing, or not connected."""
    return isinstance(error, OSError) and error.errno in (errno.EROFS, errno.EIO, errno.ENOTCONN)


def policy(run: Path) -> retain.Policy:
    """Which checkpoints of a run stay: the usual, and its milestones."""
    every = (yaml.safe_load((run / "config.yaml").read_text("utf-8")) or {}).get("keep_every")
    for row in lines.read(run / "events.jsonl"):
        every = row.get("values", {}).get("keep_every", every)
    return retain.Policy(every=every)


def expendable(run: Path, trusted: set[Path] = frozenset()) -> list[checkpoints.Checkpoint]:
    """The checkpoints of a run that its policy does not keep; of a finished run all that are not blessed.

    `trusted` ones, which this process committed itself, are not read again to be verified.
    """
    items, rules = checkpoints.items(run, trusted), policy(run)
    if not commit.problems(run, "run.json"):
        items.append(retain.Item("finished", sys.maxsize))
        rules = retain.Policy(newest=1, best=0)
    named = {each.name: each for each in checkpoints.listing(run)}
    return [named[item.name] for item in retain.expendable(items, rules)]


def make(run: Path, trusted: set[Path] = frozenset()) -> None:
    """Delete what is expendable, but for a checkpoint that is on its way to the mirror."""
    copier = publisher.here()
    busy = copier.busy_with(run) if copier else None
    for checkpoint in expendable(run, trusted):
        if checkpoint.path != busy:
            checkpoints.drop(checkpoint)


def require(run: Path, bytes_: int, what: str) -> None:
    """Raises Paused where `bytes_` do not fit beside the margin, after making what room the policy allows."""
    if free(run) < bytes_ + MARGIN:
        make(run)
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
    make(run)
    try:
        return action()
    except Exception as error:
        again()
        if is_full(error):
            raise Paused(words(run, "the disk is full")) from error
        raise


def free(path: Path) -> int:
    """Bytes free on the disk that holds a path."""
    return shutil.disk_usage(path).free


def words(run: Path, why: str) -> str:
    store = run.parent.parent
    return (
        f"{run.parent.name}/{run.name} is paused: {why}. Everything committed is safe. Make room in {store} "
        "(`python -m nbcore runs usage`, `runs prune`), then give the same command again: it goes on from there"
    )
