"""Rates and means of evaluations with their intervals, and pass@k."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import NamedTuple


class Interval(NamedTuple):
    """An estimate with its confidence bounds, over n problems."""

    value: float
    low: float
    high: float
    n: int


def wilson(k: int, n: int, level: float = 0.95) -> Interval:
    """Rate of k successes among n, with Wilson's score interval, which stays within [0, 1] and is sane at k = 0 and n.

    Raises ValueError unless 0 <= k <= n and n >= 1.
    """
    if not 0 <= k <= n or n < 1:
        raise ValueError(f"wilson: k={k} of n={n}; it needs 0 <= k <= n and n >= 1")
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
    level: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
    clusters: Sequence[Hashable] | None = None,
) -> Interval:
    """Mean over problems, with the percentile-bootstrap interval; equal seeds give equal bounds.

    `values` holds one number per problem: several samples of a problem are averaged first, because they are not
    independent of each other. Nor are problems of one family: `clusters` names the family of each problem, and whole
    families are drawn, so that the interval is as wide as the number of families makes it. The interval's n is the
    number of problems. Raises ValueError on an empty sequence, or where `clusters` is of another length.
    """
    import numpy as np

    array = np.asarray(values, dtype=float)
    if len(array) == 0:
        raise ValueError("bootstrap: no values; it needs at least one problem")
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
