"""Numbers of an evaluation, task by task, as gates compare them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from nbcore import runs, stats
from nbcore.config.evaluate import ACCURACIES
from nbcore.core.suggest import did_you_mean
from nbcore.gates.asked import PASS_AT
from nbcore.grading import reward


class NotRecorded(ValueError):
    """A run did not record what a check asks for."""


class Outcomes(NamedTuple):
    """One number for each task (or document), and the family that it belongs to."""

    values: dict[str, float]
    families: dict[str, str]

    def of(self, family: str) -> Outcomes:
        """Those of one family alone."""
        ids = [id_ for id_ in self.values if self.families[id_] == family]
        return Outcomes({id_: self.values[id_] for id_ in ids}, {id_: family for id_ in ids})

    def mean(self, is_rate: bool) -> stats.Interval:
        """Their mean with its interval, as reports have it."""
        return stats.of_tasks(list(self.values.values()), [self.families[id_] for id_ in self.values], is_rate)


def outcomes(evaluation: runs.Run, metric: str, taskset: str) -> Outcomes:
    """What an evaluation recorded of a metric (see gate_file.Check) on a set of tasks.

    Samples with an infra_error are our failure, not the model's: they are left out. Perplexity is nats a token, by
    document. Raises NotRecorded where nothing of that set, or fewer samples than pass@k takes, were recorded.
    """
    rows = evaluation.samples()
    if metric == "perplexity":
        documents = [row for row in rows if "nll" in row]
        if not documents:
            raise NotRecorded(f"metric: {evaluation.id} measured no perplexity by document")
        values = {row["id"]: row["nll"] / max(1, row["tokens"]) for row in documents}
        return Outcomes(values, {id_: id_ for id_ in values})
    if metric in ACCURACIES:
        documents = [row for row in rows if row["split"] == taskset and metric in row]
        if not documents:
            raise NotRecorded(f"metric: {evaluation.id} has no {metric} of {taskset!r}, by document")
        return Outcomes({row["id"]: row[metric] for row in documents}, {row["id"]: row["family"] for row in documents})
    sets = list(dict.fromkeys(row["split"] for row in rows if "verdict" in row))
    grouped: dict[str, list[dict]] = {}
    families: dict[str, str] = {}
    for row in rows:
        if row.get("split") == taskset and row.get("verdict", "infra_error") != "infra_error":
            grouped.setdefault(row["id"], []).append(row)
            families[row["id"]] = row.get("family") or row["id"]
    if not grouped and taskset in sets:
        raise NotRecorded(f"eval_set: of {evaluation.id} no answer to {taskset} could be graded (infra_error)")
    if not grouped:
        there = ", ".join(sets) or "none"
        raise NotRecorded(
            f"eval_set: {evaluation.id} has no graded tasks {taskset!r}{did_you_mean(taskset, sets)}; there are {there}"
        )
    return Outcomes({id_: _finite(metric, samples, evaluation.id) for id_, samples in grouped.items()}, families)


def tokens(evaluation: runs.Run) -> dict[str, int]:
    """How many tokens each document of the perplexity has."""
    return {row["id"]: row["tokens"] for row in evaluation.samples() if "nll" in row}


def recorded(evaluation: runs.Run, path: str) -> stats.Interval:
    """A number that stands in the metrics of a run, by its dotted path; without an interval its bounds are itself.

    Raises NotRecorded where there is none.
    """
    value: Any = evaluation.info["metrics"]
    for name in path.split("."):
        if not isinstance(value, Mapping) or name not in value:
            known = list(value) if isinstance(value, Mapping) else []
            raise NotRecorded(f"metric: {evaluation.id} has no {path!r}{did_you_mean(name, known)}")
        value = value[name]
    if isinstance(value, Mapping) and {"value", "low", "high", "n"} <= set(value):
        return stats.Interval(value["value"], value["low"], value["high"], value["n"])
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise NotRecorded(f"metric: {path!r} of {evaluation.id} is no number, but {value!r}")
    return stats.Interval(float(value), float(value), float(value), evaluation.info["metrics"].get("n", 0))


def infra_errors(evaluation: runs.Run, taskset: str) -> float | None:
    """The share of samples that could not be graded; None of a set where nothing is."""
    verdicts = [row["verdict"] for row in evaluation.samples() if row.get("split") == taskset and "verdict" in row]
    return sum(verdict == "infra_error" for verdict in verdicts) / len(verdicts) if verdicts else None


def hack_rate(evaluation: runs.Run, taskset: str) -> float | None:
    """The share of answers that tried to get round their tests; None of a set where nothing is graded."""
    if infra_errors(evaluation, taskset) is None:
        return None
    return outcomes(evaluation, "hack_rate", taskset).mean(is_rate=True).value


def shares(
    names: Sequence[str], share: Callable[[runs.Run, str], float | None], **sides: runs.Run | None
) -> list[tuple[str, float]]:
    """(where, share) of each set that is graded, on each side. Raises NotRecorded where the first is not."""
    found = [(f"the {side} on {name}", share(run, name)) for side, run in sides.items() if run for name in names]
    if found and found[0][1] is None:
        raise NotRecorded(f"nothing of {names[0]} is graded")
    return [(where, rate) for where, rate in found if rate is not None]


def _finite(metric: str, samples: list[dict], evaluation: str) -> float:
    """The number of a task, where its samples have one."""
    try:
        value = _of_task(metric, samples, evaluation)
    except NotRecorded:
        raise
    except (KeyError, TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise NotRecorded(f"metric: {evaluation} recorded no number for {metric} of {samples[0]['id']}")
    return value


def _of_task(metric: str, samples: list[dict], evaluation: str) -> float:
    if match := PASS_AT.fullmatch(metric):
        k = int(match[1])
        if k > len(samples):
            raise NotRecorded(f"metric: {metric} takes {k} samples of a task, {evaluation} has {len(samples)}")
        return stats.pass_at_k(len(samples), sum(bool(row["passed"]) for row in samples), k)
    return sum(_of_sample(metric, row) for row in samples) / len(samples)


def _of_sample(metric: str, row: dict) -> float:
    match metric:
        case "compile_rate":
            return float(row["compiles"])
        case "tests_passed":
            return row["tests_passed"] / max(1, row["tests_total"])
        case "hack_rate":
            return float(reward.is_hack({"flags": [], **row}))
        case _:  # clippy_warnings, truncated
            return float(row.get(metric, 0))
