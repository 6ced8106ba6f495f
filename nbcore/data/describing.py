"""What a data run says of itself: report.json, examples.json, and card.md for people; all of it counted, none typed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nbcore.core.output import shown
from nbcore.data import card
from nbcore.data.reading import EXAMPLES, excerpt
from nbcore.data.spool import text_of
from nbcore.runs import commit

REPORT, EXAMPLES_FILE, CARD = "report.json", "examples.json", "card.md"
SET_ASIDE, HITS = "set_aside.jsonl", "hits.jsonl"
STAGES = ("read", "set aside", "filters", "copies", "decontamination", "train", "heldout")  # that have examples


class Counted:
    """What is written into a split: how many records and characters, of which sources, and how long they are."""

    def __init__(self) -> None:
        self.sources: dict[str, Counter[str]] = {}
        self.kinds: Counter[str] = Counter()
        self.bits: Counter[int] = Counter()

    def add(self, record: Mapping[str, Any], words: str) -> None:
        of = self.sources.setdefault(record["source"], Counter())
        of["records"] += 1
        of["characters"] += len(words)
        self.kinds[record["kind"]] += 1
        self.bits[len(words).bit_length()] += 1

    @property
    def lengths(self) -> dict[str, int]:
        """Bits of the length in characters → records: "7" are those of 64 to 127."""
        return {str(bits): count for bits, count in sorted(self.bits.items())}

    def split(self) -> dict[str, Any]:
        together = sum(self.sources.values(), Counter())
        return {
            "records": together["records"],
            "characters": together["characters"],
            "kinds": dict(sorted(self.kinds.items())),
            "sources": {name: dict(counts) for name, counts in sorted(self.sources.items())},
        }


def lengths(read: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    """The lengths of all that was read and could be used, as in `Counted.lengths`."""
    together = sum((Counter(facts["lengths"]) for facts in read.values()), Counter())
    return dict(sorted(together.items(), key=lambda item: int(item[0])))


def gathered(read: Mapping[str, Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Stage → examples, of those that each source's reading chose; of each reason three."""
    examples: dict[str, list[dict[str, Any]]] = {stage: [] for stage in STAGES}
    for facts in read.values():
        for stage, chosen in facts["examples"].items():
            for each in chosen:
                alike = [one for one in examples[stage] if one["reason"] == each["reason"]]
                if len(alike) < EXAMPLES:
                    examples[stage].append(each)
    return examples


def beside(
    examples: dict[str, list[dict[str, Any]]],
    stage: str,
    reason: str,
    record: Mapping[str, Any],
    other: Mapping[str, Any],
) -> None:
    """Add an example of a record that was left out for what it is like, with that beside it."""
    if sum(each["reason"] == reason for each in examples[stage]) < EXAMPLES:
        of = {"reason": reason, "source": record["source"], "id": shown(record["id"]), "text": excerpt(text_of(record))}
        examples[stage].append({**of, "like": shown(other["id"]), "like_text": excerpt(text_of(other))})


def report(
    read: Mapping[str, Mapping[str, Any]],
    dropped: Mapping[str, Counter[int]],
    set_aside: Mapping[str, Counter[int]],
    names: Sequence[str],
    outs: Mapping[str, int],
) -> dict[str, Any]:
    """The counts of all sources and in sum. `dropped` and `set_aside`: reason → the number of a source → records, of
    the stages after the reading. `outs`: stage → how many records came out of it."""
    sources: dict[str, dict[str, Any]] = {}
    for number, name in enumerate(names):
        facts = read[name]
        left_out = Counter(facts["dropped"])
        aside = Counter(facts["set_aside"])
        for counts, into in ((dropped, left_out), (set_aside, aside)):
            into.update({reason: of[number] for reason, of in counts.items() if of[number]})
        sources[name] = {
            "kind": facts["kind"],
            "revision": facts["revision"],
            "read": facts["read"],
            "kept": facts["read"] - left_out.total() - aside.total(),
            "set_aside": dict(sorted(aside.items())),
            "dropped": dict(sorted(left_out.items())),
            "tags": facts["tags"],
            "licences": facts["licences"],
        }
        assert sources[name]["kept"] >= 0
    total = {field: sum(each[field] for each in sources.values()) for field in ("read", "kept")}
    for field in ("set_aside", "dropped", "licences"):
        total[field] = dict(sorted(sum((Counter(each[field]) for each in sources.values()), Counter()).items()))
    assert total["kept"] == outs["mixing"], "every record is kept, set aside or dropped"
    usable = total["read"] - sum(total["set_aside"].values())
    return {**total, "stages": {"read": usable, **outs}, "sources": sources}


def write(folder: Path, facts: Mapping[str, Any], examples: Mapping[str, Any]) -> None:
    """Leave report, examples and card in the folder."""
    commit.write_durably(folder / REPORT, json.dumps(facts, indent=1) + "\n")
    commit.write_durably(folder / EXAMPLES_FILE, json.dumps(examples, indent=1) + "\n")
    commit.write_durably(folder / CARD, card_text(facts))


def card_text(facts: Mapping[str, Any]) -> str:
    """The card, in Markdown."""
    aside, dropped = (sum(facts[field].values()) for field in ("set_aside", "dropped"))
    split_rows = [
        (
            split,
            of["records"],
            of["characters"],
            ", ".join(f"{name} {n['records']}" for name, n in of["sources"].items()),
        )
        for split, of in facts["splits"].items()
    ]
    parts = [
        "# Data card",
        f"{facts['read']} records read = {facts['kept']} kept + {aside} set aside + {dropped} dropped.",
        card.table(("split", "records", "characters", "of which source"), split_rows),
        "## Sources",
        card.table(
            ("source", "kind", "revision", "read", "kept", "set aside", "dropped", "licences"),
            (
                (
                    name,
                    of["kind"],
                    of["revision"] or "see the hash of its files in open.json",
                    of["read"],
                    of["kept"],
                    sum(of["set_aside"].values()),
                    sum(of["dropped"].values()),
                    _most(of["licences"]),
                )
                for name, of in facts["sources"].items()
            ),
        ),
        "## Stages",
        card.table(("stage", "records after it"), facts["stages"].items()),
    ]
    for title, field in (("Set aside", "set_aside"), ("Dropped", "dropped")):
        if facts[field]:
            parts += [f"## {title}", card.table(("reason", "records"), facts[field].items())]
    if facts["protected_sha256"]:
        parts.append(f"Compared with the evaluation tasks whose sha256 is {facts['protected_sha256']}; hits in {HITS}.")
    else:
        parts.append("Not compared with evaluation tasks: decontaminate is off, or all of it is generated.")
    parts.append(f"sha256 of the data: {facts['sha256']}")
    return "\n\n".join(parts) + "\n"


def _most(licences: Mapping[str, int], count: int = 5) -> str:
    named = Counter(licences).most_common()
    words = [f"{name} {number}" for name, number in named[:count]]
    return ", ".join(words) + (f" and {len(named) - count} more" if len(named) > count else "")
