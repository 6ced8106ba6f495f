"""Episodes of the repair environment as the rollouts of GRPO: each is one completion of several turns.

The policy is trained on the ids that it sampled. What the environment said stands between them and carries no loss. The
reward is the hidden tests' word on what the episode left, with a little for calls that a tool could take and for steps
that were not needed.
"""

from __future__ import annotations

import gc
import random
from collections.abc import Callable, Sequence
from typing import Any

import torch

from nbcore import runs
from nbcore.agent import making
from nbcore.agent.episode import Budget
from nbcore.agent.played import Played
from nbcore.agent.problem import Problem
from nbcore.config import Generation
from nbcore.config.agent import Playing
from nbcore.core import lines
from nbcore.core.records import Task
from nbcore.grading import reward, verdicts
from nbcore.grading.grader import RustGrader
from nbcore.runs import activity, layout
from nbcore.tasks import sets
from nbcore.training import agent_play, asking, load, logits, lora, once, rollout

COMPONENTS = ("passed", "valid", "left")
CHEATS = reward.CHEATS | {"rejected"}  # ends of an episode that left what is not even compiled


def problems(
    run: runs.Run,
    tasks: Sequence[Task],
    grader: RustGrader,
    show: Callable[[activity.Doing], None] = lambda doing: None,
) -> list[Problem]:
    """The verified faults that a run trains on. Verifying takes minutes, so they are kept in problems.jsonl and read
    back on a resume. Raises ValueError where the file is not what was written."""
    path = run.path / layout.PROBLEMS
    if not path.is_file():
        doing = activity.Activity(run.path, show)
        drawn = making.drawn(tasks, run.config.episodes.faults, run.config.seed, grader, doing)
        once.write(run, path, [problem.record() for problem in drawn], "problems", faults=len(drawn))
    once.require(run, path, "problems", "problems", "they are made anew")
    return [Problem.of_record(row) for row in lines.read(path)]


def crates(
    run: runs.Run, tasks: Sequence[Task], tokenizer: Any, show: Callable[[activity.Doing], None]
) -> tuple[dict[str, Problem], list[list[int]], dict[str, Any]]:
    """(fault id -> problem, the ids of the first prompt of each, counts), of the faults whose first prompt leaves room
    for an action. Raises ValueError where none does."""
    settings = run.config.episodes
    speaker = agent_play.speaker(tokenizer, load.date_of(run))
    found = problems(run, tasks, rollout.grader(run, lint=False), show)
    prompts = {one.id: agent_play.first_prompt(speaker, one, settings.tools, settings.brief) for one in found}
    known = {one.id: one for one in found if len(prompts[one.id]) < settings.length}
    if not known:
        raise ValueError(
            f"episodes.length: the shortest prompt has {min(map(len, prompts.values()))} tokens, and an episode may "
            f"have {settings.length}; raise it, give fewer episodes.tools, or set episodes.brief"
        )
    counts = {"tasks": len(tasks), "faults": len(known), "too_long": len(found) - len(known)}
    read = [*(one.record() for one in known.values()), *asking.as_rendered(tokenizer)]
    told = {"frame": speaker.describe(), "sha256": lines.digest(read)}
    return known, [prompts[id_] for id_ in known], counts | told


def play(
    run: runs.Run,
    settings: Playing,
    model: Any,
    tokenizer: Any,
    chosen: Sequence[Problem],
    grader: RustGrader,
    seed: int,
    **more: Any,
) -> list[Played]:
    """One episode for each problem, in the frame of a run's model; `more` is agent_play.play's."""
    return agent_play.play(
        *(model, tokenizer, agent_play.speaker(tokenizer, load.date_of(run)), chosen),
        grader=grader,
        seed=seed,
        budgets=Budget(settings.steps, settings.tokens, settings.seconds, settings.shown),
        names=settings.tools,
        brief=settings.brief,
        **more,
    )


