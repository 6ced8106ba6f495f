"""A gate's checks: values and differences with their intervals against bounds and margins."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

from nbcore import runs, stats
from nbcore.gates import measure
from nbcore.gates.asked import LOWER_IS_BETTER, POWER, Check
from nbcore.gates.gate_file import Gate

PASS, FAIL, INVESTIGATE, RUBBER_STAMP = "PASS", "FAIL", "INVESTIGATE", "RUBBER_STAMP"


class Row(NamedTuple):
    """One check on one set of tasks, or on one family of it, and what came of it."""

    metric: str
    taskset: str
    asked: str
    """In words: ">= 0.3", "better by 0.02", "not worse by 0.08"."""
    baseline: float | None
    candidate: stats.Interval
    delta: stats.Interval | None
    """Candidate minus baseline. Of a metric that is better when lower, a fall is below zero here as well."""
    margin: float | None
    """Where in the unit of `delta` the line is drawn."""
    n: int
    discordance: float | None
    detectable: float | None
    """The smallest true difference that so many tasks find in four of five repetitions."""
    p: float | None
    """Two-sided, exact; of superiority Holm-adjusted."""
    verdict: str
    why: str


def rows(gate: Gate, run: runs.Run, candidate: runs.Run | None, baseline: runs.Run | None) -> list[Row]:
    """Every check of a gate on a run and its evaluation, the candidate; differences only where there is a baseline's.

    Raises ValueError where a number was not recorded.
    """
    judged: list[Row] = []
    claims: list[tuple[int, Check, measure.Outcomes, measure.Outcomes, str]] = []
    for check in gate.checks:
        taskset = check.on or gate.eval_set.name
        if check.is_of_run:
            judged.append(_value(gate, check, run.id, measure.recorded(run, check.metric.removeprefix("run."))))
            continue
        if "." in check.metric:
            judged.append(_value(gate, check, taskset, measure.recorded(candidate, check.metric)))
            continue
        whole = measure.outcomes(candidate, check.metric, taskset)
        before = measure.outcomes(baseline, check.metric, taskset) if baseline and check.delta else None
        for name, mine in _slices(check, taskset, whole):
            if check.value:
                judged.append(_value(gate, check, name, mine.mean()))
            if before is None:
                continue
            theirs = before if mine is whole else before.of(name.rpartition("/")[2])
            if not mine.values.keys() & theirs.values.keys():
                raise ValueError(f"baseline: {baseline.id} shares no task of {name} with {candidate.id}")
            if check.delta.superior_by is not None:
                claims.append((len(judged), check, mine, theirs, name))
            judged.append(_difference(gate, check, name, mine, theirs))
    _correct(gate, judged, claims)
    if gate.on_underpowered == "fail":
        judged = [row._replace(verdict=FAIL) if row.verdict == INVESTIGATE else row for row in judged]
    return judged


def worst(verdicts: Sequence[str]) -> str:
    """FAIL where one is, else INVESTIGATE where one is, else PASS."""
    return next((verdict for verdict in (FAIL, INVESTIGATE) if verdict in verdicts), PASS)


def _slices(check: Check, taskset: str, whole: measure.Outcomes) -> list[tuple[str, measure.Outcomes]]:
    if not check.slices:
        return [(taskset, whole)]
    known = sorted(set(whole.families.values()))
    names = known if "*" in check.slices else check.slices
    for name in names:
        if name not in known:
            raise ValueError(f"slices: no family {name!r} among the tasks of {taskset}; there are {', '.join(known)}")
    return [(f"{taskset}/{name}", whole.of(name)) for name in names]


def _value(gate: Gate, check: Check, name: str, found: stats.Interval) -> Row:
    """PASS where the whole interval keeps the bounds, FAIL where all of it is beyond one."""
    low, high = check.value.min, check.value.max
    bounds = [f">= {low:g}"] if low is not None else []
    bounds += [f"<= {high:g}"] if high is not None else []
    verdict, why = PASS, "the whole interval keeps the bound"
    if check.metric == "perplexity":  # recorded by document in nats a token; people read perplexity
        found = stats.Interval(*(math.exp(each) for each in found[:3]), found.n)
    if (low is not None and found.high < low) or (high is not None and found.low > high):
        verdict, why = FAIL, f"all of [{found.low:.4g}, {found.high:.4g}] is beyond the bound"
    elif (low is not None and found.low < low) or (high is not None and found.high > high):
        verdict, why = INVESTIGATE, f"[{found.low:.4g}, {found.high:.4g}] holds the bound"
    if "." not in check.metric and check.metric != "perplexity" and found.n < gate.eval_set.n_min and "/" not in name:
        verdict, why = INVESTIGATE, f"{found.n} tasks are fewer than n_min {gate.eval_set.n_min}"
    return Row(check.metric, name, " ".join(bounds), None, found, None, None, found.n, None, None, None, verdict, why)


def _difference(
    gate: Gate, check: Check, name: str, mine: measure.Outcomes, theirs: measure.Outcomes, alpha: float | None = None
) -> Row:
    """The row of a difference. `alpha` is that of its interval; without it the check's own."""
    wanted, sign = check.delta, -1.0 if check.metric in LOWER_IS_BETTER else 1.0
    shared = [id_ for id_ in theirs.values if id_ in mine.values]
    families = measure.Outcomes({}, {id_: mine.families[id_] for id_ in shared}).clusters()
    first, second = ({id_: sign * side.values[id_] for id_ in shared} for side in (theirs, mine))
    change = stats.compare(first, second, families=families, alpha=alpha or wanted.alpha)
    n, discordance = len(shared), (change.better + change.worse) / len(shared)
    detectable = _detectable(gate, check, change, alpha or wanted.alpha, n, discordance)
    if wanted.superior_by is not None:
        judgement, asked = stats.superior(change.delta, wanted.margin), f"better by {wanted.margin:g}"
        line = sign * wanted.margin
    else:
        judgement, asked = stats.non_inferior(change.delta, wanted.margin), f"not worse by {wanted.margin:g}"
        line = -sign * wanted.margin
    verdict, why = judgement.verdict, _words(judgement.verdict, wanted.margin, change.delta, wanted.superior_by is None)
    planned = stats.minimum_detectable_effect(n, gate.eval_set.discordance, POWER, wanted.alpha)
    if n < gate.eval_set.n_min and "/" not in name and check.metric != "perplexity":
        verdict, why = INVESTIGATE, f"{n} paired tasks are fewer than n_min {gate.eval_set.n_min}"
    elif "/" in name and check.is_rate and wanted.superior_by is None and planned > wanted.margin:
        verdict, why = INVESTIGATE, f"{n} tasks detect a difference of {planned:.3g} at best"
    delta = change.delta
    if sign < 0:
        delta = stats.Interval(-delta.value, -delta.high, -delta.low, delta.n)
    before = sum(theirs.values[id_] for id_ in shared) / n
    after = stats.mean_bootstrap([mine.values[id_] for id_ in shared], resamples=1000)
    return Row(
        check.metric, name, asked, before, after, delta, line, n, discordance, detectable, change.p, verdict, why
    )


