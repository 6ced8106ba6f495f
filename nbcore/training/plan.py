"""The memory that a config will need on a device, part by part, before any weight is loaded; and what to change.

Nothing is downloaded: the sizes of the profiles' bases are known (assets/architectures.json). What is not planned: a
GPU allocator's fragmentation and the CUDA context, for which a tenth of the device is left free.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import CONFIG_MAPPING, AutoConfig, LlamaConfig

from nbcore import config as configs
from nbcore.core import environment, hardware, packaged
from nbcore.core.base_model import local_folder
from nbcore.training import footprint, load, memory

FREE = 0.1  # of the device
NF4 = 0.5 + 1 / 64 + 4 / (64 * 256)  # bytes a weight: 4 bits, a byte per 64 of them, a float32 per 256 of those
MOMENTS = {"adamw_8bit": 2, "adamw_bnb_8bit": 2, "paged_adamw_8bit": 2, "lion_8bit": 1, "adafactor": 0, "sgd": 0}
ADAMW = 8  # bytes of optimizer state for each trained number
PROMPT = 256  # tokens: no prompt of the katas is longer


@dataclass(frozen=True)
class Plan:
    """Bytes by part. `parts` are there all the time; of `step` and `rollouts` only one is at a time."""

    parts: dict[str, int]
    step: int
    rollouts: int

    @property
    def peak(self) -> int:
        """The most bytes at one time."""
        return sum(self.parts.values()) + max(self.step, self.rollouts)

    def fits(self, device: hardware.Device) -> bool:
        """Whether it does, with a tenth of the device left free."""
        return self.peak <= (1 - FREE) * device.memory_gb * memory.GIB

    def rows(self) -> list[tuple[str, float]]:
        """(part, GiB) in the order they come, what is 0 left out."""
        every = {**self.parts, "one micro-batch: gradients, activations, logits": self.step}
        every["rollouts: KV cache, logits, prefill, folded weights"] = self.rollouts
        return [(name, size / memory.GIB) for name, size in every.items() if size]


def of(config: configs.Phase, adapter: configs.Lora | None) -> Plan:
    """The plan of a phase's config. `adapter` is the one it goes on with, where it makes none itself.

    Raises ValueError where the base is not known here, or where the adapter does not fit it.
    """
    trains = isinstance(config, configs.Training)
    whole = configs.TABLE[config.phase].from_scratch
    fresh = None if whole else getattr(config, "lora", None)
    adapter = None if whole else fresh or adapter
    dtype = getattr(torch, config.model.dtype)
    shape = architecture(config)
    attention = "sdpa" if config.model.attention == "flash_attention_2" else config.model.attention  # as much memory
    model = footprint.empty_model(shape, dtype, attention, adapter)
    trained = sum(value.numel() for value in model.parameters() if value.requires_grad)
    weights, largest, adapted = _weights(model, config.model.quantization == "nf4", trains and fresh is not None)
    parts = {"weights": weights}
    if adapter is not None:
        parts["adapter, float32"] = 4 * trained
    step = 0
    if trains:
        parts["optimizer"] = MOMENTS.get(str(config.trainer.get("optim")), ADAMW) * trained
        if config.has_reference and fresh is None:
            parts["reference adapter"] = 4 * trained
        wanted = footprint.Step(
            rows=config.rows_at_once,
            length=config.longest_row,
            logits=config.logits_at_once,
            reference=config.has_reference,
            checkpointing=config.gradient_checkpointing,
            gradients_kept=config.gradient_accumulation > 1,
        )
        step = footprint.beside_weights(shape, dtype, attention, adapter, wanted)
    if config.model.quantization == "nf4":
        parts["dequantising the largest matrix"] = largest * dtype.itemsize
    rollouts = _rollouts(shape, config, dtype.itemsize) if config.answers_at_once else 0
    if rollouts and trains and config.model.quantization == "none" and not (adapter and adapter.target_parameters):
        rollouts += adapted
    return Plan(parts, step, rollouts)


def remedy(config: configs.Phase, adapter: configs.Lora | None, device: hardware.Device) -> tuple[dict, Plan] | None:
    """The first change of a config with which it fits, and its plan; None where none of those tried does.

    Tried in this order, each on top of the one before: gradient checkpointing, half the micro-batch with the same
    effective batch, fewer answers side by side, a base in 4 bits.
    """
    for changes in _changes(config):
        changed = of(configs.load(config, changes), adapter)
        if changed.fits(device):
            return changes, changed
    return None


def architecture(config: configs.Phase) -> Any:
    """The config of the base's architecture, from this disk alone. Raises ValueError where it is not there."""
    if configs.TABLE[config.phase].from_scratch:
        if unknown := sorted(set(config.architecture) - set(LlamaConfig().to_dict())):
            raise ValueError(f"architecture: LlamaConfig has no {unknown[0]!r}; see transformers' documentation of it")
        vocabulary = config.vocab_size or AutoConfig.from_pretrained(load.SEEDLING).vocab_size
        return LlamaConfig(**config.architecture, vocab_size=vocabulary)
    base = config.model.base or "seedling"
    known = json.loads((environment.REPO / "nbcore" / "assets" / "architectures.json").read_text("utf-8"))
    if base in packaged.MODELS and not (packaged.default_folder(base) / "config.json").is_file():
        base = packaged.MODELS[base].publisher  # not fetched yet
    if base in known:
        return CONFIG_MAPPING[known[base]["model_type"]](**known[base])
    if base.startswith("run:"):
        raise ValueError(f"model.base: {base!r} is a run; name its model folder to plan for it")
    folder = load.SEEDLING if base == "seedling" else local_folder(base)
    try:
        shape = AutoConfig.from_pretrained(folder or base, local_files_only=True)
    except OSError:
        raise ValueError(
            f"model.base: the sizes of {base!r} are not known here; name a folder that holds its config.json, or one "
            f"of {', '.join(known)}"
        ) from None
    return shape.get_text_config()


