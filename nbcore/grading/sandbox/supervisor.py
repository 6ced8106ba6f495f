"""Run one untrusted program and say what became of it: started in the jail, watched, and nothing of it left behind.

CPU time judges; the wall clock is a backstop. Both output pipes are drained and capped. Linux only.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import select
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from nbcore.grading.sandbox.streams import Feed, Streams, channel, holding

_SET_CHILD_SUBREAPER = 36
_MUCH = 0.6  # of the time of the processors that this process may use, had by others
_SLEEPS_PER_S = 50


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
    """Ended by the wall clock while it wanted a processor and others had them: our fault."""
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
    stdout_kb: int | None = None,
    kill_over: bool = False,
    server: Forks | None = None,
    sockets: bool = False,
) -> Outcome:
    """Run `argv` (of the jail, or for `server`), wait, then kill whatever is left of it.

    stdin is text, or (not with `sockets`) a descriptor that is handed over, as `stdout` and `setup` (descriptor 4) may
    be. `kill_over` ends the program at `output_kb`; otherwise its output is drained and dropped. `stdout_kb` lets it
    print more than it may say on stderr. `sockets` makes its three descriptors sockets: nothing opens one again by a
    name like /proc/self/fd/0.
    Raises OSError when it cannot be started.
    """
    started = time.monotonic()
    out, err = channel(sockets), channel(sockets)
    feed = None
    if sockets:
        source, into = channel(sockets)
        feed = Feed(into, stdin)
    else:
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
        if feed:
            feed.close()
        raise
    finally:
        for fd in {source, out[1], err[1], stdout, setup} - {None}:
            os.close(fd)
    much = _MUCH * wall_s * len(os.sched_getaffinity(0))
    streams = Streams({out[0]: (stdout_kb or output_kb) << 10, err[0]: output_kb << 10}, feed)
    late, wanting, before = False, False, _busy()
    try:
        late = not _watch(pid, streams, started + wall_s, kill_over)
        wanting = late and _wanted(pid, wall_s)
    finally:  # also on KeyboardInterrupt: nothing of the sample may outlive this call
        with contextlib.suppress(ProcessLookupError):  # it has no group of its own when it never got that far
            os.killpg(pid, signal.SIGKILL)
        os.kill(pid, signal.SIGKILL)  # not reaped yet, so the id cannot belong to anybody else
        _, status, usage = os.wait4(pid, 0)
        if _reaping:
            _reap()
        streams.drain()
        streams.close()
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
        # That others were busy is the kernel's word, and no program can bring it about.
        starved=wanting and not cpu_limit and cpu < cpu_s / 2 and _busy() - before - cpu >= much,
        over=streams.over,
        cpu_ms=cpu * 1e3,
        wall_ms=(time.monotonic() - started) * 1e3,
    )


def _watch(pid: int, streams: Streams, deadline: float, kill_over: bool) -> bool:
    """Read both pipes until the process has ended or said too much; False when the deadline came first."""
    pidfd = os.pidfd_open(pid)
    try:
        poll = select.poll()
        for fd in (*streams.fds, pidfd):
            poll.register(fd, select.POLLIN)
        feed = streams.feed
        if feed:
            poll.register(feed.fd, select.POLLOUT)
        # The clock is read on every turn: a saturated pipe must not starve it.
        while (left := deadline - time.monotonic()) > 0:
            ready = [fd for fd, _ in poll.poll(left * 1000)]
            for fd in ready:
                if feed and fd == feed.fd:
                    feed.write()
                    if not feed.open:
                        poll.unregister(fd)
                elif fd != pidfd and not streams.read(fd):
                    poll.unregister(fd)
            if pidfd in ready or (kill_over and streams.over):
                return True
        return False
    finally:
        os.close(pidfd)


def _wanted(pid: int, wall_s: float) -> bool:
    """Whether some thread of the process ran, or stood in line for a processor, half of the time, and did not sleep in
    between: twenty sleepers that wake in step stand in line too."""
    for task in Path(f"/proc/{pid}/task").glob("*"):
        with contextlib.suppress(OSError):  # the thread ended meanwhile, or the kernel does not say
            ran, waited = map(int, (task / "schedstat").read_text().split()[:2])
            slept = re.search(r"^voluntary_ctxt_switches:\s+(\d+)", (task / "status").read_text(), re.MULTILINE)
            if (ran + waited) / 1e9 >= wall_s / 2 and int(slept[1]) <= _SLEEPS_PER_S * max(1.0, wall_s):
                return True
    return False


def _busy() -> float:
    """Seconds that the processors which this process may use were busy since the machine started, but for itself."""
    ticks, mine = 0, {f"cpu{number}" for number in os.sched_getaffinity(0)}
    with contextlib.suppress(OSError):
        for line in Path("/proc/stat").read_text().splitlines():
            name, *counts = line.split()
            if name in mine:
                user, nice, system, _, _, irq, soft, steal = map(int, counts[:8])
                ticks += user + nice + system + irq + soft + steal
    return ticks / os.sysconf("SC_CLK_TCK") - time.process_time()


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
