"""Two models on the same problems, paired by problem: differences, tests, and what a margin makes of them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Literal, NamedTuple

from nbcore.stats.intervals import LEVEL, Interval, mean_bootstrap, refuse_not_finite, wholes


class Comparison(NamedTuple):
    """Two models on the same n problems."""

    delta: Interval
    """Mean of (after − before) with its paired-bootstrap interval."""
    better: int
    """Problems on which the second model did better."""
    worse: int
    """Problems on which the second model did worse."""
    p: float
    """Two-sided exact McNemar p (with several samples a problem: the exact sign test, which it generalises to)."""


class Judgement(NamedTuple):
    """What a margin makes of a difference."""

    verdict: Literal["PASS", "FAIL", "INVESTIGATE"]
    """INVESTIGATE: the interval holds the margin, so the data decide neither way."""
    bound: float
    """The end of the interval that decided, or that is on the wrong side of the margin: its lower one."""
    limit: float
    """What the difference had to exceed."""


def paired_bootstrap(
    before: Sequence[float],
    after: Sequence[float],
    level: float = LEVEL,
    resamples: int = 10_000,
    seed: int = 0,
    clusters: Sequence[Hashable] | None = None,
) -> Interval:
    """Mean of (after − before) over problems, with its percentile-bootstrap interval, clustered as in mean_bootstrap.

    The two sequences hold the same problems in the same order. Raises ValueError where their lengths differ.
    """
    if len(before) != len(after):
        raise ValueError(f"paired bootstrap: {len(before)} problems before, {len(after)} after; pair them by id first")
    differences = [b - a for a, b in zip(before, after, strict=True)]
    return mean_bootstrap(differences, level, resamples, seed, clusters)


def mcnemar_exact(b: int, c: int) -> float:
    """Two-sided exact McNemar p: b problems only the first model solves, c only the second.

    Under the null hypothesis each of the b + c discordant problems falls either way like a fair coin. Fewer than six
    can never be significant at 5 %. Raises ValueError unless both are whole numbers from 0.
    """
    if not (b >= 0 and c >= 0 and b == int(b) and c == int(c)):
        raise ValueError(f"McNemar: {b} and {c} discordant problems; it needs whole numbers from 0")
    from scipy.stats import binomtest

    return float(binomtest(int(b), int(b + c)).pvalue) if b + c else 1.0


def holm(pvalues: Sequence[float]) -> list[float]:
    """Holm's step-down adjusted p-values, in the order given: compare each with alpha to hold the family-wise error.

    Raises ValueError for one that is no number: among NaN nothing has an order.
    """
    refuse_not_finite("Holm", pvalues)
    adjusted = [0.0] * len(pvalues)
    running = 0.0
    for rank, index in enumerate(sorted(range(len(pvalues)), key=pvalues.__getitem__)):
        running = max(running, min(1.0, (len(pvalues) - rank) * pvalues[index]))
        adjusted[index] = running
    return adjusted


def compare(
    before: Mapping[str, float],
    after: Mapping[str, float],
    seed: int = 0,
    families: Mapping[str, Hashable] | None = None,
    alpha: float = 0.05,
) -> Comparison:
    """Two models by problem id: `before` and `after` map each id to its outcome (0 or 1, or the mean of its samples).

    Only ids in both count. `families` names the family of each id, where problems of one family are not independent:
    ten families or more are drawn as wholes. The interval holds 1 - alpha. Raises ValueError where no id is in both.
    """
    shared = [key for key in before if key in after]
    if not shared:
        raise ValueError("compare: the two evaluations share no problem id; evaluate both on the same tasks")
    first, second = [float(before[key]) for key in shared], [float(after[key]) for key in shared]
    better = sum(b > a for a, b in zip(first, second, strict=True))
    worse = sum(b < a for a, b in zip(first, second, strict=True))
    clusters = wholes([families[key] for key in shared]) if families else None
    delta = paired_bootstrap(first, second, 1 - alpha, seed=seed, clusters=clusters)
    return Comparison(delta, better, worse, mcnemar_exact(worse, better))


def non_inferior(delta: Interval, margin: float) -> Judgement:
    """Whether the second model is worse by less than `margin` (a positive number, in the unit of the difference).

    PASS where the whole interval lies above -margin, FAIL where all of it lies at or below. Raises ValueError unless
    margin > 0: no finite sample shows that a difference is not even a hair below zero.
    """
    if not margin > 0:
        raise ValueError(f"non-inferiority: the margin is {margin}; it must be above 0: how much worse is tolerated")
    return _beyond(delta, -margin)


def superior(delta: Interval, margin: float = 0.0) -> Judgement:
    """Whether the second model is better by more than `margin` (0 or above, in the unit of the difference).

    PASS where the whole interval lies above the margin, FAIL where all of it lies at or below. Raises ValueError unless
    margin >= 0.
    """
    if not margin >= 0:
        raise ValueError(f"superiority: the margin is {margin}; it must be 0 or above")
    return _beyond(delta, margin)


def _beyond(delta: Interval, limit: float) -> Judgement:
    if delta.low > limit:
        return Judgement("PASS", delta.low, limit)
    return Judgement("FAIL" if delta.high <= limit else "INVESTIGATE", delta.low, limit)
