"""Notice a policy whose logits are NaN or infinite while it generates.

Greedy decoding would answer with the first token of the vocabulary and call it a result. Sampling ends in an assertion
that names neither model nor cause, and on a GPU leaves the whole process unusable.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from nbcore.core.finite import NotFinite


@contextmanager
def finite(model: Any) -> Iterator[None]:
    """For as long as it lasts, a forward pass of `model` raises NotFinite where its logits are NaN or infinite."""

    def look(_module: Any, _inputs: Any, logits: torch.Tensor) -> None:
        # The sum is not finite if any logit is not: ten times quicker than to look at each. Waiting for its value
        # costs nothing more than generation does anyway, which asks after every token whether all rows have ended.
        if not math.isfinite(logits.sum(dtype=torch.float32).item()):
            raise NotFinite("the logits are NaN or infinite, so what the model generates means nothing")

    handle = model.get_output_embeddings().register_forward_hook(look)
    try:
        yield
    finally:
        handle.remove()
