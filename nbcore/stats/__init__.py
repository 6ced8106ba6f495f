"""Statistics of evaluations: rates with intervals, pass@k, paired comparisons, power. Pure: numbers in, numbers out.

Single rates get Wilson intervals. Two models are compared on the same problems, paired by problem: two unpaired
standard errors would throw the pairing away, and with it most of the power.
"""

from nbcore.stats.crossed import Effect, crossed
from nbcore.stats.intervals import FEW, LEVEL, Interval, mean_bootstrap, of_tasks, pass_at_k, wilson
from nbcore.stats.paired import (
    Comparison,
    Judgement,
    compare,
    holm,
    mcnemar_exact,
    non_inferior,
    paired_bootstrap,
    superior,
)
from nbcore.stats.power import false_alarms, minimum_detectable_effect, power

__all__ = [
    "FEW",
    "LEVEL",
    "Comparison",
    "Effect",
    "Interval",
    "Judgement",
    "compare",
    "crossed",
    "false_alarms",
    "holm",
    "mcnemar_exact",
    "mean_bootstrap",
    "minimum_detectable_effect",
    "non_inferior",
    "of_tasks",
    "paired_bootstrap",
    "pass_at_k",
    "power",
    "superior",
    "wilson",
]
