"""The config of preference optimisation on graded rollouts."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from nbcore.config.agent import Episodes
from nbcore.config.schema import AdapterTraining, Asking, Count, Generation, Positive, Tasks, needs_temperature


class Ipo(AdapterTraining, Asking):
    """Prefer programs that pass over programs that do not: IPO on graded rollouts of the parent."""

    ADDED = (*AdapterTraining.ADDED, "lora", "prompt_form", "pairs", "episodes")
    TOLD = "DPOConfig"
    phase: Literal["ipo"] = "ipo"
    """Names the phase."""
    pairs: str | None = None
    """A .jsonl file of pairs (id, prompt, chosen, rejected) to train on. Empty: pairs of the parent's own rollouts."""
    tasks: Tasks = Tasks(limit=300)
    """Tasks the rollouts are drawn on."""
    episodes: Episodes | None = None
    """Not a function is asked for: a fault is put into each task's solution, and of two edits of the parent's the one
    that repairs it is preferred."""
    rollouts: Annotated[int, Field(ge=2)] = 8
    """Completions sampled for each task."""
    jobs: Count = 2
    """Programs graded at once."""
    pairs_per_task: Count = 2
    """At most so many (chosen, rejected) pairs from one task."""
    generation: Generation = Generation(temperature=1.0)
    """How rollouts are drawn."""
    _differing = field_validator("generation")(needs_temperature)
    loss_type: Literal["ipo", "sigmoid", "hinge"] = "ipo"
    """TRL's name of the preference loss."""
    beta: Positive = 0.1
    """IPO's tau. The loss is (margin − 1/(2·beta))², the margin being per token: do not copy DPO's value."""
    max_length: Count = 320
    """Tokens of prompt and completion; longer pairs are dropped and counted."""

    @model_validator(mode="after")
    def _one_source(self):
        if self.pairs and self.episodes:
            raise ValueError("pairs and episodes are both given; a run trains on one of them")
        return self

    @property
    def rows_at_once(self) -> int:
        """The chosen and the rejected rows go through the model together."""
        return 2 * self.batch_size

    @property
    def logits_at_once(self) -> int:
        """All of a row's."""
        return self.max_length

    @property
    def has_reference(self) -> bool:
        """IPO compares with the parent."""
        return True

    @property
    def answers_at_once(self) -> int:
        """Rollouts side by side, before training; 0 where pairs are given."""
        return 0 if self.pairs else self.generation.batch_size

    @property
    def longest_row(self) -> int:
        """The longest row in one forward pass, in tokens: what the estimate of memory goes by."""
        return self.max_length
