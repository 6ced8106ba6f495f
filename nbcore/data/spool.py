"""Rows kept in a file while they are worked on, so that memory holds a number for each and not its text."""

from __future__ import annotations

import json
from array import array
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nbcore.core.records import Row


class Spool:
    """Rows that are appended once and read back by their index, in any order. One that is reopened goes on with what
    the file holds."""

    def __init__(self, path: Path, reopen: bool = False):
        self.file = path.open("r+b" if reopen else "w+b")
        self.offsets = array("Q", [0])
        for line in self.file if reopen else ():
            self.offsets.append(self.offsets[-1] + len(line))

    def append(self, row: Row) -> int:
        """Keep a row; its index."""
        self.file.seek(self.offsets[-1])
        line = json.dumps(row, ensure_ascii=True).encode() + b"\n"
        self.offsets.append(self.offsets[-1] + self.file.write(line))
        return len(self) - 1

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> Row:
        begin, end = self.offsets[index], self.offsets[index + 1]
        self.file.seek(begin)
        return json.loads(self.file.read(end - begin))

    def close(self) -> None:
        self.file.close()


class Texts(Sequence[str]):
    """The texts of some of the records that lie on disk, each read when it is asked for."""

    def __init__(self, records: Sequence[Mapping[str, Any]] | Spool, indexes: Sequence[int]):
        self.records, self.indexes = records, indexes

    def __len__(self) -> int:
        return len(self.indexes)

    def __getitem__(self, place: int) -> str:
        return text_of(self.records[self.indexes[place]])


def text_of(record: Mapping[str, Any]) -> str:
    """All that a record says, for whoever compares it with other texts: a document's text, or the content and the tool
    calls of each message of a row."""
    if "text" in record:
        return record["text"]
    parts = []
    for message in record["messages"]:
        parts.append(message.get("content") or "")
        if calls := message.get("tool_calls"):
            parts.append(json.dumps(calls, sort_keys=True, ensure_ascii=False))
    return "\n".join(part for part in parts if part)