def rollout_function(run: runs.Run, tokenizer: Any, known: dict[str, Problem], grader: RustGrader) -> Callable:
    """TRL's rollout_func: its prompts are ids of problems, a whole step of them, each as often as a group is large.

    The draw depends on seed and step alone, so that a resumed run samples what the first would have. Beside what TRL
    wants it gives "episode", what `rewards` reads.
    """

    def function(prompts: list[str], trainer: Any) -> dict[str, Any]:
        policy = trainer.accelerator.unwrap_model(trainer.model)
        size, settings = -(-len(prompts) // trainer.chunks), run.config.episodes
        how = {"sampling": Generation(**run.config.generation.model_dump(), batch_size=size)}
        how |= {"length": settings.length, "lap": trainer.part_ended}
        games: list[Played] = []
        with lora.folded(policy), logits.finite(policy):
            for start in range(0, len(prompts), size):
                chosen = [known[id_] for id_ in prompts[start : start + size]]
                seed = random.Random(f"{run.config.seed} {trainer.state.global_step} {start}").getrandbits(31)
                games += play(run, settings, policy, tokenizer, chosen, grader, seed, **how)
        prompt_ids, completion_ids, mask, _ = zip(*(game.ids() for game in games), strict=True)
        return {
            **{"prompt_ids": list(prompt_ids), "completion_ids": list(completion_ids), "logprobs": None},
            **{"env_mask": list(mask), "episode": [summary(game) for game in games]},
        }

    return function


def summary(game: Played) -> dict[str, Any]:
    """What the reward needs of an episode."""
    episode = game.episode
    names = ("steps", "valid", "tokens", "done")
    said = {name: episode.verdict[name] for name in ("verdict", "passed", "why")}
    return {**{name: getattr(episode, name) for name in names}, "most": episode.budget.steps, **said}


def components(episode: dict[str, Any]) -> dict[str, float | None]:
    """`passed`, `valid` and `left`, each 0..1; all None for an infra_error, which is our fault and never a zero."""
    if episode["verdict"] == "infra_error":
        return dict.fromkeys(COMPONENTS)
    passed = float(episode["passed"])
    return {
        "passed": passed,
        "valid": episode["valid"] / episode["steps"],
        "left": passed * (1 - episode["steps"] / episode["most"]),
    }


def rewards(size: int, patience: int) -> list[Callable]:
    """One TRL reward function for each component. A group of `size` with an episode that could not be judged is left
    out whole. Raises verdicts.Ungraded where that was so of `patience` whole steps in a row."""
    ungraded = 0

    def judged(episodes: list[dict[str, Any]]) -> list[dict[str, float | None]]:
        worth = [components(episode) for episode in episodes]
        for start in range(0, len(worth), size):
            if any(each["passed"] is None for each in worth[start : start + size]):
                worth[start : start + size] = [dict.fromkeys(COMPONENTS)] * len(worth[start : start + size])
        return worth

    def note(episodes: list[dict[str, Any]], worth: list[dict], log_metric: Callable[[str, float], None]) -> None:
        nonlocal ungraded
        dropped = sum(each["passed"] is None for each in worth)
        ungraded = ungraded + 1 if dropped == len(worth) else 0
        if ungraded == patience:
            raise verdicts.Ungraded(
                f"{patience} steps in a row taught nothing, for no group could be judged whole: "
                f"{next(each['why'] for each in episodes if each['verdict'] == 'infra_error')}; once that is mended, "
                "the same command goes on from the last checkpoint"
            )
        count = len(episodes)
        log_metric("repaired", sum(each["passed"] for each in episodes) / count)
        log_metric("valid_calls", sum(each["valid"] for each in episodes) / sum(each["steps"] for each in episodes))
        log_metric("steps_used", sum(each["steps"] for each in episodes) / count)
        log_metric("hack_rate", sum(each["verdict"] in CHEATS for each in episodes) / count)
        log_metric("infra_dropped", dropped // size)

    def component(name: str) -> Callable:
        def function(episode: list[dict[str, Any]], log_metric: Any = lambda *_: None, **_columns: Any) -> list:
            worth = judged(episode)
            if name == COMPONENTS[0]:
                note(episode, worth, log_metric)
            return [each[name] for each in worth]

        function.__name__ = name  # TRL logs each reward under the function's name
        return function

    return [component(name) for name in COMPONENTS]


def before_after(
    run: runs.Run,
    settings: Playing,
    max_new_tokens: int,
    count: int = 8,
    show: Callable[[activity.Doing], None] = lambda doing: None,
) -> list[dict]:
    """The same faults of validation tasks repaired by the parent's policy and by this run's, greedily, logged once.
    `max_new_tokens` is the cap of an action."""
    if len(run.samples()) == 2 * count:
        return run.samples()
    doing = activity.Activity(run.path, show)
    tokenizer, grader = load.tokenizer(run), rollout.grader(run, lint=False)
    tasks = sets.tasks("katas", "validation", 4 * count, run.config.seed)
    chosen = making.drawn(tasks, count, run.config.seed, grader, doing)
    how = {"sampling": Generation(max_new_tokens=max_new_tokens), "doing": doing}
    rows = []
    for when, of in (("before", run.parent), ("after", run)):
        policy = load.policy(run, of)
        games = play(run, settings, policy, tokenizer, chosen, grader, run.config.seed, **how)
        rows += [{"when": when, "completion": game.record()["diff"], **game.record()} for game in games]
        del policy  # two of them do not fit where one barely does
        gc.collect()
        torch.cuda.empty_cache()
    run.sample(*rows)
    return rows
