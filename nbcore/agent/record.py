"""Record demonstrations into a file of chat rows with tools: resumable, and there only when it is whole."""

from __future__ import annotations

import json
import random
import tempfile
from collections import Counter
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

from nbcore.agent import making, scripted
from nbcore.core import lines
from nbcore.core.records import Row
from nbcore.grading.grader import RustGrader
from nbcore.runs import commit
from nbcore.tasks import sets

CHUNK = 12  # candidates between two writes: what an interruption costs at most
PER_TASK = 8


def record(
    out: Path,
    tasks: str = "katas",
    count: int = 100,
    *,
    split: str = "train",
    seed: int = 0,
    raw: bool = True,
    jobs: int | None = None,
    progress: Callable[[str, int, int], None] = lambda words, done, total: None,
) -> dict[str, Any]:
    """Write `count` demonstrations on faults of tasks to OUT, the variants in turn. Given again, it goes on.

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
    settings = {"seed": seed, "raw": raw, "tasks": lines.digest(drawn), "chunk": CHUNK}
    first, *done = lines.read(state) or [None]
    if first is None:
        if out.exists() and out.stat().st_size:
            raise ValueError(f"OUT: {out} exists and {state.name} does not; name another file, or delete it")
        state.unlink(missing_ok=True)
        lines.append(state, settings)
    elif first != settings:
        raise ValueError(f"OUT: {state} was begun with another seed, form or tasks; name another OUT, or delete it")
    rows = [row for chunk in done for row in chunk["rows"]]
    waiting = making.candidates(drawn, PER_TASK, seed)
    tried = sum(1 for _ in islice(waiting, len(done) * CHUNK))
    grader = RustGrader(jobs=jobs, lint=False) if len(rows) < count else None
    try:
        while len(rows) < count and (chunk := list(islice(waiting, CHUNK))):
            progress("recording repairs", len(rows), count)
            found = making.verified(chunk, grader)
            turns = [(one, scripted.VARIANTS[(tried + at) % len(scripted.VARIANTS)]) for at, one in enumerate(found)]
            with tempfile.TemporaryDirectory(prefix="nbcore-agent-") as folder:
                fresh = [Row.parse(row) for row in scripted.demonstrate(turns, grader, Path(folder), seed, raw)]
            lines.append(state, {"rows": fresh})
            rows, tried = [*rows, *fresh], tried + len(chunk)
    finally:
        if grader:
            grader.close()
    if len(rows) < count:
        raise ValueError(f"tasks: {len(drawn)} tasks of {tasks} gave {len(rows)} rows, not {count}; ask for fewer")
    rows = rows[:count]
    commit.write_durably(out, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    progress("recording repairs", count, count)
    kinds, variants = (dict(Counter(row["meta"][name] for row in rows)) for name in ("kind", "variant"))
    return {"rows": len(rows), "tried": tried, "kinds": kinds, "variants": variants}
