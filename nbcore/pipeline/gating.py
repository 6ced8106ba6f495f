"""The gates of a pipeline: the next phase starts only from a run that its gate has let through."""

from __future__ import annotations

from pathlib import Path

from nbcore import config as configs
from nbcore import gates, runs
from nbcore.pipeline.progress import Show
from nbcore.runs import data_runs


class GateClosed(RuntimeError):
    """A gate has stopped the pipeline; the message says which run, which verdict and why, in one line."""


def require_starts(stage: str, config: configs.Phase, store: Path, parent: runs.Run | None, show: Show) -> None:
    """`require` for everything that a stage is about to build on: its parent, and the data run that it reads."""
    try:
        starts = data_runs.starts(config, store, parent)
    except (ValueError, FileNotFoundError) as error:
        raise GateClosed(f"stage {stage}: {error}") from None
    for run in starts:
        require(stage, run, show)


def require(stage: str, run: runs.Run, show: Show) -> None:
    """Judge a run that a training stage is about to start from, unless a decision on it is in force.

    Raises GateClosed where it may not be built upon.
    """
    try:
        if gates.opens(gates.current(run)):
            return
        if gates.was_withdrawn(run):
            gates.require_blessed(run)  # raises, saying so
    except ValueError as error:
        raise GateClosed(f"stage {stage}: {error}") from None
    judge(stage, run, show)


def judge(stage: str, run: runs.Run, show: Show) -> None:
    """Judge a run, tell the outcome, keep the decision. Raises GateClosed for any verdict that opens nothing."""
    try:
        decision, record = gates.decide(run, gates.of_phase(run.phase))
    except (ValueError, OSError, RuntimeError) as error:
        raise GateClosed(f"stage {stage}: the gate of {run.id} could not judge: {error}") from None
    show.note(f"gate {run.phase}: {decision.verdict} · {decision.why} · {record['self'][:12]}")
    if not gates.opens(record):
        raise GateClosed(
            f"stage {stage}: the gate of {run.id} says {decision.verdict}: {decision.why}. "
            f'`python -m nbcore gate {run.id} --store {run.store}` shows the table; --waive "why" lets it pass'
        )


def measured(stage: str, evaluation: runs.Run, show: Show) -> None:
    """After an evaluation: judge what it measured, so that the last phase of a pipeline has its verdict as well."""
    parent = evaluation.info["parent"]
    run = runs.Run(evaluation.store / parent["id"]) if parent else None
    if run is not None and configs.TABLE[run.phase].trains:
        require(stage, run, show)
