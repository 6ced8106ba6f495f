"""`python -m nbcore watch`: a run's checkpoints evaluated while it trains."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated

import typer

from nbcore import config as configs
from nbcore.cli.runs import Judged, RunName, Store, lookup, out
from nbcore.core import environment
from nbcore.runs import layout

UNITS = {"s": 1, "m": 60, "h": 3600}
LONGEST = 7 * 86400  # seconds


def watch(
    reference: RunName,
    every: Annotated[str, typer.Option(help="How often to look: 45s, 30m, 2h.")] = "30m",
    once: Annotated[bool, typer.Option("--once", help="Evaluate what is there now, then end.")] = False,
    config: Annotated[
        Path | None,
        typer.Option(help="The config of an evaluation; without it that of the run's profile.", metavar="FILE"),
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Override a field of that config: heldout=100. Repeatable.")
    ] = None,
    store: Store = None,
):
    """Evaluate each newly committed checkpoint of a run while it trains elsewhere, and draw the curve.

    It ends when the run has finished. Stopped or killed, the same command goes on. Example:
    python -m nbcore watch sft --every 10m --set heldout=100
    """
    seconds = interval(every)
    run = lookup(environment.store(store), reference)
    from nbcore.evaluation import watch as watching

    wanted = configs.load(config or watching.default_config(run), set_ or [])
    if type(wanted) is not type(watching.default_config(run)):
        raise ValueError(f"config: {config} is of the phase {wanted.phase}; give one of an evaluation")
    os.nice(10)  # training comes first
    failed = watching.watch(run, seconds, once, wanted, say=out.print)
    folder = layout.watch_folder(run.path)
    if (folder / layout.CURVE_PICTURE).is_file():
        out.print(f"curve: {folder / layout.CURVE_PICTURE}")
    if failed:
        raise Judged(f"{len(failed)} of the checkpoints could not be evaluated; the first: {failed[0]}")


def interval(text: str) -> float:
    """Seconds of "45s", "30m" or "2h"; a number alone is seconds. Raises ValueError."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smh]?)\s*", text)
    seconds = float(match[1]) * UNITS[match[2] or "s"] if match else 0.0
    if not 1 <= seconds <= LONGEST:
        raise ValueError(
            f"every is {text!r}; give a time of at least a second and at most a week, as in 45s, 30m or 2h"
        )
    return seconds
