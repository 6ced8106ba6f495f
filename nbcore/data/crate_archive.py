"""Rust files out of a .crate archive, one after the other, in bounded memory and without writing anything.

An archive is somebody else's: it may name paths outside of itself, hold links and devices, lie about sizes, or unpack
to far more than it is. Nothing is extracted, so a path is only a name; links are not followed; sizes are limited.
"""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Iterator
from gzip import GzipFile
from pathlib import Path
from typing import NamedTuple

from nbcore.data import manifest

MOST_UNPACKED = 256 << 20  # bytes, all that is read of one archive; the largest real crates have half of it
MOST_MEMBERS = 100_000
_MOST_HEADER = 64 << 10  # bytes of a long name or of extended headers, which tarfile reads whole
_HEADERS = {
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
}
_BAD = (tarfile.TarError, EOFError, OSError, zlib.error, ValueError, OverflowError)


class Member(NamedTuple):
    """A .rs file of an archive."""

    path: str
    content: bytes
    """All of it, or the beginning where `reason` says why it is not to be used."""
    reason: str | None


class BadArchive(ValueError):
    """The archive cannot be read to its end."""


class _Header(tarfile.TarInfo):
    """A member's header. tarfile itself takes a damaged one for the end of the archive, and what follows would be lost
    in silence."""

    @classmethod
    def frombuf(cls, buf: bytes, encoding: str, errors: str) -> tarfile.TarInfo:
        try:
            header = super().frombuf(buf, encoding, errors)
        except (tarfile.InvalidHeaderError, tarfile.TruncatedHeaderError) as error:
            raise BadArchive(f"a header is damaged ({error})") from None
        if header.type in _HEADERS and header.size > _MOST_HEADER:
            raise BadArchive(f"a header of {header.size} bytes; at most {_MOST_HEADER}")
        return header


class _Limited:
    """The unpacked bytes of an archive, up to a limit."""

    def __init__(self, file: GzipFile):
        self.file = file
        self.left = MOST_UNPACKED

    def read(self, size: int) -> bytes:
        if size > self.left:
            raise BadArchive(f"it unpacks to more than {MOST_UNPACKED >> 20} MiB")
        content = self.file.read(size)
        self.left -= len(content)
        return content


def package(path: Path) -> manifest.Package:
    """Whose the files are, from the Cargo.toml at its top, as far as it can be read."""
    found = {"Cargo.toml": b"", ".cargo_vcs_info.json": b""}
    try:
        for name, member, tar in _members(path):
            inside = name.partition("/")[2]
            if inside in found and member.isreg() and member.size <= manifest.MOST_BYTES:
                found[inside] = _content(tar, member)
            if all(found.values()):
                break
    except BadArchive:
        pass  # whoever reads the files learns of it, after those before the damage
    toml, vcs = found.values()
    return manifest.package(manifest.table(toml), {}, vcs) or manifest.Package()


def rust_files(path: Path, most_bytes: int, shown: int = 200) -> Iterator[Member]:
    """Its .rs files in the order of the archive; of one that is not to be used, the first `shown` bytes.

    Raises BadArchive where it cannot be read on, after the files before.
    """
    seen = set()
    for name, member, tar in _members(path):
        if not name.endswith(".rs") or member.isdir():
            continue
        if name in seen:
            yield Member(name, b"", "duplicate_path")
        elif not member.isreg() or member.issparse():
            yield Member(name, b"", "link")
        elif name.startswith("/") or ".." in name.split("/"):
            yield Member(name, b"", "unsafe_path")
        elif member.size > most_bytes:
            yield Member(name, _content(tar, member, shown), "too_large")
        else:
            yield Member(name, _content(tar, member), None)
        seen.add(name)


def _members(path: Path) -> Iterator[tuple[str, tarfile.TarInfo, tarfile.TarFile]]:
    try:
        with (
            GzipFile(path) as unpacked,
            tarfile.open(fileobj=_Limited(unpacked), mode="r|", bufsize=1 << 16, tarinfo=_Header) as tar,
        ):
            for number, member in enumerate(tar):
                if number == MOST_MEMBERS:
                    raise BadArchive(f"it has more than {MOST_MEMBERS} members")
                name = member.name.replace("\\", "/").encode(errors="replace").decode()
                yield name, member, tar
                tar.members.clear()  # tarfile keeps every member that it has seen
    except BadArchive:
        raise
    except _BAD as error:
        raise BadArchive(f"it is no whole tar.gz archive ({error or type(error).__name__})") from None


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo, size: int | None = None) -> bytes:
    file = tar.extractfile(member)
    assert file is not None  # it is a regular file
    content = file.read(member.size if size is None else size)
    if size is None and len(content) < member.size:
        raise BadArchive("it is cut off")
    return content
