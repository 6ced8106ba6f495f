"""The config of supervised fine-tuning."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from nbcore.config.schema import AdapterTraining, Asking, Count


class Sft(AdapterTraining, Asking):
    """Teach instruction → function; the loss falls on the assistant's tokens only."""

    ADDED = (*AdapterTraining.ADDED, "prompt_form")
    phase: Literal["sft"] = "sft"
    """Names the phase."""
    rows: str = "katas"
    """'katas' (its demonstrated training tasks), or a .jsonl file of rows."""
    limit: Count | None = None
    """Use only so many rows, drawn with the run's seed."""
    max_length: Count = 256
    """Rows with more tokens are dropped, counted and shown."""
    validation_share: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Share of the rows held out for validation, chosen by a hash of the row id."""
    patience: Count = 2
    """Stop after so many epochs without a lower validation loss; the best checkpoint is kept."""

    @property
    def longest_row(self) -> int:
        """The longest row in one forward pass, in tokens: what the estimate of memory goes by."""
        return self.max_length
