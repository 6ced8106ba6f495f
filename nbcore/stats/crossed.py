"""An effect measured on the same tasks by several trainings: how sure it is, of these models and of another training.

Tasks and trainings (seeds) are crossed: each task is answered in each training. An interval over the tasks alone says
what other tasks would show of the very models that were measured. A difference between two recipes must also survive
another training, so the variance between the seeds' own effects is added; with few seeds that costs degrees of freedom.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import NamedTuple

from nbcore.stats.intervals import refuse_not_finite


class Effect(NamedTuple):
    """A mean difference over tasks and seeds."""

    value: float
    low: float
    high: float
    p: float
    """Two-sided, of no difference (Student's t)."""
    error: float
    """The standard error."""
    freedom: float
    """Degrees of freedom of the error (Satterthwaite): few seeds, few degrees."""
    n: int
    """Tasks."""
    seeds: int

    def detectable(self, power: float = 0.8, alpha: float = 0.05) -> float:
        """The smallest true difference that an experiment with this error finds with this power."""
        from scipy.stats import t

        return float((t.ppf(1 - alpha / 2, self.freedom) + t.ppf(power, self.freedom)) * self.error)

    def power(self, effect: float, alpha: float = 0.05) -> float:
        """The chance that an experiment with this error finds a true difference of `effect`."""
        from scipy.stats import nct, t

        if not self.error:
            return float(effect != 0)
        limit, shift = t.ppf(1 - alpha / 2, self.freedom), effect / self.error
        return float(nct.sf(limit, self.freedom, shift) + nct.cdf(-limit, self.freedom, shift))


def crossed(
    differences: Sequence[Sequence[float]], clusters: Sequence[Hashable] | None = None, alpha: float = 0.05
) -> Effect:
    """The mean of differences[seed][task], with the interval that covers other tasks and other trainings.

    `clusters` names the family of each task: tasks of one family are not independent. With one seed the interval covers
    other tasks alone. The variance of the two is added, without taking off what both hold of the same noise: a little
    too wide rather than too narrow. Raises ValueError where there is no task, a seed lacks some, a number is not
    finite, or fewer than two clusters could tell a variance.
    """
    import numpy as np
    from scipy.stats import t

    if not differences or not len(differences[0]) or len({len(row) for row in differences}) > 1:
        raise ValueError(
            f"crossed: {[len(row) for row in differences]} tasks by seed; every seed needs the same tasks, at least one"
        )
    table = np.asarray(differences, dtype=float)
    refuse_not_finite("crossed", table)
    seeds, n = table.shape
    if clusters is not None and len(clusters) != n:
        raise ValueError(f"crossed: {n} tasks, {len(clusters)} clusters; give one for each task")
    numbers: dict[Hashable, int] = {}
    at = [numbers.setdefault(cluster, len(numbers)) for cluster in (range(n) if clusters is None else clusters)]
    groups, value = len(numbers), float(table.mean())
    if groups < 2:
        raise ValueError("crossed: all tasks are of one cluster; an interval needs at least two")
    sums = np.bincount(at, weights=table.mean(axis=0) - value)
    parts = [(float((sums**2).sum()) * groups / (groups - 1) / n**2, groups - 1)]
    if seeds > 1:
        parts.append((float(table.mean(axis=1).var(ddof=1)) / seeds, seeds - 1))
    variance = sum(part for part, _ in parts)
    if not variance:
        return Effect(value, value, value, float(value == 0), 0.0, float(groups - 1), n, seeds)
    freedom = variance**2 / sum(part**2 / count for part, count in parts)
    error = math.sqrt(variance)
    reach = float(t.ppf(1 - alpha / 2, freedom)) * error
    p = float(2 * t.sf(abs(value) / error, freedom))
    return Effect(value, value - reach, value + reach, p, error, freedom, n, seeds)
