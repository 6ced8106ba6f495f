"""A phase's data, made once for the newest run and kept as long as it is what the run was opened with."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from nbcore import config as configs
from nbcore import runs
from nbcore.runs import inputs, layout


def remembered(make: Callable[[runs.Run], dict[str, Any]]) -> Callable[[runs.Run], dict[str, Any]]:
    """`data(run)` of a phase, remembered for the run that asked last.

    Until the run has logged a first number, each call looks whether the files behind it are still those that it was
    opened with; from then on the rows in memory are the ones it trains on. Raises ValueError naming what has changed,
    except for a training that is resumed: there fit.train compares with its checkpoint.
    """
    newest: dict[runs.Run, dict[str, Any]] = {}

    @functools.wraps(make)
    def data(run: runs.Run) -> dict[str, Any]:
        begun, ended = bool(run.metrics()), (run.path / layout.TRAINED).is_file()
        resumed = begun and not ended and configs.TABLE[run.phase].trains
        if not begun or (run not in newest and not resumed):
            inputs.require(run)
        if run not in newest:
            made = make(run)
            newest.clear()
            newest[run] = made
        return newest[run]

    return data
