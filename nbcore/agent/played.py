"""One episode as it was played: ids, conversation, every action with its answer and its change, and the verdict."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from nbcore.agent.episode import Episode


class Turn(NamedTuple):
    """One action, as ids."""

    prompt_ids: list[int]
    completion_ids: list[int]
    """With the stop token, unless it was cut."""
    logprobs: list[float] | None


@dataclass
class Played:
    """One episode that a policy played."""

    episode: Episode
    """Its verdict is the hidden tests'."""
    messages: list[dict[str, Any]]
    """The conversation, in the form of rows."""
    turns: list[Turn] = field(default_factory=list)
    steps: list[dict[str, Any]] = field(default_factory=list)
    """For each action {"action", "name", "arguments", "answer", "valid", "tokens", "diff"}: JSON's own types."""
    files: dict[str, str] = field(default_factory=dict)
    """What was in the folder in the end."""

    def ids(self) -> tuple[list[int], list[int], list[int], list[float] | None]:
        """(prompt, completion, mask, logprobs) of the whole episode: 1 in the mask where the model sampled, 0 where the
        environment spoke. Logprobs are 0 there."""
        prompt, completion, mask, likely = list(self.turns[0].prompt_ids), [], [], []
        for turn in self.turns:
            said = turn.prompt_ids[len(prompt) + len(completion) :]
            completion += said + turn.completion_ids
            mask += [0 for _ in said] + [1 for _ in turn.completion_ids]
            likely += [0.0 for _ in said] + (turn.logprobs or [])
        return prompt, completion, mask, likely if self.turns[0].logprobs is not None else None

    def record(self) -> dict[str, Any]:
        """What samples.jsonl keeps of it, and a viewer shows."""
        episode = self.episode
        problem = episode.problem
        known = {"id": problem.id, "source": problem.source, "kind": problem.kind, "prompt": problem.prompt}
        used = {name: getattr(episode, name) for name in ("steps", "valid", "tokens", "done")}
        verdict = episode.verdict or {"verdict": "", "passed": False, "why": "", "tests_passed": 0}
        told = {name: verdict[name] for name in ("verdict", "passed", "why", "tests_passed")}
        whole = {"diff": difference(problem.files, self.files), "messages": self.messages, "actions": self.steps}
        return known | used | {"cargo_seconds": episode.seconds} | told | whole


def difference(before: dict[str, str], after: dict[str, str]) -> str:
    """What changed between two states of a crate, as a unified diff; empty where nothing did. It shows every byte that
    differs: a line's \\r, and a last line without its end."""
    parts = []
    for name in sorted({*before, *after}):
        old, new = before.get(name, ""), after.get(name, "")
        if old != new:
            made = difflib.unified_diff(_lines(old), _lines(new), f"a/{name}", f"b/{name}", lineterm="")
            parts.append("\n".join(made))
    return "\n".join(parts)


def _lines(text: str) -> list[str]:
    *lines, last = text.split("\n")
    return [*lines, f"{last}\n\\ No newline at end of file"] if last else lines
