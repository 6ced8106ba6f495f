"""vLLM for rollouts: on a server of its own where one is named, else in what the plan leaves free on this GPU."""

from __future__ import annotations

import math
from typing import Any

import torch

from nbcore import config as configs
from nbcore import runs
from nbcore.core import hardware
from nbcore.training import footprint, load, memory, plan

SERVER = ("vllm_server_base_url", "vllm_server_host")  # TRL's names


def engine(config: configs.Phase) -> str:
    """Who draws the completions; "vllm" is left where it draws in what is free on this GPU."""
    named = getattr(config, "rollout_engine", "transformers")
    return "vllm_server" if named == "vllm" and any(name in config.trainer for name in SERVER) else named


def rollouts(run: runs.Run) -> dict[str, Any]:
    """What TRL's GRPOConfig is told of who draws completions; the config's own `trainer` comes on top.

    Raises ValueError where the engine is "vllm", no server is named, and this GPU has no room for it.
    """
    config, which = run.config, engine(run.config)
    if which == "transformers":
        return {}
    asked = {"use_vllm": True, "vllm_mode": which.removeprefix("vllm_")}
    if which == "vllm":
        config = configs.load(config, {"model.base": load.location(run, weights=False)})
        share = share_of(config, memory.adapter(run), hardware.device())
        asked |= {"vllm_mode": "colocate", "vllm_gpu_memory_utilization": share}
    return asked


def stop_at(settings: Any, ends: list[int]) -> None:
    """Have vLLM stop at `ends`, as everything else here does, beside what a person's own generation_kwargs say. By
    itself it knows what the publisher's generation config names, and not the chat template's end of a turn."""
    if settings.use_vllm:
        settings.generation_kwargs = {"stop_token_ids": ends, **(settings.generation_kwargs or {})}


def share_of(config: configs.Phase, adapter: configs.Lora | None, device: hardware.Device) -> float:
    """The share of a GPU's memory that is free for vLLM beside the training, in whole hundredths.

    Raises ValueError where its weights, which it keeps unquantised, and its KV cache need more.
    """
    planned, shape = plan.of(config, adapter), plan.architecture(config)
    copy = footprint.empty_model(shape, getattr(torch, config.model.dtype), "eager", None)
    needed = planned.rollouts + sum(value.numel() * value.element_size() for value in copy.parameters())
    trained = sum(planned.parts.values()) + planned.step
    free = (1 - plan.FREE) * device.memory_gb * memory.GIB - trained
    if needed > free:
        raise ValueError(
            f"rollout_engine is 'vllm': training takes {trained / memory.GIB:.1f} GiB and vLLM at least "
            f"{needed / memory.GIB:.1f}, which {device.name} has no room for ({device.memory_gb:.0f} GiB, a tenth left "
            f"free); start `vllm serve` on another GPU and name it by trainer.{SERVER[0]}, or set "
            "rollout_engine=transformers"
        )
    return math.floor(100 * free / (device.memory_gb * memory.GIB)) / 100
