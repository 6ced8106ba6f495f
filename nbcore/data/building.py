"""A data run from its sources to its shards: read, filter, leave out copies and evaluation tasks, split, mix, write.

Each stage takes numbers of records and gives back fewer; the records lie on disk. Every record that does not come to
the end is counted under a reason, so that read = kept + set aside + dropped, for each source and in all.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from nbcore.config.data import Data, shares
from nbcore.core.output import shown
from nbcore.data import dedup, describing, mix, reading, shards, sources, splits
from nbcore.data.prepare import evaluation_tasks
from nbcore.data.reading import Records, Tell
from nbcore.data.spool import Texts, text_of
from nbcore.data.tracking import Facts, Left
from nbcore.runs import commit

SPLITS = ("train", "heldout")
WORSE = {"test", "bench", "example", "old_edition"}  # tags: of two copies the one with fewer of them stays


def build(config: Data, folder: Path, out: Path, tell: Tell) -> dict[str, Any]:
    """Build the data of a config into the new folder `out`; returns the report that lies there as well.

    `folder` keeps what was read, for a build that is begun again after a kill. Raises ValueError where a source leaves
    nothing to train on.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if out.exists():
        shutil.rmtree(out)  # of a build that was killed while it wrote
    out.mkdir()
    read = {source.name: reading.source(number, config, folder, tell) for number, source in enumerate(config.sources)}
    records = Records(folder, len(read))
    try:
        report = _stages(config, read, records, folder, out, tell)
    finally:
        records.close()
    return report


def _stages(
    config: Data, read: dict[str, Any], records: Records, folder: Path, out: Path, tell: Tell
) -> dict[str, Any]:
    tell("hashing what was read", 0, 0)
    facts, left = Facts(records, config), Left(records)
    left.drop({number: why for number, why in facts.repeated.items() if why == "duplicate_id"}, left.set_aside)
    outs = {"filters": len(left.numbers)}  # stage → how many records come out of it
    left.drop({number: why for number, why in facts.repeated.items() if why == "duplicate"})
    examples = describing.gathered(read)
    near = _copies(config, facts, left, examples, tell)
    outs["copies"] = len(left.numbers)
    protected = _contaminated(config, facts, left, examples, out, tell)
    outs["decontamination"] = len(left.numbers)
    pools = _split(config, facts, left, near, tell)
    heldout = mix.mixed(pools["heldout"], {}, mix.Mix(), config.seed)
    seed = config.seed + sources.ADAPTER_SEED
    capped = {
        source.name: mix.capped(pool, None if source.generated else source.most, seed)
        for source in config.sources
        if (pool := pools["train"][source.name])
    }
    _drop_missing(left, pools["train"], capped, "over_most")
    train = mix.mixed(capped, shares(config.sources, config.mix.general_share), config.mix, seed)
    _drop_missing(left, capped, {"": train}, "not_mixed")
    outs["mixing"] = len(left.numbers)
    reading.joined((reading.set_aside_of(folder, at) for at in range(len(read))), out / describing.SET_ASIDE)
    written, lengths, content = [], {"read": describing.lengths(read)}, {}
    for split, order in zip(SPLITS, (train, heldout), strict=True):
        counted = describing.Counted()
        rows = _rows(records, order, split, counted, tell)
        written += shards.write(out, split, rows, int(config.shard_mb * 1_000_000))
        lengths[split], content[split] = counted.lengths, counted.split()
        examples[split] = [
            {"reason": "", "source": row["source"], "id": shown(row["id"]), "text": reading.excerpt(text_of(row))}
            for row in (records[number] for number in order[: reading.EXAMPLES])
        ]
    report = describing.report(read, left.dropped, left.set_aside, facts.names, outs)
    report |= {"splits": content, "lengths": lengths, "shards": written, "protected_sha256": protected}
    report |= {"keeps_order": config.mix.mode == "sequential", "sha256": shards.seal(out, written)}
    describing.write(out, report, examples)
    return report


