"""What a build keeps in memory of its records: hashes of each, which are still in, and why the others are not."""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter
from typing import Any

from nbcore.config.data import Data
from nbcore.data import splits
from nbcore.data.reading import Records


class Left:
    """Which records are still in, and why the others are not."""

    def __init__(self, records: Records):
        self.records = records
        self.numbers = array("Q", range(len(records)))
        self.dropped: dict[str, Counter[int]] = {}
        """Reason → how many of each source, by the source's number."""
        self.set_aside: dict[str, Counter[int]] = {}

    def drop(self, reasons: dict[int, str], into: dict[str, Counter[int]] | None = None) -> None:
        """Leave out these records (number → reason)."""
        counts = self.dropped if into is None else into
        for number, reason in reasons.items():
            counts.setdefault(reason, Counter())[self.records.source(number)] += 1
        if reasons:
            self.numbers = array("Q", (number for number in self.numbers if number not in reasons))


class Facts:
    """What is kept in memory of each record: numbers and hashes, not the text."""

    def __init__(self, records: Records, config: Data):
        made = [source.generated for source in config.sources]
        self.names = [source.name for source in config.sources]
        self.source = array("H", (records.source(number) for number in range(len(records))))
        self.digest: list[bytes] = []
        self.group: list[bytes] = []  # equal where records must stand in one split
        self.split: list[str | None] = []  # of its own, where a record has one
        self.ids: dict[bytes, int] = {}
        self.repeated: dict[int, str] = {}
        for number, record in enumerate(records):
            digest = _digest(record)
            self.digest.append(digest)
            self.group.append(_group(record, digest, config))
            self.split.append(record.get("split"))
            first = self.ids.setdefault(hashlib.sha256(record["id"].encode()).digest()[:16], number)
            if first != number and self.digest[first] != digest:
                self.repeated[number] = "duplicate_id"
            elif first != number and config.copies != "keep":
                self.repeated[number] = "duplicate"
        self.generated = [made[at] for at in self.source]


def _digest(record: dict[str, Any]) -> bytes:
    """Equal for records that differ in white space alone."""
    if "text" in record:
        return hashlib.sha256(" ".join(record["text"].split()).encode()).digest()
    return splits.content_digest(record["messages"], record.get("tools"))


def _group(record: dict[str, Any], digest: bytes, config: Data) -> bytes:
    if record["kind"] == "row":
        return splits.content_digest(record["messages"][:-1])
    repository = (record.get("meta") or {}).get("repo")
    if config.split_by == "repository" and repository:
        return hashlib.sha256(b"repository " + str(repository).encode(errors="replace")).digest()
    return digest
