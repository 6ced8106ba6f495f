"""The config of the language adapter: continued pretraining through LoRA."""

from __future__ import annotations

from typing import Literal

from nbcore.config.schema import Corpus, Count, Lora, Training


class LangAdapter(Training):
    """Continue pretraining on Rust through LoRA (QLoRA with model.quantization: nf4)."""

    phase: Literal["lang_adapter"] = "lang_adapter"
    """Names the phase."""
    lora: Lora = Lora()
    """The adapter this phase creates."""
    corpus: Corpus = Corpus()
    """Training documents."""
    validation_documents: Count = 200
    """Held-out documents of each source, at most, for the evaluation loss."""

    @property
    def longest_row(self) -> int:
        """The longest row in one forward pass, in tokens: what the estimate of memory goes by."""
        return self.corpus.max_tokens
