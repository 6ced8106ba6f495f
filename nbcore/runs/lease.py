"""A lease with a heartbeat: one process at a time writes into a run directory.

lease.json says which process holds the run; its modification time is the heartbeat. On the machine where that process
was started, the lease ends with the process, so a restarted kernel can go on at once. Another machine that sees the
same disk over a network cannot ask for the process: there the lease ends when the heartbeat has stopped. Machines that
share only a mirror need no lease: each writes files under names of its own, and the newest state that verifies is used.
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

_held: dict[Path, str] = {}  # run -> the id of its lease, for the leases of this process
os.register_at_fork(after_in_child=_held.clear)  # a forked child is another process, which holds nothing


def holder(run: Path) -> dict[str, Any] | None:
    """The lease of another living process on a run: {"pid", "host", "since", "beat"}; None where there is none.

    "beat" is how many seconds ago the last sign of life was.
    """
    try:
        lease = json.loads((run / LEASE).read_text("utf-8"))
        lease["beat"] = time.time() - (run / LEASE).stat().st_mtime
    except (FileNotFoundError, ValueError):
        return None
    if _held.get(run) == lease["id"]:
        return None
    if lease["host"] == _host():
        return lease if _started(lease["pid"]) == lease["started"] else None
    return lease if lease["beat"] < SILENCE else None


def take(run: Path) -> bool:
    """Hold a run until `release` or the end of this process; False where somebody else holds it."""
    directory = os.open(run, os.O_RDONLY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)  # of two processes that see a dead lease, only one may take it
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
    """Whether a run's lease still is the one with this id: another process may have taken it over."""
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
    """Name of this machine, or container, and of its last start: a process number means nothing beyond either."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    return f"{os.uname().nodename} {boot.read_text().strip() if boot.is_file() else ''}".strip()


def _started(pid: int) -> float | None:
    """When the process with this number was started; None where no such process lives.

    Together with the number this names one process, as numbers are used again. Where the system tells, the time is
    counted from the start of the machine, and does not change when somebody sets the clock.
    """
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        stat = Path(f"/proc/{pid}/stat")
        return float(stat.read_text().rpartition(")")[2].split()[19]) if stat.exists() else process.create_time()
    except (psutil.NoSuchProcess, FileNotFoundError):
        return None
