"""The config of an export: in which form the model leaves, and how much is proved of it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from nbcore.config.schema import Count, Generation, Phase, Positive

GgufType = Literal["f32", "f16", "bf16", "q8_0", "q4_k_m"]


class Export(Phase):
    """A folder for transformers and vLLM, GGUF files for llama.cpp and Ollama, and the proof that nothing was lost."""

    phase: Literal["export"] = "export"
    """Names the phase."""
    form: Literal["merged", "adapter"] = "merged"
    """'merged': base and adapter in one model. 'adapter': the adapter alone, for whoever has the base."""
    dtype: Literal["float32", "float16", "bfloat16"] = "bfloat16"
    """Type of the weights that are written. What a run computes in is model.dtype."""
    shard_gb: Positive = 4.0
    """Gigabytes of one file at most. Merging takes the memory of a few tensors, whatever the size of the model."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where tensors are added and logits are compared; 'auto' is the GPU where there is one."""
    prompts: Annotated[int, Field(ge=0, le=36)] = 8
    """Fixed texts whose logits are compared: with the adapter, merged, and read back from disk. 0 compares tensors
    alone, which takes no model into memory."""
    gguf: list[GgufType] = ["f16", "q8_0", "q4_k_m"]
    """GGUF files to make, through llama.cpp's own converter and quantiser; empty for none."""
    gguf_lora: bool = False
    """A GGUF file of the adapter alone as well, for llama.cpp's --lora."""
    context: Count | None = None
    """Tokens of context that the Ollama Modelfile asks for; empty: as many as the model was made for."""
    greedy: Count = 50
    """Prompts that llama.cpp answers greedily, to be compared token by token with the merged model."""
    generation: Generation = Generation(max_new_tokens=48, batch_size=16)
    """How long those answers are; they are always greedy."""
    perplexity_documents: Annotated[int, Field(ge=0)] = 12
    """Held-out documents on which the perplexity of each GGUF file is compared with the merged model's."""
    max_tokens: Annotated[int, Field(ge=2)] = 64
    """Tokens of a document that the perplexity looks at."""
    jobs: Count = 2
    """Programs graded at once."""

    @property
    def answers_at_once(self) -> int:
        """Completions that are generated side by side."""
        return self.generation.batch_size

    @property
    def longest_row(self) -> int:
        """The longest row in one forward pass, in tokens: what the estimate of memory goes by."""
        return 256 + self.generation.max_new_tokens
