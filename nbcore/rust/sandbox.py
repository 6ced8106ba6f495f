"""Run one untrusted program under limits and say what became of it.

This is the `rlimits` level: own session, empty environment, CPU, memory, file-size and descriptor limits, a
wall clock, capped output, and a kill of the whole process group afterwards. It does not hide the host's files
or network, and a child that calls setsid escapes the kill. Linux only (pidfd, prlimit).
"""

from __future__ import annotations

import functools
import os
import resource
import select
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ISOLATION = "rlimits"
_OPEN_FILES = 256
_STACK_BYTES = 8 << 20  # pinned, because a recursion's depth must not depend on the host's own setting
_PROCESS_HEADROOM = 256


@dataclass(frozen=True)
class Outcome:
    """How a program ended. Exactly one of `code` and `signal` is set; times are of the program alone."""

    code: int | None
    signal: int | None
    stdout: bytes
    stderr: bytes
    timeout: str | None
    """`cpu` or `wall` when that limit ended the program."""
    starved: bool
    """Ended by the wall clock while it wanted a processor and had used under half of its CPU limit: our fault."""
    over: bool
    """Wrote more than `output_kb`; what is beyond was thrown away."""
    cpu_ms: float
    wall_ms: float


def run(
    argv: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    cpu_s: int,
    wall_s: float,
    mem_mb: int,
    file_mb: int,
    output_kb: int,
    stdin: bytes | None = None,
    kill_over: bool = False,
) -> Outcome:
    """Run `argv` in `cwd` with exactly `env`, wait, then kill whatever is left of its process group.

    `mem_mb` is address space. `kill_over` ends the program at `output_kb`; otherwise its output is drained and dropped.
    Raises OSError when the program cannot be started.
    """
    command = [*_launcher(), f"--cpu={cpu_s}:{cpu_s + 1}", f"--as={mem_mb << 20}", f"--fsize={file_mb << 20}"]
    started = time.monotonic()
    # The whole input in an unlinked file: a pipe would need a writer that may block.
    with tempfile.TemporaryFile() as source:
        source.write(stdin or b"")
        source.seek(0)
        child = subprocess.Popen(
            [*command, "--", *argv],
            cwd=cwd,
            env=dict(env),
            stdin=subprocess.DEVNULL if stdin is None else source,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    with child.stdout as out, child.stderr as err:
        streams = _Streams((out.fileno(), err.fileno()), output_kb << 10)
        late = starved = False
        try:
            late = not _watch(child.pid, streams, started + wall_s, kill_over)
            starved = late and _runnable(child.pid)
        finally:  # also on KeyboardInterrupt: nothing of the sample may outlive this call
            # The leader is not reaped yet, so its id cannot belong to anybody else.
            os.killpg(child.pid, signal.SIGKILL)
            _, status, usage = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
        streams.drain()
    cpu = usage.ru_utime + usage.ru_stime
    died = -child.returncode if child.returncode < 0 else None
    # The hard limit sends a plain SIGKILL, so the used time must tell it from any other.
    cpu_limit = died == signal.SIGXCPU or (died == signal.SIGKILL and cpu >= cpu_s)
    return Outcome(
        code=child.returncode if died is None else None,
        signal=died,
        stdout=bytes(streams.kept[streams.fds[0]]),
        stderr=bytes(streams.kept[streams.fds[1]]),
        timeout="cpu" if cpu_limit else "wall" if late else None,
        starved=starved and not cpu_limit and cpu < cpu_s / 2,
        over=streams.over,
        cpu_ms=cpu * 1e3,
        wall_ms=(time.monotonic() - started) * 1e3,
    )


class _Streams:
    """The two output pipes: keeps the first `limit` bytes of each and reads on."""

    def __init__(self, fds: tuple[int, int], limit: int):
        self.fds, self.limit, self.over = fds, limit, False
        self.kept = {fd: bytearray() for fd in fds}
        for fd in fds:
            os.set_blocking(fd, False)

    def read(self, fd: int) -> bool:
        """Take one chunk; False at the end of the stream or when nothing is waiting."""
        try:
            chunk = os.read(fd, 1 << 16)
        except BlockingIOError:
            return False
        room = self.limit - len(self.kept[fd])
        self.kept[fd] += chunk[:room]
        self.over |= len(chunk) > room
        return bool(chunk)

    def drain(self) -> None:
        """What is left in the pipes; bounded, for an escaped child may go on writing."""
        for fd in self.fds:
            for _ in range(self.limit >> 12):
                if not self.read(fd):
                    break


def _watch(pid: int, streams: _Streams, deadline: float, kill_over: bool) -> bool:
    """Read both pipes until the process has ended or said too much; False when the deadline came first."""
    pidfd = os.pidfd_open(pid)
    try:
        poll = select.poll()
        for fd in (*streams.fds, pidfd):
            poll.register(fd, select.POLLIN)
        # The clock is read on every turn: a saturated pipe must not starve it.
        while (left := deadline - time.monotonic()) > 0:
            ready = [fd for fd, _ in poll.poll(left * 1000)]
            for fd in ready:
                if fd != pidfd and not streams.read(fd):
                    poll.unregister(fd)
            if pidfd in ready or (kill_over and streams.over):
                return True
        return False
    finally:
        os.close(pidfd)


def _runnable(pid: int) -> bool:
    """Whether a thread of the process is running or waiting for a processor or a disk, rather than asleep."""
    for stat in Path(f"/proc/{pid}/task").glob("*/stat"):
        try:
            state = stat.read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):  # the thread ended meanwhile
            continue
        if state in "RD":
            return True
    return False


@functools.cache
def _launcher() -> list[str]:
    """The `prlimit` command up to the limits that never change.

    It costs 0.5 ms; `preexec_fn` costs 1.5 ms and is unsafe beside threads; prlimit(2) after the spawn comes late.
    """
    if (tool := shutil.which("prlimit")) is None:
        raise RuntimeError("prlimit not found; install util-linux (apt-get install util-linux)")
    fixed = [tool, "--core=0", f"--nofile={_OPEN_FILES}", f"--stack={_STACK_BYTES}"]
    if os.getuid() != 0:  # the kernel exempts root; for a user it counts every task of that user, not only ours
        hard = resource.getrlimit(resource.RLIMIT_NPROC)[1]
        wanted = _tasks_of(os.getuid()) + _PROCESS_HEADROOM
        fixed.append(f"--nproc={wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)}")
    return fixed


def _tasks_of(uid: int) -> int:
    """How many threads this user has now."""
    count = 0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if process.stat().st_uid == uid:
                count += len(os.listdir(process / "task"))
        except (FileNotFoundError, ProcessLookupError):  # it ended meanwhile
            continue
    return count
