"""Pairs of edits for IPO: of two that a policy made of the same file, one repairs it and the other does not.

Only the edit is compared, the last action before the hidden tests decide; both follow the same conversation, to the id.
What a policy sampled is what is trained on: nothing is decoded and encoded again.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

from nbcore import runs
from nbcore.agent.played import Played
from nbcore.core import lines
from nbcore.runs import activity, layout
from nbcore.training import agent_rollout, load, once, rollout


def pairs(run: runs.Run, tokenizer: Any, show: Callable[[activity.Doing], None]) -> list[dict[str, Any]]:
    """{"id" of the task, "prompt_ids", "chosen_ids", "rejected_ids"}, drawn once from the parent's policy and read back
    on a resume.

    Raises ValueError where no fault was both repaired and not, or where the file is not what was written.
    """
    path = run.path / layout.EDITS
    if not path.is_file():
        drawn = _drawn(run, tokenizer, show)
        once.write(run, path, drawn, "edits", pairs=len(drawn))
        run.publish()
    once.require(run, path, "edits", "pairs", "the edits are drawn anew")
    return lines.read(path)


def _drawn(run: runs.Run, tokenizer: Any, show: Callable[[activity.Doing], None]) -> list[dict[str, Any]]:
    config = run.config
    grader = rollout.grader(run, lint=False)
    tasks = rollout.training_tasks(run, config.tasks)
    known, *_ = agent_rollout.crates(run, tasks, tokenizer, show)
    doing = activity.Activity(run.path, show)
    doing("loading the model")
    policy = load.policy(run, run.parent)
    chosen = [problem for problem in known.values() for _ in range(config.rollouts)]
    settings = config.episodes.model_copy(update={"steps": 1})
    games = agent_rollout.play(
        *(run, settings, policy, tokenizer, chosen, grader, config.seed),
        sampling=config.generation,
        opening=lambda problem: [("read_file", {} if settings.brief else {"path": problem.root})],
        length=settings.length,
        doing=doing,
    )
    found = paired(games, config.pairs_per_task, config.seed)
    if not found:
        raise ValueError(
            f"episodes.faults: of {len(known)} faults with {config.rollouts} edits each none was both repaired and "
            "not; raise rollouts, episodes.faults or generation.temperature, or start from a better parent"
        )
    return found


def paired(games: Sequence[Played], most: int, seed: int) -> list[dict[str, Any]]:
    """At most `most` pairs of each problem. An edit is used once; one that was cut, or that changed nothing, never."""
    sides: dict[tuple[str, str], tuple[dict, dict]] = {}
    for game in games:
        episode = game.episode
        if episode.verdict["verdict"] == "infra_error" or not game.steps[0]["valid"] or not game.steps[0]["diff"]:
            continue
        right, wrong = sides.setdefault((episode.problem.source, episode.problem.id), ({}, {}))
        side = right if episode.verdict["passed"] else wrong
        side[tuple(game.turns[0].completion_ids)] = game.turns[0].prompt_ids
    found = []
    for (task, id_), (right, wrong) in sides.items():
        rejected = list(wrong)
        random.Random(f"{seed} {id_}").shuffle(rejected)
        for good, bad in list(zip(right, rejected, strict=False))[:most]:
            found.append({"id": task, "prompt_ids": right[good], "chosen_ids": list(good), "rejected_ids": list(bad)})
    return found
