"""JSON lines that only grow: each append survives a power cut, and a cut line costs itself alone."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path


def append(path: Path, *rows: dict) -> None:
    """Add rows in one write: a killed process leaves all of them, or at most one cut line, which `read` skips."""
    with path.open("ab+") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            file.write(b"" if file.read(1) == b"\n" else b"\n")
        file.write("".join(json.dumps(row, ensure_ascii=False, default=float) + "\n" for row in rows).encode())
        file.flush()
        os.fsync(file.fileno())


def read(path: Path) -> list[dict]:
    """Every whole row; none where there is no file."""
    if not path.is_file():
        return []
    rows = []
    for line in path.read_text("utf-8", errors="replace").splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            continue  # the line a kill cut short
    return rows


def objects(path: str | Path, columns: Iterable[str], field: str) -> list[dict]:
    """Objects of a .jsonl file, each with these columns. `field` is the config field that named the file.

    Raises ValueError or FileNotFoundError naming field, file, line and column for the first that does not fit.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{field}: no file {path}; give a .jsonl file, or 'katas' for what is built in")
    found = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"{field}: {path}:{number}: not JSON ({error.msg})") from None
        if not isinstance(row, dict):
            raise ValueError(f"{field}: {path}:{number}: {line[:40]} is no mapping; a line has {', '.join(columns)}")
        missing = [column for column in columns if column not in row]
        if missing:
            raise ValueError(f"{field}: {path}:{number}: {missing[0]!r} is missing; a line has {', '.join(columns)}")
        if not isinstance(row["id"], str):
            raise ValueError(f"{field}: {path}:{number}: 'id' is {row['id']!r}; it must be text")
        found.append(row)
    if not found:
        raise ValueError(f"{field}: {path} is empty; it needs at least one line of JSON with {', '.join(columns)}")
    return found


def digest(rows: Iterable[dict]) -> str:
    """sha256 over the rows as canonical JSON: equal data, equal digest."""
    total = hashlib.sha256()
    for row in rows:
        total.update(json.dumps(row, sort_keys=True, ensure_ascii=False).encode())
    return total.hexdigest()
