"""`python -m nbcore plan CONFIG`: the memory that a config needs on a device, before any weight is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nbcore import config as configs
from nbcore.cli.runs import Judged, out
from nbcore.core import capabilities, hardware


def plan(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="The YAML of one phase.")],
    gpu: Annotated[str | None, typer.Option(help=f"{', '.join(hardware.GPUS)}; default: this machine.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="Override a field: batch_size=2. Repeatable.")] = None,
):
    """What a config needs of a device's memory, part by part, and the first change with which it fits.

    Example: python -m nbcore plan configs/sft/medium.yaml --gpu l4
    """
    device = hardware.gpu(gpu) if gpu is not None else hardware.device()
    wanted = configs.load(config, set_ or [])
    if configs.TABLE[wanted.phase].makes_data:
        return out.print(f"{config}: {wanted.phase} loads no model, so there is nothing to plan")
    if wrong := _cannot(wanted, device, gpu):
        raise Judged(wrong)
    from nbcore.training import less, vllm_room
    from nbcore.training import plan as plans

    adapter = plans.inherited(config)
    try:
        planned = plans.of(wanted, adapter)
    except plans.NOT_BORNE as error:  # what is no error in a notebook, which trains all the same
        base, words = wanted.model.base or "seedling", " ".join(str(error).splitlines()[:1])
        raise Judged(
            f"model.base: {base!r} cannot be planned ({type(error).__name__}: {words}); it may train all the same, and "
            "takes half the micro-batch where memory runs out"
        ) from None
    for name, size in planned.rows():
        out.print(f"{size:9.2f} GiB  {name}")
    usable = (1 - plans.FREE) * device.memory_gb
    free = f"{plans.FREE:.0%} left free for the allocator"
    out.print(f"{planned.peak / 2**30:9.2f} GiB  at most at one time, of {usable:.1f} on {device.name} ({free})")
    if planned.fits(device):
        if vllm_room.engine(wanted) == "vllm":
            try:
                vllm_room.share_of(wanted, adapter, device)
            except ValueError as error:
                raise Judged(str(error)) from None
        return out.print("it fits")
    found = plans.remedy(wanted, adapter, device, shorter=True)
    if found is None:
        raise Judged(
            f"{config} does not fit {device.name} with any micro-batch, nor with {less.SHORTEST} tokens; take a "
            "smaller base"
        )
    changes, then = found
    words = " ".join(f"--set {field}={value}" for field, value in changes.items())
    raise Judged(f"{config} does not fit {device.name}; it does with {words}: {then.peak / 2**30:.2f} GiB")


def _cannot(config: configs.Phase, device: hardware.Device, gpu: str | None) -> str | None:
    """What a device cannot do of a config, however much memory it has. A named GPU is taken to have every package."""
    phase, dtype = configs.TABLE[config.phase], config.model.dtype
    if dtype == "bfloat16" and device.kind == "cuda" and not device.bf16:
        return f"model.dtype: {device.name} has no bfloat16; set model.dtype=float16"
    if dtype != "float32" and device.kind != "cuda" and (phase.trains or phase.measures):
        return f"model.dtype is {dtype!r}, which wants a GPU: name one with --gpu, or set model.dtype=float32"
    machine = capabilities.Machine(hardware.GPUS[gpu.strip().lower()][2], capabilities.PACKAGES, True) if gpu else None
    return next(iter(capabilities.lacking(config, machine or capabilities.here())), None)
