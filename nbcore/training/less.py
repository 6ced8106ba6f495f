"""What of a config can be less where memory is short: the base's form, how much goes through at once, the length."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nbcore import config as configs
from nbcore.training import memory

LENGTHS = ("max_length", "corpus.max_tokens", "generation.max_new_tokens", "episodes.length")  # in tokens
SHORTEST = 128


def bases(config: configs.Phase) -> Iterator[dict[str, Any]]:
    """The base as it is, then in the form that takes less."""
    yield {}
    model = config.model
    if model.dequantize_mxfp4 and model.backend == "transformers":
        yield {"model.quantization": "mxfp4", "model.dequantize_mxfp4": False}
    elif not configs.TABLE[config.phase].from_scratch and model.quantization == "none" and not model.dequantize_mxfp4:
        yield {"model.quantization": "nf4"}


def at_once(config: configs.Phase) -> Iterator[dict[str, Any]]:
    """Less at one time, and the same is trained or answered."""
    changes: dict[str, Any] = {}
    if isinstance(config, configs.Training):
        if not config.gradient_checkpointing:
            changes["gradient_checkpointing"] = True
            yield dict(changes)
        size = config.batch_size
        while (size := memory.smaller(size, config.effective_batch) or 0) > 0:
            changes |= {"batch_size": size, "gradient_accumulation": config.effective_batch // size}
            yield dict(changes)
    if "generation" in type(config).model_fields and "batch_size" in type(config.generation).model_fields:
        side = config.generation.batch_size
        while side > 1:
            side //= 2
            changes["generation.batch_size"] = side
            yield dict(changes)


def length(config: configs.Phase) -> Iterator[dict[str, Any]]:
    """Half the rows or answers, and half of that, down to SHORTEST tokens."""
    fields = {leaf.path: leaf.value for leaf in configs.leaves(config) if leaf.path in LENGTHS}
    if getattr(config, "stages", None):  # which say how long rows are
        fields.pop("corpus.max_tokens", None)
    while any(tokens >= 2 * SHORTEST for tokens in fields.values()):
        fields = {path: tokens // 2 if tokens >= 2 * SHORTEST else tokens for path, tokens in fields.items()}
        yield dict(fields)
