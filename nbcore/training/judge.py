"""GRPO's completions to verdicts, some of them while the others of their batch are still written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nbcore import runs
from nbcore.core.records import Verdict
from nbcore.training import ahead, rollout
from nbcore.training.generate import completion


class Judge:
    """The grader of a run on completions as TRL has them: token ids, and the id of the task.

    `stops` are the ids that end an answer; without them those of the tokenizer and its template. What `early` was told
    is graded in a thread, and known when `verdicts` asks for it.
    """

    def __init__(self, run: runs.Run, rows: Mapping[str, Any], stops: list[int] | None = None):
        self.tokenizer, self.tasks, self.stops = rows["tokenizer"], rows["tasks"], stops
        self.grader = rollout.grader(run, lint=run.config.weights.lint > 0)
        rollout.check_tasks(run, list(self.tasks.values()), run.config.tasks.source, self.grader)
        asked: dict[tuple[int, ...], list[str]] = {}
        for task, row in zip(self.tasks, rows["prompts"], strict=True):
            asked.setdefault(tuple(row["ids"]), []).append(task)
        self.asked = {ids: names[0] for ids, names in asked.items() if len(names) == 1}
        self.ahead = ahead.Ahead(self._early)

    def early(self, prompt: list[int], ids: list[int]) -> None:
        """Have a completion graded soon; one whose prompt belongs to no one task waits for `verdicts`."""
        if task := self.asked.get(tuple(prompt)):
            self.ahead.add((task, list(ids)))

    def verdicts(self, completion_ids: list, task: list[str]) -> tuple[list[Verdict], int]:
        """The verdicts, in order, and how many of them were not known from earlier steps."""
        before = self.ahead.finished()
        found = self._graded(task, completion_ids)
        return found, before + _fresh(found)

    def _early(self, answers: list[tuple[str, list[int]]]) -> int:
        return _fresh(self._graded(*zip(*answers, strict=True)))

    def _graded(self, task: Sequence[str], completion_ids: Sequence[list[int]]) -> list[Verdict]:
        answers = [completion(self.tokenizer, ids, self.stops) for ids in completion_ids]
        return rollout.graded([self.tasks[id_] for id_ in task], answers, self.grader.grade)


def _fresh(found: list[Verdict]) -> int:
    return sum(not verdict["cached"] for verdict in found)
