"""The seam to Unsloth, and what transformers is told of optimizers: their documented calls, with what a config says.

Unsloth is imported where model.backend asks for it, never by the core. Read in unsloth 2026.10.9 (models/loader.py,
models/llama.py), which needs an NVIDIA GPU even to be imported.
"""

from __future__ import annotations

import dataclasses
import importlib
from typing import Any

import torch
import trl
from transformers.training_args import OptimizerNames

from nbcore import config as configs
from nbcore.core.suggest import did_you_mean

# What a field of the config says already, by TRL's names: said in `trainer` as well, it would win, and the plan of
# memory, smaller micro-batches where memory runs out, and the order of rows would go by the other.
OWN = {
    "per_device_train_batch_size": "batch_size",
    "gradient_accumulation_steps": "gradient_accumulation",
    "warmup_steps": "warmup",
    "bf16": "model.dtype",
    "fp16": "model.dtype",
    "torch_compile": "compile",
    "save_strategy": "save_steps",
    "output_dir": "name",
    "num_generations": "group_size",
    "max_completion_length": "generation.max_new_tokens",
    "temperature": "generation.temperature",
    "top_p": "generation.top_p",
    "use_vllm": "rollout_engine",
    "vllm_mode": "rollout_engine",
}


def base_arguments(folder: str, config: configs.Phase) -> dict[str, Any]:
    """Arguments of FastLanguageModel.from_pretrained for a base in a folder."""
    model = config.model
    return {
        "model_name": folder,
        "max_seq_length": config.longest_row,
        "dtype": getattr(torch, model.dtype),
        "load_in_4bit": model.quantization == "nf4",
        "load_in_fp8": model.quantization == "fp8",
        "use_gradient_checkpointing": "unsloth" if getattr(config, "gradient_checkpointing", False) else False,
        "use_exact_model_name": True,  # else it fetches a base of its own choice
        "trust_remote_code": False,
        "random_state": config.seed,
    }


def adapter_arguments(lora: configs.Lora, gradient_checkpointing: bool, seed: int) -> dict[str, Any]:
    """Arguments of FastLanguageModel.get_peft_model for a fresh adapter."""
    return {
        "r": lora.rank,
        "target_modules": lora.targets,
        "lora_alpha": lora.alpha,
        "lora_dropout": lora.dropout,
        "bias": "none",
        "use_gradient_checkpointing": "unsloth" if gradient_checkpointing else False,
        "random_state": seed,
        "target_parameters": lora.target_parameters or None,
        "rank_pattern": {name: lora.expert_rank for name in lora.target_parameters},
        "alpha_pattern": {name: lora.alpha * lora.expert_rank / lora.rank for name in lora.target_parameters},
    }


def base(folder: str, config: configs.Phase) -> Any:
    """The base, loaded by Unsloth."""
    model, _ = _fast().from_pretrained(**base_arguments(folder, config))
    return model


def attach(model: Any, lora: configs.Lora, config: configs.Training) -> Any:
    """A fresh adapter on a base that Unsloth loaded."""
    return _fast().get_peft_model(model, **adapter_arguments(lora, config.gradient_checkpointing, config.seed))


def training(config: configs.Training) -> dict[str, Any]:
    """What transformers' TrainingArguments is told of optimizer and compilation. Raises ValueError for what the escape
    hatch `trainer` gets wrong: a field that TRL does not have, or an optimizer that transformers does not know."""
    known = {field.name for field in dataclasses.fields(getattr(trl, config.TOLD))}
    if unknown := sorted(set(config.trainer) - known):
        hint = did_you_mean(unknown[0], sorted(known))
        raise ValueError(f"trainer: {config.TOLD} has no {unknown[0]!r}{hint}; its fields are in TRL's documentation")
    fields = {*type(config).model_fields} - {"phase", "trainer"}
    if said := next((name for name in config.trainer if name in OWN or name in fields), None):
        raise ValueError(f"trainer: {said!r} is what the config's own {OWN.get(said, said)} says; set that instead")
    if config.trainer.get("logging_nan_inf_filter"):
        raise ValueError("trainer: logging_nan_inf_filter would log a NaN as 0.0; leave it out, a NaN stops the run")
    named = str(config.trainer.get("optim", config.optimizer))
    if named not in (known := [each.value for each in OptimizerNames]):
        raise ValueError(
            f"trainer: optim is {named!r}, which is no optimizer of transformers{did_you_mean(named, known)}; leave it "
            "out and set optimizer, or take one of its documentation"
        )
    return {"optim": named, "torch_compile": config.compile}


def _fast() -> Any:
    return importlib.import_module("unsloth").FastLanguageModel
