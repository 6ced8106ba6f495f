"""Run one untrusted program and say what became of it: started in the jail, watched, and nothing of it left behind.

CPU time judges; the wall clock is a backstop. Both output pipes are drained and capped. Linux only.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

_SET_CHILD_SUBREAPER = 36
_IN_PIPE = 4096  # bytes that any pipe can hold


@dataclass(frozen=True)
class Limits:
    """Seconds of CPU (what judges), seconds of wall clock (a backstop), MiB of address space, KiB of text."""

    compile_cpu_s: int = 10
    compile_wall_s: float = 15
    compile_mem_mb: int = 2048
    run_cpu_s: int = 4
    run_wall_s: float = 10
    run_mem_mb: int = 1024
    output_kb: int = 1024
    source_kb: int = 256


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


class Forks(Protocol):
    """What starts a program in another way than by executing it: the compiler's fork server."""

    def start(self, argv: Sequence[str], fds: Sequence[int]) -> int:
        """The id of a new child that runs with these arguments and descriptors 0 to 2."""


_kept: set[int] = set()  # children of this process that outlive a run
_reaping = False


def become_reaper() -> None:
    """From now on orphans of a sample become children of this process, and `run` ends every child that is left.

    For a process that has no other children.
    """
    global _reaping
    ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    _reaping = True


def holding(text: bytes) -> int:
    """A descriptor to read `text` from. A pipe where it fits, for that can be read once only; else memory, since a
    pipe would need a writer that may block."""
    if len(text) <= _IN_PIPE:
        reader, writer = os.pipe2(os.O_CLOEXEC)
        os.write(writer, text)
        os.close(writer)
        return reader
    return in_memory(text)


def in_memory(text: bytes) -> int:
    """A descriptor to read `text` from, of any length."""
    memory = os.memfd_create("text")
    os.write(memory, text)
    os.lseek(memory, 0, os.SEEK_SET)
    return memory


def keep(pid: int) -> None:
    """Let this child live through every run."""
    _kept.add(pid)


def release(pid: int) -> None:
    """No longer."""
    _kept.discard(pid)


def run(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cpu_s: int,
    wall_s: float,
    output_kb: int,
    stdin: bytes | int = b"",
    stdout: int | None = None,
    setup: int | None = None,
    kill_over: bool = False,
    server: Forks | None = None,
) -> Outcome:
    """Run `argv` (of the jail, or for `server`), wait, then kill whatever is left of it.

    stdin is text, or a descriptor that is handed over, as `stdout` and `setup` (descriptor 4) may be. `kill_over` ends
    the program at `output_kb`; otherwise its output is drained and dropped. Raises OSError when it cannot be started.
    """
    started = time.monotonic()
    out, err = os.pipe2(os.O_CLOEXEC), os.pipe2(os.O_CLOEXEC)
    source = holding(stdin) if isinstance(stdin, bytes) else stdin
    try:
        fds = (source, out[1] if stdout is None else stdout, err[1])
        if server:
            pid = server.start(argv, fds)
        else:
            actions = [(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate(fds)]
            actions += [(os.POSIX_SPAWN_DUP2, setup, 4)] if setup is not None else []
            pid = os.posix_spawn(argv[0], argv, dict(env), file_actions=actions)
    except BaseException:
        os.close(out[0])
        os.close(err[0])
        raise
    finally:
        for fd in {source, out[1], err[1], stdout, setup} - {None}:
            os.close(fd)
    streams = _Streams((out[0], err[0]), output_kb << 10)
    late, waited = False, 0.0
    try:
        late = not _watch(pid, streams, started + wall_s, kill_over)
        waited = _waited(pid) if late else 0.0
    finally:  # also on KeyboardInterrupt: nothing of the sample may outlive this call
        with contextlib.suppress(ProcessLookupError):  # it has no group of its own when it never got that far
            os.killpg(pid, signal.SIGKILL)
        os.kill(pid, signal.SIGKILL)  # not reaped yet, so the id cannot belong to anybody else
        _, status, usage = os.wait4(pid, 0)
        if _reaping:
            _reap()
        streams.drain()
        os.close(out[0])
        os.close(err[0])
    exit_code = os.waitstatus_to_exitcode(status)
    cpu = usage.ru_utime + usage.ru_stime
    died = -exit_code if exit_code < 0 else None
    # The hard limit sends a plain SIGKILL, so the used time must tell it from any other.
    cpu_limit = died == signal.SIGXCPU or (died == signal.SIGKILL and cpu >= cpu_s)
    return Outcome(
        code=exit_code if died is None else None,
        signal=died,
        stdout=bytes(streams.kept[out[0]]),
        stderr=bytes(streams.kept[err[0]]),
        timeout="cpu" if cpu_limit else "wall" if late else None,
        # It had little of a processor, and wanted one most of the time: a sleeper's lateness is its own.
        starved=late and not cpu_limit and cpu < cpu_s / 2 and cpu + waited >= wall_s / 2,
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


def _waited(pid: int) -> float:
    """Seconds that the threads of the process stood in line for a processor; 0 where the kernel does not say."""
    total = 0
    for stat in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with contextlib.suppress(OSError):  # the thread ended meanwhile
            total += int(stat.read_text().split()[1])
    return total / 1e9


def _reap() -> None:
    """Kill what the sample left: its orphans are our children, where this process is a subreaper."""
    while True:
        try:
            children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        except OSError:  # a kernel without that file
            return
        if not (strays := {int(child) for child in children} - _kept):
            return
        for pid in strays:
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
