"""What a config asks of the machine beyond the core packages, and one line for each that is missing.

Asked when a run is opened, before anything is read or loaded. Nothing is imported: a package is only looked for.
"""

from __future__ import annotations

import re
import shutil
from importlib.util import find_spec
from typing import Any, NamedTuple

from nbcore.core import hardware

AMPERE, HOPPER = (8, 0), (9, 0)
OF_BITSANDBYTES = re.compile(r"(?!adamw_torch).*(bit|bnb|ademamix)")  # names of its optimizers; adamw_torch_8bit is not
PACKAGES = frozenset(("flash_attn", "kernels", "unsloth", "vllm", "bitsandbytes"))
FLASH = ("flash_attn", "kernels")  # either will do: where flash-attn is absent, transformers 5 fetches a kernel


class Machine(NamedTuple):
    """What there is: the compute capability of the first NVIDIA GPU (None: there is none), packages and commands."""

    capability: tuple[int, int] | None
    packages: frozenset[str]
    compiler: bool


NOTHING = Machine(None, frozenset(), False)


def here() -> Machine:
    """This machine. Looking for its GPU takes importing torch."""
    # A folder of that name where the program was started looks like a package without an origin.
    found = frozenset(name for name in PACKAGES if (spec := find_spec(name)) and spec.origin)
    compiler = any(shutil.which(name) for name in ("cc", "gcc", "g++", "clang"))
    return Machine(hardware.capability(), found, compiler)


def check(config: Any, machine: Machine | None = None) -> None:
    """Raises ValueError naming the first field of a phase's config that the machine cannot do, and what to do."""
    if not lacking(config, NOTHING):
        return  # it asks for nothing, so the machine need not be looked at
    if wrong := next(iter(lacking(config, machine or here())), None):
        raise ValueError(wrong)


def lacking(config: Any, machine: Machine) -> list[str]:
    """A line for each field of a phase's config that the machine cannot do; empty where it can do all."""
    model, gpu = config.model, machine.capability
    engine, trainer = getattr(config, "rollout_engine", "transformers"), getattr(config, "trainer", {})
    field = "trainer: optim" if "optim" in trainer else "optimizer"
    optimizer = str(trainer.get("optim", getattr(config, "optimizer", "")))
    found = []
    if model.attention == "flash_attention_2" and model.dtype == "float32":
        found.append(
            "model.attention is 'flash_attention_2', which knows no float32, and model.dtype is that: set "
            "model.dtype=bfloat16 (a T4: float16); or set model.attention=sdpa"
        )
    if model.attention == "flash_attention_2" and not flash(machine):
        found.append(
            "model.attention is 'flash_attention_2', which needs an NVIDIA GPU from Ampere on and one of the packages "
            "flash-attn and kernels: bash colab_setup.sh --with kernels; or set model.attention=sdpa (gpt-oss: eager)"
        )
    if model.backend == "unsloth" and (gpu is None or "unsloth" not in machine.packages):
        found.append(
            "model.backend is 'unsloth', which needs an NVIDIA GPU and the package: bash colab_setup.sh --with "
            "unsloth; or set model.backend=transformers"
        )
    if model.quantization == "fp8" and (model.backend != "unsloth" or gpu is None or gpu < HOPPER):
        found.append(
            "model.quantization is 'fp8', which trains through unsloth alone, on an NVIDIA GPU from Hopper on: set "
            "model.backend=unsloth there; or set model.quantization=nf4"
        )
    if model.quantization == "mxfp4" and (model.backend != "transformers" or model.dequantize_mxfp4):
        found.append(
            "model.quantization is 'mxfp4', which keeps experts packed through transformers alone: set "
            "model.backend=transformers and model.dequantize_mxfp4=false; or set model.quantization=none"
        )
    if engine != "transformers" and (gpu is None or "vllm" not in machine.packages):
        found.append(
            f"rollout_engine is {engine!r}, which needs an NVIDIA GPU and the package vllm: bash colab_setup.sh --with "
            "vllm; or set rollout_engine=transformers"
        )
    if engine != "transformers" and getattr(config, "episodes", None):
        found.append(
            f"rollout_engine is {engine!r}, and episodes draw their turns here; set rollout_engine=transformers"
        )
    if model.quantization == "nf4" and "bitsandbytes" not in machine.packages:
        found.append(
            "model.quantization is 'nf4', which needs bitsandbytes: bash colab_setup.sh; or set model.quantization=none"
        )
    if OF_BITSANDBYTES.match(optimizer) and "bitsandbytes" not in machine.packages:
        found.append(
            f"{field} is {optimizer!r}, which needs bitsandbytes: bash colab_setup.sh; or set optimizer=adamw_torch"
        )
    if optimizer.startswith("paged_") and gpu is None:
        found.append(
            f"{field} is {optimizer!r}, which moves its state out of an NVIDIA GPU, and there is none: set "
            f"optimizer={optimizer.removeprefix('paged_')}"
        )
    if getattr(config, "compile", False) and not machine.compiler:
        found.append("compile is true, which needs a C compiler: apt-get install gcc; or set compile=false")
    return found


def flash(machine: Machine) -> bool:
    """Whether flash attention can run."""
    return machine.capability is not None and machine.capability >= AMPERE and not machine.packages.isdisjoint(FLASH)
