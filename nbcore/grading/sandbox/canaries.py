"""Prove what the jail promises, by programs that try to break each promise. A version number proves nothing."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Sequence
from pathlib import Path

from nbcore.grading.sandbox.jail import Jail
from nbcore.grading.sandbox.supervisor import Outcome, run

PROMISES = {
    "files": "no file of the host can be read, when a sample is compiled or when it runs",
    "disk": "nothing can be written outside the sample's own folder",
    "network": "nothing can be reached, on this machine or beyond",
    "processes": "no other program can be started, seen or signalled",
    "memory": "memory ends at the limit",
    "user": "the sample has no right of the administrator's",
    "output": "endless output is cut and ended",
}
_MB = 1 << 20


class Listeners:
    """What a sample must not be able to reach; opened before this process leaves the host's network."""

    def __init__(self):
        self._tcp = socket.create_server(("127.0.0.1", 0))
        self._unix = socket.socket(socket.AF_UNIX)
        self.port = self._tcp.getsockname()[1]
        self.name = f"nbcore-canary-{os.getpid()}"
        self._unix.bind(f"\0{self.name}")
        self._unix.listen()

    def close(self) -> None:
        """Close both."""
        self._tcp.close()
        self._unix.close()


def _unread(compiler: Callable[[bytes], Outcome], paths: Sequence[object]) -> bool:
    """Whether a compiler could open none of these files: it must say so of each."""
    lines = "".join(f'const _: &[u8] = include_bytes!("{path}");\n' for path in paths)
    said = compiler(f"fn main() {{}}\n{lines}".encode()).stderr.decode(errors="replace")
    refused = {line for line in said.splitlines() if "couldn't read" in line}
    return all(any(f"`{path}`" in line for line in refused) for path in paths)


def prove(jail: Jail, uid: int | None, listeners: Listeners, compiler: Callable[[bytes], Outcome]) -> dict[str, bool]:
    """Whether each promise held. `compiler` compiles a source in the jail as a sample's would be."""
    secret = jail.folder / f"secret-{os.getpid()}"
    secret.write_text('"nobody may know this"')

    def canary(what: str, value: object = "", **limits: int) -> Outcome:
        options = {"cpu": 5, jail.memory: 256 * _MB, "fsize": _MB} | limits
        call = jail.candidate(jail.folder / "canary", [what, str(value)], options, uid)
        return run(call, env={}, cpu_s=5, wall_s=10, output_kb=64, kill_over=True)

    def refused(what: str, *values: object) -> bool:
        # A signal is a refusal too: the kernel's. Any other end means that the canary itself did not run.
        ends = [canary(what, value) for value in values or ("",)]
        return all(end.code == 1 or end.signal is not None for end in ends)

    with contextlib.ExitStack() as after:
        after.callback(secret.unlink)
        if canary("run").code != 0:
            raise RuntimeError(f"the jail starts nothing here: {canary('run').stderr.decode(errors='replace')}")
        peeks = (secret, "/etc/passwd", f"/proc/{os.getpid()}/environ", "/proc/self/mem")
        # By each of these names a compiler could come at the hidden tests: in its own source, or on their way to here.
        own = [f"/proc/{whose}/fd/{fd}" for whose in ("self", "thread-self", os.getpid()) for fd in (0, 1, 2)]
        sources = (secret, "/dev/stdin", "/dev/fd/0", *own, f"/proc/{os.getpid()}/environ")
        folders = [jail.folder, "/tmp", "/var/tmp", "/dev/shm", Path.home(), "/"]
        try:
            return {
                "files": refused("read", *peeks) and _unread(compiler, sources),
                "disk": refused("write", secret) and refused("make", *folders),
                "network": all(refused(how, listeners.port) for how in ("connect", "send"))
                and refused("call", listeners.name),
                "processes": refused("fork") and refused("exec") and refused("signal", os.getpid()),
                "memory": refused("allocate", 512 * _MB),
                "user": refused("root"),
                "output": canary("flood").over,
            }
        finally:
            for folder in folders:
                for left in Path(folder).glob("canary-*[0-9]"):
                    left.unlink(missing_ok=True)
