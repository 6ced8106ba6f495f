"""JSON lines that only grow: each append survives a power cut, and a cut line costs itself alone."""

from __future__ import annotations

import json
import os
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
