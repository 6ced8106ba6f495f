"""The config of pretraining: a small model, trained from random weights."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field, model_validator

from nbcore.config.schema import Corpus, Count, Model, Packing, Training


class LengthStage(NamedTuple):
    """One stage of the sequence-length curriculum."""

    length: int
    steps: int


class Pretrain(Training):
    """Train a small causal LM from scratch on Rust documents, one document a row."""

    ADDED = (*Training.ADDED, "packing", "corpus.overlong", "corpus.fim_rate", "data_run", "start")
    phase: Literal["pretrain"] = "pretrain"
    """Names the phase."""
    start: str | None = None
    """Train this model further, all of its weights: 'seedling', or a folder that pretrain or make_seedling left.
    Architecture and tokenizer are its own. Empty: random weights."""
    architecture: dict[str, Any] = {}
    """Fields of transformers' LlamaConfig: hidden_size, num_hidden_layers, …"""
    vocab_size: Annotated[int, Field(ge=300)] | None = None
    """Train a tokenizer of this size on the documents. Empty: the seedling's tokenizer."""
    corpus: Corpus = Corpus(sources={"katas": 2000, "copies": 500})
    """Training documents."""
    data_run: str | None = None
    """A finished data run whose documents are read instead of corpus.sources: its id, the beginning or end of one, its
    path, or 'data' for the best one of this profile."""
    packing: Packing = "none"
    """'bfd_split' puts several documents into one row of corpus.max_tokens, none seeing another, and loses no token:
    one forward pass then holds batch_size × max_tokens of them. 'none' is one document a row: better for a small
    model."""
    validation_documents: Count = 200
    """Held-out documents (katas of unseen compositions) for the evaluation loss."""
    stages: list[Annotated[LengthStage, Field(description="[length, steps]")]] = []
    """Sequence-length curriculum: [[length in tokens, steps], …]; max_steps cuts it, or goes on with
    the last length. Empty: one stage."""

    @model_validator(mode="after")
    def _stages_fit_the_rows(self):
        if any(stage.length < 8 or stage.steps < 1 for stage in self.stages):
            raise ValueError(f"stages is {self.stages}: each needs a length of at least 8 tokens and at least 1 step")
        if any(stage.length > self.corpus.max_tokens for stage in self.stages):
            raise ValueError(
                f"stages is {self.stages}: longer than corpus.max_tokens {self.corpus.max_tokens}; raise it"
            )
        return self

    @model_validator(mode="after")
    def _starts_from_nothing(self):
        if self.model != Model(dtype=self.model.dtype):
            raise ValueError("model: pretrain makes a new model; of this section only dtype means something here")
        return self

    @model_validator(mode="after")
    def _one_architecture(self):
        if self.start and (self.architecture or self.vocab_size):
            raise ValueError(
                f"start is {self.start!r}, which has both of its own; leave out architecture and vocab_size"
            )
        return self

    @property
    def longest_row(self) -> int:
        """The longest row in one forward pass, in tokens: what the estimate of memory goes by."""
        return self.corpus.max_tokens
