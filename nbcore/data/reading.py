"""The first stages of a data run: a source is read and filtered into a file of its own, where the later stages find it.

When a source has been read to its end, a sealed note says so. A build that was killed reads only those without one.
"""

from __future__ import annotations

import json
import os
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from nbcore.config.data import Data, Source
from nbcore.config.filters import Filters
from nbcore.core.output import shown
from nbcore.data import filters, inflow
from nbcore.data.filters import redaction
from nbcore.data.formats import SetAside
from nbcore.data.spool import Spool, text_of
from nbcore.runs import commit

EXAMPLES = 3  # of each stage and reason
LONGEST = 600  # characters of an example
Tell = Callable[[str, int, int], None]
"""What is being done, how much of it is done, of how much in all (0: nobody knows)."""


def excerpt(words: str) -> str:
    """The beginning of a text for a report, which goes to more people than the data: without keys and addresses."""
    clean = redaction.redacted(words[: 2 * LONGEST])[0]
    more = "\n…" if len(clean) > LONGEST else ""
    return "\n".join(shown(line, LONGEST) for line in clean[:LONGEST].split("\n")) + more


def source(number: int, config: Data, folder: Path, tell: Tell) -> dict[str, Any]:
    """Read one source, by its number, into `folder`, unless that has been done; what became of its records.

    {"kind", "revision", "read", "set_aside": {reason: n}, "dropped": {reason: n}, "tags": {tag: n}, "licences":
    {licence: n}, "lengths": {bits of the length: n}, "examples": {stage: [...]}}
    """
    name = config.sources[number].name
    note, path = folder / f"{number:03}.json", spool_of(folder, number)
    try:
        facts = commit.read_sealed(note)
        if facts.pop("sha256") == commit.sha256(path):
            tell(f"{shown(name)} has been read before", number + 1, len(config.sources))
            return facts
    except (FileNotFoundError, ValueError):
        pass  # it was not read to its end: again from its beginning
    facts = _read(config.sources[number], config, folder, number, tell)
    commit.write_sealed(note, {**facts, "sha256": commit.sha256(path)})
    return facts


def spool_of(folder: Path, number: int) -> Path:
    return folder / f"{number:03}.spool"


def set_aside_of(folder: Path, number: int) -> Path:
    return folder / f"{number:03}.set_aside"


def _read(wanted: Source, config: Data, folder: Path, number: int, tell: Tell) -> dict[str, Any]:
    name = wanted.name
    counts = {field: Counter() for field in ("set_aside", "dropped", "tags", "licences", "lengths")}
    examples: dict[str, list[dict[str, Any]]] = {"read": [], "set aside": []}
    tally, read = filters.Tally(), 0
    spool = Spool(spool_of(folder, number))
    with set_aside_of(folder, number).open("w", encoding="ascii") as left_out:
        for record in inflow.records(wanted, config):
            read += 1
            if read % 500 == 1:
                tell(f"reading {shown(name)}, source {number + 1} of {len(config.sources)}: record {read}", 0, 0)
            if isinstance(record, SetAside):
                counts["set_aside"][record.reason] += 1
                left_out.write(json.dumps({**record._asdict(), "source": name}) + "\n")
                place = f"{record.file}:{record.line}" if record.line else record.file
                _example(examples["set aside"], record.reason, name, place, record.text)
                continue
            words = text_of(record)
            _example(examples["read"], "", name, record["id"], words)
            counts["lengths"][len(words).bit_length()] += 1
            kept = _judged(record, wanted, config, tally)
            if kept is not None:
                counts["licences"][kept["meta"].get("licence") or "unknown"] += 1
                spool.append(kept)
    spool.file.flush()
    os.fsync(spool.file.fileno())
    spool.close()
    judged = tally.report()
    for field in ("dropped", "tags"):
        counts[field].update(judged[field])
    examples["filters"] = [
        {"reason": reason, **{field: each[field] for field in ("source", "id", "text")}}
        for reason, chosen in judged["examples"].items()
        for each in chosen
    ]
    facts = {field: {str(key): count for key, count in sorted(values.items())} for field, values in counts.items()}
    about = {"kind": wanted.kind, "revision": inflow.revision(wanted, config), "read": read}
    return {**about, **facts, "examples": examples}


def _judged(record: dict[str, Any], wanted: Source, config: Data, tally: filters.Tally) -> dict[str, Any] | None:
    """The record as the filters leave it, None where they drop it; rows and what is generated they do not judge."""
    rules: Filters | None = config.filters if wanted.rules == "rust" else None
    if rules is None or record["kind"] == "row" or wanted.generated:
        return record
    judged = filters.judge(record, rules)
    tally.add(wanted.name, judged)
    if judged.reason is not None:
        return None
    return {**judged.document, "meta": {**record["meta"], "tags": list(judged.tags)}}


def _example(chosen: list[dict[str, Any]], reason: str, source: str, id_: str, words: str) -> None:
    if sum(each["reason"] == reason for each in chosen) < EXAMPLES:
        chosen.append({"reason": reason, "source": source, "id": shown(id_, 200), "text": excerpt(words)})


class Records(Sequence[dict[str, Any]]):
    """What was read of all sources, numbered from 0 through all of them, each record read from disk when asked for."""

    def __init__(self, folder: Path, count: int):
        self.spools = [Spool(spool_of(folder, number), reopen=True) for number in range(count)]
        self.starts = [0]
        for spool in self.spools:
            self.starts.append(self.starts[-1] + len(spool))

    def __len__(self) -> int:
        return self.starts[-1]

    def __getitem__(self, number: int) -> dict[str, Any]:
        at = self.source(number)
        return self.spools[at][number - self.starts[at]]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self[number] for number in range(len(self)))

    def source(self, number: int) -> int:
        """The number of the source that a record is from."""
        return bisect_right(self.starts, number) - 1

    def close(self) -> None:
        for spool in self.spools:
            spool.close()


def joined(paths: Iterable[Path], out: Path) -> None:
    """Write files one after the other into one."""
    with out.open("wb") as file:
        for path in paths:
            with path.open("rb") as part:
                while block := part.read(1 << 20):
                    file.write(block)
