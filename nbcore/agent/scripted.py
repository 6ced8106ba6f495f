"""An agent that knows the answer and repairs with the real tools: demonstrations, with what the tools really said."""

from __future__ import annotations

import difflib
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nbcore.agent.compile_faults import KINDS
from nbcore.agent.episode import Budget, Episode, advance, settle
from nbcore.agent.problem import Problem
from nbcore.agent.tools import MOST_SHOWN, NAMES
from nbcore.chat import actions
from nbcore.data import faults
from nbcore.grading.grader import RustGrader

VARIANTS = ("direct", "reading", "retry")
"""direct: test, read, edit, test. reading: list, search and read first. retry: a wrong attempt, its failing test, the
original back, and the right edit."""
BRIEF = ("direct", "at_once", "retry")
"""Of brief episodes. at_once edits what it has just read, without a test before: a small model copies best what stands
right before. Both ways are shown, because GRPO can prefer only what the policy does now and then."""
PRACTICE = ("read_file", "write_file")
Call = tuple[str, str]


def plan(
    problem: Problem, variant: str, rng: random.Random, raw: bool = True, names: Sequence[str] = NAMES
) -> tuple[list[Call], list[int]]:
    """The calls of a demonstration with the tools of these names, and which of them are wrong on purpose, by number."""
    name = next(name for name, text in problem.working.items() if problem.files.get(name) != text)
    look = ("read_file", json.dumps({"path": name}))
    test = ("cargo_check" if problem.kind in KINDS and "cargo_check" in names else "cargo_test", "{}")
    right = _edit(name, problem.files[name], problem.working[name], problem, rng, raw)
    if right[0] not in names:
        right = _whole(name, problem.working[name], problem, raw)
    calls, wrong = [test, look, right], []
    if variant == "reading":
        words = sorted({word for word in problem.files[name].split() if word.isidentifier() and len(word) > 1})
        search = [("search", json.dumps({"text": rng.choice(words)}))] if words else []
        calls = [call for call in [("list_files", "{}"), *search, look, test, right] if call[0] in names]
    elif variant == "retry":
        others = faults.choose(faults.find(problem.working[name], name), 8, rng)
        texts = [fault.applied(problem.working[name]) for fault in others]
        attempts = [text for text in texts if text != problem.files[name]]
        if attempts:
            bad = _whole(name, attempts[0], problem, raw)
            calls, wrong = [test, look, bad, ("cargo_test", "{}"), ("reset", "{}"), look, right], [2]
            if "reset" not in names:  # the next attempt is the whole file
                calls = [test, look, bad, ("cargo_test", "{}"), _whole(name, problem.working[name], problem, raw)]
    return [*calls, ("cargo_test", "{}")], wrong


def brief_plan(problem: Problem, variant: str, rng: random.Random, raw: bool = True) -> tuple[list[Call], list[int]]:
    """The same for a brief episode: read, test, edit, test; or without the first test; or a wrong edit, its failing
    test, the original back, and the right one; or, as `practice`, read and edit alone."""
    working = problem.working[problem.root]
    look, test, right = ("read_file", "{}"), ("cargo_test", "{}"), _whole(problem.root, working, problem, raw)
    if variant == "practice":
        return [look, right], []
    others = faults.choose(faults.find(working, problem.root), 8, rng) if variant == "retry" else []
    attempts = [text for fault in others if (text := fault.applied(working)) != problem.files[problem.root]]
    if attempts:
        bad = _whole(problem.root, attempts[0], problem, raw)
        return [look, bad, test, ("reset", "{}"), right, test], [1]
    return [look, *([test] if variant == "direct" else []), right, test], []


def practice(problems: Sequence[Problem], folder: Path, raw: bool = True) -> list[dict[str, Any]]:
    """Rows of reading and editing alone, in brief episodes, without a grader: what is written is the working code."""
    planned = [(problem, brief_plan(problem, "practice", random.Random(0), raw)[0]) for problem in problems]
    rows = []
    for at, (problem, calls) in enumerate(planned):
        episode = Episode.begun(problem, folder / str(at), raw=raw, names=PRACTICE, brief=True)
        answers = [advance([(episode, episode.call(*call))], None)[0] for call in calls]
        if episode.valid != len(calls) or episode.folder.texts() != problem.working:
            raise RuntimeError(f"{problem.id}: the working code was not written: {answers}")
        rows.append(_row(episode, "practice", calls, [], answers, DONE))
        episode.folder.remove()
    return rows