def _correct(gate: Gate, judged: list[Row], claims: list[tuple]) -> None:
    """Holm's step-down over the claims of superiority: the more of them, the likelier one comes true by luck.

    The smallest p is held to alpha / m, the next to alpha / (m - 1) and so on, interval and p alike; once one is not
    shown, none with a larger p is.
    """
    adjusted = stats.holm([judged[at].p for at, *_ in claims])
    ranked = sorted(range(len(claims)), key=lambda number: (judged[claims[number][0]].p, number))
    shown = True
    for rank, number in enumerate(ranked):
        at, check, mine, theirs, name = claims[number]
        row = _difference(gate, check, name, mine, theirs, check.delta.alpha / (len(claims) - rank))
        row = row._replace(p=adjusted[number])
        if row.verdict == PASS and check.delta.test == "mcnemar" and row.p >= check.delta.alpha:
            row = row._replace(
                verdict=INVESTIGATE, why=f"exact p {row.p:.3g} (Holm) is not below {check.delta.alpha:g}"
            )
        if row.verdict == PASS and not shown:
            row = row._replace(verdict=INVESTIGATE, why="a claim with a smaller p is not shown (Holm)")
        shown = shown and row.verdict == PASS
        judged[at] = row


def _detectable(gate: Gate, check: Check, change: stats.Comparison, alpha: float, n: int, discordance: float) -> float:
    """From the discordance that was seen; of what is no rate from the width of the interval."""
    if check.is_rate:
        return stats.minimum_detectable_effect(n, discordance or gate.eval_set.discordance, POWER, alpha)
    normal = NormalDist()
    error = (change.delta.high - change.delta.low) / 2 / normal.inv_cdf(1 - alpha / 2)
    return error * (normal.inv_cdf(1 - alpha / 2) + normal.inv_cdf(POWER))


def _words(verdict: str, margin: float, delta: stats.Interval, tolerance: bool) -> str:
    line = "what is tolerated" if tolerance else "what is asked"
    bounds = f"[{delta.low:+.4f}, {delta.high:+.4f}]"
    if verdict == INVESTIGATE:
        return f"{bounds} holds {line} ({-margin if tolerance else margin:+g}): these tasks decide neither way"
    return f"{bounds} is {'above' if verdict == PASS else 'below'} {line} ({-margin if tolerance else margin:+g})"
