"""Tables: CSV with commas, semicolons, tabs or bars, and Parquet."""

from __future__ import annotations

import csv
import json
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from nbcore.core.conversation import BadRecord
from nbcore.core.formats.content import LONGEST, Line, Unreadable, lines

DELIMITERS = (",", ";", "\t", "|")


class Header(NamedTuple):
    """The first row of a table: what divides its columns, and their names in small letters."""

    delimiter: str
    columns: list[str]


def header(head: bytes, known: Callable[[dict[str, Any]], bool]) -> Header | None:
    """The header of a table whose columns are `known`; None where the text is no such table."""
    # U+FFFD where the head ends inside a character.
    beginning = [line + "\n" for line in head.decode("utf-8", "replace").split("\n") if line.strip()]
    for delimiter in DELIMITERS:
        try:
            first = next(csv.reader(beginning, delimiter=delimiter, strict=True), [])
        except csv.Error:
            continue
        columns = [column.strip().lower() for column in first]
        if known(dict.fromkeys(columns, "")):
            return Header(delimiter, columns)
    return None


def csv_rows(blocks: Iterator[bytes], header: Header) -> Iterator[tuple[Line, dict[str, str | None] | None]]:
    """(where it begins, the row by column) of each row below the header; None where the row is bad.

    A quote that is never closed takes the rest of the file into one row. Where the lines below look like rows, only its
    own line is set aside; else they are the rest of its content, and the file was cut off.
    """
    source, again = lines(blocks), deque()
    csv.field_size_limit(LONGEST)
    is_header = True
    while True:
        used: list[Line] = []
        row, problem = _next_row(source, again, used, header.delimiter)
        if not used:
            return
        first, width = used[0], len(header.columns)
        if problem is not None:
            # A row that is read to its end but is not UTF-8 has no other row in it.
            if problem.reason == "not_csv" or (problem.reason == "cut_off" and _are_rows(used[1:], header)):
                again.extendleft(reversed(used[1:]))
            yield first._replace(problem=problem), None
        elif not row:
            continue
        elif is_header:
            is_header = False
        elif len(row) > width:
            words = f"{len(row)} columns, and the header has {width}; put content with {header.delimiter!r} in quotes"
            yield first._replace(problem=BadRecord(words, "wrong_columns")), None
        else:
            yield first, dict(zip(header.columns, [*row, *[None] * (width - len(row))], strict=True))


def _next_row(
    source: Iterator[Line], again: deque[Line], used: list[Line], delimiter: str
) -> tuple[list[str] | None, BadRecord | None]:
    """One row of CSV, and the lines it took; (None, what is wrong) for one that cannot be read."""

    def texts() -> Iterator[str]:
        while (line := again.popleft() if again else next(source, None)) is not None:
            used.append(line)
            if line.problem is not None:
                raise line.problem
            yield line.text.decode("utf-8", "surrogateescape") + "\n"

    try:
        row = next(csv.reader(texts(), delimiter=delimiter, strict=True), None)
        for cell in row or ():
            cell.encode()
    except BadRecord as error:
        return None, error
    except UnicodeEncodeError:
        return None, BadRecord("not UTF-8; save the file as UTF-8", "not_utf8")
    except csv.Error as error:
        if "unexpected end of data" in str(error):
            return None, BadRecord("a quote is opened and never closed; close it, or double it", "cut_off")
        return None, BadRecord(f"not CSV ({error}); quote each field and double the quotes in it", "not_csv")
    return row, None


def _are_rows(below: list[Line], header: Header) -> bool:
    """Whether most of some lines have the header's columns by themselves."""
    texts = [line.text.decode("utf-8", "replace") for line in below if line.text.strip()]
    fitting = 0
    for text in texts:
        try:
            row = next(csv.reader([text], delimiter=header.delimiter, strict=True), [])
        except csv.Error:
            continue
        fitting += len(row) == len(header.columns)
    return len(header.columns) > 1 and fitting >= 0.8 * len(texts) > 0


def parquet_rows(path: Path | Any) -> Iterator[tuple[Line, dict[str, Any] | None]]:
    """(number of the row, the row) of a Parquet file, a few hundred in memory at a time. Raises Unreadable."""
    import pyarrow
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(path)
    except (pyarrow.ArrowException, OSError) as error:
        words = " ".join(str(error).split())[:120]
        raise Unreadable(f"is Parquet that is cut off or damaged ({words}); download it again") from None
    number = 0
    with file:
        batches = file.iter_batches(batch_size=256)
        while True:
            try:
                batch = next(batches, None)
            except (pyarrow.ArrowException, OSError) as error:
                words = " ".join(str(error).split())[:120]
                problem = BadRecord(f"the file is damaged from here on ({words}); download it again", "cut_off")
                yield Line(number + 1, b"", problem), None
                return
            if batch is None:
                return
            for row in _of_batch(batch):
                number += 1
                if row is None:
                    yield Line(number, b"", BadRecord("not UTF-8; write the column as UTF-8 text", "not_utf8")), None
                    continue
                text = json.dumps(row, default=_plain)
                yield Line(number, text.encode()), json.loads(text)


def _of_batch(batch: Any) -> Iterator[dict[str, Any] | None]:
    """The rows of a batch; None for one that is not UTF-8."""
    try:
        yield from batch.to_pylist()
        return
    except UnicodeDecodeError:
        pass  # raised before the first row is handed over
    for place in range(batch.num_rows):
        try:
            yield batch.slice(place, 1).to_pylist()[0]
        except UnicodeDecodeError:
            yield None


def _plain(value: Any) -> dict[str, str]:
    # Dates, decimals and bytes: JSON has none, and as text they would pass for content.
    return {"value": str(value)}
