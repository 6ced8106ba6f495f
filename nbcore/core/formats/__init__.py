"""The one reader of every field that names a file: any common format in, Rows, Documents or Tasks out, nothing lost.

    files(inputs)              the files that a path, a folder or a data set of the Hub stands for
    read(path, kind)           its records, and what was set aside of it and why
    format_of(path)            "alpaca", "sharegpt", "csv", "prompt_completion", "messages", "text", "document", "task"

`loading.load` reads all of an input into memory for a run, and says what was set aside.
What a file is shows in its content, whatever it is called. It stands on the lowest floor because task sets, runs and
data read through it; `nbcore.data.formats` is its name for the rest.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from nbcore.core import lines as json_lines
from nbcore.core.conversation import BadRecord
from nbcore.core.formats import json_text, shapes, tables
from nbcore.core.formats.content import BLOCK, LONGEST, Cut, Line, Unreadable, cut_off, opened, packing
from nbcore.core.formats.places import files, revision
from nbcore.core.output import shown

__all__ = ["SetAside", "Unreadable", "files", "format_of", "read", "records", "revision"]

KINDS = ("rows", "documents", "tasks")
EXCERPT = 200  # characters of a bad record's text
RECORD_FILES = (".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".parquet")  # plain text by no means


class SetAside(NamedTuple):
    """A record that is of no use, and why."""

    file: str
    line: int | None
    """The physical line on which it begins, from 1; in Parquet, the row."""
    reason: str
    text: str
    """Its beginning."""


class _Found(NamedTuple):
    """What stands at one place of a file: a mapping, or why there is none."""

    line: Line
    value: Any
    problem: BadRecord | None


def read(path: str | Path, kind: str, field: str = "IN") -> Iterator[Any]:
    """The records of one file, in its order: Rows, Documents or Tasks by `kind`, and a SetAside for each that is bad.

    Raises Unreadable naming field, file and what was expected, where the file is of no use as a whole, and
    FileNotFoundError.
    """
    for line, record in records(Path(path), kind, field):
        if isinstance(record, BadRecord):
            text = line.text[: 4 * EXCERPT].decode("utf-8", "replace")[:EXCERPT]
            yield SetAside(str(path), line.number, record.reason, text)
        else:
            yield record


def format_of(path: str | Path, field: str = "IN") -> str:
    """The name of a file's format, by the first record whose fields are known. "empty" for a file without content, and
    "unknown" where no record can be read. Raises as `read` does."""
    path = Path(path)
    known = _known(path, field)
    if isinstance(known, tables.Header):
        return "csv"
    if known in ("text", "empty"):
        return known
    first, broken = None, False
    for each in _mappings(path, known, field):
        if isinstance(each.value, dict):
            if name := shapes.shape(each.value):
                return name
            first = first or each
        else:
            broken = True
    if first and not broken:
        raise _no_shape(path, field, first, "rows")
    return "unknown"


def records(path: Path, kind: str, field: str) -> Iterator[tuple[Line, Any]]:
    """(where it begins, the record, or the BadRecord that says why there is none) of each. Raises as `read` does."""
    assert kind in KINDS, f"kind {kind!r}; one of {', '.join(KINDS)}"
    known = _known(path, field, kind)
    if known == "empty":
        return
    if known == "text":
        if kind != "documents":
            raise Unreadable(f"{field}: {path}: is plain text of no known shape; {_expected(kind)}")
        yield _document(path)
        return
    if not isinstance(known, tables.Header):
        _require_shape(path, known, kind, field)
    seen: set[str] = set()
    for line, value, problem in _mappings(path, known, field):
        if problem is not None:
            yield line, problem
            continue
        try:
            record = shapes.converted(value, kind)
        except BadRecord as error:
            yield line, error
            continue
        # Rows with the same content and no ids of their own are copies, which is not for the reader to judge.
        if isinstance(value, dict) and value.get("id") is not None:
            if record["id"] in seen:
                yield line, BadRecord(f"'id' {shown(record['id'], 60)!r} stands on more than one line", "duplicate_id")
                continue
            seen.add(record["id"])
        yield line, record


def _known(path: Path, field: str, kind: str | None = None) -> str | tables.Header:
    """What a file is as a whole: "parquet", "json", "text", "empty" or a table's header."""
    try:
        if path.is_dir() or (path.exists() and not path.is_file()):
            raise Unreadable("is no file; name the files in it, or save it as one")
        if packing(path) == "parquet":
            return "parquet"
        head = opened(path).head
    except FileNotFoundError:
        raise FileNotFoundError(f"{field}: no file {path}; give a file of {kind or 'rows'}") from None
    except Unreadable as error:
        raise Unreadable(f"{field}: {path}: {error}; {_expected(kind or 'rows')}") from None
    except OSError as error:
        raise Unreadable(f"{field}: {path}: cannot be read ({error.strerror or error}); mend that first") from None
    if not head.strip():
        return "empty" if len(head) < BLOCK else "json"
    suffixes = [suffix.lower() for suffix in path.suffixes]
    of_records = any(suffix in RECORD_FILES for suffix in suffixes[-2:])
    if json_text.is_json(head):
        # A source file may begin with a bracket too: it is text unless a record of it can be read.
        if of_records or any(isinstance(line, dict) for line in _sample(head)):
            return "json"
        return "text" if kind == "documents" and suffixes else "json"
    wanted = KINDS if kind is None else (kind,)
    header = tables.header(head, lambda row: any(shapes.fits(row, each) for each in wanted))
    if header and (len(header.columns) > 1 or of_records):
        return header
    if of_records:
        beginning = shown(head[:EXCERPT].decode("utf-8", "replace"), 80)
        raise Unreadable(f"{field}: {path}: has no known shape (it begins {beginning!r}); {_expected(kind or 'rows')}")
    return "text"


