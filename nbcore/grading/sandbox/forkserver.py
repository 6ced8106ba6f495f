"""The compiler loaded once and forked for each sample: 8 to 10 ms of relocation saved, and its code in huge pages."""

from __future__ import annotations

import array
import contextlib
import os
import signal
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

from nbcore.grading.sandbox import supervisor


class Server:
    """A program stopped before its main, of which each request forks a copy (jail.c says how).

    Its children are children of this process.
    """

    def __init__(self, program: str, library: Path, env: Mapping[str, str]):
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            actions = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDWR, 0), (os.POSIX_SPAWN_DUP2, 0, 1)]
            actions.append((os.POSIX_SPAWN_DUP2, theirs.fileno(), 3))
            env = {**env, "LD_PRELOAD": str(library), "LD_BIND_NOW": "1", "JAIL_FD": "3"}
            env |= {"JAIL_HUGE": "1"} if _has_huge_pages() else {}
            self.pid = os.posix_spawn(program, [program], env, file_actions=actions)
            supervisor.keep(self.pid)

    def start(self, argv: Sequence[str], fds: Sequence[int]) -> int:
        """Fork a copy with these arguments (its options first) and descriptors 0 to 2; its process id.

        Raises OSError when the server is gone or cannot fork.
        """
        text = "".join(f"{part}\0" for part in argv).encode()
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))]
        self._ours.sendmsg([text], rights)
        answer = self._ours.recv(4)
        pid = int.from_bytes(answer, "little", signed=True)
        if len(answer) != 4 or pid <= 0:
            raise OSError(-pid if answer else 0, "the compiler's fork server is gone or cannot fork")
        return pid

    def close(self) -> None:
        """End it."""
        self._ours.close()
        supervisor.release(self.pid)
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)


def _has_huge_pages() -> bool:
    try:
        return "[never]" not in Path("/sys/kernel/mm/transparent_hugepage/enabled").read_text()
    except OSError:
        return False