def demonstrate(
    planned: Sequence[tuple[Problem, str]],
    grader: RustGrader,
    folder: Path,
    seed: int = 0,
    raw: bool = True,
    names: Sequence[str] = NAMES,
    brief: bool = False,
    shown: int = MOST_SHOWN,
) -> list[dict[str, Any]]:
    """A chat row with tools for each problem and variant; only those that the hidden tests call repaired, whose wrong
    attempt a test notices, and that give the same answers when they are played again. `folder` is an empty one to work
    in; `shown` is how many characters of an answer there are."""
    plans = []
    for problem, variant in planned:
        rng = random.Random(f"{seed} {problem.id}")
        plans.append(brief_plan(problem, variant, rng, raw) if brief else plan(problem, variant, rng, raw, names))
    rows = []
    called = [(problem, calls) for (problem, _), (calls, _) in zip(planned, plans, strict=True)]
    options = raw, names, brief, shown
    first = play(called, grader, folder / "first", *options)
    grader.forget()  # played again, all is compiled and run again
    second = play(called, grader, folder / "second", *options)
    for (_, variant), (calls, wrong), one, other in zip(planned, plans, first, second, strict=True):
        episode, answers = one
        if not episode.verdict["passed"] or answers != other[1] or episode.valid != episode.steps:
            continue
        if any(answers[number + 1].startswith("all ") for number in wrong):
            continue  # it was not wrong, and yet it would be taken back
        rows.append(_row(episode, variant, calls, wrong, answers, DONE if brief else REPAIRED))
    return rows


DONE, REPAIRED = "Done.", "The crate is repaired: its tests pass."


def _row(
    episode: Episode, variant: str, calls: Sequence[Call], wrong: Sequence[int], answers: Sequence[str], last: str
) -> dict[str, Any]:
    """The chat row of a demonstration."""
    problem, messages = episode.problem, [*episode.messages()]
    for number, ((name, written), answer) in enumerate(zip(calls, answers, strict=True)):
        message = {**actions.call_message(name, written), "content": None}
        message["tool_calls"][0]["id"] = f"call_{number}"
        if number in wrong:
            message["train"] = False  # shown, and not learnt
        messages += [message, {"role": "tool", "name": name, "tool_call_id": f"call_{number}", "content": answer}]
    messages.append({"role": "assistant", "content": last})
    meta = {"problem": problem.id, "source": problem.source, "kind": problem.kind, "variant": variant}
    meta |= {"wrong_calls": list(wrong), "steps": episode.steps}
    return {"id": f"{problem.id}-{variant}", "messages": messages, "tools": episode.tools, "meta": meta}


def play(
    planned: Sequence[tuple[Problem, Sequence[Call]]],
    grader: RustGrader,
    folder: Path,
    raw: bool = True,
    names: Sequence[str] = NAMES,
    brief: bool = False,
    shown: int = MOST_SHOWN,
) -> list[tuple[Episode, list[str]]]:
    """Play calls on each problem in step, then the final answer, and ask the hidden tests. The episodes with the
    answers to their calls."""
    budget = Budget(steps=max((len(calls) for _, calls in planned), default=0) + 2, seconds=1e9, shown=shown)
    episodes = [
        Episode.begun(problem, folder / str(at), budget, raw, names, brief) for at, (problem, _) in enumerate(planned)
    ]
    answers: list[list[str]] = [[] for _ in episodes]
    for step in range(max((len(calls) for _, calls in planned), default=0)):
        at_work = [at for at, (_, calls) in enumerate(planned) if step < len(calls) and not episodes[at].done]
        pairs = [(episodes[at], episodes[at].call(*planned[at][1][step])) for at in at_work]
        for at, answer in zip(at_work, advance(pairs, grader), strict=True):
            answers[at].append(answer)
    advance([(episode, actions.Final("")) for episode in episodes if not episode.done], grader)
    settle(episodes, grader)
    return list(zip(episodes, answers, strict=True))


def _whole(name: str, text: str, problem: Problem, raw: bool) -> Call:
    if not raw:
        return "write_file", json.dumps({"path": name, "text": text}, ensure_ascii=False)
    return "write_file", text if name == problem.root else f"*** File: {name}\n{text}"


def _edit(name: str, before: str, after: str, problem: Problem, rng: random.Random, raw: bool) -> Call:
    """The edit that repairs: a small file is written whole; a large one, and sometimes a small one, in its lines."""
    if len(after) < 4_000 and rng.random() < 0.7:
        return _whole(name, after, problem, raw)
    old, new = before.split("\n"), after.split("\n")
    changes = [op for op in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes() if op[0] != "equal"]
    first, last = changes[0][1], changes[-1][2]
    lines = new[changes[0][3] : changes[-1][4]]
    given = {"path": name, "first": first + 1, "last": last, "text": "\n".join(lines) if lines else ""}
    return "replace_lines", json.dumps(given, ensure_ascii=False)
