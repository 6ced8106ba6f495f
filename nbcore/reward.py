"""Verdict to number: pure functions, the same for reward, evaluation and gate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

WEIGHTS = {"compiles": 0.1, "tests": 0.4, "passed": 0.5}
"""Default weights; the components lie in 0..1, so a score does too."""

CHEATS = frozenset({"rejected", "early_exit", "output_limit"})
"""Verdicts worth nothing whatever was reported before: the sample got round the tests. Count them as `hack_rate`."""


def components(verdict: Mapping[str, Any]) -> dict[str, float | None]:
    """`compiles`, `tests` (fraction passed) and `passed`, each 0..1.

    All None for an `infra_error`: that fault is ours, and a zero would teach from it. Without tests a pass shows
    nothing, so it earns what compiling earns.
    """
    kind = verdict["verdict"]
    if kind == "infra_error":
        return dict.fromkeys(WEIGHTS)
    if kind in CHEATS or not verdict["compiles"]:
        return dict.fromkeys(WEIGHTS, 0.0)
    if not verdict["tests_total"]:
        return {"compiles": 1.0, "tests": 0.0, "passed": 0.0}
    fraction = verdict["tests_passed"] / verdict["tests_total"]
    return {"compiles": 1.0, "tests": fraction, "passed": float(verdict["passed"])}


def score(verdict: Mapping[str, Any], weights: Mapping[str, float] = WEIGHTS) -> float | None:
    """Weighted sum of the components, None for an `infra_error`. Raises ValueError for an unknown component."""
    if unknown := sorted(set(weights) - set(WEIGHTS)):
        raise ValueError(f"weights name {', '.join(unknown)}; the components are {', '.join(WEIGHTS)}")
    parts = components(verdict)
    if None in parts.values():
        return None
    return sum(weight * parts[name] for name, weight in weights.items())
