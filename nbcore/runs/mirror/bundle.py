"""A run packed into an uncompressed archive in several parts, for the mirror, and unpacked again."""

from __future__ import annotations

import hashlib
import io
import shutil
import tarfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from nbcore.runs import commit, layout

PART = 2**30  # bytes of a part: uploads of much larger files to a Drive fail
SLACK = 2**20  # bytes by which the headers may make an archive larger than its files
MEMBERS = 100_000  # files that an archive may hold


class Part(NamedTuple):
    """One part of a bundle, as it lies in the staging folder."""

    path: Path
    bytes: int
    sha256: str


def contents(run: Path, checkpoint: Path | None) -> list[tuple[Path, int]]:
    """The files of a run to be copied, with one of its checkpoints or none, and how many bytes each has now.

    The lease belongs to this machine, hidden files are not whole yet, and one checkpoint is enough to go on from: the
    rest is left out. Only so many bytes of a file are copied: a log may grow while it is, and its beginning is valid.
    """
    entries = [path for path in run.iterdir() if path.name not in (layout.STATE, layout.LEASE)]
    entries += [checkpoint] if checkpoint else []
    files: list[Path] = []
    for path in entries:
        files += [inner for inner in sorted(path.rglob("*")) if inner.is_file()] if path.is_dir() else [path]
    visible = [path for path in files if not commit.is_hidden(path.relative_to(run).as_posix())]
    return [(path, path.stat().st_size) for path in visible]


def pack(
    run: Path,
    files: Iterable[tuple[Path, int]],
    staging: Path,
    deliver: Callable[[Part], None],
    limit: int = PART,
) -> int:
    """Archive files under their names within the run; returns the size of the whole archive in bytes.

    The archive is cut into parts of at most `limit` bytes. `deliver` gets each as soon as it is complete; then the part
    is deleted, so that only one at a time takes room in `staging`.
    """
    parts = _Parts(staging, limit, deliver)
    with tarfile.open(fileobj=parts, mode="w|", format=tarfile.PAX_FORMAT, bufsize=1 << 20) as archive:
        for path, size in files:
            member = tarfile.TarInfo(path.relative_to(run).as_posix())
            member.size = size
            with path.open("rb") as file:
                archive.addfile(member, _Beginning(file, size))
    parts.close()
    return parts.bytes


class _Beginning(io.RawIOBase):
    """The first `size` bytes of a file, which may be growing meanwhile, as a stream."""

    def __init__(self, file: Any, size: int):
        self.file, self.left = file, size

    def read(self, count: int = -1) -> bytes:
        data = self.file.read(min(self.left, count if count >= 0 else self.left))
        if not data and self.left:
            raise OSError(f"{self.file.name} shrank while it was copied")
        self.left -= len(data)
        return data


class _Parts:
    """A stream to write to, which ends up in files of at most `limit` bytes each."""

    def __init__(self, staging: Path, limit: int, deliver: Callable[[Part], None]):
        self.staging, self.limit, self.deliver = staging, limit, deliver
        self.path, self.file, self.bytes = staging / "part", None, 0

    def write(self, data: bytes) -> int:
        view = memoryview(data)
        while view:
            if self.file is None:
                self.file, self.hash, self.room = self.path.open("wb"), hashlib.sha256(), self.limit
            piece = view[: self.room]
            self.file.write(piece)
            self.hash.update(piece)
            self.bytes += len(piece)
            self.room -= len(piece)
            view = view[len(piece) :]
            if not self.room:
                self.close()
        return len(data)

    def close(self) -> None:
        if self.file is None:
            return
        self.file.close()
        self.file = None
        self.deliver(Part(self.path, self.limit - self.room, self.hash.hexdigest()))
        self.path.unlink()


def unpack(parts: Sequence[Path], target: Path, size: int) -> None:
    """Extract a bundle of `size` bytes into the new folder `target`: regular files inside it, and nothing else.

    Raises ValueError for a link, a device, a name that leads outside, a name twice, or more than was announced.
    """
    target.mkdir(parents=True)
    seen: set[str] = set()
    left = size + SLACK
    with _joined(parts) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
        for member in archive:
            name = member.name
            if not member.isreg() or not commit.is_confined(name):
                raise ValueError(f"archive: {name!r} is a link, a device or outside of the run")
            left -= member.size
            if name in seen or len(seen) >= MEMBERS or left < 0:
                raise ValueError(f"archive: {name!r} comes twice, or the archive holds more than its {size} bytes")
            seen.add(name)
            path = target / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as file:
                shutil.copyfileobj(archive.extractfile(member), file, 1 << 20)
            commit.sync(path)
    for folder in {target, *(path for path in target.rglob("*") if path.is_dir())}:
        commit.sync(folder)


class _joined(io.RawIOBase):
    """Files read one after the other as one stream."""

    def __init__(self, parts: Sequence[Path]):
        self.parts, self.file = list(parts), None

    def read(self, count: int = -1) -> bytes:
        while True:
            if self.file is None:
                if not self.parts:
                    return b""
                self.file = self.parts.pop(0).open("rb")
            data = self.file.read(count)
            if data or count == 0:
                return data
            self.file.close()
            self.file = None
