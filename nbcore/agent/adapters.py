"""The repair environment as other trainers expect one: TRL's `environment_factory`, and the turns of `verifiers`.

GRPOTrainer(…, train_dataset=rows(problems), environment_factory=lambda: RepairEnvironment(grader))

class Repair(RepairTurns, verifiers.MultiTurnEnv):      # verifiers 0.1.14 to 0.3.1; tried with the last
    grader = RustGrader(lint=False)
environment = Repair(dataset=Dataset.from_list(rows(problems)), tool_defs=Repair.tool_defs, rubric=verifiers.Rubric())
environment.rubric.add_reward_func(environment.reward)
"""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from nbcore.agent.episode import SYSTEM, Budget, Episode, advance, settle
from nbcore.agent.problem import Problem
from nbcore.agent.tools import schemas
from nbcore.chat import actions
from nbcore.grading import verdicts
from nbcore.grading.grader import RustGrader

ENDED = "error: the episode has ended; nothing more is done"
_TURN = threading.Lock()


def rows(problems: Sequence[Problem]) -> list[dict[str, Any]]:
    """A data set for either: {"prompt": messages, "problem": the problem as JSON text, "info": {"problem": the same}}.
    As text, because columns of a data set have one type each, and the files of two crates have not."""
    found = []
    for problem in problems:
        text = json.dumps(problem.record())
        prompt = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": problem.prompt}]
        found.append({"prompt": prompt, "problem": text, "info": {"problem": text}})
    return found


class RepairEnvironment:
    """One episode after another, with a method for each tool, as TRL's `environment_factory` makes them. What TRL calls
    `reset` begins an episode, so the tool of that name is `restore` here."""

    def __init__(self, grader: RustGrader, budget: Budget | None = None):
        self._grader, self._budget, self._episode = grader, budget, None
        self._folder = tempfile.TemporaryDirectory(prefix="nbcore-agent-")
        self._begun = 0

    def reset(self, problem: str, **row: Any) -> None:
        """Begin the episode of a row."""
        if self._episode:
            self._episode.folder.remove()
        self._begun += 1
        path = Path(self._folder.name, str(self._begun))
        self._episode = Episode.begun(Problem.of_record(json.loads(problem)), path, self._budget, raw=False)

    def get_reward(self) -> float:
        """1.0 where the hidden tests pass, else 0.0. Raises Ungraded where they could not be run."""
        if self._episode is None:
            raise ValueError("get_reward: no episode has begun; call reset with a row of `rows` first")
        return _worth(settle([self._episode], self._grader)[0])

    def list_files(self) -> str:
        """The files of the crate, with their lengths."""
        return self._call("list_files")

    def read_file(self, path: str) -> str:
        """A file's text.

        Args:
            path: A path as list_files shows it.
        """
        return self._call("read_file", path=path)

    def search(self, text: str) -> str:
        """The lines that hold a text, in all files.

        Args:
            text: What to look for.
        """
        return self._call("search", text=text)

    def write_file(self, path: str, text: str) -> str:
        """Write a file, whole.

        Args:
            path: A path as list_files shows it.
            text: The whole file.
        """
        return self._call("write_file", path=path, text=text)

    def apply_patch(self, patch: str) -> str:
        """Change files.

        Args:
            patch: *** Begin Patch, *** Update File: PATH, @@, lines with ' ', '-' or '+', *** End Patch.
        """
        return self._call("apply_patch", patch=patch)

    def replace_lines(self, path: str, first: int, last: int, text: str) -> str:
        """Put a text in the place of some lines.

        Args:
            path: A path as list_files shows it.
            first: The first line, from 1.
            last: The last line; first - 1 inserts the text before first.
            text: What comes in their place.
        """
        return self._call("replace_lines", path=path, first=first, last=last, text=text)

    def cargo_check(self) -> str:
        """What the compiler says."""
        return self._call("cargo_check")

    def cargo_test(self) -> str:
        """What the tests say that you may know of."""
        return self._call("cargo_test")

    def restore(self) -> str:
        """The crate as it was in the beginning."""
        return self._call("reset")

    def finish(self) -> str:
        """The end: the hidden tests decide now."""
        return self._call("finish")

    def _call(self, name: str, **arguments: Any) -> str:
        if self._episode is None or self._episode.done:
            return ENDED
        return advance([(self._episode, self._episode.call(name, arguments))], self._grader)[0]


