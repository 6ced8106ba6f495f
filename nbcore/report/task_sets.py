"""The report's section on named task sets: each with its rates for every model that was asked it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from nbcore import stats
from nbcore.report import html_table, lineage
from nbcore.report.chains import Stage
from nbcore.runs import layout

MANY = 10  # families, whose rows nobody would read
OWN_PARTS = ("heldout", "unseen_family", "perplexity")  # of every evaluation: the headline table has them
NOTE = """With 95 % intervals. report.json of each evaluation has every metric, by family and by difficulty, and how the
tasks were asked."""


def rows(stages: Sequence[Stage]) -> list[list[str]]:
    """A row for each set and model, sets together: set, phase, tasks, and its rates with their intervals in words.

    A set of few families, such as kinds of fault to repair, has a row for each of them, too.
    """
    found: dict[str, list[list[str]]] = {}
    for stage in stages:
        for name, measured in stage.metrics.items():
            if name in OWN_PARTS or not isinstance(measured, Mapping) or "n" not in measured:
                continue
            rates = {
                key: stats.Interval(**value)
                for key, value in measured.items()
                if isinstance(value, Mapping) and value.keys() == set(stats.Interval._fields)
            }
            found.setdefault(name, []).append([name, stage.label, str(measured["n"]), _words(rates)])
            found[name] += _parts(stage, name)
    return [line for lines in found.values() for line in lines]


def _words(rates: Mapping[str, stats.Interval]) -> str:
    return ", ".join(f"{key.replace('_', ' ')} {lineage.interval(rate)}" for key, rate in rates.items())


def _parts(stage: Stage, name: str) -> list[list[str]]:
    """The rows of a set's families, where they are few and its evaluation has them."""
    path = stage.evaluation.path / layout.EVALUATED[0] if stage.evaluation else None
    if path is None or not path.is_file():
        return []
    measured = json.loads(path.read_text("utf-8"))["sets"].get(name, {})
    families = measured.get("by_family") or {}
    if not 1 < len(families) < MANY:
        return []
    lines = []
    for family, values in families.items():
        rates = {key: stats.Interval(**value) for key, value in values.items() if key.startswith("pass@") and value}
        lines.append([f"{name}: {family}", stage.label, str(values["n"]), _words(rates)])
    return lines


def section(stages: Sequence[Stage]) -> str:
    """The section, empty where no evaluation of the chain has a set of its own."""
    lines = rows(stages)
    if not lines:
        return ""
    table = html_table.of_text(("task set", "phase", "tasks", "rates"), lines, "sets")
    return f'<section><h2>Other task sets</h2>{table}<p class="quiet">{NOTE}</p></section>'
