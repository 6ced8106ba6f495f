"""The memory that a config will need on a device, part by part, before any weight is loaded; and what to change.

Nothing is downloaded: the sizes of the profiles' bases are known (assets/architectures.json). What is not planned: a
GPU allocator's fragmentation and the CUDA context, for which a tenth of the device is left free.

Longer than usual because what to change is found by planning again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import CONFIG_MAPPING, AutoConfig

from nbcore import config as configs
from nbcore import runs
from nbcore.core import environment, hardware, packaged
from nbcore.core.base_model import local_folder
from nbcore.core.suggest import did_you_mean
from nbcore.training import backends, experts, fitting, footprint, less, load, lora, memory, moments

FREE = 0.1  # of the device
NF4 = 0.5 + 1 / 64 + 4 / (64 * 256)  # bytes a weight: 4 bits, a byte per 64 of them, a float32 per 256 of those
MXFP4 = 0.5 + 1 / 32  # bytes a weight: 4 bits, a byte per 32 of them
FP8 = 1 + 4 / 128**2  # bytes a weight: 8 bits, a float32 per block of 128 by 128
# A step that is counted runs the model's own code on tensors without memory, which not every model bears.
NOT_BORNE = (AttributeError, NotImplementedError, RuntimeError, TypeError)
MOST = "at most at one time"
MOST_TOKENS = 2**31  # in one forward pass; with more, torch cannot count what they take
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
        return self.peak <= _usable(device)

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
    attention = config.model.attention
    fitting.check(config.model, shape)
    if shape.model_type in fitting.ONLY_EAGER:
        attention = "eager"
    elif attention in ("auto", "flash_attention_2"):  # sdpa takes as much memory
        attention = "sdpa"
    model = footprint.empty_model(shape, dtype, attention, adapter)
    trained = sum(value.numel() for value in model.parameters() if value.requires_grad)
    width = {"nf4": NF4, "fp8": FP8}.get(config.model.quantization)
    weights, largest, adapted = _weights(model, width, trains and fresh is not None)
    if config.model.quantization == "mxfp4":
        if shape.model_type != "gpt_oss":
            raise ValueError(
                f"model.quantization is 'mxfp4', and {config.model.base or 'seedling'} is {shape.model_type}: only "
                "gpt-oss has packed experts; set model.quantization to none or nf4"
            )
        packed = sum(value.numel() for value in experts.parameters(model).values())
        weights -= round(packed * (dtype.itemsize - MXFP4))
    parts = {"weights": weights}
    if adapter is not None:
        parts["adapter, float32"] = 4 * trained
    step = 0
    if trains:
        rows, length = config.rows_at_once, config.longest_row
        if (tokens := rows * length) > MOST_TOKENS:
            raise ValueError(f"batch_size × length: {tokens:,} tokens in one forward pass; lower one of them")
        optimizer = backends.training(config)["optim"]  # refuses what TRL does not know
        parts["optimizer"] = moments.state(optimizer, model)
        if config.has_reference and fresh is None:
            parts["reference adapter"] = 4 * trained
        plain = config.logits_at_once is None and lora.needs_plain_loss(config.trainer.get("loss_type"), model)
        packed = getattr(config, "packing", "none") != "none"
        if packed:  # TRL puts them one after the other, into a single row
            rows, length = 1, tokens
        wanted = footprint.Step(
            rows=rows,
            length=length,
            logits=config.logits_at_once,
            plain=plain,
            reference=config.has_reference,
            checkpointing=config.gradient_checkpointing,
            gradients_kept=config.gradient_accumulation > 1,
            masked=packed or rows > 1,
        )
        step = footprint.beside_weights(shape, dtype, attention, adapter, wanted)
        step = max(step, 4 * trained + moments.step(optimizer, model, dtype))
    if width is not None:
        parts["dequantising the largest matrix"] = largest * dtype.itemsize
    rollouts = _rollouts(shape, config, dtype.itemsize) if config.answers_at_once else 0
    if rollouts and trains and config.model.quantization == "none" and not (adapter and adapter.target_parameters):
        rollouts += adapted
    return Plan(parts, step, rollouts)


def remedy(
    config: configs.Phase, adapter: configs.Lora | None, device: hardware.Device, shorter: bool = False
) -> tuple[dict, Plan] | None:
    """The first change of a config with which it fits, and its plan; None where none of those tried does.

    Tried in this order, each on top of the one before: gradient checkpointing, half the micro-batch with the same
    effective batch, fewer answers side by side. Then the same again, and first without them, on a smaller base: in 4
    bits, or with experts that stay packed. `shorter` has half the length tried at last, which trains something else.
    """
    bases = []  # that leave room for a step
    for base in less.bases(config):
        began = configs.load(config, base)
        planned = of(began, adapter)
        if base and planned.fits(device):
            return base, planned
        if sum(planned.parts.values()) > _usable(device):
            continue
        bases.append(base)
        for changes in less.at_once(began):
            then = of(configs.load(began, changes), adapter)
            if then.fits(device):
                return base | changes, then
    for base in bases if shorter else ():
        smallest = base
        for changes in less.at_once(configs.load(config, base)):
            smallest = base | changes
        for changes in less.length(configs.load(config, smallest)):
            then = of(configs.load(config, smallest | changes), adapter)
            if then.fits(device):
                return smallest | changes, then
    return None


def shown(run: runs.Run, device: hardware.Device | None = None) -> dict[str, str]:
    """The plan of a run against a device, by default the one here: each part in GiB, whether they fit, and otherwise
    the first change with which they do; what a notebook shows before anything is loaded."""
    device = device or hardware.device()
    config, adapter, told = run.config, None, {}
    if not configs.TABLE[run.phase].from_scratch:
        told, adapter = memory.sizes(run), memory.adapter(run)
        config = configs.load(config, {"model.base": load.location(run, weights=False)})
    try:
        planned = of(config, adapter)
    except NOT_BORNE as error:
        return told | {"no plan": f"{type(error).__name__}: {str(error).splitlines()[0]}"}
    told |= {name: _size(size) for name, size in planned.rows()}
    usable = _usable(device) / memory.GIB
    told[MOST] = f"{_size(planned.peak / memory.GIB)}, of {usable:.1f} GiB on {device.name}"
    if planned.fits(device):
        return told | {"it fits": f"with {FREE:.0%} left free for the allocator"}
    found = remedy(config, adapter, device, shorter=True)
    if found is None:
        return told | {"it does not fit": f"with any micro-batch, nor with {less.SHORTEST} tokens; take a smaller base"}
    changes, then = found
    return told | {"it does not fit": f"it does with overrides = {changes}: {_size(then.peak / memory.GIB)}"}


def _size(gib: float) -> str:
    return f"{gib:.2f} GiB" if gib >= 0.1 else f"{1024 * gib:.1f} MiB"


def chosen(config: str, phase: str, device: hardware.Device | None = None) -> str | configs.Phase:
    """The config that a notebook's `config` names. For "auto" it is the shipped one of the largest profile that fits
    the device by its plan, with the first change that makes it fit where it takes one; the reason is printed.

    Raises ValueError where no profile fits.
    """
    if config != "auto":
        return config
    device = device or hardware.device()
    names = [name for name in hardware.PROFILES if hardware.obstacle(name, device) is None]
    print(hardware.profile(device)[1])
    for name in reversed(names):
        path = environment.shipped_config(phase, name)
        wanted, adapter = configs.load(path), inherited(path)
        planned = of(wanted, adapter)
        short = str(path.relative_to(environment.REPO))
        if planned.fits(device):
            return short
        needs = f"{short} is planned to take {planned.peak / memory.GIB:.1f} GiB, and does not fit {device.name}"
        if found := remedy(wanted, adapter, device):
            changes, then = found
            print(f"{needs}; with {changes} it takes {then.peak / memory.GIB:.1f} GiB, so that is what is taken")
            return configs.load(short, changes)
        print(f"{needs} with any micro-batch")
    raise ValueError(f"config: 'auto': no profile fits {device}; name a config of your own, with a smaller base")


def architecture(config: configs.Phase) -> Any:
    """The config of the base's architecture, from this disk alone. Raises ValueError where it is not there."""
    if configs.TABLE[config.phase].from_scratch and config.start:
        start = load.SEEDLING if config.start == "seedling" else Path(config.start).expanduser()
        try:
            return fitting.shape(start, f"start: {config.start!r}")
        except OSError:
            raise ValueError(f"start: there is no folder {str(start)!r}; name one that pretrain left") from None
    if configs.TABLE[config.phase].from_scratch:
        vocabulary = config.vocab_size or AutoConfig.from_pretrained(load.SEEDLING).vocab_size
        return fitting.llama(config.architecture, vocab_size=vocabulary)
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
        shape = fitting.shape(folder or base, f"model.base: {base!r}")
    except OSError:
        near = did_you_mean(base, ["seedling", *packaged.MODELS, *known])
        raise ValueError(
            f"model.base: the sizes of {base!r} are not known here{near}; name a folder that holds its config.json, or "
            f"one of {', '.join(known)}"
        ) from None
    return shape.get_text_config()


def inherited(path: Path) -> configs.Lora:
    """The adapter that a phase goes on with: as the same profile's config that makes one has it, else the default."""
    maker = next(name for name, entry in configs.TABLE.items() if entry.leaves == "adapter")
    beside = path.parent.parent / maker / path.name
    return configs.load(beside).lora if beside.is_file() else configs.Lora()


def _weights(model: Any, width: float | None, prepared: bool) -> tuple[int, int, int]:
    """Bytes of the base, numbers in its largest quantised matrix, bytes of the matrices that have an adapter.

    `width`: bytes of a quantised weight, None where none is. Embeddings, norms and the output layer stay as they are.
    Where PEFT then makes a fresh adapter (`prepared`) on a base of bitsandbytes, it turns those to float32.
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
            if width and isinstance(module, torch.nn.Linear) and module is not head and parameter.dim() == 2:
                largest = max(largest, parameter.numel())
                size = round(parameter.numel() * width)
            elif width == NF4 and prepared:
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


def _usable(device: hardware.Device) -> float:
    return (1 - FREE) * device.memory_gb * memory.GIB
