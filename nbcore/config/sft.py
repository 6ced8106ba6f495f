"""The config of supervised fine-tuning."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from nbcore.config.schema import (
    AdapterTraining,
    Asking,
    Closed,
    Count,
    Generation,
    Overlong,
    Packing,
    Tasks,
    needs_temperature,
)


class BestOfN(Closed):
    """Sample several answers of the parent to each task, grade them, keep the best (RLAIF-lite)."""

    tasks: Tasks = Tasks(limit=300)
    """Training tasks with tests; those that every answer passes, or none, are left out."""
    samples: Annotated[int, Field(ge=2)] = 8
    """Answers to each task: the n of best-of-n."""
    keep: Count = 1
    """At most so many different answers of one task: fewest lints first, then the shortest."""
    generation: Generation = Generation(temperature=1.0)
    """How answers are drawn."""
    _differing = field_validator("generation")(needs_temperature)


class Episodes(Closed):
    """Repairs by a scripted agent that knows the answer, with the real tools: made for the run, and the same for the
    same config."""

    source: str = "katas"
    """Training tasks whose solutions get one fault each: 'katas', or a file or folder of tasks with solutions."""
    played: Count = 400
    """Rows in which tests run. Each fault is verified, and each row was played twice to the same answers."""
    practice: Annotated[int, Field(ge=0)] = 0
    """Rows of reading and editing alone, in brief episodes. The played ones are repeated until they are as many."""
    tools: list[str] = []
    """The tools of a played row; empty: all."""
    brief: bool = False
    """For a context of some hundred tokens, and crates of one file: no instructions, tools without descriptions."""
    shown: Annotated[int, Field(ge=100)] = 6000
    """Characters of one answer."""
    jobs: Count = 2
    """Programs compiled at once."""


class Sft(AdapterTraining, Asking):
    """Teach instruction → function; the loss falls on the assistant's tokens only."""

    ADDED = (
        *AdapterTraining.ADDED,
        "prompt_form",
        "best_of_n",
        "metadata_comments",
        "packing",
        "overlong",
        "data_run",
        "episodes",
    )
    phase: Literal["sft"] = "sft"
    """Names the phase."""
    rows: str = "katas"
    """'katas' (its demonstrated training tasks), or a file or folder of rows in any common format."""
    data_run: str | None = None
    """A finished data run whose rows are read instead of `rows`, its held-out ones for validation: its id, the
    beginning or end of one, its path, or 'data' for the best one of this profile."""
    best_of_n: BestOfN | None = None
    """Draw the rows from the parent instead: its own best answers to training tasks. Empty: `rows` as they are."""
    episodes: Episodes | None = None
    """Learn to repair with tools instead: rows of a scripted agent. Empty: `rows` as they are."""
    metadata_comments: bool = False
    """Put a comment header (function, algorithm, time, space) before each answer's code: for studies with a control."""
    limit: Count | None = None
    """Use only so many rows, drawn with the run's seed."""
    max_length: Count = 256
    """The longest row, in tokens."""
    overlong: Overlong = "drop"
    """What happens to a longer row: 'drop' leaves it out, 'truncate' keeps its beginning, 'raise' ends in an error that
    names it. All are counted and shown."""
    packing: Packing = "none"
    """'bfd_split' puts several rows into one of max_length, none seeing another, and loses no token: one forward pass
    then holds batch_size × max_length of them. 'none' trains each row by itself."""
    validation_share: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Share of the rows held out for validation, chosen by a hash of the row id."""
    patience: Count = 2
    """Stop after so many epochs without a lower validation loss; the best checkpoint is kept."""

    @model_validator(mode="after")
    def _one_source(self):
        if self.best_of_n and self.rows != "katas":
            raise ValueError(f"best_of_n is set and rows is {self.rows!r}: the parent's answers are the rows; drop one")
        if self.episodes and (self.best_of_n or self.data_run or self.metadata_comments or self.rows != "katas"):
            raise ValueError("episodes is set: it makes the rows; drop rows, data_run, best_of_n, metadata_comments")
        if self.data_run and (self.best_of_n or self.rows != "katas"):
            other = "best_of_n is set" if self.best_of_n else f"rows is {self.rows!r}"
            raise ValueError(f"data_run is {self.data_run!r} and {other}: both give the rows; drop one")
        return self

    @property
    def longest_row(self) -> int:
        """The longest row in one forward pass, in tokens: what the estimate of memory goes by."""
        return self.max_length
