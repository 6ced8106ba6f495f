"""Verified mutants: one-edit faults of working Rust that compile and that a test notices.

A task's mutants are judged by the grader, on its hidden tests; a crate's by its own tests, built and run in the
same jail. Every candidate that was tried stands in OUT.tried.jsonl, so that a run which was interrupted goes on. OUT is
written whole at the end, in an order that the seed alone decides.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from nbcore.core import lines
from nbcore.core.records import Task
from nbcore.data import faults
from nbcore.data.faults import Fault
from nbcore.data.std_crate import Crate, read_crate
from nbcore.grading.grader import RustGrader
from nbcore.grading.rust import crate
from nbcore.runs import commit
from nbcore.tasks import checking, sets

CHUNK = 32  # candidates between two writes: what an interruption costs at most
PER_TASK, PER_CRATE = 4, 60
CAUGHT = (
    "tests_failed",
    "run_timeout",
    "run_crash",
    "run_oom",
    "early_exit",
    "output_limit",
)  # it compiled, and failed
Progress = Callable[[str, int, int], None]


def make(
    out: Path,
    tasks: str = "katas",
    count: int = 500,
    crates: Sequence[str | Path] = (),
    *,
    per_task: int = PER_TASK,
    per_crate: int = PER_CRATE,
    cargo: Path | None = None,
    split: str = "train",
    seed: int = 0,
    jobs: int | None = None,
    progress: Progress = lambda words, done, total: None,
) -> dict[str, Any]:
    """Write at least `count` verified mutants of tasks to OUT, and all that `per_crate` candidates of each crate give.

    `split` is of the katas: faults of "heldout" ones are to evaluate with, not to train on. `cargo` is what
    cargo-mutants listed for the one crate that is given; its faults are tried beside our own. Given again, it goes on
    where it stopped. Returns {"mutants", "tried", "verdicts": {verdict: n}, "kinds": {kind: n},
    "sources": {source: {"tried", "kept"}}, "refused": {crate: why}}.
    Raises ValueError where OUT was begun with other settings, or where the tasks give too few.
    """
    if cargo and len(crates) != 1:
        raise ValueError(f"cargo-mutants: {cargo} is of one crate, and {len(crates)} are given; give that one")
    if not out.absolute().parent.is_dir() or out.is_dir():
        raise ValueError(f"OUT: {out} is no file in a folder that exists; name another, or make the folder")
    opened = [read_crate(name) for name in crates]
    drawn = [task for task in sets.tasks(tasks, split, None, seed) if checking.solution(task)] if count else []
    random.Random(seed).shuffle(drawn)
    settings = {"seed": seed, "per_task": per_task, "per_crate": per_crate, "tasks": lines.digest(drawn)}
    settings |= {"cargo": hashlib.sha256(cargo.read_bytes()).hexdigest() if cargo else None}
    settings |= {"crates": lines.digest([one._asdict() for one in opened])}
    tried = _Tried(out, settings)
    grader = RustGrader(jobs=jobs, lint=False)
    try:
        refused = {}
        if tasks != "katas":  # those of a person: where the solution fails its own tests, every fault would be caught
            progress(f"trying the tests of {len(drawn)} tasks", 0, len(drawn))
            checking.refuse_failing(drawn, tasks, grader.grade)
        for one in opened:
            if why := _of_crate(grader, one, per_crate, cargo, seed, tried, progress):
                refused[one.name] = why
        kept = _of_tasks(grader, drawn, count, per_task, seed, tried, progress)
    finally:
        grader.close()
    if kept < count:
        raise ValueError(f"tasks: {len(drawn)} tasks of {tasks} gave {kept} mutants, not {count}; raise per_task")
    return tried.finish() | {"refused": refused}


def _of_tasks(
    grader: RustGrader, tasks: list[Task], count: int, per_task: int, seed: int, tried: _Tried, progress: Progress
) -> int:
    """Try the tasks' faults until `count` are kept; returns how many are."""
    kept, candidates = 0, _candidates(tasks, per_task, seed)
    while kept < count and (chunk := list(itertools.islice(candidates, min(CHUNK, 2 * (count - kept))))):
        fresh = [(task, fault) for task, fault in chunk if fault.id(task["id"]) not in tried.rows]
        verdicts = grader.grade([_sample(task, fault) for task, fault in fresh])
        caught = [index for index, verdict in enumerate(verdicts) if verdict["verdict"] in CAUGHT]
        failing = [index for index in caught if verdicts[index]["verdict"] == "tests_failed"]
        told = dict(zip(failing, grader.own_tests([_told(*fresh[index]) for index in failing]), strict=True))
        for index, ((task, fault), verdict) in enumerate(zip(fresh, verdicts, strict=True)):
            record = None
            if index in caught:
                code = checking.solution(task)
                record = _record(task["id"], fault, verdict, told.get(index, verdict)["errors"])
                record |= {"prompt": task["prompt"], "signature": task.get("signature"), "tests": task["tests"]}
                record |= {"edition": task.get("edition") or "2021", "working": code, "code": fault.applied(code)}
            tried.add(fault, task["id"], verdict["verdict"], record, "tasks")
        tried.write()
        kept += sum(tried.rows[fault.id(task["id"])]["record"] is not None for task, fault in chunk)
        progress("trying faults of tasks", min(kept, count), count)
    return kept


def _candidates(tasks: list[Task], per_task: int, seed: int) -> Iterator[tuple[Task, Fault]]:
    for task in tasks:
        try:
            found = faults.find(checking.solution(task))
        except ValueError:  # a person's solution that does not parse: nothing to begin from
            continue
        for fault in faults.choose(found, per_task, random.Random(f"{seed} {task['id']}")):
            yield task, fault


