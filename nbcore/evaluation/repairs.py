"""A set of crates to repair: the agent plays each, and the same weights repair in one go, and by verified retries.

One go: the model is shown the file with the fault and writes it anew; no test is run for it. Verified retries: it is
asked so again, from the file as it was given and at a temperature, until what it wrote passes the visible tests; where
nothing does, its first answer counts. The hidden tests decide about all of them, once.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nbcore import stats
from nbcore.agent import crates, making, scripted
from nbcore.agent.episode import Budget, run
from nbcore.agent.problem import Problem
from nbcore.config import Generation
from nbcore.core.records import Task
from nbcore.data.std_crate import read_crate
from nbcore.evaluation import crate_faults
from nbcore.grading import verdicts
from nbcore.grading.grader import RustGrader
from nbcore.training import agent_play

ONE_GO = ("read_file", "write_file")  # the tools that repair in one go takes
WAYS = ("one_shot", "retries", "scripted")  # beside the agent itself
PAIRS = (("agent", "one_shot"), ("retries", "one_shot"), ("agent", "retries"))
Doing = Callable[[str, int, int], None]


def example(tokenizer: Any, task: Task, settings: Mapping[str, Any], date: str | None = None) -> str:
    """The beginning of an episode as the model will see it."""
    if "crate" in task:
        problem = crates.whole(read_crate(task["crate"]))
    else:
        problem = next(making.candidates([task], 1, 0), None)
    if problem is None:
        return f"{task['id']}: it has no solution to put a fault into"
    speaker = agent_play.speaker(tokenizer, date)
    ids = agent_play.first_prompt(speaker, problem, settings["tools"], settings["brief"])
    text = tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
    return f"{speaker.describe()}\n{text}"


def measure(
    model: Any,
    tokenizer: Any,
    tasks: Sequence[Task],
    settings: Mapping[str, Any],
    generation: Generation,
    seed: int,
    grader: RustGrader,
    doing: Doing = lambda *said: None,
    date: str | None = None,
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """(a row for each fault, what was measured). `settings` are a task set's `agent` and its `limit`."""
    made = crate_faults if "crate" in tasks[0] else making
    found = made.drawn(tasks, settings["limit"], seed, grader, doing)
    speaker = agent_play.speaker(tokenizer, date)
    budget = Budget(settings["steps"], settings["tokens"], settings["seconds"], settings["shown"])
    options = {"grader": grader, "sampling": generation, "seed": seed, "brief": settings["brief"], "doing": doing}
    games = agent_play.play(*(model, tokenizer, speaker, found), budgets=budget, names=settings["tools"], **options)
    rows = [game.record() for game in games]
    for row, problem in zip(rows, found, strict=True):
        row |= {} if problem.function else {"crate": problem.source}
    if settings["one_shot"] or settings["attempts"] > 1:
        once = _one_go(model, tokenizer, speaker, found, options, budget.shown)
        for row, game in zip(rows, once, strict=True):
            row["one_shot"] = _told(game)
        if settings["attempts"] > 1:
            again = {**options, "sampling": generation.model_copy(update={"temperature": settings["temperature"]})}
            _retry(rows, once, settings["attempts"], model, tokenizer, speaker, again, grader, budget.shown)
    if settings["scripted"]:
        doing(f"a scripted agent repairs {len(found)} crates", 0, 0)
        for row, verdict in zip(rows, _ceiling(found, grader), strict=True):
            row["scripted"] = {name: verdict[name] for name in ("verdict", "passed")}
    for row in rows:
        row |= {"family": row["kind"], "completion": row["diff"]}
    return rows, summary(rows, settings)


def _one_go(model, tokenizer, speaker, found, options, shown) -> list[agent_play.Played]:
    """Each read for the model and written by it, in one action."""

    def opening(problem: Problem) -> list[tuple[str, dict[str, str]]]:
        faulty = [name for name, text in problem.files.items() if text != problem.working.get(name)]
        return [("read_file", {} if options["brief"] else {"path": faulty[0]})]

    budget = Budget(steps=1, shown=shown)
    return agent_play.play(
        *(model, tokenizer, speaker, found), budgets=budget, names=ONE_GO, opening=opening, **options
    )


def _retry(rows, once, attempts, model, tokenizer, speaker, options, grader, shown) -> None:
    """Verified retries: the first attempt that passes the visible tests, else the very first."""
    chosen = dict(enumerate(once))
    used = [1 for _ in rows]
    tokens = [game.episode.tokens for game in once]
    open_ = list(_failing(chosen, grader))
    for turn in range(1, attempts):
        if not open_:
            break
        drawn = {**options, "seed": options["seed"] + turn}
        games = _one_go(model, tokenizer, speaker, [once[at].episode.problem for at in open_], drawn, shown)
        tried = dict(zip(open_, games, strict=True))
        for at, game in tried.items():
            used[at], tokens[at] = used[at] + 1, tokens[at] + game.episode.tokens
        open_ = list(_failing(tried, grader))
        chosen |= {at: game for at, game in tried.items() if at not in open_}
    for at, row in enumerate(rows):
        row["retries"] = {**_told(chosen[at]), "attempts": used[at], "tokens": tokens[at]}


