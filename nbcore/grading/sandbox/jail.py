"""The jail that samples run in: which layers this machine grants, and what each is asked for. jail.c does it.

limits      always: processor, memory, file size, open files, no core, an own session
chroot      root: a root directory with the six libraries a program needs, and nothing to write in
uid         root: a user of its own for each worker, who owns nothing
landlock    any user: no file but those named, no TCP, no signal to others
seccomp     any user: about 60 system calls; no process, no socket
namespaces  an own network, IPC and host name for each worker
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from nbcore.grading.rust.compiler import CLIPPY_TOML, Toolchain

LAYERS = ("chroot", "uid", "landlock", "seccomp", "namespaces")
HERE = Path(__file__).parent
_PYTHON = (sys.base_prefix, "/usr/lib", "/lib", "/lib64", "/etc/ld.so.cache")
_FIRST_UID = 61_000
_STACK_BYTES = 8 << 20  # pinned, because a recursion's depth must not depend on the host's own setting
_NEW_UTS, _NEW_IPC, _NEW_USER, _NEW_NET = 0x04000000, 0x08000000, 0x10000000, 0x40000000


@dataclass(frozen=True)
class Jail:
    """Compiled once for a grader, shared by its workers."""

    folder: Path
    layers: tuple[str, ...]
    system: tuple[str, ...]
    """Folders a compiler must read."""
    memory: str = "data"
    """The limit on a program's memory: what it writes to ("data"), where the kernel counts that, so that the stacks
    of a hundred threads cost what is used of them; else all that it has a name for ("as")."""

    def candidate(
        self, program: Path, args: Iterable[str], limits: dict[str, int], uid: int | None, home: Path | None = None
    ) -> list[str]:
        """The call that runs a built program; `limits` are options of jail.c. `home`: a folder that `furnished` made,
        which it starts in and may read."""
        options = {**limits, "stack": _STACK_BYTES, "nofile": 32}
        if "chroot" in self.layers:
            options["chroot"] = str(self.folder / "root")
            if home:
                options |= {"chroot": options["cwd"], "home": str(home)}
        elif home:
            options["cwd"] = str(home)
        if "landlock" in self.layers:
            options["landlock"] = "on"
        if "uid" in self.layers:
            options |= {"uid": uid, "nproc": 256}
        if "seccomp" in self.layers:
            options["seccomp"] = "strict"
        pairs = [str(part) for pair in options.items() for part in pair]
        if "landlock" in self.layers and "chroot" not in self.layers:
            pairs += [part for folder in self._libraries() for part in ("read", folder)]
        if "landlock" in self.layers and home:
            pairs += ["read", f"{options['chroot']}{home}" if "chroot" in self.layers else str(home)]
        return [str(self.folder / "jail"), *pairs, "--", str(program), *args]

    def furnished(self, here: Path, home: Path, files: Mapping[str, str]) -> None:
        """Give a program that runs in the empty folder `here` these files to read, by their path in `home`. Where it
        has a root directory of its own that is `here`, and `home` is at the same place in it."""
        inside = home
        if "chroot" in self.layers:
            shutil.copytree(self.folder / "root", here, copy_function=os.link, dirs_exist_ok=True)
            inside = Path(f"{here}{home}")
        write(inside, files)
        for path in (here, *here.rglob("*"), *inside.rglob("*")):
            if path.is_dir():
                path.chmod(0o755)  # whatever the mask of this process is, the program's user reads it
            elif path.is_relative_to(inside):
                path.chmod(0o644)

    def interpreter(self, args: Iterable[str], limits: dict[str, int]) -> list[str]:
        """The call that runs Python code, with this Python's own library to read and nothing to write.

        Like a compiler it stays the user it is, without any capability.
        """
        options = [str(part) for pair in (limits | {"stack": _STACK_BYTES, "nofile": 32}).items() for part in pair]
        if "landlock" in self.layers:
            options += ["landlock", "on", *(part for path in _PYTHON for part in ("read", path))]
        if "seccomp" in self.layers:
            options += ["seccomp", "python"]
        return [str(self.folder / "jail"), "keep", "4", *options, "--", os.path.realpath(sys.executable), *args]

    def compiler(self, command: Iterable[str], limits: dict[str, int], cwd: Path) -> list[str]:
        """Options and command of a compiler that reads its toolchain and writes in `cwd`.

        It stays the user it is, for the toolchain may be readable to no other, but without any capability.
        """
        options = [str(part) for pair in (limits | {"cwd": cwd}).items() for part in pair]
        if "landlock" in self.layers:
            options += ["landlock", "on", "write", str(cwd), "device", os.devnull]
            options += [part for folder in self.system for part in ("read", folder)]
        if "seccomp" in self.layers:
            options += ["seccomp", "compiler"]
        return [*options, "--", *command]

    def _libraries(self) -> list[str]:
        return sorted({str(path.parent) for path in _files(self.folder / "root")})


def write(folder: Path, files: Mapping[str, str]) -> None:
    """Write files by their path in a folder; bytes that are no UTF-8 are surrogates in their text. Raises ValueError
    for a path that leads out of it."""
    for name, text in files.items():
        path = (folder / name).resolve()
        if not path.is_relative_to(folder):
            raise ValueError(f"files: {name!r} leads out of the crate")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode("utf-8", "surrogateescape"))


def build(folder: Path, chain: Toolchain, layers: Iterable[str] | None = None) -> Jail:
    """Compile the jail into `folder` and find the layers that work, among `layers`; about 0.2 s.

    Raises RuntimeError when there is no C compiler to do it with.
    """
    if unknown := set(layers or ()) - set(LAYERS):
        raise ValueError(f"layers name {', '.join(sorted(unknown))}; they are {', '.join(LAYERS)}")
    server = ("-DSERVER", "-shared", "-fPIC", "jail.c", "-ldl")
    calls = {"jail": ("jail.c",), "jail.so": server, "canary": ("canary.c",)}
    compiling = {
        name: subprocess.Popen(["cc", "-O1", "-o", str(folder / name), *args], cwd=HERE, stderr=subprocess.PIPE)
        for name, args in calls.items()
    }
    for name, process in compiling.items():
        said = process.communicate()[1].decode(errors="replace")
        if process.returncode:
            raise RuntimeError(f"the sandbox cannot be built: cc {name}: {said[:300]}; apt-get install gcc libc6-dev")
    folder.chmod(0o711)  # a worker's user passes through, and sees nothing
    (folder / "canary").chmod(0o711)
    (folder / "clippy.toml").write_text(CLIPPY_TOML)
    _lib_root(folder / "root", chain.libraries)
    rust = [str(chain.sysroot / "bin"), str(chain.sysroot / "lib")]
    system = (*rust, *chain.link_folders, "/usr/lib", "/usr/lib64", "/lib", "/lib64", "/etc/ld.so.cache")
    system += (str(folder / "clippy.toml"),)
    wanted = LAYERS if layers is None else [layer for layer in LAYERS if layer in set(layers)]
    works = [layer for layer in wanted if _works(layer, folder, system)]
    if "chroot" not in works and not all(map(_open_to_all, chain.libraries)):
        works = [layer for layer in works if layer != "uid"]  # that user could not load Rust's library
    return Jail(folder, tuple(works), system, "data" if _counts_data(folder, system) else "as")


def _counts_data(folder: Path, system: tuple[str, ...]) -> bool:
    """Whether the kernel refuses memory beyond RLIMIT_DATA that was not asked for by brk."""
    jail = Jail(folder, (), system)
    call = jail.candidate(folder / "canary", ["allocate", str(64 << 20)], {"cpu": 5, "data": 32 << 20}, None)
    return subprocess.run(call, capture_output=True, env={}).returncode == 1


def _works(layer: str, folder: Path, system: tuple[str, ...]) -> bool:
    if layer == "namespaces":
        return True  # a worker tries, and says
    jail = Jail(folder, (layer,), system)
    call = jail.candidate(folder / "canary", ["run"], {"cpu": 5}, _FIRST_UID)
    return subprocess.run(call, capture_output=True, env={}).returncode == 0


def _open_to_all(path: Path) -> bool:
    return path.stat().st_mode & 0o004 and all(parent.stat().st_mode & 0o001 for parent in path.resolve().parents)


def _lib_root(root: Path, libraries: Iterable[Path]) -> None:
    """A root directory with these files at their own paths, for all to read and none to write."""
    for library in libraries:
        copy = root / library.relative_to("/")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, copy)
        copy.chmod(0o755)
    for path in (root, *root.rglob("*")):
        if path.is_dir():
            path.chmod(0o755)


def _files(root: Path) -> list[Path]:
    return [Path("/") / path.relative_to(root) for path in root.rglob("*") if path.is_file()]


def enter_namespaces() -> bool:
    """Give this process, and so all its samples, a network without any device, and its own IPC and host name."""
    unshare, ours = ctypes.CDLL(None).unshare, (os.getuid(), os.getgid())
    if unshare(_NEW_NET | _NEW_IPC | _NEW_UTS) == 0:
        return True
    if ours[0] == 0 or unshare(_NEW_USER | _NEW_NET | _NEW_IPC | _NEW_UTS) != 0:
        return False
    for name, text in (("setgroups", "deny"), ("uid_map", "{0} {0} 1"), ("gid_map", "{1} {1} 1")):
        Path("/proc/self", name).write_text(text.format(*ours))
    return True


def claim_uid() -> tuple[int, socket.socket]:
    """A user id that no other grader on this machine uses, and the claim to keep for as long as it does.

    The claim is the name of an abstract socket: the kernel forgets it with the process.
    """
    for uid in range(_FIRST_UID, _FIRST_UID + 1000):
        claim = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            claim.bind(f"\0nbcore-jail-{uid}")
        except OSError as error:
            claim.close()
            if error.errno != errno.EADDRINUSE:
                raise
        else:
            return uid, claim
    raise RuntimeError("1,000 workers are grading on this machine already; end some of them")
