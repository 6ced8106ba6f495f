"""On a new machine: what the chain of a run needs, brought back from the mirror."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from nbcore import runs
from nbcore.gates import blessings
from nbcore.runs import commit, data_runs, layout
from nbcore.runs.mirror import restore


def fetch(run: runs.Run) -> None:
    """Bring the runs that the chain of a run walks over and this store lacks: parents, data, the evaluations behind
    the decisions. A mirror that is not there or lacks one changes nothing: the chain then says what is absent."""
    seen, waiting = set(), [run.id]
    while waiting:
        id_ = waiting.pop()
        if id_ in seen:
            continue
        seen.add(id_)
        if not (run.store / id_ / layout.OPENING).is_file():
            _bring(run.store, id_)
        if (run.store / id_ / layout.RUN).is_file():
            waiting += _named(runs.Run(run.store / id_))


def _bring(store: Path, id_: str) -> None:
    restore.bring(store, id_.partition("/")[0], lambda ids: [each for each in ids if each == id_])


def _named(run: runs.Run) -> Iterator[str]:
    """The runs that a run's record and the decision on it name."""
    with suppress(OSError, ValueError):  # damage is what the chain is about to tell
        facts = commit.read_sealed(run.path / layout.RUN)
        record = blessings.current(run) or {}
        for reference in (facts["parent"], facts.get(data_runs.FIELD), *map(record.get, ("evaluation", "baseline"))):
            if reference:
                yield reference["id"]
