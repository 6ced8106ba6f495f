"""All records of an input for a run, and what is said of those that are set aside."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from nbcore.core import formats
from nbcore.core.conversation import BadRecord
from nbcore.core.formats import crates
from nbcore.core.output import shown


class Loaded(NamedTuple):
    """What a run reads of an input."""

    records: list[Any]
    set_aside: dict[str, int]
    """How many by reason."""

    def told(self, counts: dict[str, Any] | None) -> list[Any]:
        """The records; where some were set aside, a run's report has "set_aside" of them."""
        if counts is not None and self.set_aside:
            counts["set_aside"] = dict(Counter(counts.get("set_aside", {})) + Counter(self.set_aside))
        return self.records


def load(source: str | Path, kind: str, field: str) -> Loaded:
    """All records of a file, a folder or a data set of the Hub. What is set aside is printed in one line.

    Raises FileNotFoundError, and ValueError naming field, file, line, value and remedy where no record is good.
    """
    named = formats.files(source, field)
    exercises = crates.folders(source) if kind == "tasks" else []
    named = exercises or named
    records, ids, reasons, first, unread = [], set(), Counter(), "", 0
    for path in named:
        try:
            for number, record in _each(path, kind, field):
                if not isinstance(record, BadRecord) and record["id"] in ids:
                    words = f"'id' {shown(record['id'], 60)!r} stands more than once, or the same content does"
                    record = BadRecord(f"{words}; the first stays", "duplicate_id")
                if isinstance(record, BadRecord):
                    reasons[record.reason] += 1
                    first = first or f"{shown(str(path))}:{number}: {record}"
                else:
                    ids.add(record["id"])
                    records.append(record)
        except formats.Unreadable as error:
            if len(named) == 1:
                raise
            unread += 1
            first = first or str(error).removeprefix(f"{field}: ")
    if not records:
        raise ValueError(f"{field}: {first or f'{source} is empty; it needs at least one line of JSON'}")
    if reasons:
        words = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
        total = len(records) + reasons.total()
        _say(f"{field}: {shown(str(source))}: {reasons.total()} of {total} {kind} set aside ({words}); first: {first}")
    if unread:
        _say(f"{field}: {shown(str(source))}: {unread} of {len(named)} files are no {kind}; the first: {first}")
    if unread:
        reasons["unreadable"] = unread
    return Loaded(records, dict(sorted(reasons.items())))


def _each(path: Path, kind: str, field: str) -> Iterator[tuple[int, Any]]:
    """(line, record or BadRecord) of each record of a file, or of an exercise's folder."""
    if path.is_dir():
        yield from ((1, record) for _, record in crates.records(path))
    else:
        yield from ((line.number, record) for line, record in formats.records(path, kind, field))


@functools.cache
def _say(line: str) -> None:
    # Once in a process: a phase reads the same file for its rows, its held-out rows and its example.
    print(line, flush=True)
