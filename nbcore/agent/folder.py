"""The folder of a crate that an agent works on: its texts read and written, and nothing outside of it.

The tools write on this machine, not in the jail, so every path is checked: part by part, without following a link. The
whole state of an episode is this folder, which can be copied.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

MOST_BYTES = 256 << 10  # of one file
MOST_FILES = 64
MOST_IN_ALL = 4 << 20  # bytes
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
_LONGEST = 200  # characters of a path
_NOT_OURS = ("tests", "benches", "examples", "target")  # folders of a crate in which nothing is written


def holds(name: str, text: str) -> bool:
    """Whether a folder can hold a file: by its path, and by its length."""
    plain = len(name) <= _LONGEST and all(_PART.fullmatch(part) for part in name.split("/"))
    return plain and "\0" not in text and len(text.encode()) <= MOST_BYTES


class Refused(ValueError):
    """What an agent asked for cannot be done; the message is what it is answered with."""


class Folder:
    """A crate's folder. Paths are relative to it, with "/" between their parts."""

    def __init__(self, path: Path):
        self.path = path

    @classmethod
    def made(cls, path: Path, files: Mapping[str, str]) -> Folder:
        """A new folder with these texts. Raises Refused for a path that leads out."""
        path.mkdir(parents=True)
        folder = cls(path)
        for name, text in files.items():
            folder._put(name, text)
        return folder

    def copy(self, to: Path) -> Folder:
        """The same state in another place; links are copied as links, which nothing here follows."""
        shutil.copytree(self.path, to, symlinks=True)
        return Folder(to)

    def names(self) -> list[str]:
        """The files in it, in order; no links."""
        found = []
        for place, folders, files in os.walk(self.path, followlinks=False):
            folders.sort()
            here = Path(place)
            found += [
                (here / name).relative_to(self.path).as_posix() for name in files if not (here / name).is_symlink()
            ]
        return sorted(found)

    def texts(self) -> dict[str, str]:
        """Every file's text. Raises Refused where it holds more than an agent may write, or what is no UTF-8."""
        return {name: self.read(name) for name in self.names()}

    def read(self, name: str) -> str:
        """A file's text. Raises Refused."""
        path = self._inside(name)
        if not path.is_file():
            raise Refused(f"there is no file {name!r}; list_files shows what there is")
        if path.stat().st_size > MOST_BYTES:
            raise Refused(f"{name!r} has more than {MOST_BYTES >> 10} KiB")
        try:
            with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), encoding="utf-8", newline="") as file:
                return file.read()
        except UnicodeDecodeError:
            raise Refused(f"{name!r} is no UTF-8 text") from None

    def write(self, name: str, text: str) -> None:
        """Write a file of Rust, whole. Raises Refused where it is not the agent's to write, or too much."""
        path = self._inside(name)
        parts = Path(name).parts
        if path.suffix != ".rs" or parts[0] in _NOT_OURS or name == "build.rs":
            raise Refused(
                f"{name!r} is not yours to write; the .rs files of the crate are, but no tests and no build.rs"
            )
        if path.is_dir():
            raise Refused(f"{name!r} is a folder")
        if any((self.path / Path(*parts[:length])).is_file() for length in range(1, len(parts))):
            raise Refused(f"{name!r} leads through a file; name another path")
        raw = encoded(text)
        names = self.names()
        others = sum((self.path / other).stat().st_size for other in names if other != name)
        if name not in names and len(names) >= MOST_FILES:
            raise Refused(f"the crate has {len(names)} files, and may have no more")
        if len(raw) > MOST_BYTES or others + len(raw) > MOST_IN_ALL:
            raise Refused(f"too long: a file may have {MOST_BYTES >> 10} KiB, and all together {MOST_IN_ALL >> 20} MiB")
        self._put(name, text)

    def restore(self, files: Mapping[str, str]) -> None:
        """Make it hold these texts and nothing else."""
        for left in self.path.iterdir():
            shutil.rmtree(left) if left.is_dir() and not left.is_symlink() else left.unlink()
        for name, text in files.items():
            self._put(name, text)

    def remove(self) -> None:
        """Delete it."""
        shutil.rmtree(self.path, ignore_errors=True)

    def _put(self, name: str, text: str) -> None:
        path = self._inside(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
        with open(os.open(path, flags, 0o644), "wb") as file:
            file.write(encoded(text))

    def _inside(self, name: str) -> Path:
        """The place of a path. Raises Refused where it is no plain relative path, or a link stands on the way."""
        parts = name.split("/") if isinstance(name, str) and len(name) <= _LONGEST else []
        if not parts or not all(_PART.fullmatch(part) for part in parts):
            raise Refused(
                f"{str(name)[:80]!r} is no path in the crate; write one as list_files shows them, such as 'src/lib.rs'"
            )
        path = self.path
        for part in parts:
            path = path / part
            if path.is_symlink():
                raise Refused(f"{name!r} leads through a link")
        return path


def encoded(text: str) -> bytes:
    """The bytes of a text that a file and a row can hold. Raises Refused."""
    if "\0" in text:
        raise Refused("the text holds a NUL character; leave it out")
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise Refused("the text holds half of a surrogate pair, which no file can hold; leave it out") from None
