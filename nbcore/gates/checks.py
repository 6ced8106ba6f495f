"""A gate's checks: values and differences with their intervals against bounds and margins."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

from nbcore import runs, stats
from nbcore.core.suggest import did_you_mean
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
    candidate: stats.Interval | None
    delta: stats.Interval | None
    """Candidate minus baseline. Of a metric that is better when lower, a fall is below zero here as well."""
    margin: float | None
    """Where in the unit of `delta` the line is drawn."""
    n: int | None
    discordance: float | None
    detectable: float | None
    """The smallest true difference that so many tasks find in four of five repetitions."""
    p: float | None
    """Two-sided, exact; of superiority Holm-adjusted."""
    verdict: str
    why: str


class Claim(NamedTuple):
    """A claim of superiority, whose row is judged again beside the others."""

    row: int
    check: Check
    mine: measure.Outcomes
    theirs: measure.Outcomes
    name: str


def rows(gate: Gate, run: runs.Run, candidate: runs.Run | None, baseline: runs.Run | None) -> list[Row]:
    """Every check of a gate on a run and its evaluation, the candidate; differences only where there is a baseline's.

    A number that was not recorded is INVESTIGATE. Raises ValueError for a family that is not among the tasks.
    """
    judged: list[Row] = []
    claims: list[Claim] = []
    for check in gate.checks:
        try:
            if check.value and check.is_recorded:
                judged.append(_recorded(gate, check, run, candidate))
            elif check.value:
                whole = measure.outcomes(candidate, check.metric, check.on or gate.eval_set.name)
                judged += [
                    _value(gate, check, name, part.mean(check.is_rate)) for name, part in _slices(check, gate, whole)
                ]
            if check.delta and baseline:
                _compare(gate, check, candidate, baseline, judged, claims)
        except measure.NotRecorded as error:
            taskset = check.on or gate.eval_set.name
            judged.append(Row(check.metric, taskset, "recorded", *[None] * 8, INVESTIGATE, str(error)))
    _correct(gate, judged, claims)
    if gate.on_underpowered == "fail":
        judged = [row._replace(verdict=FAIL) if row.verdict == INVESTIGATE else row for row in judged]
    return judged


def _recorded(gate: Gate, check: Check, run: runs.Run, candidate: runs.Run | None) -> Row:
    """A value that stands in the metrics of the run or of its evaluation as it is."""
    if check.is_of_run:
        return _value(gate, check, run.phase, measure.recorded(run, check.metric.removeprefix("run.")))
    taskset = "documents" if check.metric == "perplexity" else check.on or gate.eval_set.name
    return _value(gate, check, taskset, measure.recorded(candidate, check.metric))


def _compare(
    gate: Gate, check: Check, candidate: runs.Run, baseline: runs.Run, judged: list[Row], claims: list[Claim]
) -> None:
    """Append the rows of a difference, whole or by slices, and the claims of superiority among them."""
    taskset = check.on or gate.eval_set.name
    whole = measure.outcomes(candidate, check.metric, taskset)
    before = measure.outcomes(baseline, check.metric, taskset)
    if check.metric == "perplexity":
        mine, theirs = measure.tokens(candidate), measure.tokens(baseline)
        if any(mine[id_] != theirs[id_] for id_ in mine.keys() & theirs.keys()):
            raise measure.NotRecorded(f"{baseline.id} cut the documents into other tokens: nats a token are not equal")
    for name, mine in _slices(check, gate, whole):
        theirs = before.of(_family(name)) if check.slices else before
        if not mine.values.keys() & theirs.values.keys():
            raise measure.NotRecorded(f"{baseline.id} shares no task of {name} with {candidate.id}")
        if check.delta.superior_by is not None:
            claims.append(Claim(len(judged), check, mine, theirs, name))
        judged.append(_difference(gate, check, name, mine, theirs))


def worst(verdicts: Sequence[str]) -> str:
    """FAIL where one is, else INVESTIGATE where one is, else PASS."""
    return next((verdict for verdict in (FAIL, INVESTIGATE) if verdict in verdicts), PASS)


def _slices(check: Check, gate: Gate, whole: measure.Outcomes) -> list[tuple[str, measure.Outcomes]]:
    """(name, outcomes) of all tasks, or of each family that the check names: "heldout/iter_map"."""
    taskset = check.on or gate.eval_set.name
    if not check.slices:
        return [(taskset, whole)]
    known = sorted(set(whole.families.values()))
    names = known if "*" in check.slices else check.slices
    for name in names:
        if name not in known:
            there = ", ".join(known[:12])
            raise ValueError(f"slices: no family {name!r} in {taskset}{did_you_mean(name, known)}; there are {there}")
    return [(f"{taskset}/{name}", whole.of(name)) for name in names]


def _family(name: str) -> str:
    return name.partition("/")[2]


def _value(gate: Gate, check: Check, name: str, found: stats.Interval) -> Row:
    """PASS where the whole interval keeps the bounds, FAIL where all of it is beyond one."""
    low, high = check.value.min, check.value.max
    bounds = [f">= {low:g}"] if low is not None else []
    bounds += [f"<= {high:g}"] if high is not None else []
    verdict, why = PASS, "the whole interval keeps the bound"
    if (low is not None and found.high < low) or (high is not None and found.low > high):
        verdict, why = FAIL, f"all of [{found.low:.4g}, {found.high:.4g}] is beyond the bound"
    elif (low is not None and found.low < low) or (high is not None and found.high > high):
        verdict, why = INVESTIGATE, f"[{found.low:.4g}, {found.high:.4g}] holds the bound"
    if not check.is_recorded and found.n < gate.eval_set.n_min and not check.slices:
        verdict, why = INVESTIGATE, f"{found.n} tasks are fewer than n_min {gate.eval_set.n_min}"
    elif (check.slices or check.metric == "perplexity") and found.n < stats.FEW:
        verdict, why = INVESTIGATE, _too_few(found.n)
    return Row(check.metric, name, " ".join(bounds), None, found, None, None, found.n, None, None, None, verdict, why)


def _difference(
    gate: Gate, check: Check, name: str, mine: measure.Outcomes, theirs: measure.Outcomes, alpha: float | None = None
) -> Row:
    """The row of a difference. `alpha` is that of its interval; without it the check's own."""
    wanted, sign = check.delta, -1.0 if check.metric in LOWER_IS_BETTER else 1.0
    shared = [id_ for id_ in theirs.values if id_ in mine.values]
    first, second = ({id_: sign * side.values[id_] for id_ in shared} for side in (theirs, mine))
    change = stats.compare(first, second, families=mine.families, alpha=alpha or wanted.alpha)
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
    if n < gate.eval_set.n_min and not check.slices and check.metric != "perplexity":
        verdict, why = INVESTIGATE, f"{n} paired tasks are fewer than n_min {gate.eval_set.n_min}"
    elif n < stats.FEW:
        verdict, why = INVESTIGATE, _too_few(n)
    elif check.slices and check.is_rate and wanted.superior_by is None and planned > wanted.margin:
        verdict, why = INVESTIGATE, f"{n} tasks detect a difference of {planned:.3g} at best"
    delta = change.delta
    if sign < 0:
        delta = stats.Interval(-delta.value, -delta.high, -delta.low, delta.n)
    before = sum(theirs.values[id_] for id_ in shared) / n
    after = measure.Outcomes({id_: mine.values[id_] for id_ in shared}, mine.families).mean(check.is_rate)
    return Row(
        check.metric, name, asked, before, after, delta, line, n, discordance, detectable, change.p, verdict, why
    )


def _correct(gate: Gate, judged: list[Row], claims: list[Claim]) -> None:
    """Holm's step-down over the claims of superiority: the more of them, the likelier one comes true by luck.

    The smallest p is held to alpha / m, the next to alpha / (m - 1) and so on, interval and p alike; once one is not
    shown, none with a larger p is.
    """
    adjusted = stats.holm([judged[claim.row].p for claim in claims])
    ranked = sorted(range(len(claims)), key=lambda number: (judged[claims[number].row].p, number))
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


def _too_few(n: int) -> str:
    return f"{n} of them are too few for an interval, which takes {stats.FEW}"


def _words(verdict: str, margin: float, delta: stats.Interval, tolerance: bool) -> str:
    line = "what is tolerated" if tolerance else "what is asked"
    bounds = f"[{delta.low:+.4f}, {delta.high:+.4f}]"
    if verdict == INVESTIGATE:
        return f"{bounds} holds {line} ({-margin if tolerance else margin:+g}): these tasks decide neither way"
    return f"{bounds} is {'above' if verdict == PASS else 'below'} {line} ({-margin if tolerance else margin:+g})"
