"""The report's section on the repair agent: what each model of the chain repaired, with tools, in one go, by retries.

An agent's evaluation may measure repairs alone, and then it is no row of the headline; so it is looked for by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from nbcore import config, runs, stats
from nbcore.report import chains, html_table, lineage
from nbcore.report.chains import Stage

HEAD = ("task set", "phase", "faults", "agent", "in one go", "verified retries", "scripted agent", "valid calls")
RATES = ("repair_rate", "one_shot_rate", "retries_rate", "scripted_rate", "valid_calls")
WAYS = {"agent": "the agent", "one_shot": "one go", "retries": "verified retries"}
NOTE = """Share of the faults that the hidden tests call repaired, with 95 % intervals. One go and verified retries are
the same weights without tools; the scripted agent knows the answer. Pairs: fault by fault, exact McNemar."""


def section(store: str | Path, stages: Sequence[Stage]) -> str:
    """The section, empty where no repairs were measured."""
    rows, sentences = [], []
    for label, name, measured in _measured(store, stages):
        rows.append([name, label, str(measured["n"]), *(_rate(measured, rate) for rate in RATES)])
        sentences += [f"<li>{escape(f'{label}, {name}: {_pair(pair)}')}</li>" for pair in measured.get("pairs", [])]
    if not rows:
        return ""
    table = html_table.of_text(HEAD, rows, "sets")
    pairs = f"<ul>{''.join(sentences)}</ul>" if sentences else ""
    return f'<section><h2>Repairs</h2>{table}{pairs}<p class="quiet">{NOTE}</p></section>'


def summary(store: str | Path, stages: Sequence[Stage]) -> str:
    """The result in a sentence: of the tasks, and of repairs where nothing but those was measured."""
    told = [
        f"{label} repairs {_rate(measured, 'repair_rate')} of {measured['n']} faults ({name})"
        for label, name, measured in _measured(store, stages)
    ]
    if told and not any(stage.evaluation for stage in stages):
        return "; ".join(told) + "."
    return lineage.summary(stages)


def _measured(store: str | Path, stages: Sequence[Stage]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """(phase, task set, what was measured), from the newest evaluation of each model that has the set."""
    listed = [run for run in runs.listing(store) if run.finished and config.TABLE[run.phase].measures]
    sound = [run for run in listed if not run.damage()]
    for stage in stages:
        newest: dict[str, Mapping[str, Any]] = {}
        for evaluation in sound:
            if stage.run is not None and chains.is_of(evaluation, stage.run):
                parts = evaluation.info["metrics"].items()
                newest |= {name: part for name, part in parts if isinstance(part, Mapping) and "repair_rate" in part}
        for name, measured in newest.items():
            yield stage.label, name, measured


def _rate(measured: Mapping[str, Any], name: str) -> str:
    return lineage.interval(stats.Interval(**measured[name])) if name in measured else lineage.ABSENT


def _pair(pair: Mapping[str, Any]) -> str:
    p = "p < 0.001" if pair["p"] < 0.001 else f"p = {pair['p']:.3f}"
    return f"{WAYS[pair['of']]} against {WAYS[pair['against']]}: {pair['won']} won, {pair['lost']} lost, {p}"
