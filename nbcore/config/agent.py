"""How an agent plays in the repair environment: the same fields where it is trained and where it is measured."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from nbcore.config.schema import Closed, Count, Positive


class Playing(Closed):
    """What an agent has, and what one episode may use."""

    tools: Annotated[list[str], Field(min_length=1)] = [
        *("list_files", "read_file", "search", "write_file", "apply_patch", "replace_lines"),
        *("cargo_check", "cargo_test", "reset", "finish"),
    ]
    """The tools it has."""
    brief: bool = False
    """For a context of some hundred tokens, and crates of one file: no instructions, tools without descriptions."""
    steps: Count = 12
    """Actions of an episode at most."""
    tokens: Count = 8192
    """Tokens it may write in an episode; `generation.max_new_tokens` is the cap of one action."""
    seconds: Positive = 60.0
    """Of processor time for the cargo calls of an episode."""
    shown: Annotated[int, Field(ge=100)] = 6000
    """Characters of one answer that it is shown."""


class EpisodeWeights(Closed):
    """What an episode is worth."""

    passed: Annotated[float, Field(ge=0)] = 0.8
    """All hidden tests pass on what it left."""
    valid: Annotated[float, Field(ge=0)] = 0.1
    """Share of its actions that a tool could take."""
    left: Annotated[float, Field(ge=0)] = 0.1
    """Share of its steps that it did not need; counts only when all hidden tests pass."""

    @model_validator(mode="after")
    def _something_counts(self):
        if not self.passed:
            raise ValueError(f"passed is {self.passed}: an agent that need not repair will not; give it a weight")
        return self


class Episodes(Playing):
    """Faults that are put into the tasks' solutions, and repaired with tools: in several turns by GRPO, whose reward
    `weights` are; in one edit by IPO."""

    faults: Count = 400
    """How many, made of the tasks and verified by the compiler and the tests before training."""
    length: Count = 4096
    """Tokens of a whole episode, the environment's words included: there it ends."""
    weights: EpisodeWeights = EpisodeWeights()
    """Reward components."""
