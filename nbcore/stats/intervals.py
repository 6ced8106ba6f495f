"""Rates and means of evaluations with their intervals, and pass@k."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

LEVEL = 0.95  # of every interval that is not asked for at another
FEW = 10  # families, or tasks: drawn anew, fewer give an interval that is far too narrow; one gives none at all


class Interval(NamedTuple):
    """An estimate with its confidence bounds, over n problems."""

    value: float
    low: float
    high: float
    n: int


def wilson(k: int, n: int, level: float = LEVEL) -> Interval:
    """Rate of k successes among n, with Wilson's score interval, which stays within [0, 1] and is sane at k = 0 and n.

    Raises ValueError unless both are whole numbers, 0 <= k <= n and n >= 1.
    """
    if not 0 <= k <= n or n < 1 or k != int(k) or n != int(n):
        raise ValueError(f"wilson: k={k} of n={n}; it needs whole numbers, 0 <= k <= n and n >= 1")
    from scipy.stats import binomtest

    bounds = binomtest(int(k), int(n)).proportion_ci(level, method="wilson")
    return Interval(k / n, float(bounds.low), float(bounds.high), n)


def pass_at_k(n: int, c: int, k: int) -> float:
    """Chance that at least one of k completions passes, drawn without replacement from n of which c passed.

    The unbiased estimator of Chen et al. 2021, in exact integers: 1 − C(n−c, k) / C(n, k).
    Raises ValueError unless 0 <= c <= n and 1 <= k <= n.
    """
    if not (0 <= c <= n and 1 <= k <= n):
        raise ValueError(f"pass@k: n={n}, c={c}, k={k}; it needs 0 <= c <= n and 1 <= k <= n")
    return 1 - math.comb(n - c, k) / math.comb(n, k)


def mean_bootstrap(
    values: Sequence[float],
    level: float = LEVEL,
    resamples: int = 10_000,
    seed: int = 0,
    clusters: Sequence[Hashable] | None = None,
) -> Interval:
    """Mean over problems, with the percentile-bootstrap interval; equal seeds give equal bounds.

    `values` holds one number per problem: several samples of a problem are averaged first, because they are not
    independent of each other. Nor are problems of one family: `clusters` names the family of each problem, and whole
    families are drawn, so that the interval is as wide as the number of families makes it. The interval's n is the
    number of problems. Raises ValueError on an empty sequence, on a value that is no finite number, or where `clusters`
    is of another length.
    """
    import numpy as np

    array = np.asarray(values, dtype=float)
    if len(array) == 0:
        raise ValueError("bootstrap: no values; it needs at least one problem")
    refuse_not_finite("bootstrap", array)
    sums, sizes = array, np.ones(len(array))
    if clusters is not None:
        if len(clusters) != len(array):
            raise ValueError(f"bootstrap: {len(array)} values, {len(clusters)} clusters; give one for each value")
        numbers: dict[Hashable, int] = {}
        indexes = [numbers.setdefault(cluster, len(numbers)) for cluster in clusters]
        sums, sizes = np.bincount(indexes, weights=array), np.bincount(indexes)
    n = len(sums)
    generator = np.random.default_rng(seed)
    rows = max(1, 2_000_000 // n)  # resamples drawn at once: bounds the memory at 32 MB whatever n is
    means = []
    for done in range(0, resamples, rows):
        drawn = generator.integers(n, size=(min(rows, resamples - done), n))
        means.append(
            sums[drawn].mean(axis=1) if clusters is None else sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
        )
    low, high = np.quantile(np.concatenate(means), [0.5 - level / 2, 0.5 + level / 2])
    return Interval(float(array.mean()), float(low), float(high), len(array))


def of_tasks(values: Sequence[float], families: Sequence[Hashable], is_rate: bool = True) -> Interval:
    """Mean over tasks with its interval, the same wherever one is stated: in reports, gates and cards.

    Whole families are drawn where there are ten or more and some have several tasks; a rate of which each task is 0 or
    1 has Wilson's interval otherwise, and where all are alike: drawn anew they would be so for ever.
    """
    clustered = wholes(families)
    alike = len(set(values)) == 1
    if is_rate and set(values) <= {0, 1} and (alike or not clustered):
        votes = len(set(families)) if clustered else len(values)
        return wilson(round(sum(values) * votes / len(values)), votes)._replace(n=len(values))
    return mean_bootstrap(values, clusters=clustered)


def wholes(families: Sequence[Hashable]) -> Sequence[Hashable] | None:
    """The family of each task, where whole families are to be drawn; None where there are too few of them."""
    return families if FEW <= len(set(families)) < len(families) else None


def refuse_not_finite(what: str, numbers: Any) -> None:
    """Raises ValueError where one of an array's numbers is NaN or infinite: it would be compared with nothing."""
    import numpy as np

    if not np.isfinite(numbers).all():
        bad = np.asarray(numbers)[~np.isfinite(numbers)].flat[0]
        raise ValueError(f"{what}: a value is {bad}; leave out what was not measured")
