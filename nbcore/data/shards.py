"""Records in shards: Arrow files that are read from disk record by record, each of them whole or absent.

A shard is written under a hidden name, brought to the medium, and only then renamed. The index, written last and
sealed, names every shard with its size and hash. So what a kill leaves has no index, and nobody reads it. Equal
records make equal bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from nbcore.runs import commit

INDEX = "index.json"
BATCH_BYTES = 1 << 20  # of text held before it is written: what a build takes in memory, whatever the size of a shard
_TEXT = ("id", "kind", "source", "text", "messages", "tools", "repo", "path", "revision", "licence", "sha256", "meta")
SCHEMA = pa.schema([(name, pa.string()) for name in _TEXT] + [("tags", pa.list_(pa.string()))])
PROVENANCE = ("repo", "path", "revision", "licence")


def write(folder: Path, split: str, records: Iterable[dict[str, Any]], shard_bytes: int) -> list[dict[str, Any]]:
    """Write records into shards of about so many bytes of text; [{"file", "split", "records", "bytes", "sha256"}]."""
    written: list[dict[str, Any]] = []
    rows: list[dict[str, Any]] = []
    writer, held, in_shard = None, 0, 0
    for record in records:
        rows.append(row := _row(record))
        held += sum(len(value) for value in row.values() if isinstance(value, str))
        if held < BATCH_BYTES:
            continue
        writer = writer or _Writer(folder, split, len(written))
        writer.add(rows)
        in_shard += held
        rows, held = [], 0
        if in_shard >= shard_bytes:
            written.append(writer.close())
            writer, in_shard = None, 0
    if rows:
        writer = writer or _Writer(folder, split, len(written))
        writer.add(rows)
    if writer:
        written.append(writer.close())
    return written


def seal(folder: Path, shards: list[dict[str, Any]]) -> str:
    """Write the index, which makes the shards readable; the sha256 over all of them, by which data is known."""
    total = hashlib.sha256(json.dumps(shards, sort_keys=True).encode()).hexdigest()
    commit.write_sealed(folder / INDEX, {"shards": shards, "sha256": total})
    return total


class Records(Sequence[dict[str, Any]]):
    """The records of a split in their order, each read from disk when it is asked for.

    Raises ValueError naming the shard where one is missing or is not what the index says.
    """

    def __init__(self, folder: Path, split: str):
        try:
            index = commit.read_sealed(folder / INDEX)
        except FileNotFoundError:
            raise ValueError(f"{folder}: has no {INDEX}: it was never finished; build the data run again") from None
        self.tables = [_opened(folder, shard) for shard in index["shards"] if shard["split"] == split]
        self.starts = [0]
        for table in self.tables:
            self.starts.append(self.starts[-1] + table.num_rows)

    def __len__(self) -> int:
        return self.starts[-1]

    def __getitem__(self, index: int) -> dict[str, Any]:
        if not 0 <= index < len(self):
            raise IndexError(index)
        number = next(at for at, start in enumerate(self.starts[1:]) if index < start)
        [row] = self.tables[number].slice(index - self.starts[number], 1).to_pylist()
        return _record(row)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for table in self.tables:
            for batch in table.to_batches(max_chunksize=256):
                yield from map(_record, batch.to_pylist())


class _Writer:
    """One shard while it is written."""

    def __init__(self, folder: Path, split: str, number: int):
        self.split, self.path = split, folder / f"{split}-{number:05}.arrow"
        self.hidden = folder / f".{self.path.name}.new"
        self.file = self.hidden.open("wb")
        self.writer = pa.ipc.new_stream(self.file, SCHEMA)
        self.records = 0

    def add(self, rows: list[dict[str, Any]]) -> None:
        self.writer.write_batch(pa.RecordBatch.from_pylist(rows, SCHEMA))
        self.records += len(rows)

    def close(self) -> dict[str, Any]:
        self.writer.close()
        self.file.flush()
        os.fsync(self.file.fileno())
        self.file.close()
        os.replace(self.hidden, self.path)
        commit.sync(self.path.parent)
        size, sha256 = self.path.stat().st_size, commit.sha256(self.path)
        return {
            "file": self.path.name, "split": self.split, "records": self.records, "bytes": size, "sha256": sha256
        }  # fmt: skip


def _opened(folder: Path, shard: dict[str, Any]) -> pa.Table:
    path = folder / shard["file"]
    try:
        if path.stat().st_size != shard["bytes"]:
            raise ValueError(f"{path}: {path.stat().st_size} bytes, {shard['bytes']} were written")
        table = pa.ipc.open_stream(pa.memory_map(str(path))).read_all()
    except (OSError, pa.ArrowInvalid) as error:
        raise ValueError(f"{path}: cannot be read ({error}); build the data run again") from None
    if table.num_rows != shard["records"]:
        raise ValueError(f"{path}: {table.num_rows} records, {shard['records']} were written")
    return table


def _row(record: dict[str, Any]) -> dict[str, Any]:
    """A record as a row of the table. What has no shape of its own is JSON text, so that it comes back as it was."""
    meta = dict(record.get("meta") or {})
    row = {name: record.get(name) for name in ("id", "kind", "source", "text", "sha256")}
    row |= {name: _json(record.get(name)) for name in ("messages", "tools")}
    for name in PROVENANCE:
        row[name] = meta.pop(name) if isinstance(meta.get(name), str) and _is_unicode(meta[name]) else None
    tags = meta.get("tags")
    plain = isinstance(tags, list) and all(isinstance(tag, str) and _is_unicode(tag) for tag in tags)
    row["tags"] = meta.pop("tags") if plain else None
    row["meta"] = _json(meta or None)
    return row


def _record(row: dict[str, Any]) -> dict[str, Any]:
    """The record of a row: the fields that it was written with, and no others."""
    record = {name: row[name] for name in ("id", "kind", "source", "text", "sha256") if row[name] is not None}
    record |= {name: json.loads(row[name]) for name in ("messages", "tools") if row[name] is not None}
    meta = {name: row[name] for name in (*PROVENANCE, "tags") if row[name] is not None}
    meta |= json.loads(row["meta"]) if row["meta"] else {}
    return {**record, "meta": meta} if meta else record


def _json(value: Any) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=True)


def _is_unicode(text: str) -> bool:
    """Whether UTF-8 can hold a text: half of a surrogate pair, which JSON can spell, is none."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
