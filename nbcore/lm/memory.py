"""What a run will need in memory, estimated before anything is loaded."""

from __future__ import annotations

from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from nbcore import runs
from nbcore.lm import load

GIB = 1024**3
BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}


def plan(run: runs.Run) -> dict[str, str]:
    """Parameters and estimated GiB of weights, adapter with optimizer, and logits: an order of magnitude, not a bound.

    The model is built without memory ("meta" device), so that a plan for 20 B parameters costs nothing.
    """
    config = run.config
    architecture = AutoConfig.from_pretrained(
        load.folder(load.base_of(run), run.store), revision=config.model.revision or "main"
    )
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(architecture)
    total = sum(p.numel() for p in model.parameters())
    width = 0.55 if config.model.quantization == "nf4" else BYTES[config.model.dtype]  # 4 bits and the block scales
    adapter = _adapter_parameters(model, config.lora) if "lora" in type(config).model_fields else 0
    batch = getattr(config, "batch_size", 1)
    tokens = getattr(config, "max_length", None) or 256
    estimate = {
        "weights": total * width,
        "adapter, gradients, AdamW": adapter * 16,
        "logits and their gradient": 2 * 4 * batch * tokens * architecture.vocab_size,
    }
    return {
        "base": load.base_of(run),
        "parameters": f"{total:,}",
        "trainable (LoRA)": f"{adapter:,} ({adapter / total:.1%})" if adapter else "as the parent's adapter",
        **{name: f"{size / GIB:.2f} GiB" for name, size in estimate.items()},
        "together": f"{sum(estimate.values()) / GIB:.2f} GiB, activations apart",
    }


def _adapter_parameters(model: Any, lora: Any) -> int:
    count = 0
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear) and name.rsplit(".", 1)[-1] in lora.targets:
            count += lora.rank * (module.in_features + module.out_features)
    for name, parameter in model.named_parameters():
        if any(name.endswith(target) for target in lora.target_parameters):
            experts, rows, columns = parameter.shape
            count += lora.expert_rank * experts * (rows + columns)
    return count
