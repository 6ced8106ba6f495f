"""What a model remembers of the tokens it has read, on a CPU, where every row and every token has its price.

A batch shrinks as its rows end, and of a conversation's next turn only what is new is read. A GPU takes much the same
time for a few rows more, and its memory is dear: there, and for models whose layers remember in another way,
transformers goes on as it does by itself.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from peft import PeftModel
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

MOST = 4 * 2**20  # bytes kept of one conversation, of which there may be hundreds; the seedling needs no more
_PIECE = 64  # tokens that room is made for at a time


class _Layer(DynamicLayer):
    """transformers' layer copies all that it holds for each new token; this one only where its room is used up."""

    room: tuple[torch.Tensor, torch.Tensor] | None = None

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any) -> tuple:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        new, before = (key_states, value_states), (self.keys, self.values)
        held = self.get_seq_length()
        end = held + key_states.shape[-2]
        if self.room is None or end > self.room[0].shape[-2]:
            self.room = tuple(one.new_empty(*one.shape[:-2], end + _PIECE, one.shape[-1]) for one in new)
            for room, old in zip(self.room, before, strict=True):
                if held:
                    room[..., :held, :] = old
        for room, one in zip(self.room, new, strict=True):
            room[..., held:end, :] = one
        self.keys, self.values = (room[..., :end, :] for room in self.room)
        return self.keys, self.values

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        super().batch_select_indices(indices)
        self.room = None


class Past:
    """What one conversation leaves behind, for its next turn: its ids as far as they were read, and for each layer the
    (heads, tokens, size) of keys and of values."""

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.layers: list[tuple[torch.Tensor, torch.Tensor]] = []

    def shared(self, prompt: list[int]) -> int:
        """How many tokens of a prompt need not be read again. The last one always is: the next comes from it."""
        both = zip(self.ids, prompt[:-1], strict=False)
        return next((at for at, (old, new) in enumerate(both) if old != new), min(len(self.ids), len(prompt) - 1))


def empty(model: Any) -> DynamicCache | None:
    """A cache for one batch; None where transformers shall make its own."""
    plain = model.get_base_model() if isinstance(model, PeftModel) else model  # an adapter's forward names nothing
    named = inspect.signature(plain.forward).parameters
    if model.device.type != "cpu" or model.generation_config.cache_implementation or "past_key_values" not in named:
        return None
    cache = DynamicCache(config=model.config.get_text_config(decoder=True))
    if any(type(layer) is not DynamicLayer for layer in cache.layers):
        return None
    cache.layers = [_Layer() for _ in cache.layers]
    return cache


def fill(cache: DynamicCache, pasts: Sequence[Past], prompts: Sequence[list[int]]) -> None:
    """Put into an empty cache what is known of prompts that stand side by side, padded on the left."""
    width = max(map(len, prompts))
    # Of each as many as of the one of which most is new: then all begin in one column, as padding on the left has it.
    unread = max(len(prompt) - past.shared(prompt) for past, prompt in zip(pasts, prompts, strict=True))
    if unread >= width:
        return
    some = next(past.layers for past in pasts if past.layers)
    for at, layer in enumerate(cache.layers):
        both = []
        for kind in range(2):
            heads, _, size = some[at][kind].shape
            block = some[at][kind].new_zeros(len(prompts), heads, width - unread, size)
            for row, (past, prompt) in enumerate(zip(pasts, prompts, strict=True)):
                if (taken := len(prompt) - unread) > 0:
                    block[row, :, -taken:] = past.layers[at][kind][:, :taken]
            both.append(block)
        layer.update(*both)


def keep(cache: DynamicCache, row: int, past: Past, ids: list[int], padding: int) -> None:
    """Note what a cache holds of a row: `ids` are its prompt and what it emitted, which begin after `padding`. Where
    that is more than MOST bytes nothing is noted, and the next turn reads all."""
    read = slice(padding, min(cache.get_seq_length(), padding + len(ids)))
    both = [(layer.keys[row, :, read], layer.values[row, :, read]) for layer in cache.layers if layer.is_initialized]
    fits = sum(one.nbytes for pair in both for one in pair) <= MOST
    past.layers = [(keys.clone(), values.clone()) for keys, values in both] if fits else []
    past.ids = ids[: read.stop - read.start] if past.layers else []
