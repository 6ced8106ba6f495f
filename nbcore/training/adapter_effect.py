"""Whether an adapter that was saved does anything once it is loaded again."""

from __future__ import annotations

import torch

from nbcore import runs
from nbcore.training import load

TEXT = "Write a function that returns the sum of the squares of `items`.\npub fn total(items: &[i64]) -> i64 {"


@torch.inference_mode()
def largest_difference(run: runs.Run) -> float:
    """The largest difference that a run's saved adapter makes to a logit of its base on a short text.

    0.0 where it changes nothing: peft leaves out keys that it does not know, with a warning at most. NaN where the
    logits are not finite.
    """
    tokenizer = load.tokenizer(run)
    model = load.policy(run, run, trainable=True).eval()  # kept apart from the base, so that one load serves both
    ids = torch.tensor([tokenizer.encode(TEXT)], device=model.device)
    adapted = model(input_ids=ids).logits.float()
    with model.disable_adapter():
        bare = model(input_ids=ids).logits.float()
    return float((adapted - bare).abs().max())
