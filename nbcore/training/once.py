"""What a run makes once, for minutes, and reads back on a resume: rollouts, pairs, faults, demonstrations."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from nbcore import runs
from nbcore.runs import commit, pausing


def write(run: runs.Run, path: Path, rows: Iterable[Any], event: str, **facts: Any) -> None:
    """Write rows as JSON lines into a run's folder, and note their hash as an event of this name."""
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    pausing.write(run.path, lambda: commit.write_durably(path, text))
    note(run, path, event, **facts)


def note(run: runs.Run, path: Path, event: str, **facts: Any) -> None:
    """Note the hash of a file that stands already."""
    run.event(event, sha256=commit.sha256(path), **facts)


def require(run: runs.Run, path: Path, event: str, field: str, remedy: str) -> None:
    """Raises ValueError, which begins with `field` and ends in `remedy`, where the file is not what was written."""
    if any(row["sha256"] != commit.sha256(path) for row in run.events(event)[-1:]):
        raise ValueError(f"{field}: {path} is not what was written; delete it, and {remedy}")
