"""Memory: how large the model of a run is, before anything is loaded; what to do where memory was not enough."""

from __future__ import annotations

import gc
import json
import re
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from nbcore import config as configs
from nbcore import runs
from nbcore.training import fitting, load, lora

GIB = 1024**3


def sizes(run: runs.Run) -> dict[str, str]:
    """The base of a run, its parameters, and those of the adapter that it makes or goes on with, in words.

    The model is built without memory ("meta" device), so that 20 B parameters cost nothing.
    """
    architecture = fitting.shape(load.location(run, weights=False), f"model.base: {load.base_of(run)!r}")
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(architecture)
    total = sum(p.numel() for p in model.parameters())
    count = _adapter_parameters(model, adapter(run))
    return {
        "base": load.base_of(run),
        "parameters": f"{total:,}",
        "adapter": f"{count:,} ({count / total:.1%})",
    }


LACK = re.compile(r"out of memory|can't allocate memory|CUBLAS_STATUS_ALLOC_FAILED|CUDNN_STATUS_ALLOC_FAILED", re.I)


def is_lacking(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on a GPU or in torch's own allocator."""
    if isinstance(error, torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and LACK.search(str(error)) is not None


def release(error: BaseException | None = None) -> None:
    """Give back what a failed attempt held. The frames of its traceback hold the model: they are emptied first."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__
    gc.collect()
    torch.cuda.empty_cache()


def in_batches(items: Sequence[Any], size: int, work: Callable[[Any], None]) -> Iterator[int]:
    """`work` on `size` items at a time, yielding how many are done; where memory runs out, on half as many from then
    on. Raises what `work` raises where one item alone is too much."""
    done = 0
    while done < len(items):
        batch = items[done : done + size]
        try:
            work(batch)
        except RuntimeError as error:
            if not is_lacking(error) or len(batch) == 1:
                raise
            release(error)
            size = len(batch) // 2
            print(f"out of memory with {len(batch)} side by side: going on with {size}", flush=True)
            continue
        done += len(batch)
        yield done


def smaller(batch_size: int, product: int) -> int | None:
    """The largest micro-batch of at most half of this one that divides the effective batch; None below one row."""
    return next((size for size in range(batch_size // 2, 0, -1) if product % size == 0), None)


def adapter(run: runs.Run) -> configs.Lora | None:
    """The adapter that a run makes or goes on with; None where it looks at a bare base."""
    inherited = load.adapter_of(run.parent)
    if inherited is None:
        makes_one = configs.TABLE[run.phase].leaves == "adapter"
        return getattr(run.config, "lora", None) or (configs.Lora() if makes_one else None)
    saved = json.loads((inherited / "adapter_config.json").read_text("utf-8"))
    experts = saved.get("target_parameters") or []
    return configs.Lora(
        rank=saved["r"],
        targets=list(saved["target_modules"]),
        target_parameters=experts,
        expert_rank=saved["rank_pattern"].get(experts[0], saved["r"]) if experts else 1,
    )


def _adapter_parameters(model: Any, wanted: configs.Lora | None) -> int:
    if wanted is None:
        return 0
    wanted = lora.resolved(model, wanted)
    lora.check(model, wanted)
    count = 0
    for target in wanted.targets:
        for _, layer in lora.matching(model.named_modules(), target):
            rows, columns = layer.weight.shape
            count += wanted.rank * (rows + columns)
    for target in wanted.target_parameters:
        for _, parameter in lora.matching(model.named_parameters(), target):
            experts, rows, columns = parameter.shape
            count += wanted.expert_rank * experts * (rows + columns)
    return count