def _copies(config: Data, facts: Facts, left: Left, examples: dict, tell: Tell) -> list[list[int]]:
    """Leave out copies as the config says; groups of near copies that stay, which must stand in one split."""
    compared = [number for number in left.numbers if not facts.generated[number]]
    if not compared:
        return []
    texts = Texts(left.records, compared)
    groups: list[list[int]] = []
    if config.copies != "keep":
        tell(f"comparing {len(compared)} records with each other", 0, 0)
        found = dedup.exact(texts) if config.copies == "exact" else dedup.near(texts, config.near_threshold)
        reasons: dict[int, str] = {}
        for group in found:
            chosen = [compared[place] for place in group]
            best = dedup.kept(chosen, lambda n: _quality(left.records[n]), lambda n: left.records[n]["id"])
            for number in chosen:
                if number != best:
                    same = facts.digest[number] == facts.digest[best]
                    reasons[number] = "duplicate" if same else "near_duplicate"
                    describing.beside(examples, "copies", reasons[number], left.records[number], left.records[best])
        left.drop(reasons)
    if config.copies != "near" and config.heldout_share:
        tell("looking for near copies that must stand in one split", 0, 0)
        compared = [number for number in left.numbers if not facts.generated[number]]
        groups = [
            [compared[place] for place in group]
            for group in dedup.near(Texts(left.records, compared), config.near_threshold)
        ]
    return groups


def _quality(record: dict[str, Any]) -> tuple[bool, int]:
    meta = record.get("meta") or {}
    return bool(meta.get("licence")), -len(WORSE & set(meta.get("tags") or ()))


def _contaminated(config: Data, facts: Facts, left: Left, examples: dict, out: Path, tell: Tell) -> str | None:
    """Leave out what holds an evaluation task, each listed with both texts; the hash of what is protected."""
    with (out / describing.HITS).open("w", encoding="ascii") as file:
        if not config.decontaminate:
            return None
        compared = [number for number in left.numbers if not facts.generated[number]]
        if not compared:
            return None
        tell("indexing the evaluation tasks", 0, 0)
        protected, reasons = evaluation_tasks(tuple(config.protect)), {}
        for done, number in enumerate(compared):
            if done % 50 == 0:
                tell("looking for evaluation tasks", done, len(compared))
            record = left.records[number]
            words = text_of(record)
            for hit in protected.hits(words):
                reasons[number] = "contaminated"
                found = {"item": hit.id, "set": hit.set, "rule": hit.rule, "protected_text": hit.protected_text}
                of = {"source": record["source"], "id": record["id"], "text": reading.excerpt(text_of(record))}
                file.write(json.dumps({**of, **found}) + "\n")
                beside = {"id": hit.id, "text": hit.protected_text}
                describing.beside(examples, "decontamination", f"contaminated ({hit.rule})", record, beside)
        left.drop(reasons)
        return protected.sha256


def _split(
    config: Data, facts: Facts, left: Left, near: Sequence[Sequence[int]], tell: Tell
) -> dict[str, dict[str, array[int]]]:
    """Split → source → the numbers of its records. What belongs together stands in one split."""
    tell("splitting", 0, 0)
    drawn = [number for number in left.numbers if facts.split[number] is None]
    place = {number: at for at, number in enumerate(drawn)} if near else {}
    together = splits.grouped(
        [[place[number] for number in group] for group in near], [facts.group[number] for number in drawn]
    )
    ratios = (1 - config.heldout_share, config.heldout_share, 0.0)
    chosen = splits.of_groups(together, [facts.digest[number] for number in drawn], ratios, config.seed)
    split = dict(zip(drawn, ("heldout" if each == "validation" else each for each in chosen), strict=True))
    pools: dict[str, dict[str, array[int]]] = {name: {} for name in SPLITS}
    for number in left.numbers:
        name = facts.names[facts.source[number]]
        pools[facts.split[number] or split[number]].setdefault(name, array("Q")).append(number)
    for name in facts.names:
        if name not in pools["train"]:
            raise ValueError(
                f"sources: {name!r} leaves no record to train on; report and examples of a run without its filters, "
                "copies: keep and decontaminate: false show what it holds"
            )
    return pools


def _drop_missing(left: Left, before: dict, after: dict, reason: str) -> None:
    there = bytearray(len(left.records))
    for pool in after.values():
        for number in pool:
            there[number] = 1
    left.drop({number: reason for pool in before.values() for number in pool if not there[number]})


def _rows(records: Records, order: Sequence[int], split: str, counted: Any, tell: Tell) -> Iterator[dict[str, Any]]:
    for done, number in enumerate(order):
        if done % 1000 == 0:
            tell(f"writing the {split} split", done, len(order))
        record = records[number]
        words = text_of(record)
        counted.add(record, words)
        yield {**record, "sha256": hashlib.sha256(words.encode(errors="surrogatepass")).hexdigest()}


def publish(finished: Path, place: Path) -> None:
    """Give a whole build its name, in the place of one that a kill left without a note of its end."""
    for path in finished.iterdir():
        commit.sync(path)
    commit.sync(finished)
    if place.exists():
        shutil.rmtree(place)
    os.replace(finished, place)
    commit.sync(place.parent)