def _sample(head: bytes) -> Iterator[Any]:
    for line in json_text.records(head, iter([head])):
        try:
            yield json_lines.value(line.text)
        except ValueError:
            continue


def _mappings(path: Path, known: str | tables.Header, field: str) -> Iterator[_Found]:
    """What stands in a file of records."""
    if known == "parquet":
        try:
            for line, row in tables.parquet_rows(path):
                yield _Found(line, row, line.problem)
        except Unreadable as error:
            raise Unreadable(f"{field}: {path}: {error}") from None
        return
    text = opened(path)
    if isinstance(known, tables.Header):
        for line, row in tables.csv_rows(text.blocks, known):
            yield _Found(line, row, line.problem)
        return
    for line in json_text.records(text.head, text.blocks):
        value, problem = None, line.problem
        if problem is None:
            try:
                value = json_lines.value(line.text)
            except BadRecord as error:
                problem = error
        yield _Found(line, value, problem)


def _require_shape(path: Path, known: str, kind: str, field: str) -> None:
    """Raises Unreadable where all of a file are whole records of another shape; reads on to the first that fits. A file
    with broken records too is told row by row."""
    first, broken = None, False
    for each in _mappings(path, known, field):
        if isinstance(each.value, dict):
            if shapes.fits(each.value, kind) or shapes.partly(each.value, kind):
                return
            first = first or each
        else:
            broken = True
    if first and not broken:
        raise _no_shape(path, field, first, kind)


def _no_shape(path: Path, field: str, first: _Found, kind: str) -> Unreadable:
    missing = {"rows": "messages", "documents": "text", "tasks": "prompt"}[kind]
    names = shown(", ".join(list(first.value)[:8]), 100) or "no field"
    return Unreadable(
        f"{field}: {path}:{first.line.number}: {missing!r} is missing, and no record has a known shape: the first has "
        f"{names}, expected is {shapes.EXPECTED[kind]}"
    )


def _expected(kind: str) -> str:
    return f"expected are {kind} as JSON, JSON lines, CSV or Parquet, with {shapes.EXPECTED[kind]}"


def _document(path: Path) -> tuple[Line, Any]:
    """A file of plain text as one document, or why it is none."""
    whole, line = bytearray(), Line(1, b"")
    try:
        for block in opened(path).blocks:
            whole += block
            if len(whole) > LONGEST:
                line = Line(1, bytes(whole[:BLOCK]))
                return line, BadRecord(f"a text of more than {LONGEST >> 20} MB; divide it", "too_long")
        line = Line(1, bytes(whole))
        return line, shapes.document(whole.decode(), path.name)
    except Cut as error:
        return Line(1, bytes(whole)), cut_off(error)
    except UnicodeDecodeError as error:
        words = f"not UTF-8 (byte 0x{whole[error.start]:02x} at {error.start}); save the file as UTF-8"
        return line._replace(number=1 + whole.count(b"\n", 0, error.start)), BadRecord(words, "not_utf8")
    except BadRecord as error:
        return line, error
