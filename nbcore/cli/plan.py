"""`python -m nbcore plan CONFIG`: the memory that a config needs on a device, before any weight is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nbcore import config as configs
from nbcore.cli.runs import Judged, out
from nbcore.core import hardware


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
    from nbcore.training import plan as plans

    adapter = plans.inherited(config)
    planned = plans.of(wanted, adapter)
    for name, size in planned.rows():
        out.print(f"{size:9.2f} GiB  {name}")
    usable = (1 - plans.FREE) * device.memory_gb
    free = f"{plans.FREE:.0%} left free for the allocator"
    out.print(f"{planned.peak / 2**30:9.2f} GiB  at most at one time, of {usable:.1f} on {device.name} ({free})")
    wants_bf16 = wanted.model.dtype == "bfloat16" and device.kind == "cuda" and not device.bf16
    if wants_bf16:
        raise Judged(f"model.dtype: {device.name} has no bfloat16; set model.dtype=float16")
    if planned.fits(device):
        return out.print("it fits")
    found = plans.remedy(wanted, adapter, device)
    if found is None:
        raise Judged(f"{config} does not fit {device.name} with any micro-batch; take shorter rows or a smaller base")
    changes, then = found
    words = " ".join(f"--set {field}={value}" for field, value in changes.items())
    raise Judged(f"{config} does not fit {device.name}; it does with {words}: {then.peak / 2**30:.2f} GiB")
