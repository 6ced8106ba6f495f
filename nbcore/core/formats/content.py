"""What a file holds, as UTF-8 bytes in blocks: unpacked, without a byte order mark, and refused where it is no text."""

from __future__ import annotations

import codecs
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from nbcore.core.conversation import BadRecord

BLOCK = 1 << 16  # bytes that are read at a time, and those by which a file is known
LONGEST = 1 << 26  # bytes of a line; a longer one is set aside without being held in memory
TEXT = "a byte order mark, or save it as UTF-8"
_BEGINNINGS = {  # of files that are no text
    b"PK\x03\x04": "a zip archive",
    b"PAR1": "Parquet",
    b"ARROW1": "Arrow",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"7z\xbc\xaf": "a 7z archive",
    b"%PDF": "PDF",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"\x7fELF": "a program",
    b"SQLite format": "a database",
}
_MARKS = (  # the longer ones first: UTF-32's begins with UTF-16's
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CONTROLS = bytes(byte for byte in range(32) if byte not in b"\t\n\v\f\r\x1b")


class Unreadable(ValueError):
    """A file that is of no use as a whole; the message names it and what was expected."""


class Cut(Exception):
    """A packed file ended too early, or is damaged from here on."""


class Line(NamedTuple):
    """A line, or an element of a JSON list, with the number of the physical line on which it begins."""

    number: int
    text: bytes
    problem: BadRecord | None = None
    """Why it is not whole."""
    ended: bool = True
    """Whether a line break follows it; the last line of a file cut off has none."""


class Content(NamedTuple):
    """A file as UTF-8: its beginning, to tell what it is, and all its blocks. Iterating over them may raise Cut."""

    head: bytes
    blocks: Iterator[bytes]


def packing(path: Path) -> str | None:
    """Of gzip, zstd and Parquet the one that a file is, by what it begins with and whatever it is called."""
    with path.open("rb") as file:
        beginning = file.read(4)
    if beginning.startswith(b"\x1f\x8b"):
        return "gzip"
    return {b"\x28\xb5\x2f\xfd": "zstd", b"PAR1": "parquet"}.get(beginning)


def opened(path: Path) -> Content:
    """The text of a file. Raises Unreadable for what is no text, without the name of the file; OSError."""
    packed = packing(path)
    if packed == "parquet":
        raise Unreadable("is Parquet, not text")
    unpacked = _unpacked(path, packed)
    first, damage = b"", None
    try:
        for block in unpacked:
            first += block
            if len(first) >= BLOCK:
                break
    except Cut as error:
        damage = error
        if not first:
            raise Unreadable(f"cannot be unpacked ({error}); download or pack it again") from None
    encoding = next((name for mark, name in _MARKS if first.startswith(mark)), "utf-8")
    if encoding == "utf-8":
        first = first.removeprefix(codecs.BOM_UTF8)
        _refuse_binary(first)
    head = _decoder(encoding).decode(first).encode("utf-8", "surrogatepass") if encoding != "utf-8" else first

    def blocks() -> Iterator[bytes]:
        yield first
        if damage is not None:
            raise damage
        yield from unpacked

    return Content(head, blocks() if encoding == "utf-8" else _as_utf8(blocks(), encoding))


def lines(blocks: Iterator[bytes]) -> Iterator[Line]:
    """The lines of a text, without what ends them: "\\n" or "\\r\\n", and nothing else. Blank ones too."""
    number, parts, size = 1, [], 0
    try:
        for block in blocks:
            pieces = block.split(b"\n")
            for piece in pieces[:-1]:
                yield _line(number, parts, size, piece)
                number, parts, size = number + 1, [], 0
            size += len(pieces[-1])
            if size <= LONGEST:
                parts.append(pieces[-1])
    except Cut as error:
        yield Line(number, b"".join(parts), cut_off(error))
        return
    if size:
        yield _line(number, parts, size, b"")._replace(ended=False)


def _line(number: int, parts: list[bytes], size: int, last: bytes) -> Line:
    if size + len(last) > LONGEST:
        megabytes = LONGEST >> 20
        problem = BadRecord(f"a line of more than {megabytes} MB; divide it", "too_long")
        return Line(number, b"".join(parts)[:1000], problem)
    return Line(number, b"".join([*parts, last]).removesuffix(b"\r"))


def cut_off(error: Cut) -> BadRecord:
    """What is said of the record in which a packed file ends."""
    return BadRecord(f"the packed file is cut off or damaged here ({error}); download or pack it again", "cut_off")


def _unpacked(path: Path, packed: str | None) -> Iterator[bytes]:
    # What is read before the damage counts: `read1` hands over what there is, `read` would lose it to the error.
    if packed is None:
        with path.open("rb") as file:
            while block := file.read(BLOCK):
                yield block
        return
    try:
        if packed == "gzip":
            with gzip.open(path, "rb") as file:
                while block := file.read1(BLOCK):
                    yield block
        else:
            import pyarrow

            with pyarrow.input_stream(str(path), compression="zstd", buffer_size=0) as file:
                while block := file.read(BLOCK):
                    yield block
    except (EOFError, OSError, zlib.error) as error:
        raise Cut(" ".join(str(error).split())[:100]) from None


def _decoder(encoding: str) -> codecs.IncrementalDecoder:
    # What is wrong in it becomes half of a surrogate pair, so that its line alone is no UTF-8.
    return codecs.getincrementaldecoder(encoding)("nbcore.marked")


def _as_utf8(blocks: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    decoder = _decoder(encoding)
    for block in blocks:
        yield decoder.decode(block).encode("utf-8", "surrogatepass")
    yield decoder.decode(b"", final=True).encode("utf-8", "surrogatepass")


def _marked(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return "\udcff", max(error.end, error.start + 1)


codecs.register_error("nbcore.marked", _marked)


def _refuse_binary(head: bytes) -> None:
    for beginning, kind in _BEGINNINGS.items():
        if head.startswith(beginning):
            raise Unreadable(f"is {kind}, not text")
    if not head:
        return
    even, odd = head[::2].count(0) / len(head[::2]), head[1::2].count(0) / max(len(head[1::2]), 1)
    if max(even, odd) > 0.3 and min(even, odd) < 0.1 and len(head) > 1:
        raise Unreadable(f"is UTF-16 without a byte order mark, or binary; give it {TEXT}")
    controls = len(head) - len(head.translate(None, _CONTROLS))
    if controls > 0.05 * len(head) and not _mostly_json(head):
        raise Unreadable("is binary, not UTF-8 text; save it as UTF-8")


def _mostly_json(head: bytes) -> bool:
    # NUL characters in a row of an otherwise good file make that row bad, not the file.
    begun = [line for line in head.split(b"\n") if line.strip()]
    return sum(line.lstrip().startswith((b"{", b"[")) for line in begun) > len(begun) / 2 and b"\0\0\0\0" not in head
