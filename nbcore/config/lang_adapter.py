"""The config of the language adapter: continued pretraining through LoRA."""

from __future__ import annotations

from typing import Literal

from nbcore.config.schema import Corpus, Count, Lora, Packing, Training


class LangAdapter(Training):
    """Continue pretraining on Rust through LoRA (QLoRA with model.quantization: nf4)."""

    ADDED = (*Training.ADDED, "packing", "corpus.overlong", "corpus.fim_rate", "data_run")
    phase: Literal["lang_adapter"] = "lang_adapter"
    """Names the phase."""
    lora: Lora = Lora()
    """The adapter this phase creates."""
    corpus: Corpus = Corpus()
    """Training documents."""
    data_run: str | None = None
    """A finished data run whose documents are read instead of corpus.sources: its id, the beginning or end of one, its
    path, or 'data' for the best one of this profile."""
    packing: Packing = "none"
    """'bfd_split' puts several documents into one row of corpus.max_tokens, none seeing another, and loses no token:
    one forward pass then holds batch_size × max_tokens of them. 'none' is one document a row: better for a small
    model."""
    validation_documents: Count = 200
    """Held-out documents of each source, at most, for the evaluation loss."""

    @property
    def longest_row(self) -> int:
        """The longest row in one forward pass, in tokens: what the estimate of memory goes by."""
        return self.corpus.max_tokens
