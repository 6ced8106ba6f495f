"""Record demonstrations into a file of chat rows with tools: resumable, and there only when it is whole."""

from __future__ import annotations

import json
import random
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

from nbcore.agent import crates as of_crates
from nbcore.agent import making, scripted
from nbcore.agent.problem import Problem
from nbcore.agent.tools import MOST_SHOWN, NAMES, schemas
from nbcore.core import lines
from nbcore.core.records import Row
from nbcore.data.std_crate import read_crate
from nbcore.grading.grader import RustGrader
from nbcore.runs import commit
from nbcore.tasks import sets

CHUNK = 12  # candidates between two writes: what an interruption costs at most
PER_TASK, PER_CRATE = 8, 30
NEEDED = ("read_file", "write_file", "cargo_test")


def record(
    out: Path,
    tasks: str = "katas",
    count: int = 100,
    *,
    crates: Sequence[str | Path] = (),
    per_crate: int = PER_CRATE,
    split: str = "train",
    seed: int = 0,
    raw: bool = True,
    tools: Sequence[str] = NAMES,
    brief: bool = False,
    shown: int = MOST_SHOWN,
    jobs: int | None = None,
    progress: Callable[[str, int, int], None] = lambda words, done, total: None,
) -> dict[str, Any]:
    """Write `count` demonstrations to OUT, the variants in turn: on at most `per_crate` faults of each crate, and then
    of tasks. Given again, it goes on. The problems stand in OUT.part.jsonl, from which `replay` plays the rows again.
    `brief` rows are for a context of some hundred tokens, `shown` is how many characters of an answer they have.

    Returns {"rows", "tried", "kinds": {kind: n}, "variants": {variant: n}}. Raises ValueError where OUT was begun with
    other settings, or where the tasks give too few.
    """
    if count < 1:
        raise ValueError(f"count is {count}; give how many rows are to be recorded, 1 or more")
    if out.is_dir() or not out.absolute().parent.is_dir():
        raise ValueError(f"OUT: {out} is no file in a folder that exists; name another, or make the folder")
    drawn = sets.tasks(tasks, split, None, seed)
    random.Random(seed).shuffle(drawn)
    state = out.with_name(f"{out.name}.part.jsonl")
    opened = [read_crate(name) for name in crates]
    settings = {"seed": seed, "raw": raw, "tasks": lines.digest(drawn), "chunk": CHUNK, "per_crate": per_crate}
    if lacking := [name for name in NEEDED if name not in tools]:
        raise ValueError(f"tools: {', '.join(tools)} have no {lacking[0]}, without which nothing is repaired; add it")
    settings |= {"tools": [tool["function"]["name"] for tool in schemas(raw, tools)]}
    if brief:
        settings |= {"brief": True, "shown": shown}
        if crates:
            raise ValueError("brief: such rows are about crates of one file; leave out the crates")
    variants = scripted.BRIEF if brief else scripted.VARIANTS
    settings |= {"crates": lines.digest([one._asdict() for one in opened])}
    first, *done = lines.read(state) or [None]
    if first is None:
        if out.exists() and out.stat().st_size:
            raise ValueError(f"OUT: {out} exists and {state.name} does not; name another file, or delete it")
        state.unlink(missing_ok=True)
        lines.append(state, settings)
    elif first != settings:
        raise ValueError(f"OUT: {state} was begun with another seed, form or tasks; name another OUT, or delete it")
    rows = [row for chunk in done for row in chunk["rows"]]
    grader = RustGrader(jobs=jobs, lint=False)
    try:
        of_each = [of_crates.problems(one, per_crate, seed, grader) for one in opened]
        waiting = chain(*of_each, making.candidates(drawn, PER_TASK, seed))
        tried = sum(chunk.get("tried", CHUNK) for chunk in done)
        if len(rows) < count:
            progress("recording repairs", len(rows), count)
            for _ in islice(waiting, len(done) * CHUNK):  # made anew, and judged already
                pass
        while len(rows) < count and (chunk := list(islice(waiting, CHUNK))):
            progress("recording repairs", len(rows), count)
            found = making.verified(chunk, grader)
            turns = [(one, variants[(tried + at) % len(variants)]) for at, one in enumerate(found)]
            with tempfile.TemporaryDirectory(prefix="nbcore-agent-") as folder:
                options = seed, raw, tools, brief, shown
                fresh = [Row.parse(row) for row in scripted.demonstrate(turns, grader, Path(folder), *options)]
            kept = {row["meta"]["problem"] for row in fresh}
            problems = [one.record() for one in found if one.id in kept]
            lines.append(state, {"rows": fresh, "problems": problems, "tried": len(chunk)})
            rows, tried = [*rows, *fresh], tried + len(chunk)
    finally:
        grader.close()
    if len(rows) < count:
        raise ValueError(f"tasks: {len(drawn)} tasks of {tasks} gave {len(rows)} rows, not {count}; ask for fewer")
    rows = rows[:count]
    commit.write_durably(out, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    progress("recording repairs", count, count)
    kinds, variants = (dict(Counter(row["meta"][name] for row in rows)) for name in ("kind", "variant"))
    return {"rows": len(rows), "tried": tried, "kinds": kinds, "variants": variants}


def practice(tasks: str, count: int, seed: int, raw: bool = True) -> list[Row]:
    """`count` rows of reading and editing alone, each of another fault of training tasks, made without compiler and
    tests: what is written is the task's own solution. Raises ValueError where the tasks have fewer faults."""
    drawn = sets.tasks(tasks, "train", None, seed)
    random.Random(f"practice {seed}").shuffle(drawn)
    found = list(islice(making.candidates(drawn, PER_TASK, seed + 1), count))
    if len(found) < count:
        raise ValueError(f"tasks: {len(drawn)} tasks of {tasks} have {len(found)} faults, not {count}; ask for fewer")
    with tempfile.TemporaryDirectory(prefix="nbcore-agent-") as folder:
        return [Row.parse(row) for row in scripted.practice(found, Path(folder), raw)]


def problems_of(out: Path) -> Iterator[Problem]:
    """The problems that recorded rows are about. Raises FileNotFoundError where they are not beside the file."""
    state = out.with_name(f"{out.name}.part.jsonl")
    if not state.is_file():
        raise FileNotFoundError(f"ROWS: {state} is not there, and it has the problems of {out}; record them again")
    for chunk in lines.read(state)[1:]:
        yield from map(Problem.of_record, chunk["problems"])


def replay(out: Path, grader: RustGrader) -> list[str]:
    """Play the calls of every recorded row again: the ids of those whose answers or end are not what they were. Raises
    FileNotFoundError and ValueError where the rows, or their problems, are not what `record` wrote."""
    if not out.is_file():
        raise FileNotFoundError(f"ROWS: there is no file {out}; give the one that `agent record` wrote")
    known = {problem.id: problem for problem in problems_of(out)}
    rows = [row for _, row in lines.parsed(out, Row.parse, "ROWS")]
    if not rows:
        raise ValueError(f"ROWS: {out} has no row; record it again")
    planned = []
    for row in rows:
        calls = [call["function"] for message in row["messages"] for call in message.get("tool_calls") or ()]
        problem = known.get((row.get("meta") or {}).get("problem"))
        if problem is None:
            raise ValueError(f"ROWS: row {row.get('id')!r} of {out} is about no problem recorded beside it; drop it")
        planned.append((problem, [(call["name"], call["arguments"]) for call in calls]))
    state = lines.read(out.with_name(f"{out.name}.part.jsonl"))[0]
    with tempfile.TemporaryDirectory(prefix="nbcore-agent-") as folder:
        options = state["raw"], state["tools"], state.get("brief", False), state.get("shown", MOST_SHOWN)
        played = scripted.play(planned, grader, Path(folder), *options)
    changed = []
    for row, (episode, answers) in zip(rows, played, strict=True):
        told = [message["content"] for message in row["messages"] if message["role"] == "tool"]
        if answers != told or not episode.verdict["passed"]:
            changed.append(row["id"])
    return changed