def _of_crate(
    grader: RustGrader, one: Crate, most: int, cargo: Path | None, seed: int, tried: _Tried, progress: Progress
) -> str | None:
    """Try the crate's faults; says why not where its own tests do not run."""
    words = f"trying faults of {one.name}"
    progress(words, 0, most)
    said = dict(zip(one.tests, grader.own_tests([one.job(name) for name in one.tests]), strict=True))
    usable = [name for name, verdict in said.items() if verdict["verdict"] == "pass" and verdict["tests_total"]]
    if not usable:
        errors = [verdict["errors"][0]["message"] for verdict in said.values() if verdict["errors"]]
        return errors[0] if errors else "it has no tests"
    found = faults.from_cargo(cargo, one.files) if cargo else []
    for name, text in one.files.items():
        if Path(name).is_relative_to(Path(one.root).parent) and not {"tests", "benches", "examples"} & {
            *Path(name).parts
        }:
            try:
                found += faults.find(text, name)
            except ValueError:  # macros that tree-sitter does not read: the compiler does, and other files remain
                continue
    unique = list({fault[2:]: fault for fault in reversed(found)}.values())[::-1]
    chosen = faults.choose(unique, most, random.Random(f"{seed} {one.name}"))
    for start in range(0, len(chosen), CHUNK):
        fresh = [fault for fault in chosen[start : start + CHUNK] if fault.id(one.name) not in tried.rows]
        judged: dict[Fault, dict[str, Any]] = {}
        for tests in usable:  # what one file of tests does not notice, the next may
            left = [fault for fault in fresh if fault not in judged or judged[fault]["verdict"] == "pass"]
            judged |= zip(left, grader.own_tests([one.job(tests, fault) for fault in left]), strict=True)
        for fault in fresh:
            verdict, record = judged[fault], None
            if verdict["verdict"] in CAUGHT:
                record = _record(one.name, fault, verdict, verdict["errors"])
                record |= {"edition": one.edition, "licence": one.licence}
                record |= {"working": one.files[fault.file], "code": fault.applied(one.files[fault.file])}
            tried.add(fault, one.name, verdict["verdict"], record, one.name)
        tried.write()
        progress(words, min(start + CHUNK, len(chosen)), len(chosen))
    return None


class _Tried:
    """The candidates tried so far, on disk beside OUT, in the order in which they were tried."""

    def __init__(self, out: Path, settings: dict[str, Any]):
        self.out, self.path, self.fresh = out, out.with_name(f"{out.name}.tried.jsonl"), []
        first, *rows = lines.read(self.path) or [None]
        if first is None:
            if out.exists() and out.stat().st_size:
                raise ValueError(f"OUT: {out} exists and {self.path.name} does not; name another file, or delete it")
            self.path.unlink(missing_ok=True)  # of a first line that was cut short
            lines.append(self.path, settings)
        elif first != settings:
            raise ValueError(
                f"OUT: {self.path} was begun with another seed, other tasks, crates or numbers; name another OUT, or "
                "delete it"
            )
        self.rows = {row["id"]: row for row in rows}

    def add(self, fault: Fault, source: str, verdict: str, record: dict | None, group: str) -> None:
        """One candidate's verdict, and its record where it is kept."""
        row = {"id": fault.id(source), "source": group, "kind": fault.kind, "verdict": verdict, "record": record}
        self.rows[row["id"]] = row
        if verdict != "infra_error":  # ours: tried anew the next time
            self.fresh.append(row)

    def write(self) -> None:
        """What was added since the last time, durably."""
        if self.fresh:
            lines.append(self.path, *self.fresh)
        self.fresh = []

    def finish(self) -> dict[str, Any]:
        """Write OUT, and say what came of it."""
        rows = list(self.rows.values())
        kept = [row["record"] for row in rows if row["record"]]
        commit.write_durably(self.out, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in kept))
        sources: dict[str, Counter] = {row["source"]: Counter() for row in rows}
        for row in rows:
            sources[row["source"]].update(tried=1, kept=int(bool(row["record"])))
        return {
            "mutants": len(kept),
            "tried": len(rows),
            "verdicts": dict(Counter(row["verdict"] for row in rows)),
            "kinds": dict(Counter(row["fault"] for row in kept)),
            "sources": {name: dict(counts) for name, counts in sources.items()},
        }


def _record(source: str, fault: Fault, verdict: dict[str, Any], errors: list[dict]) -> dict[str, Any]:
    place = {name: getattr(fault, name) for name in ("file", "function", "line", "column", "original", "replacement")}
    first = errors[0]["message"] if errors else verdict["verdict"].replace("_", " ")
    failing = errors[0]["code"] if errors else None
    return {
        **{"id": fault.id(source), "source": source, "fault": fault.kind, **place, "verdict": verdict["verdict"]},
        **{"failing_test": failing, "diagnostics": first},
        **{"tests_passed": verdict["tests_passed"], "tests_total": verdict["tests_total"]},
    }


def _sample(task: Task, fault: Fault) -> dict[str, Any]:
    return {
        "id": fault.id(task["id"]),
        "code": fault.applied(checking.solution(task)),
        **{"tests": task["tests"], "signature": task.get("signature"), "edition": task.get("edition") or "2021"},
    }


def _told(task: Task, fault: Fault) -> dict[str, Any]:
    """The same tests as the crate's own, for what they print: the grader's report has no words, only counts."""
    text = f"{fault.applied(checking.solution(task))}\n{task['tests']}"
    return crate.job({"src/lib.rs": text}, "src/lib.rs", task.get("edition") or "2021")
