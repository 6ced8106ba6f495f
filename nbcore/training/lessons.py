"""Demonstrated repairs as the rows of a run: recorded once with the real tools, and read back on a resume."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from nbcore import runs
from nbcore.agent import record as recording
from nbcore.agent.tools import NAMES
from nbcore.chat.renderer import Harmony
from nbcore.core import lines
from nbcore.core.records import Row
from nbcore.runs import activity
from nbcore.training import agent_play, load, once

EPISODES = "episodes.jsonl"


def rows(
    run: runs.Run, tokenizer: Any, show: Callable[[activity.Doing], None] = lambda doing: None
) -> tuple[list[Row], dict[str, Any]]:
    """The rows of `episodes` of a config, and how many there are of which kind. Raises ValueError where the file in the
    run is not what was written."""
    wanted, path = run.config.episodes, run.path / EPISODES
    raw = isinstance(agent_play.speaker(tokenizer, load.date_of(run)), Harmony)
    if not path.is_file():
        doing = activity.Activity(run.path, show)
        tools = wanted.tools or NAMES
        options = {"seed": run.config.seed, "raw": raw, "tools": tools, "brief": wanted.brief, "shown": wanted.shown}
        recording.record(path, wanted.source, wanted.played, jobs=wanted.jobs, progress=doing, **options)
        once.note(run, path, "episodes")
        run.publish()
    once.require(run, path, "episodes", "episodes", "it is recorded anew")
    played = [Row.parse(row) for row in lines.read(path)]
    practised = recording.practice(wanted.source, wanted.practice, run.config.seed, raw) if wanted.practice else []
    counts = Counter(row["meta"]["variant"] for row in [*played, *practised])
    times = max(1, round(len(practised) / len(played)))
    kinds = Counter(row["meta"]["kind"] for row in [*played, *practised])
    report = {"variants": dict(counts), "faults": dict(kinds), "played_repeated": times}
    return [*played * times, *practised], report
