"""What an evaluation can find: power, the smallest effect that it detects, and whether its alarms are false."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

from nbcore.stats.intervals import Interval, wilson
from nbcore.stats.paired import compare, superior


def minimum_detectable_effect(n: int, discordance: float = 0.2, power: float = 0.8, alpha: float = 0.05) -> float:
    """Smallest difference of two paired rates that a two-sided test finds with this power (normal approximation).

    `discordance` is the share of the n problems on which the models differ. A result above `discordance` means that
    so few problems cannot find any difference. Raises ValueError unless n >= 1, 0 <= discordance <= 1 and
    0 < alpha / 2 < power < 1.
    """
    if not (n >= 1 and 0 <= discordance <= 1 and 0 < alpha / 2 < power < 1):
        raise ValueError(
            f"minimum detectable effect: n={n}, discordance={discordance}, power={power}, alpha={alpha}; it needs at "
            "least one problem, shares from 0 to 1, and a power above alpha / 2"
        )
    normal = NormalDist()
    return (normal.inv_cdf(1 - alpha / 2) + normal.inv_cdf(power)) * math.sqrt(discordance / n)


def power(n: int, effect: float, discordance: float, alpha: float = 0.05) -> float:
    """Chance that the two-sided exact McNemar test on n paired problems finds a difference of two rates of `effect`.

    `discordance` is the share of problems on which the models differ. Exact: summed over every number of discordant
    problems and every split of them. Raises ValueError unless n >= 1 and |effect| <= discordance <= 1.
    """
    if n < 1 or not abs(effect) <= discordance <= 1:
        raise ValueError(
            f"power: n={n}, effect={effect}, discordance={discordance}; it needs n >= 1 and "
            "|effect| <= discordance <= 1"
        )
    import numpy as np
    from scipy.stats import binom

    share = (1 + effect / discordance) / 2 if discordance else 0.5  # of the discordant problems, those that got better
    total = 0.0
    for discordant in range(n + 1):
        weight = binom.pmf(discordant, n, discordance)
        # The largest number of problems on the smaller side that the test still rejects at.
        fewest = int(binom.ppf(alpha / 2, discordant, 0.5))
        if 2 * binom.cdf(fewest, discordant, 0.5) > alpha:
            fewest -= 1
        if fewest >= 0 and weight > 1e-12:
            tails = binom.cdf(fewest, discordant, share) + binom.sf(discordant - fewest - 1, discordant, share)
            total += weight * float(np.minimum(1.0, tails))
    return float(total)


def false_alarms(
    outcomes: Sequence[Sequence[float]], repetitions: int = 200, alpha: float = 0.05, seed: int = 0, effect: float = 0.0
) -> Interval:
    """How often one model is called superior to itself, with Wilson's interval over the repetitions.

    `outcomes` holds, for each problem, the recorded outcomes (0 or 1) of several samples of one model. Each repetition
    draws one of them for "before" and one for "after". `effect`: the share of all problems, drawn anew each time, whose
    "after" is turned from pass to fail; the answer is then how often the planted regression is found.
    Raises ValueError where a problem has fewer than two samples.
    """
    import numpy as np

    for number, samples in enumerate(outcomes):
        if len(samples) < 2:
            raise ValueError(
                f"A/A calibration: problem {number} has {len(samples)} samples; it needs at least 2, drawn with "
                "different seeds"
            )
    generator = np.random.default_rng(seed)
    alarms = 0
    for repetition in range(repetitions):
        before, after = {}, {}
        for number, samples in enumerate(outcomes):
            one, other = generator.choice(len(samples), size=2, replace=False)
            before[str(number)], after[str(number)] = float(samples[one]), float(samples[other])
        if effect:
            passing = [key for key, value in after.items() if value > 0]
            turned = min(len(passing), round(effect * len(after)))
            after |= dict.fromkeys(generator.choice(passing, size=turned, replace=False).tolist(), 0.0)
            before, after = after, before  # a regression found is superiority of the other
        alarms += superior(compare(before, after, seed=repetition, alpha=alpha).delta).verdict == "PASS"
    return wilson(alarms, repetitions)