class RepairTurns:
    """What `verifiers.MultiTurnEnv` asks of an environment: `setup_state`, `env_response`, `is_completed`, and a
    reward. A state is a mapping with "info"; the episode is kept in it."""

    grader: RustGrader
    budget: Budget | None = None
    tool_defs: ClassVar = [tool["function"] for tool in schemas(raw=False)]

    async def setup_state(self, state: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Begin the episode of a state."""
        problem = Problem.of_record(json.loads(state["info"]["problem"]))
        path = Path(tempfile.mkdtemp(prefix="nbcore-agent-"), "crate")
        state["episode"] = Episode.begun(problem, path, self.budget, raw=False)
        return state

    async def env_response(self, messages: Sequence[Any], state: dict[str, Any], **_: Any) -> list[dict[str, Any]]:
        """The results of the calls in the last message; an answer without a call is the end. At the end they stand in
        "final_env_response" too: else the model would be asked once more."""
        episode = state["episode"]
        calls = _mapping(messages[-1]).get("tool_calls") or []
        if not calls and not episode.done:
            advance([(episode, actions.Final(""))], self.grader)
        answers = []
        for call in map(_mapping, calls):
            function = _mapping(call.get("function") or call)
            content = ENDED
            if not episode.done:
                action = episode.call(function.get("name"), function.get("arguments") or "{}")
                [content] = await _alone(advance, [(episode, action)], self.grader)
            answers.append({"role": "tool", "tool_call_id": str(call.get("id", "")), "content": content})
        if episode.done:
            state["final_env_response"] = answers
        return answers

    async def is_completed(self, state: dict[str, Any], **more: Any) -> bool:
        """Whether the episode has ended, or MultiTurnEnv ends it: for its turns, its tokens or an error."""
        others = getattr(super(), "is_completed", None)
        if others and await others(state, **more):
            return True
        return state["episode"].done is not None

    async def reward(self, state: dict[str, Any], **_: Any) -> float:
        """1.0 where the hidden tests pass, else 0.0; removes the folder. Raises Ungraded as TRL's does, and leaves it
        in the state's "error": verifiers makes a zero of what a reward raises."""
        if "episode" not in state:  # it could not begin, and the state has the error
            return 0.0
        episode = state["episode"]
        verdict = episode.verdict or (await _alone(settle, [episode], self.grader))[0]
        shutil.rmtree(episode.folder.path.parent, ignore_errors=True)
        try:
            return _worth(verdict)
        except verdicts.Ungraded as error:
            state["error"] = error
            raise


async def _alone(work: Callable[..., Any], *arguments: Any) -> Any:
    """What takes a second, in a thread: meanwhile other episodes have their answers from the model. One at a time, for
    the grader serves one caller."""

    def in_turn() -> Any:
        with _TURN:
            return work(*arguments)

    return await asyncio.to_thread(in_turn)


def _worth(verdict: Mapping[str, Any]) -> float:
    """The reward of a verdict; a fault of this machine is no zero, which a policy would learn from."""
    if verdict["verdict"] == "infra_error":
        raise verdicts.Ungraded(f"an episode could not be judged on this machine: {verdict['why']}")
    return float(verdict["passed"])


def _mapping(value: Any) -> Mapping[str, Any]:
    """A message or call as a mapping, where a client gives pydantic models, or JSON as verifiers' data sets have it.
    What is none is empty: it calls nothing, and is answered so."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            value = None
    return value if isinstance(value, Mapping) else getattr(value, "model_dump", dict)()
