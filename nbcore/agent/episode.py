"""One attempt to repair a crate, and many of them in step: calls in, texts out, and in the end the hidden tests.

episode = Episode(problem, folder)
advance([(episode, action)], grader)     # a text for each action; cargo calls of all run as one batch
settle([episode], grader)                # what the hidden tests say of the folder
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbcore.agent import cargo, tools
from nbcore.agent.folder import Folder, Refused
from nbcore.agent.problem import Problem, judge
from nbcore.chat import actions
from nbcore.chat.tools import functions
from nbcore.core.output import shown
from nbcore.grading.grader import Limits, RustGrader

TRIES = 3  # of what this machine could not run


@dataclass(frozen=True)
class Budget:
    """What one episode may use."""

    steps: int = 12
    """Actions, wrong ones too."""
    tokens: int = 8192
    """That the model sampled, where the caller counts them."""
    seconds: float = 60.0
    """Of processor time, of its cargo calls; one that ran into its limit costs what the clock may show at most."""
    shown: int = tools.MOST_SHOWN
    """Characters of one answer."""


class Episode:
    """The state of one attempt: the folder, and what was used. `done` says why it ended, None as long as it goes on:
    "finish", "steps", "tokens" or "seconds". `heard` is what cargo said last.

    A `brief` one is for a context of some hundred tokens, and a crate of one file: no instructions, tools without
    descriptions, and `reset` answers with the file and with what cargo said last, so that neither is asked for again.
    """

    def __init__(
        self,
        problem: Problem,
        folder: Folder,
        budget: Budget | None = None,
        raw: bool = True,
        names: Sequence[str] = tools.NAMES,
        brief: bool = False,
    ):
        self.problem, self.folder, self.budget, self.raw, self.names = problem, folder, budget or Budget(), raw, names
        self.brief = brief
        self.tools = tools.schemas(raw, names, brief)
        self.heard = ""
        self._functions = functions(self.tools)
        self.steps, self.valid, self.tokens, self.seconds = 0, 0, 0, 0.0
        self.done: str | None = None
        self.verdict: dict[str, Any] | None = None

    @classmethod
    def begun(
        cls,
        problem: Problem,
        path: Path,
        budget: Budget | None = None,
        raw: bool = True,
        names: Sequence[str] = tools.NAMES,
        brief: bool = False,
    ) -> Episode:
        """An episode at its beginning, in a new folder at `path`; it has the tools of these `names`."""
        return cls(problem, Folder.made(path, problem.files), budget, raw, names, brief)

    def copy(self, path: Path) -> Episode:
        """The same state in a folder of its own, to go on from in another way."""
        other = Episode(self.problem, self.folder.copy(path), self.budget, self.raw, self.names, self.brief)
        other.heard = self.heard
        other.steps, other.valid, other.tokens, other.seconds = self.steps, self.valid, self.tokens, self.seconds
        other.done, other.verdict = self.done, self.verdict
        return other

    def messages(self) -> list[dict[str, Any]]:
        """How the conversation begins."""
        instructions = [] if self.brief else [{"role": "system", "content": SYSTEM}]
        return [*instructions, {"role": "user", "content": self.problem.prompt}]

    def call(self, name: Any, arguments: Any) -> actions.Call | actions.Malformed:
        """A call as a model wrote it; Malformed, with what is wrong, where no tool can take it."""
        if isinstance(arguments, dict):  # as some rows have them
            try:
                arguments = json.dumps(arguments, ensure_ascii=False)
            except (TypeError, ValueError, RecursionError) as error:
                return actions.Malformed(f"the arguments cannot be written as JSON: {shown(str(error), 200)}")
        if not isinstance(name, str) or not isinstance(arguments, str):
            return actions.Malformed("a call is the name of a tool and its arguments, both text")
        if len(arguments) > tools.MOST_ARGUMENTS:
            most = tools.MOST_ARGUMENTS
            return actions.Malformed(f"the arguments have {len(arguments)} characters, and may have {most}")
        known = self._functions.get(name)
        if known and not known.takes_text and not arguments.strip():
            arguments = "{}"
        return actions.called(self._functions, name, arguments)

    def take(self, action: actions.Action, tokens: int) -> str | dict[str, Any]:
        """The answer to an action; or, for a cargo call, the job whose verdict `told` takes."""
        if self.done:
            raise ValueError(f"the episode of {self.problem.id} has ended ({self.done}): begin another")
        self.steps, self.tokens = self.steps + 1, self.tokens + tokens
        match action:
            case actions.Final():
                self.valid += 1
                self.done = "finish"
                return "finished"
            case actions.Preamble():
                self.valid += 1
                return "go on"
            case actions.Truncated():
                return "error: what you wrote ends before it is whole; write less at once"
            case actions.Malformed(reason=reason):
                return f"error: {shown(reason, 400)}"
        try:
            texts = self.folder.texts()
            if action.name in tools.CARGO:
                if why := self.problem.refused(texts):
                    raise Refused(f"not compiled: {why}")
                self.valid += 1
                return self.problem.check(texts) if action.name == "cargo_check" else self.problem.test(texts)
            said = tools.at_once(self.folder, self.problem.files, self.problem.root, action.name, action.arguments)
            if self.problem.function and (more := [name for name in self.folder.names() if name not in texts]):
                self.folder.restore(texts)
                raise Refused(f"{more[0]!r}: this crate has the files that it has, and no more")
        except Refused as refused:
            return f"error: {shown(str(refused), 400)}"
        self.valid += 1
        if action.name == "finish":
            self.done = "finish"
        if self.brief and action.name in _IN_BRIEF:
            said = _IN_BRIEF[action.name].format(file=self.problem.files[self.problem.root], heard=self.heard)
        return tools.cut(said, tools.MOST_SHOWN if self.brief else self.budget.shown)

    def told(self, name: str, said: dict[str, Any], limits: Limits) -> str:
        """The answer to a cargo call, by its verdict."""
        # A sleeper needs no processor, and what the clock shows of an endless program hangs on who else is at work.
        waited = {"run_timeout": limits.run_wall_s, "compile_timeout": limits.compile_wall_s}
        self.seconds += waited.get(said["verdict"], said["cpu_ms"] / 1e3)
        if name == "cargo_check":
            self.heard = cargo.of_check(said, self.budget.shown)
        else:
            self.heard = cargo.of_test(self.problem, self.folder.texts(), said, self.budget.shown)
        return self.heard

    def close(self, answer: str) -> str:
        """The answer, with a word about a budget that is used up, which ends the episode."""
        if self.done:
            return answer
        used = {"steps": self.steps, "tokens": self.tokens, "seconds": self.seconds}
        for name, amount in used.items():
            if amount >= getattr(self.budget, name):
                self.done = name
                return f"{answer}\nthe budget of {getattr(self.budget, name):g} {name} is used up: this is the end"
        return answer


_IN_BRIEF = {"write_file": "written", "reset": "{file}\n{heard}"}
SYSTEM = (
    "You repair a Rust crate. It has one fault. Read it, edit it with the tools, and finish when it is right: "
    "tests that you cannot see decide."
)


def advance(
    pairs: Sequence[tuple[Episode, actions.Action]], grader: RustGrader, tokens: Sequence[int] | None = None
) -> list[str]:
    """One action of each episode: the answers, in order. All cargo calls run as one batch on the grader's workers.

    tokens: how many the model sampled for each. Raises ValueError where an episode has ended already.
    """
    counts = tokens or [0] * len(pairs)
    taken = [episode.take(action, count) for (episode, action), count in zip(pairs, counts, strict=True)]
    jobs = {at: answer for at, answer in enumerate(taken) if not isinstance(answer, str)}
    said = dict(zip(jobs, run(grader, list(jobs.values())), strict=True))
    answers = []
    for at, (episode, action) in enumerate(pairs):
        answer = episode.told(action.name, said[at], grader.limits) if at in said else taken[at]
        answers.append(episode.close(answer))
    return answers


def run(grader: RustGrader, jobs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The verdicts on jobs, each tried again where this machine could not run it."""
    return _tried_again(jobs, lambda left: grader.own_tests(left))  # where there is no job there may be no grader


def _tried_again(wanted: list[Any], ask: Callable[[list[Any]], list[dict[str, Any]]]) -> list[dict[str, Any]]:
    said = ask(wanted) if wanted else []
    for _ in range(TRIES - 1):
        failed = [at for at, verdict in enumerate(said) if verdict["verdict"] == "infra_error"]
        again = ask([wanted[at] for at in failed]) if failed else []
        for at, verdict in zip(failed, again, strict=True):
            said[at] = verdict
    return said


def settle(episodes: Sequence[Episode], grader: RustGrader) -> list[dict[str, Any]]:
    """What the hidden tests say of what each left behind; the verdict is kept in the episode, too."""
    pairs = [(episode.problem, episode.folder.texts()) for episode in episodes]
    verdicts = _tried_again(pairs, lambda left: judge(grader, left))
    for episode, verdict in zip(episodes, verdicts, strict=True):
        episode.verdict = verdict
    return verdicts
