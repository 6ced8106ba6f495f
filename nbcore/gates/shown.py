"""A run's decision as a notebook shows it: one table, and what to do where there is none yet."""

from __future__ import annotations

import html
from typing import Any

from nbcore import config as configs
from nbcore import runs, stats
from nbcore.core import environment
from nbcore.gates import blessings, checks, gate_file, integrity
from nbcore.gates.judging import Decision
from nbcore.view import gate_table
from nbcore.view.html import Html


def shown(run: runs.Run | None) -> Html:
    """The decision in force on a run; for an evaluation, on what it measured. Nothing is judged here: a gate loads the
    model, and beside one that is being trained there may be no room for a second."""
    if run is not None and configs.TABLE[run.phase].measures:
        run = run.parent
    if run is None:
        return _line("a base model is judged by none")
    if not (environment.REPO / "configs" / "gates" / f"{run.phase}.yaml").is_file():
        return _line(f"none is shipped for {run.phase}")
    try:
        record = blessings.current(run)
    except ValueError as error:
        return _line(str(error))
    if record is None:
        measuring = next(name for name, entry in configs.TABLE.items() if entry.measures)
        asked = f"python -m nbcore gate {run.id} says whether the next phase may start from it"
        if configs.TABLE[run.phase].trains:
            asked = f"notebooks/{environment.notebook(measuring).name} evaluates it, then {asked}"
        return _line(f"none has judged {run.id} yet: {asked}")
    return gate_table.gate(recorded(run, record), record["waiver"])


def recorded(run: runs.Run, record: blessings.Record) -> Decision:
    """A decision as it was when its record was written."""
    evaluation, baseline = (_reference(run, record[side]) for side in ("evaluation", "baseline"))
    found = [integrity.Finding(name, **said) for name, said in record["integrity"].items()]
    rows = [_row(facts) for facts in record["metrics"]]
    gate = gate_file.load(record["gate"])
    return Decision(run, gate, evaluation, baseline, rows, found, record["verdict"], record["why"])


def _line(words: str) -> Html:
    return Html(f"<p>gate: {html.escape(words)}</p>", f"gate: {words}")


def _reference(run: runs.Run, reference: dict[str, str] | None) -> runs.Run | None:
    return runs.Run(run.store / reference["id"]) if reference else None


def _row(facts: dict[str, Any]) -> checks.Row:
    parts = {name: stats.Interval(**facts[name]) if facts[name] else None for name in ("candidate", "delta")}
    return checks.Row(**{**facts, **parts})
