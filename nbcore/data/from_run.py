"""What a training run takes out of the data run that it names: documents or rows, in the order they were mixed in."""

from __future__ import annotations

from typing import Any, NamedTuple

from nbcore import runs
from nbcore.core.records import Document, Row
from nbcore.data.shards import Records
from nbcore.runs import data_runs, layout


class Taken(NamedTuple):
    """The records of one kind."""

    train: list[Any]
    heldout: list[Any]
    keeps_order: bool
    """Whether their order is to be trained as it is."""
    counts: dict[str, Any]
    """For the report of the run that reads them."""


def documents(run: runs.Run, heldout_of_each: int) -> Taken | None:
    """The documents of the data run that a run reads, at most so many held-out ones of each source; None where it reads
    none. Raises ValueError where there is nothing to train on or to measure on."""
    return _taken(run, "document", ("id", "text", "messages", "source"), heldout_of_each)


def rows(run: runs.Run) -> Taken | None:
    """The same for rows {"id", "messages", "tools"?, "meta"?}."""
    return _taken(run, "row", ("id", "messages", "tools", "meta"), None)


def _taken(run: runs.Run, kind: str, fields: tuple[str, ...], heldout_of_each: int | None) -> Taken | None:
    read = data_runs.of(run)
    if read is None:
        return None
    folder = read.path / layout.DATA
    train, others = _of_kind(Records(folder, "train"), kind, fields, None)
    heldout, _ = _of_kind(Records(folder, "heldout"), kind, fields, heldout_of_each)
    for split, chosen in (("train", train), ("heldout", heldout)):
        if not chosen:
            raise ValueError(
                f"data_run: {read.id} has no {kind}s in its {split} split; name another, or build one whose sources "
                f"are read as {kind}s and of which heldout_share is held out"
            )
    counts = {"data_run": read.id, "data_sha256": read.info["data_hash"]}
    counts |= {f"not_{kind}s": others} if others else {}
    return Taken(train, heldout, read.info["data"]["keeps_order"], counts)


def _of_kind(
    records: Records, kind: str, fields: tuple[str, ...], most_of_each: int | None
) -> tuple[list[Document] | list[Row], int]:
    """The records of a kind, at most so many of each source; how many are of another kind."""
    chosen, others, of_source = [], 0, {}
    for record in records:
        if record["kind"] != kind:
            others += 1
            continue
        of_source[record["source"]] = of_source.get(record["source"], 0) + 1
        if most_of_each is None or of_source[record["source"]] <= most_of_each:
            chosen.append({field: record[field] for field in fields if field in record})
    return chosen, others
