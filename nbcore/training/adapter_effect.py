"""Whether an adapter that was saved does anything once it is loaded again."""

from __future__ import annotations

import warnings

import torch

from nbcore import runs
from nbcore.training import load

TEXT = "Write a function that returns the sum of the squares of `items`.\npub fn total(items: &[i64]) -> i64 {"


@torch.inference_mode()
def largest_difference(run: runs.Run) -> float:
    """The largest difference that a run's saved adapter makes to a logit of its base on a short text.

    0.0 where it changes nothing, NaN where the logits are not finite. Raises ValueError where a part of it is not
    loaded: of keys that it does not know or find, peft only warns.
    """
    tokenizer = load.tokenizer(run)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        model = load.policy(run, run, trainable=True).eval()  # kept apart from the base, so that one load serves both
    if missing := [str(each.message) for each in said if "missing adapter keys" in str(each.message)]:
        raise ValueError(
            f"{missing[0].count('lora_')} tensors of it are not in the file: {missing[0].partition('[')[2]}"
        )
    ids = torch.tensor([tokenizer.encode(TEXT)], device=model.device)
    adapted = model(input_ids=ids).logits.float()
    with model.disable_adapter():
        bare = model(input_ids=ids).logits.float()
    return float((adapted - bare).abs().max())
