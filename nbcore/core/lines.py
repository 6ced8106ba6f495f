"""JSON lines that only grow: what was appended survives a power cut, and a line that was cut short is skipped alone.

Lines end at "\\n" alone. `str.splitlines` would also cut at U+2028, U+0085 and others, which JSON allows in strings.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from nbcore.core.conversation import BadRecord

DEEPEST = 100  # lists and mappings inside one another that are accepted; Python's own limit is about a thousand
_FORMATS = {b"\x1f\x8b": "gzip", b"PK": "a zip archive", b"PAR1": "Parquet"}
_ARRAY = "the beginning of a JSON array; write each of its mappings on a line of its own (jq -c '.[]' does)"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


def append(path: Path, *rows: dict) -> None:
    """Add rows in one write: a killed process leaves all of them, or at most one cut line, which `read` skips."""
    with path.open("ab+") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            file.write(b"" if file.read(1) == b"\n" else b"\n")
        text = "".join(json.dumps(row, ensure_ascii=False, default=float) + "\n" for row in rows)
        file.write(text.encode(errors="backslashreplace"))  # JSON's own way to write half of a surrogate pair
        file.flush()
        os.fsync(file.fileno())


def read(path: Path) -> list[dict]:
    """Every whole row; none where there is no file."""
    if not path.is_file():
        return []
    rows = []
    for line in path.read_bytes().split(b"\n"):
        try:
            rows.append(json.loads(line.decode("utf-8", errors="replace")))
        except json.JSONDecodeError:
            continue  # the line a kill cut short
    return rows


def numbered(path: str | Path, field: str, remedy: str) -> Iterator[tuple[int, bytes]]:
    """(number, line) of each line of a text file that is not blank; a byte order mark of UTF-8 is taken off.

    Raises FileNotFoundError with the remedy, and ValueError for a file that is no UTF-8 text as a whole.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{field}: no file {path}; {remedy}")
    content = path.read_bytes()
    for beginning, kind in _FORMATS.items():
        if content.startswith(beginning):
            raise ValueError(f"{field}: {path}: is {kind}, not text; unpack or convert it to lines of JSON first")
    if content.startswith(_UTF_16) or b"\0" in content[:4]:
        raise ValueError(f"{field}: {path}: is UTF-16 or binary, not UTF-8 text; save it as UTF-8")
    for number, line in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        if line.strip():
            yield number, line


def value(line: bytes) -> Any:
    """What one line of JSON says. Raises BadRecord, a ValueError, with what is wrong and the remedy."""
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadRecord(
            f"not UTF-8 (byte 0x{line[error.start]:02x} at {error.start}); save the file as UTF-8", "not_utf8"
        ) from None
    try:
        parsed = json.loads(text)
    except RecursionError:
        raise BadRecord(
            f"not JSON that can be read: nested too deep; at most {DEEPEST} levels", "nested_too_deep"
        ) from None
    except ValueError as error:  # a JSONDecodeError, or plain ValueError for a number of more than 4300 digits
        if text.strip() == "[":
            raise BadRecord(_ARRAY, "not_json") from None
        message = error.msg if isinstance(error, json.JSONDecodeError) else error
        raise BadRecord(f"not JSON ({message}); each line is one JSON mapping", "not_json") from None
    if text.count("[") + text.count("{") > DEEPEST and _depth(parsed) > DEEPEST:
        raise BadRecord(f"nested too deep ({_depth(parsed)} levels); at most {DEEPEST}", "nested_too_deep")
    if isinstance(parsed, list) and parsed and isinstance(parsed[0], dict):
        raise BadRecord(_ARRAY, "no_object")
    return parsed


def parsed(path: str | Path, parse: Callable[[Any], Any], field: str) -> Iterator[tuple[int, Any]]:
    """(line number, record) of a .jsonl file, each checked by `parse`. `field` is the config field that named the file.

    Raises ValueError or FileNotFoundError naming field, file, line and remedy for the first line that does not fit.
    """
    for number, line in numbered(path, field, "give a .jsonl file, or 'katas' for what is built in"):
        try:
            yield number, parse(value(line))
        except ValueError as error:
            raise ValueError(f"{field}: {path}:{number}: {error}") from None


def digest(rows: Iterable[dict]) -> str:
    """sha256 over the rows as canonical JSON, so that equal data has an equal digest."""
    total = hashlib.sha256()
    for row in rows:
        total.update(json.dumps(row, sort_keys=True, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    return total.hexdigest()


def _depth(value: Any) -> int:
    """How many lists and mappings stand inside one another."""
    depth, level = 0, [value]
    while level:
        inner = []
        for item in level:
            if isinstance(item, dict):
                inner += item.values()
            elif isinstance(item, list):
                inner += item
        depth += any(isinstance(item, dict | list) for item in level)
        level = inner
    return depth
