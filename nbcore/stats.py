"""Statistics of evaluations: rates with intervals, pass@k, paired comparisons. Pure: numbers in, numbers out.

Single rates get Wilson intervals. Two models are compared on the same problems, paired by problem: two unpaired
standard errors would throw the pairing away, and with it most of the power.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import NamedTuple


class Interval(NamedTuple):
    """An estimate with its confidence bounds, over n problems."""

    value: float
    low: float
    high: float
    n: int


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


def wilson(k: int, n: int, level: float = 0.95) -> Interval:
    """Rate of k successes among n, with Wilson's score interval, which stays within [0, 1] and is sane at k = 0 and n.

    Raises ValueError unless 0 <= k <= n and n >= 1.
    """
    if not 0 <= k <= n or n < 1:
        raise ValueError(f"wilson: k={k} of n={n}; it needs 0 <= k <= n and n >= 1")
    z = NormalDist().inv_cdf(0.5 + level / 2)
    rate = k / n
    centre = (rate + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    # At the ends the bound is 0 or 1 in exact arithmetic; rounding must not push it past the rate.
    low = 0.0 if k == 0 else centre - half
    high = 1.0 if k == n else centre + half
    return Interval(rate, low, high, n)


def pass_at_k(n: int, c: int, k: int) -> float:
    """Chance that at least one of k completions passes, drawn without replacement from n of which c passed.

    The unbiased estimator of Chen et al. 2021, in exact integers: 1 − C(n−c, k) / C(n, k).
    Raises ValueError unless 0 <= c <= n and 1 <= k <= n.
    """
    if not (0 <= c <= n and 1 <= k <= n):
        raise ValueError(f"pass@k: n={n}, c={c}, k={k}; it needs 0 <= c <= n and 1 <= k <= n")
    return 1 - math.comb(n - c, k) / math.comb(n, k)


def mean_bootstrap(values: Sequence[float], level: float = 0.95, resamples: int = 10_000, seed: int = 0) -> Interval:
    """Mean over problems, with the percentile-bootstrap interval; equal seeds give equal bounds.

    `values` holds one number per problem: several samples of a problem are averaged first, because they are not
    independent of each other. Raises ValueError on an empty sequence.
    """
    import numpy as np

    array = np.asarray(values, dtype=float)
    n = len(array)
    if n == 0:
        raise ValueError("bootstrap: no values; it needs at least one problem")
    generator = np.random.default_rng(seed)
    rows = max(1, 2_000_000 // n)  # resamples drawn at once: bounds the memory at 32 MB whatever n is
    means = np.concatenate(
        [
            array[generator.integers(n, size=(min(rows, resamples - done), n))].mean(axis=1)
            for done in range(0, resamples, rows)
        ]
    )
    low, high = np.quantile(means, [0.5 - level / 2, 0.5 + level / 2])
    return Interval(float(array.mean()), float(low), float(high), n)


def paired_bootstrap(
    before: Sequence[float], after: Sequence[float], level: float = 0.95, resamples: int = 10_000, seed: int = 0
) -> Interval:
    """Mean of (after − before) over problems, with its percentile-bootstrap interval.

    The two sequences hold the same problems in the same order. Raises ValueError where their lengths differ.
    """
    if len(before) != len(after):
        raise ValueError(f"paired bootstrap: {len(before)} problems before, {len(after)} after; pair them by id first")
    return mean_bootstrap([b - a for a, b in zip(before, after, strict=True)], level, resamples, seed)


def mcnemar_exact(b: int, c: int) -> float:
    """Two-sided exact McNemar p: b problems only the first model solves, c only the second.

    Under the null hypothesis each of the b + c discordant problems falls either way like a fair coin. Fewer than six
    can never be significant at 5 %.
    """
    b, c = int(b), int(c)  # numpy's integers would overflow in 2**n
    n = b + c
    tail = sum(math.comb(n, i) for i in range(min(b, c) + 1))
    return min(1.0, 2 * tail / 2**n)


def holm(pvalues: Sequence[float]) -> list[float]:
    """Holm's step-down adjusted p-values, in the order given: compare each with alpha to hold the family-wise error."""
    adjusted = [0.0] * len(pvalues)
    running = 0.0
    for rank, index in enumerate(sorted(range(len(pvalues)), key=pvalues.__getitem__)):
        running = max(running, min(1.0, (len(pvalues) - rank) * pvalues[index]))
        adjusted[index] = running
    return adjusted


def minimum_detectable_effect(n: int, discordance: float = 0.2, power: float = 0.8, alpha: float = 0.05) -> float:
    """Smallest difference of two paired rates that a two-sided test finds with this power (normal approximation).

    `discordance` is the share of the n problems on which the models differ. A result above `discordance` means that
    so few problems cannot find any difference. Raises ValueError where n < 1.
    """
    if n < 1:
        raise ValueError(f"minimum detectable effect: n is {n}; it needs at least one problem")
    normal = NormalDist()
    return (normal.inv_cdf(1 - alpha / 2) + normal.inv_cdf(power)) * math.sqrt(discordance / n)


def compare(before: Mapping[str, float], after: Mapping[str, float], seed: int = 0) -> Comparison:
    """Two models by problem id: `before` and `after` map each id to its outcome (0 or 1, or the mean of its samples).

    Only ids in both count. Raises ValueError where there is none.
    """
    shared = [key for key in before if key in after]
    if not shared:
        raise ValueError("compare: the two evaluations share no problem id; evaluate both on the same tasks")
    first, second = [float(before[key]) for key in shared], [float(after[key]) for key in shared]
    better = sum(b > a for a, b in zip(first, second, strict=True))
    worse = sum(b < a for a, b in zip(first, second, strict=True))
    return Comparison(paired_bootstrap(first, second, seed=seed), better, worse, mcnemar_exact(worse, better))