def inherited(path: Path) -> configs.Lora:
    """The adapter that a phase goes on with: as the same profile's config that makes one has it, else the default."""
    maker = next(name for name, entry in configs.TABLE.items() if entry.leaves == "adapter")
    beside = path.parent.parent / maker / path.name
    return configs.load(beside).lora if beside.is_file() else configs.Lora()


def _weights(model: Any, quantised: bool, prepared: bool) -> tuple[int, int, int]:
    """Bytes of the base, numbers in its largest quantised matrix, bytes of the matrices that have an adapter.

    bitsandbytes leaves embeddings, norms and the output layer as they are. Where PEFT then makes a fresh adapter
    (`prepared`), it turns those to float32.
    """
    head, total, largest, adapted, seen = model.get_output_embeddings(), 0, 0, 0, set()
    for name, module in model.named_modules():
        for parameter in module.parameters(recurse=False):
            if "lora_" in name or id(parameter) in seen:
                continue
            seen.add(id(parameter))
            size = parameter.numel() * parameter.element_size()
            if name.endswith(".base_layer"):
                adapted += size
            if quantised and isinstance(module, torch.nn.Linear) and module is not head and parameter.dim() == 2:
                largest = max(largest, parameter.numel())
                size = round(parameter.numel() * NF4)
            elif quantised and prepared:
                size = 4 * parameter.numel()
            total += size
    return total, largest, adapted


def _rollouts(shape: Any, config: Any, width: int) -> int:
    rows, new = config.answers_at_once, config.generation.max_new_tokens
    heads = getattr(shape, "num_key_value_heads", None) or shape.num_attention_heads
    size = getattr(shape, "head_dim", None) or shape.hidden_size // shape.num_attention_heads
    cache = 2 * shape.num_hidden_layers * heads * size * rows * (PROMPT + new) * width
    logits = 3 * 4 * rows * shape.vocab_size  # of the last token, sorted and summed for top_p
    prefill = rows * PROMPT * (4 * shape.hidden_size + 3 * shape.intermediate_size) * width
    return cache + logits + prefill


def _changes(config: configs.Phase) -> Iterator[dict[str, Any]]:
    changes: dict[str, Any] = {}
    trains = isinstance(config, configs.Training)
    if trains:
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
    has_base = not configs.TABLE[config.phase].from_scratch
    if has_base and config.model.quantization == "none" and not config.model.dequantize_mxfp4:
        changes["model.quantization"] = "nf4"
        yield dict(changes)
