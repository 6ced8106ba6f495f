"""A policy plays in the repair environment: many episodes in step, token ids kept as they were sampled.

All prompts of a step are generated as one batch, and all its tool calls run as one batch on the grader's workers. What
an agent emits that is no action is answered as what it is. Within an episode the prompt of each action is the prompt
before it, what was sampled there, and what the environment said: nothing is decoded and encoded again.
"""

from __future__ import annotations

import math
import random
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from nbcore.agent.episode import Budget, Episode, advance, settle
from nbcore.agent.played import Played, Turn, difference
from nbcore.agent.problem import Problem
from nbcore.agent.tools import NAMES
from nbcore.chat import actions
from nbcore.chat.renderer import Harmony, Renderer, chosen
from nbcore.config import Generation
from nbcore.grading.grader import RustGrader
from nbcore.training.generate import sample
from nbcore.training.past import Past

Opening = Callable[[Problem], Sequence[tuple[str, Any]]]
_LONGEST = 4_000  # characters that are kept of what was no action
CONTEXT = "context"  # why an episode ended whose conversation fills the model's context


def speaker(tokenizer: Any, date: str | None = None) -> Renderer:
    """The renderer of episodes for a model."""
    tool = {"name": NAMES[0], "parameters": {"type": "object", "properties": {}}}
    return chosen(tokenizer, {"messages": [{"role": "user", "content": ""}], "tools": [tool]}, date)


def first_prompt(renderer: Renderer, problem: Problem, names: Sequence[str] = NAMES, brief: bool = False) -> list[int]:
    """The ids that the first action of an episode goes on from."""
    with tempfile.TemporaryDirectory(prefix="nbcore-agent-") as folder:
        raw = isinstance(renderer, Harmony)
        episode = Episode.begun(problem, Path(folder, "crate"), None, raw, names, brief)
        return renderer.prompt({"messages": episode.messages(), "tools": episode.tools})


def play(
    model: Any,
    tokenizer: Any,
    renderer: Renderer,
    problems: Sequence[Problem],
    *,
    grader: RustGrader,
    budgets: Budget | None = None,
    sampling: Generation | None = None,
    seed: int = 0,
    names: Sequence[str] = NAMES,
    raw: bool | None = None,
    brief: bool = False,
    opening: Opening | None = None,
    logprobs: bool = False,
    length: int | None = None,
    folder: Path | None = None,
    doing: Callable[[str, int, int], None] = lambda words, done, total: None,
    each: Callable[[int, dict[str, Any]], None] = lambda number, step: None,
    lap: Callable[[str], None] = lambda part: None,
) -> list[Played]:
    """One episode for each problem, in order, judged by its hidden tests; deterministic under greedy decoding, and in
    the seed, as long as no budget of seconds ends one, and no test prints a HashMap: its order is another in each run.

    names: the tools that the model is shown. raw: write_file and apply_patch take plain text; left out, they do in
    Harmony. brief: for a context of some hundred tokens. opening: calls that are made for the model before its first
    action, and do not count. length: tokens of a whole episode at most, where the model's context is longer. folder: an
    empty one in which the crates are left; else they are removed. `doing` is told how many actions are done of those
    that there may be, `each` of every action as it was answered, `lap` of the end of each generation and grading.
    Raises ValueError for a template that no tools can be used with.
    """
    with ExitStack() as after:
        after.callback(model.train, model.training)
        if folder is None:
            folder = Path(after.enter_context(tempfile.TemporaryDirectory(prefix="nbcore-agent-")))
        budget, drawing = budgets or Budget(), sampling or Generation()
        as_text = isinstance(renderer, Harmony) if raw is None else raw
        made = [Episode.begun(one, folder / str(at), budget, as_text, names, brief) for at, one in enumerate(problems)]
        games = [Played(episode, episode.messages()) for episode in made]
        if opening:
            _open(games, opening, grader)
        prompts = [renderer.prompt({"messages": game.messages, "tools": game.episode.tools}) for game in games]
        room = min((most for most in (length, context_of(model)) if most is not None), default=None)
        stops, pasts = renderer.stops(model.generation_config), [Past() for _ in games]
        for step in range(budget.steps):
            for game, prompt in zip(games, prompts, strict=True):
                if room is not None and len(prompt) >= room:
                    game.episode.done = game.episode.done or CONTEXT
            at_work = [at for at, game in enumerate(games) if not game.episode.done]
            if not at_work:
                break
            ended = (len(games) - len(at_work)) * budget.steps
            words = f"playing {len(games)} episodes, action {step + 1} of at most {budget.steps}"

            def note(share: float, before: int = ended + step * len(at_work), words: str = words) -> None:
                doing(words, int(before + share), len(games) * budget.steps)

            note(0)
            now = [prompts[at] for at in at_work]
            drawn = sample(
                *(model, tokenizer, now, drawing, stops),
                *(random.Random(f"{seed} {step}").getrandbits(32), note),
                logprobs=logprobs,
                pasts=[pasts[at] for at in at_work],
            )
            for at, one in zip(at_work, drawn, strict=True):
                ids = one.ids[: room - len(prompts[at])] if room is not None else one.ids
                likely = one.logprobs and one.logprobs[: len(ids)]
                games[at].turns.append(Turn(prompts[at], ids, likely))
            lap("generation")
            functions = _act(tokenizer, renderer, [games[at] for at in at_work], grader, stops)
            lap("grading")
            for at, function in zip(at_work, functions, strict=True):
                game, last = games[at], games[at].turns[-1]
                answered = (game.steps[-1]["answer"], function, game.episode.tools)
                said = renderer.reply(last.completion_ids, *answered, stops)
                prompts[at] = last.prompt_ids + last.completion_ids + said
                if game.episode.done:
                    pasts[at] = Past()
                each(at, game.steps[-1])
        for game in games:
            game.files = game.episode.folder.texts()
        doing(f"judging {len(games)} episodes", 0, 0)
        lap("generation")
        settle([game.episode for game in games], grader)
        lap("grading")
        return games


