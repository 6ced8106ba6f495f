"""Rows of any format → train, validation and test files without copies or evaluation tasks; every row accounted for.

The result appears at once: all is written to a hidden folder beside OUT, which takes OUT's name at the end.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

from nbcore.core.output import shown
from nbcore.core.records import Row
from nbcore.data import card, decontaminate, dedup, formats, whole_folder
from nbcore.data.splits import RATIOS, SPLITS, checked_ratios, content_digest, grouped, of_groups
from nbcore.data.spool import Spool, Texts, text_of

REPORT, SET_ASIDE, DROPPED, CARD = "report.json", "set_aside.jsonl", "dropped.jsonl", "card.md"
WRITTEN = {REPORT, SET_ASIDE, DROPPED, CARD, *(f"{split}.jsonl" for split in SPLITS)}  # all that OUT ever holds
EXCERPT = 200  # characters of a row that lists of what was left out show
Tell = Callable[[str, int, int], None]
"""What is being done, how much of it is done, of how much in all."""


def prepare(
    inputs: Iterable[str | Path],
    out: str | Path,
    splits: Sequence[float] = RATIOS,
    seed: int = 0,
    tell: Tell = lambda words, done, total: None,
    protect: Iterable[str | Path] = (),
) -> dict[str, Any]:
    """Read files or folders of rows in any format and leave OUT/{train,validation,test}.jsonl; returns what report.json
    says: {"read", "kept", "set_aside", "dropped": {reason: n}, "files": {name: {...}}, "splits": {split: n}, ...}.

    Exact copies of a row and rows with an evaluation task in them are dropped. Near copies, and answers to the same
    question, are kept and stand in one split. For one seed the same rows are split alike, in any order. A split of a
    small input may be empty. `protect`: files of more tasks that no row may hold. Raises ValueError for bad arguments,
    and where not one row is left; then OUT, where it is new, has report and set-aside rows only.
    """
    ratios = checked_ratios(splits)
    inputs = [inputs] if isinstance(inputs, str | Path) else list(inputs)
    out = Path(out).expanduser().resolve()
    whole_folder.refuse_other_content(out, WRITTEN, REPORT)
    files, protected = _files(inputs, out), evaluation_tasks(tuple(map(str, protect)))
    with whole_folder.unfinished(out) as folder:
        for name in (SET_ASIDE, DROPPED):
            (folder / name).touch()
        work = folder / "rows.spool"
        spool = Spool(work)
        report = _report(files, ratios, seed)
        index = _read(files, spool, folder, report, tell)
        kept = _without_evaluation_tasks(protected, spool, index, folder, report, tell)
        if kept:
            _write_splits(spool, kept, index, folder, report, tell)
        spool.close()
        work.unlink()
        _sums(report, index, kept)
        _write(folder / REPORT, json.dumps(report, indent=1) + "\n")
        _write(folder / CARD, card.text(report, folder / SET_ASIDE, folder / DROPPED))
        nothing = "" if kept else _nothing_left(report, folder)
        if kept or not (out / "train.jsonl").exists():  # an earlier good result is not replaced by none
            whole_folder.swap(folder, out)
        if nothing:
            raise ValueError(nothing)
    return report


def _files(inputs: list[str | Path], out: Path) -> list[Path]:
    """The files to read, each once; what lies in OUT, from an earlier time, is no input of a folder around it."""
    for given in inputs:
        if Path(given).expanduser().resolve().is_relative_to(out):
            raise ValueError(f"IN: {given} lies in --out {out}, which is written anew; name another folder for --out")
    ours = (out, whole_folder.hidden(out, "unfinished"), whole_folder.hidden(out, "replaced"))
    files: dict[Path, Path] = {}
    for path in formats.files(inputs):
        real = Path(path).resolve()
        if not any(real.is_relative_to(folder) for folder in ours):
            files.setdefault(real, path)
    if not files:
        raise ValueError(f"IN: no file in {', '.join(map(str, inputs))}; name a file of rows, or a folder of them")
    return list(files.values())


def _report(files: list[Path], ratios: tuple[float, ...], seed: int) -> dict[str, Any]:
    each = {str(path): {"format": None, "read": 0, "kept": 0, "set_aside": 0, "dropped": {}} for path in files}
    sums = {"read": 0, "kept": 0, "set_aside": 0, "dropped": {}, "set_aside_reasons": {}}
    of_splits = {"splits": dict.fromkeys(SPLITS, 0), "ratios": dict(zip(SPLITS, ratios, strict=True)), "seed": seed}
    return {**sums, "files": each, **of_splits, "near_duplicate_groups": 0}


def _read(files: list[Path], spool: Spool, folder: Path, report: dict, tell: Tell) -> dict[str, list]:
    """Spool the good rows, each content once. Of each spooled row: the name of its file, the digest of its content and
    that of its question."""
    index: dict[str, list] = {"file": [], "digest": [], "question": []}
    first: dict[bytes, int] = {}  # digest of the content -> index of the row that stays
    ids: set[str] = set()
    for number, path in enumerate(files):
        name, counts, before = str(path), report["files"][str(path)], len(spool)
        tell(f"reading {shown(path.name)}", number, len(files))
        for record in _records(path, counts):
            counts["read"] += 1
            if counts["read"] % 1000 == 0:
                tell(f"reading {shown(path.name)}, {counts['read']} rows", number, len(files))
            if isinstance(record, formats.SetAside):
                _set_aside(folder, report, counts, record)
                continue
            digest = content_digest(record["messages"], record.get("tools"))
            if digest in first:
                copy = {"copy_of": spool[first[digest]]["id"]}
                _drop(folder, counts, {"file": name, "id": record["id"], "reason": "duplicate", **copy}, record)
            elif record["id"] in ids:
                text = json.dumps(record, ensure_ascii=False)[:EXCERPT]
                _set_aside(folder, report, counts, formats.SetAside(name, None, "duplicate_id", text))
            else:
                first[digest] = spool.append(record)
                ids.add(record["id"])
                index["file"].append(name)
                index["digest"].append(digest)
                index["question"].append(content_digest(record["messages"][:-1]))
        if len(spool) == before and not counts["read"]:
            counts["format"] = counts["format"] or "empty"
    tell("reading", len(files), len(files))
    return index


def _records(path: Path, counts: dict) -> Iterator[Any]:
    """The records of a file; one that is of no use as a whole is one record, set aside."""
    try:
        counts["format"] = formats.format_of(path)
        yield from formats.read(path, "rows")
    except (formats.Unreadable, OSError) as error:
        counts["format"] = counts["format"] or "unreadable"
        yield formats.SetAside(str(path), None, "unreadable", str(error)[:EXCERPT])


def _set_aside(folder: Path, report: dict, counts: dict, record: formats.SetAside) -> None:
    counts["set_aside"] += 1
    report["set_aside_reasons"][record.reason] = report["set_aside_reasons"].get(record.reason, 0) + 1
    _append(folder / SET_ASIDE, {**record._asdict(), "file": str(record.file)})


def _drop(folder: Path, counts: dict, facts: dict, row: Row) -> None:
    counts["dropped"][facts["reason"]] = counts["dropped"].get(facts["reason"], 0) + 1
    _append(folder / DROPPED, {**facts, "text": text_of(row)[:EXCERPT]})


@cache
def evaluation_tasks(files: tuple[str, ...] = ()) -> decontaminate.Protected:
    """What the project is evaluated on, and the tasks of these files; indexed once, which takes seconds."""
    return decontaminate.Protected.of_the_project(files)


def _without_evaluation_tasks(
    protected: decontaminate.Protected, spool: Spool, index: dict, folder: Path, report: dict, tell: Tell
) -> list[int]:
    """Indexes of the rows that hold no task of an evaluation set; the others are listed with what they hold."""
    report["protected_sha256"] = protected.sha256
    kept = []
    for number in range(len(spool)):
        if number % 100 == 0:
            tell("looking for evaluation tasks", number, len(spool))
        row = spool[number]
        if hits := protected.hits(text_of(row)):
            name, hit = index["file"][number], hits[0]
            found = {"protected": hit.id, "set": hit.set, "rule": hit.rule, "protected_text": hit.protected_text}
            facts = {"file": name, "id": row["id"], "reason": "contaminated", **found}
            _drop(folder, report["files"][name], facts, row)
        else:
            kept.append(number)
    return kept


def _write_splits(spool: Spool, kept: list[int], index: dict, folder: Path, report: dict, tell: Tell) -> None:
    """The kept rows in the order they were read, each in its split's file."""
    tell("comparing rows with each other", 0, 0)
    near = dedup.near(Texts(spool, kept))
    report["near_duplicate_groups"] = len(near)
    first = grouped(near, [index["question"][number] for number in kept])
    digests = [index["digest"][number] for number in kept]
    chosen = of_groups(first, digests, tuple(report["ratios"].values()), report["seed"])
    with ExitStack() as opened:
        files = {name: opened.enter_context((folder / f"{name}.jsonl").open("w", encoding="utf-8")) for name in SPLITS}
        for place, (number, split) in enumerate(zip(kept, chosen, strict=True)):
            if place % 1000 == 0:
                tell("writing", place, len(kept))
            files[split].write(_line(spool[number]))
            report["splits"][split] += 1
        for file in files.values():
            file.flush()
            os.fsync(file.fileno())