def _failing(games: Mapping[int, agent_play.Played], grader: RustGrader) -> list[int]:
    """Those that do not pass the visible tests."""
    allowed = {at: game for at, game in games.items() if not game.episode.problem.refused(game.files)}
    said = run(grader, [game.episode.problem.test(game.files) for game in allowed.values()])
    passing = {at for at, verdict in zip(allowed, said, strict=True) if verdict["passed"]}
    return [at for at in games if at not in passing]


def _ceiling(found: Sequence[Problem], grader: RustGrader) -> list[dict[str, Any]]:
    """The verdicts that say whether an agent that knows the answer repairs each with the real tools."""
    planned = [(problem, scripted.plan(problem, "direct", random.Random(0))[0]) for problem in found]
    with tempfile.TemporaryDirectory(prefix="nbcore-agent-") as folder:
        return [episode.verdict for episode, _ in scripted.play(planned, grader, Path(folder))]


def _told(game: agent_play.Played) -> dict[str, Any]:
    record = game.record()
    return {name: record[name] for name in ("verdict", "passed", "tokens", "diff")}


def summary(rows: Sequence[Mapping[str, Any]], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Rates with 95 % intervals, by kind of fault too, exact McNemar tests in pairs, and what it took."""
    judged = [row for row in rows if not any(told.get("verdict") == "infra_error" for told in _ways(row))]
    if not judged:
        raise verdicts.Ungraded("not one episode could be judged on this machine: see `python -m nbcore doctor`")
    ways = [way for way in WAYS if all(way in row for row in judged)]
    outcomes = {"agent": {row["id"]: row["passed"] for row in judged}}
    outcomes |= {way: {row["id"]: row[way]["passed"] for row in judged} for way in ways}
    measured: dict[str, Any] = {"n": len(judged), "infra_errors": len(rows) - len(judged)}
    measured["repair_rate"] = _rate(outcomes["agent"].values())
    measured |= {f"{way}_rate": _rate(outcomes[way].values()) for way in ways}
    actions = [action for row in judged for action in row["actions"]]
    measured["valid_calls"] = _rate(action["valid"] for action in actions)
    measured["means"] = {name: _mean([row[name] for row in judged]) for name in ("steps", "tokens", "cargo_seconds")}
    if "retries" in ways:
        measured["means"]["retries_tokens"] = _mean([row["retries"]["tokens"] for row in judged])
    measured["ended"] = _counts(row["done"] for row in judged)
    measured["invalid"] = _counts(action["action"] for action in actions if not action["valid"])
    measured["pairs"] = [_pair(outcomes, one, other) for one, other in PAIRS if one in outcomes and other in outcomes]
    kinds = sorted({row["kind"] for row in judged})
    measured["by_kind"] = {kind: _of("kind", kind, judged, outcomes) for kind in kinds}
    if named := sorted({row["crate"] for row in judged if "crate" in row}):
        measured["by_crate"] = {name: _of("crate", name, judged, outcomes) for name in named}
    measured["caps"] = {name: settings[name] for name in ("steps", "tokens", "seconds", "attempts", "temperature")}
    return measured


def _ways(row: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What was said of a fault by each way to repair it; by the agent first."""
    return [row, *(row[way] for way in WAYS if way in row)]


def _of(
    field: str, value: str, judged: Sequence[Mapping[str, Any]], outcomes: Mapping[str, Mapping[str, bool]]
) -> dict:
    ids = [row["id"] for row in judged if row.get(field) == value]
    return {"n": len(ids), **{way: _rate(by_id[id_] for id_ in ids) for way, by_id in outcomes.items()}}


def _pair(outcomes: Mapping[str, Mapping[str, bool]], one: str, other: str) -> dict[str, Any]:
    """Fault by fault: `won` are repaired by the first alone."""
    told = stats.compare(outcomes[other], outcomes[one])
    return {"of": one, "against": other, "won": told.better, "lost": told.worse, "p": told.p}


def _rate(values: Any) -> dict[str, Any]:
    outcomes = list(values)
    return stats.wilson(sum(outcomes), len(outcomes))._asdict()


def _mean(values: Sequence[float]) -> dict[str, Any]:
    return stats.mean_bootstrap([float(value) for value in values])._asdict()


def _counts(names: Any) -> dict[str, int]:
    listed = list(names)
    return {name: listed.count(name) for name in sorted(set(listed))}
