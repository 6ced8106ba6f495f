"""Two evaluations side by side: outcomes paired task by task, and what their difference is worth."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from nbcore import stats
from nbcore.config.evaluate import ACCURACIES
from nbcore.view.html import Html, aligned, grid

MEASURES = {"passed": "pass@1", "compiles": "compile rate"}
GENERAL = {name: name for name in ACCURACIES}  # of the tasks of lm-evaluation-harness, which have no verdicts
REFUSED, HARMLESS = "refused", "harmless"  # of prompts that may be refused; which ones should not be


class Row(NamedTuple):
    """One measure on one set of tasks, for both models."""

    taskset: str
    measure: str
    before: float
    after: float
    change: stats.Comparison
    power: float
    """Chance that so many tasks show a difference of this size, at the discordance that was seen."""
    detectable: float
    """The smallest difference that these tasks would show in four of five repetitions."""


def outcomes(evaluation: Any, split: str, key: str = "passed") -> dict[str, float]:
    """Task id to outcome (mean over its samples) of one split of an evaluate run, ready for `stats.compare`.

    Samples with an infra_error are our failure, not the model's: they are left out.
    """
    outcome: dict[str, list[float]] = {}
    for row in evaluation.samples():
        if row["split"] == split and key in row and row.get("verdict") != "infra_error":
            outcome.setdefault(row["id"], []).append(float(row[key]))
    return {id_: sum(values) / len(values) for id_, values in outcome.items()}


def compared(before: Any, after: Any, taskset: str | None = None) -> list[Row]:
    """Each measure on each set of tasks that two evaluate runs share, or on the one set named.

    Tasks of one family are drawn together for the interval, since they are not independent. Raises ValueError for a set
    that they do not both hold, naming those they do, and where they share no task.
    """
    families = {row["id"]: row.get("family") or row["id"] for row in after.samples()}
    mine, theirs = (_sets(evaluation) for evaluation in (after, before))
    shared = [name for name in mine if name in theirs]
    if taskset is not None and taskset not in shared:
        raise ValueError(f"--on: no task set {taskset!r} in both evaluations; there are {', '.join(shared)}")
    if not shared:
        raise ValueError("compare: the two evaluations share no set of tasks; evaluate both with one config")
    rows = []
    for name in [taskset] if taskset else shared:
        for measure, first, second in _measured(before, after, name, families):
            if not first and not second:
                continue  # a measure of other sets
            change = stats.compare(first, second, families=families)
            ids = [id_ for id_ in first if id_ in second]
            rates = [sum(side[id_] for id_ in ids) / len(ids) for side in (first, second)]
            discordance = (change.better + change.worse) / len(ids)
            chance = stats.power(len(ids), min(abs(change.delta.value), discordance), discordance)
            smallest = stats.minimum_detectable_effect(len(ids), discordance)
            rows.append(Row(name, measure, *rates, change, chance, smallest))
    return rows


def _measured(before: Any, after: Any, name: str, families: dict[str, str]) -> Iterator[tuple[str, dict, dict]]:
    """(measure, outcomes before, outcomes after) of each measure on a set of tasks; empty where the set has it not."""
    for key, measure in (MEASURES | GENERAL).items():
        yield measure, outcomes(before, name, key), outcomes(after, name, key)
    refused = [outcomes(side, name, REFUSED) for side in (before, after)]
    for measure, wanted in (("refusal rate", False), ("over-refusal rate", True)):
        parts = [{id_: side[id_] for id_ in side if (families.get(id_) == HARMLESS) is wanted} for side in refused]
        yield measure, *parts


def compare(before: Any, after: Any, taskset: str | None = None) -> Html:
    """Two evaluate runs on the same tasks: what changed, with its interval, exact McNemar p, power, detectable effect.

    Raises ValueError where they share no task.
    """
    head = ["tasks", "", "before", "after", "difference (95 % interval)", "better / worse", "McNemar p", "n", "power"]
    lines = []
    for row in compared(before, after, taskset):
        rates = [f"{100 * rate:.1f} %" for rate in (row.before, row.after)]
        changed = f"{row.change.better} / {row.change.worse}"
        power = f"{100 * row.power:.0f} %" if row.detectable else "–"
        detectable = f"{100 * row.detectable:.1f} pp" if row.detectable else "–"
        cells = [points(row.change.delta), changed, p_value(row.change.p), str(row.change.delta.n), power, detectable]
        lines.append([row.taskset, row.measure, *rates, *cells])
    head.append("detectable")
    note = (
        "paired by task, the interval over families of tasks; power: how often so many tasks show a difference of this "
        "size; detectable: the smallest that they would show in 4 of 5 repetitions"
    )
    return Html(f"{grid(head, lines)}<small>{note}</small>", f"{aligned([head, *lines])}\n{note}")


def points(delta: stats.Interval) -> str:
    """A difference of rates in percentage points, with its interval."""
    return f"{100 * delta.value:+.1f} pp ({100 * delta.low:+.1f} to {100 * delta.high:+.1f})"


def p_value(p: float) -> str:
    """A p-value as it is usually printed."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _sets(evaluation: Any) -> list[str]:
    """The sets of tasks that an evaluate run answered, in its own order."""
    return list(
        dict.fromkeys(row["split"] for row in evaluation.samples() if {"verdict", *GENERAL, REFUSED} & row.keys())
    )
