"""The records of one source of a data run, one after the other as they are read, whatever the source is.

A record is {"id", "kind": "document" or "row", "source", "text" or "messages" (with "tools"), "meta"}. What is of no
use comes as a SetAside, so that all that is read can be counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from nbcore.config.data import Data, Source
from nbcore.core.conversation import BadRecord
from nbcore.core.formats import shapes
from nbcore.data import crates, formats, hub_code, rust_source, sources
from nbcore.data.formats import SetAside

FIELD = "sources"
OWN_LICENCE = "Apache-2.0"  # of what is generated here
EXCERPT = 200  # characters of a bad record
UNREADABLE = "unreadable"  # in a crate's file's meta: no matter of rules, so it is set aside with or without filters


def records(source: Source, config: Data) -> Iterator[dict[str, Any] | SetAside]:
    """All that a source holds, in its order. A generated one gives its held-out documents after those for training, and
    each says in "split" what it is. Raises ValueError or FileNotFoundError with the remedy."""
    name = source.name
    if source.generated:
        yield from _generated(name, source.most, config)
        return
    kind = "row" if source.kind == "rows" else "document"
    for number, record in enumerate(_raw(source)):
        if number == source.read:
            return
        if isinstance(record, SetAside):
            yield record
            continue
        meta = record.get("meta")
        meta = dict(meta) if isinstance(meta, dict) else {}
        if reason := meta.pop(UNREADABLE, None) if source.kind == "crates" else None:
            yield SetAside(record["id"], None, reason, record["text"][:EXCERPT])
            continue
        if not meta.get("licence"):
            stated = record.get("licence") or record.get("license") or source.licence
            meta["licence"] = stated if isinstance(stated, str) else ""
        # Paths of two sources may be equal; ids of a person's own records stay as they are.
        own = record["id"]
        if source.kind == "crates" and not own.startswith(f"{name}/"):
            own = f"{name}/{own}"
        fields = ("messages", "tools") if kind == "row" else ("text",)
        content = {field: record[field] for field in fields if field in record}
        yield {"id": own, "kind": kind, "source": name, **content, "meta": meta}


def revision(source: Source, config: Data) -> str | None:
    """What pins the content of a source, where its name does not: the commit of a data set, the release of the standard
    library. Files are known by their hash, which the run's open.json holds."""
    name = source.name
    if source.generated:
        return f"generated with seed {config.seed}"
    if name == crates.STANDARD_LIBRARY:
        return rust_source.release()
    return name.rpartition("@")[2].partition("#")[0].partition("/")[0] if "@" in name else None


def _generated(name: str, count: int | None, config: Data) -> Iterator[dict[str, Any]]:
    assert count is not None  # the config asks for it
    for split, wanted, seed in (
        ("train", count, config.seed + sources.ADAPTER_SEED),
        ("heldout", config.heldout_documents, config.seed),
    ):
        for document in sources.generated(name, wanted, split, seed):
            meta = {"licence": OWN_LICENCE}
            yield {**document, "kind": "document", "split": split, "meta": meta}


def _raw(source: Source) -> Iterator[Any]:
    name = source.name
    if source.kind == "crates":
        if name.startswith(hub_code.PREFIX):
            return hub_code.documents(name, source.licence, streaming=source.access == "streaming")
        return crates.documents(name, source.licence)
    if name == crates.STANDARD_LIBRARY and source.kind == "documents":
        return _items_of_the_library()
    if name == "katas":
        return iter(sources.rows(name, None, 0))
    if source.access == "streaming":
        return converted(_stream(name), name, source.kind)
    return _of_files(name, source.kind)


def _items_of_the_library() -> Iterator[dict[str, Any]]:
    release = rust_source.release()
    for item in rust_source.documents():
        path = item["id"].rpartition(":")[0]
        about = {"repo": "rust-lang/rust", "path": path, "revision": release, "licence": rust_source.LICENCE}
        yield {**item, "meta": about}


def _of_files(name: str, kind: str) -> Iterator[Any]:
    for path in formats.files(name, FIELD):
        try:
            yield from formats.read(path, kind, FIELD)
        except formats.Unreadable as error:
            yield SetAside(str(path), None, "unreadable_file", str(error)[:EXCERPT])


def _stream(name: str) -> Iterable[Any]:
    from datasets import load_dataset  # takes seconds to import, and only a data set of the Hub needs it

    address, _, rest = name.removeprefix("hf://datasets/").partition("@")
    commit, _, folder = rest.partition("/")
    return load_dataset(address, revision=commit, data_dir=folder or None, split="train", streaming=True)


def converted(stream: Iterable[Any], name: str, kind: str) -> Iterator[dict[str, Any] | SetAside]:
    """The records that the rows of a data set stand for, in any of the common shapes; none is held."""
    for number, row in enumerate(stream, 1):
        try:
            yield shapes.converted({field: value for field, value in row.items() if value is not None}, kind)
        except BadRecord as error:
            yield SetAside(name, number, error.reason, str(row)[:EXCERPT])
