"""What the filters did with each source: counts by reason, and three examples of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from nbcore.config.filters import Filters
from nbcore.core.output import shown
from nbcore.core.records import Document
from nbcore.data.filters import redaction
from nbcore.data.filters.judging import Judged, judge

EXAMPLES = 3  # of each reason and each kind of redaction, over all sources
_SHOWN = 200  # characters of an example


class Tally:
    """Counters over judged documents. Memory does not grow with their number."""

    def __init__(self) -> None:
        self._sources: dict[str, dict[str, Any]] = {}
        self._examples: dict[str, list[dict[str, str]]] = {}

    def add(self, source: str, judged: Judged) -> None:
        """Count one document of a source."""
        new = {"read": 0, "kept": 0, "bytes_read": 0, "bytes_kept": 0, "dropped": Counter(), "tags": Counter()}
        counts = self._sources.setdefault(source, new)
        size = len(judged.document["text"].encode(errors="replace"))
        counts["read"] += 1
        counts["bytes_read"] += size
        if judged.reason is None:
            counts["kept"] += 1
            counts["bytes_kept"] += size
            counts["tags"].update(judged.tags)
        else:
            counts["dropped"][judged.reason] += 1
        shows = (
            [tag for tag in judged.tags if tag.startswith("redacted_")] if judged.reason is None else [judged.reason]
        )
        for name in shows:
            self._keep_example(name, source, judged.document)

    def _keep_example(self, name: str, source: str, document: Document) -> None:
        examples = self._examples.setdefault(name, [])
        if len(examples) < EXAMPLES:
            # A dropped document was not redacted, and the report goes to more people than the data.
            text, _ = redaction.redacted(document["text"][: 4 * _SHOWN])
            if mark := redaction.MARKS.get(name):  # what was replaced is the example, with what stands around it
                at = document["text"].find(mark)
                text = document["text"][max(0, at - _SHOWN // 2) :]
            examples.append({"source": source, "id": document["id"], "text": shown(text, _SHOWN)})

    def report(self) -> dict[str, Any]:
        """{"read", "kept", "bytes_read", "bytes_kept", "dropped": {reason: n}, "tags": {tag: n}, "sources": {name: the
        same}, "examples": {reason: [{"source", "id", "text"}]}}: plain values, for JSON. read = kept + all dropped."""
        sources = {name: _plain(counts) for name, counts in self._sources.items()}
        total: dict[str, Any] = {
            field: sum(counts[field] for counts in sources.values())
            for field in ("read", "kept", "bytes_read", "bytes_kept")
        }
        for field in ("dropped", "tags"):
            total[field] = _sorted(sum((Counter(counts[field]) for counts in sources.values()), Counter()))
        return {**total, "sources": sources, "examples": dict(sorted(self._examples.items()))}


def kept(documents: Iterable[Document], rules: Filters, tally: Tally, source: str) -> Iterator[Document]:
    """The documents that stay, one after the other as they come, redacted and with their tags in `meta`; `tally` counts
    all of them."""
    for document in documents:
        judged = judge(document, rules)
        tally.add(source, judged)
        if judged.reason is None:
            yield {**judged.document, "meta": {**(document.get("meta") or {}), "tags": list(judged.tags)}}


def _plain(counts: dict[str, Any]) -> dict[str, Any]:
    return {**counts, "dropped": _sorted(counts["dropped"]), "tags": _sorted(counts["tags"])}


def _sorted(counts: Counter) -> dict[str, int]:
    return dict(sorted(counts.items()))
