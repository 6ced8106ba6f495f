"""What an optimizer takes beside weights and gradients: its state, and what its own step needs for a moment."""

from __future__ import annotations

from typing import Any

import torch

# Bytes of state for each trained number, by the name that transformers knows.
BYTES = {"adamw_8bit": 2, "adamw_bnb_8bit": 2, "paged_adamw_8bit": 2, "lion_8bit": 1, "adafactor": 0, "sgd": 0}
BYTES |= {"paged_lion_8bit": 1, "ademamix_8bit": 3, "paged_ademamix_8bit": 3, "rmsprop_bnb_8bit": 1}
BYTES |= {"ademamix": 12, "paged_ademamix_32bit": 12, "lion_32bit": 4, "paged_lion_32bit": 4, "rmsprop_bnb": 4}
BYTES |= {"rmsprop": 4, "rmsprop_bnb_32bit": 4, "adagrad": 4}
ADAMW = 8
SMALL = 4096  # numbers; bitsandbytes keeps 32 bits for a tensor with fewer
AT_ONCE = ("adamw_torch", "rmsprop", "adagrad")  # on a GPU torch takes the roots of all their tensors together


def state(name: str, model: Any) -> int:
    """Bytes that stay, for all that a model trains. Of 8 bits, embeddings get 32 (transformers has it so), and small
    tensors."""
    each, eight = BYTES.get(name, ADAMW), name in BYTES and name.endswith("8bit")
    tables = {id(table.weight) for table in model.modules() if isinstance(table, torch.nn.Embedding)}
    return sum(
        value.numel() * each * (4 if eight and (value.numel() < SMALL or id(value) in tables) else 1)
        for value in _trained(model)
    )


def step(name: str, model: Any, dtype: torch.dtype) -> int:
    """Bytes that come and go while the optimizer steps, the activations being gone. Half precision means a GPU."""
    sizes = [value.numel() for value in _trained(model)]
    if name in AT_ONCE and dtype != torch.float32:
        return 4 * sum(sizes)
    return 8 * max(sizes, default=0) if name in (*AT_ONCE, "adafactor") else 0


def _trained(model: Any) -> list[torch.Tensor]:
    return [value for value in model.parameters() if value.requires_grad]