def _line(row: Row) -> str:
    text = json.dumps(row, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, in a row's meta: only an escape can hold it
        text = json.dumps(row)
    return text + "\n"


def empty_splits(report: dict[str, Any]) -> list[str]:
    """The splits that were asked for and got no row."""
    return [split for split in SPLITS if report["ratios"][split] and not report["splits"][split]]


def _sums(report: dict, index: dict, kept: list[int]) -> None:
    for number in kept:
        report["files"][index["file"][number]]["kept"] += 1
    dropped: Counter[str] = Counter()
    for counts in report["files"].values():
        assert counts["read"] == counts["kept"] + counts["set_aside"] + sum(counts["dropped"].values())
        dropped.update(counts["dropped"])
        for name in ("read", "kept", "set_aside"):
            report[name] += counts[name]
    report["dropped"] = dict(sorted(dropped.items()))


def _nothing_left(report: dict, folder: Path) -> str:
    """What is said where no row is left: how many there were, for which reasons, and the first of them."""
    reasons = {**report["set_aside_reasons"], **report["dropped"]}
    words = ", ".join(f"{count} {shown(reason)}" for reason, count in sorted(reasons.items())) or "no rows at all"
    first = next(card.rows(folder / SET_ASIDE), None) or next(card.rows(folder / DROPPED), None)
    where = f"; the first: {shown(card.place(first))}: {shown(first['text'])}" if first else "; name a file with rows"
    files = "1 file" if len(report["files"]) == 1 else f"{len(report['files'])} files"
    return f"IN: not one usable row among {report['read']} in {files} ({words}){where}"


def _append(path: Path, row: dict) -> None:
    # ASCII, because the excerpt of a broken row may hold what UTF-8 cannot.
    with path.open("a", encoding="ascii") as file:
        file.write(json.dumps(row) + "\n")


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
