"""Make the adapter, and prove that it is where the config says."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model, prepare_model_for_kbit_training
from peft.tuners import lora as layers

from nbcore import config as configs


def attach(model: Any, lora: configs.Lora, *, gradient_checkpointing: bool = False) -> PeftModel:
    """A fresh adapter on `model`. Raises ValueError naming every target that matched nothing.

    PEFT only warns when target_parameters match nothing, and a run would train without its experts.
    """
    if getattr(model, "quantization_method", None) is not None:
        model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=gradient_checkpointing)
    names = [name for name, _ in model.named_modules()] + [name for name, _ in model.named_parameters()]
    for target in [*lora.targets, *lora.target_parameters]:
        if not any(name == target or name.endswith(f".{target}") for name in names):
            raise ValueError(f"lora: target {target!r} matches nothing in {type(model).__name__}")
    return get_peft_model(
        model,
        LoraConfig(
            task_type="CAUSAL_LM",
            r=lora.rank,
            lora_alpha=lora.alpha,
            lora_dropout=lora.dropout,
            target_modules=lora.targets,
            target_parameters=lora.target_parameters or None,
            rank_pattern={name: lora.expert_rank for name in lora.target_parameters},
            alpha_pattern={name: lora.alpha * lora.expert_rank / lora.rank for name in lora.target_parameters},
        ),
    )


@contextlib.contextmanager
def folded(model: PeftModel) -> Iterator[None]:
    """For as long as it lasts, the adapter added into the base's weights; afterwards the very same weights again.

    Generating token by token, the adapter's small products cost more than the base's large ones. Where the base is
    quantised, or experts have adapters, nothing is folded.
    """
    adapted = [module for module in model.modules() if isinstance(module, layers.LoraLayer)]
    if any(type(layer) is not layers.Linear for layer in adapted):
        yield
        return
    kept = [layer.base_layer.weight.data for layer in adapted]
    with torch.no_grad():
        for layer in adapted:
            layer.base_layer.weight.data = layer.base_layer.weight.data + layer.get_delta_weight("default")
    try:
        with model.disable_adapter():
            yield
    finally:
        for layer, weight in zip(adapted, kept, strict=True):
            layer.base_layer.weight.data = weight
