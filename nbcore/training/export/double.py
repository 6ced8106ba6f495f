"""A forward pass in float64 on weights that stay in their own type, so that nothing but the weights is compared.

In float32 base and update are added up in another order than the merged weight, layer after layer: for that alone the
logits of SmolLM2 were ten to thirty times as far apart as for the rounding of the merged numbers.
"""

from __future__ import annotations

from typing import Any

import torch
from peft.tuners.lora.layer import LoraLayer, ParamWrapper
from torch.nn import functional
from torch.overrides import TorchFunctionMode

NARROW = (torch.float32, torch.float16, torch.bfloat16)
PICKING = (torch.Tensor.__getitem__, functional.embedding)  # they compute nothing: a whole table need not be widened
ROWS = 1024  # of a weight that are held in float64 at once


class Double(TorchFunctionMode):
    """While it is entered, every function computes in float64, those that a model asks to be in float32 included."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in PICKING or getattr(func, "__name__", "") == "__get__":
            return func(*args, **kwargs)
        if func is functional.linear and len(args) > 1 and len(args[1]) > ROWS and args[2:] in ((), (None,)):
            inputs, weight = widened(args[0]), args[1]
            made = inputs.new_empty(*inputs.shape[:-1], len(weight))
            for start in range(0, len(weight), ROWS):
                part = slice(start, start + ROWS)
                made[..., part] = functional.linear(inputs, widened(weight[part]))
            return made
        return widened(func(*widened(args), **widened(kwargs)))


def forward(model: Any, **inputs: Any) -> Any:
    """What a model held in float32 makes of these inputs, computed in float64; the model is left as it was."""
    # PEFT adds the update of experts as a parametrization, which may not change the type: these are widened whole.
    experts = [module for module in model.modules() if isinstance(module, ParamWrapper)]
    for module in experts:
        module.double()
    try:
        with Double():
            return model(**inputs)
    finally:
        for module in experts:
            module.float()


def widened(value: Any) -> Any:
    """Tensors of less than 64 bits, and the names of such types, in float64; all else as it is."""
    if isinstance(value, torch.Tensor):
        return value.double() if value.dtype in NARROW else value
    if isinstance(value, torch.dtype):
        return torch.float64 if value in NARROW else value
    if type(value) in (tuple, list):
        return type(value)(widened(each) for each in value)
    if type(value) is dict:
        return {key: widened(each) for key, each in value.items()}
    return value


def narrow(model: Any) -> None:
    """Hold each weight that 16 bits hold exactly in 16 bits, as one that was stored so: half the memory, and in float64
    the same numbers. Buffers stay as they are: some models compute theirs in the type that they are loaded in."""
    for weight in sorted(model.parameters(), key=torch.numel):  # the largest last, when there is room beside it
        for kind in (torch.bfloat16, torch.float16):
            less = weight.data.to(kind)
            if weight.dtype == torch.float32 and torch.equal(less.float(), weight.data):
                weight.data = less
                break


def widen_targets(model: Any) -> None:
    """Hold the weights that an adapter targets in float32, in which PEFT adds to them."""
    for module in model.modules():
        if isinstance(module, LoraLayer):
            module.get_base_layer().float()
