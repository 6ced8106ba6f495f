"""A lease with a heartbeat: one process at a time writes into a run directory.

lease.json says who; its modification time is the heartbeat. On the machine that took it, the process decides: gone
means free, whatever the heartbeat says, so a restarted kernel goes on at once. From another machine, which sees the
same disk over a network, a heartbeat that has stopped decides. Machines that share only a mirror need no lease: what
they write there has names of its own, and the newest state that verifies wins.
"""

from __future__ import annotations

import atexit
import fcntl
import json
import os
import threading
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from nbcore.runs import commit
from nbcore.runs.layout import LEASE

BEAT = 15.0  # seconds
SILENCE = 120.0  # seconds without a beat after which another machine's lease is free

_held: dict[Path, str] = {}  # run -> the lease's own id, for those of this process
os.register_at_fork(after_in_child=_held.clear)


def holder(run: Path) -> dict[str, Any] | None:
    """Who holds a run, if somebody else does and is alive: {"pid", "host", "since", "beat"}; else None."""
    try:
        found = json.loads((run / LEASE).read_text("utf-8"))
        found["beat"] = time.time() - (run / LEASE).stat().st_mtime
    except (FileNotFoundError, ValueError):
        return None
    if _held.get(run) == found["id"]:
        return None
    if found["host"] == _host():
        return found if _started(found["pid"]) == found["started"] else None
    return found if found["beat"] < SILENCE else None


def take(run: Path) -> bool:
    """Hold a run until `release` or the end of this process; False where somebody else holds it."""
    directory = os.open(run, os.O_RDONLY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)  # of two that find a dead lease, one takes it and the other sees that
        if holder(run):
            return False
        if run not in _held:
            _held[run] = uuid.uuid4().hex
            threading.Thread(target=_beat, args=(run, _held[run]), name="nbcore-lease", daemon=True).start()
        facts = {"id": _held[run], "pid": os.getpid(), "started": _started(os.getpid()), "host": _host()}
        commit.write_durably(run / LEASE, json.dumps(facts | {"since": round(time.time())}) + "\n")
    finally:
        os.close(directory)
    return True


def release(run: Path) -> None:
    """Give a run back."""
    if (id_ := _held.pop(run, None)) and _is(run, id_):
        (run / LEASE).unlink(missing_ok=True)


def _beat(run: Path, id_: str) -> None:
    while _held.get(run) == id_:
        with suppress(OSError):
            if _is(run, id_):
                os.utime(run / LEASE)
        time.sleep(BEAT)


def _is(run: Path, id_: str) -> bool:
    """Whether a run's lease is the one with this id, and not one that somebody took over."""
    try:
        return json.loads((run / LEASE).read_text("utf-8"))["id"] == id_
    except (OSError, ValueError):
        return False


@atexit.register
def _release_all() -> None:
    for run in list(_held):
        with suppress(OSError):
            release(run)


def _host() -> str:
    """This machine, or container, since it was started: process numbers mean nothing beyond that."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    return f"{os.uname().nodename} {boot.read_text().strip() if boot.is_file() else ''}".strip()


def _started(pid: int) -> float | None:
    """When a living process was started, so that a number used again is not taken for it; None where there is none.

    In ticks since the machine was started where the system tells: seconds of the calendar move with the clock.
    """
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        stat = Path(f"/proc/{pid}/stat")
        return float(stat.read_text().rpartition(")")[2].split()[19]) if stat.exists() else process.create_time()
    except (psutil.NoSuchProcess, FileNotFoundError):
        return None