def _act(
    tokenizer: Any, renderer: Renderer, games: Sequence[Played], grader: RustGrader, stops: list[int]
) -> list[str]:
    """Have the latest turn of each answered: the function that answers each, empty where none was called."""
    read = [_read(tokenizer, renderer, game, stops) for game in games]
    before = [game.episode.folder.texts() for game in games]
    valid = [game.episode.valid for game in games]
    counts = [len(game.turns[-1].completion_ids) for game in games]
    pairs = [(game.episode, action) for game, (action, _, _) in zip(games, read, strict=True)]
    answers = advance(pairs, grader, counts)
    functions = []
    for number, (game, (action, message, function), answer) in enumerate(zip(games, read, answers, strict=True)):
        game.messages.append(message)
        if not isinstance(action, actions.Final):
            game.messages.append(
                {"role": "tool", "name": function, "content": answer}
                if function
                else {"role": "user", "content": answer}
            )
        call = (message.get("tool_calls") or [{"function": {"name": "", "arguments": message["content"]}}])[0]
        game.steps.append(
            {
                **{"action": type(action).__name__.lower(), **call["function"], "answer": answer},
                **{"valid": game.episode.valid > valid[number], "tokens": counts[number]},
                "diff": difference(before[number], game.episode.folder.texts()),
            }
        )
        functions.append(function)
    return functions


def _read(
    tokenizer: Any, renderer: Renderer, game: Played, stops: list[int]
) -> tuple[actions.Action, dict[str, Any], str]:
    """(action, message, function) of the latest turn. Where no function of the episode is called, the message has what
    was written as its content, and the function is empty."""
    ids, episode = game.turns[-1].completion_ids, game.episode
    parsed = renderer.parse(ids, episode.tools, stops)
    action, message = parsed.action, parsed.messages[-1] if parsed.messages else {}
    calls = message.get("tool_calls") or []
    name, written = (calls[0]["function"]["name"], calls[0]["function"]["arguments"]) if calls else ("", "")
    known = name in episode.names
    if known and (isinstance(action, actions.Call) or not written.strip()):
        action = episode.call(name, written)
    if known and isinstance(action, actions.Call | actions.Malformed):
        return action, message, name
    if isinstance(action, actions.Final | actions.Preamble):
        return action, message, ""
    text = tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
    return action, {"role": "assistant", "content": text[:_LONGEST]}, ""


def _open(games: Sequence[Played], opening: Opening, grader: RustGrader) -> None:
    """Make the calls that come before the first action of each."""
    planned = [list(opening(game.episode.problem)) for game in games]
    budgets = [game.episode.budget for game in games]
    for game, budget in zip(games, budgets, strict=True):
        game.episode.budget = replace(budget, steps=sys.maxsize, seconds=math.inf)
    for step in range(max(map(len, planned), default=0)):
        at_work = [(game, calls[step]) for game, calls in zip(games, planned, strict=True) if step < len(calls)]
        pairs = [(game.episode, game.episode.call(name, arguments)) for game, (name, arguments) in at_work]
        for action in [action for _, action in pairs if isinstance(action, actions.Malformed)]:
            raise ValueError(f"opening: {action.reason}")
        for (game, (name, _)), (_, action), answer in zip(at_work, pairs, advance(pairs, grader), strict=True):
            message = {**actions.call_message(name, action.raw), "train": False}
            game.messages += [message, {"role": "tool", "name": name, "content": answer}]
    for game, budget in zip(games, budgets, strict=True):
        game.episode.budget, game.episode.steps, game.episode.valid, game.episode.seconds = budget, 0, 0, 0.0


def context_of(model: Any, unknown: int | None = None) -> int | None:
    """How many tokens a model can look at, as its config says."""
    return getattr(model.config.get_text_config(), "max_position_embeddings", unknown)
