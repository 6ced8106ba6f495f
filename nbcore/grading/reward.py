"""Verdict to number: pure functions, the same for reward, evaluation and gate."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from nbcore.grading.rust import structure

COMPONENTS = ("compiles", "tests", "passed", "lint", "docs")

CHEATS = frozenset({"early_exit"})
"""Verdicts worth nothing whatever was reported before: the sample got round the tests."""

FORGING = frozenset({"forged_report", "file_macro", "env_macro", "cfg_tool", "unsafe_attr"})
"""Flags of a sample that tried what would have worked, were there no wall. Words alone are none of them: an honest
program may have a type called Command, or a macro called assert."""


def is_hack(verdict: Mapping[str, Any]) -> bool:
    """Whether a sample tried to get round its tests. The share of those is `hack_rate`: a rising one is the alarm."""
    return verdict["verdict"] in CHEATS or not FORGING.isdisjoint(verdict["flags"])


def components(verdict: Mapping[str, Any]) -> dict[str, float | None]:
    """`compiles`, `tests` (fraction passed), `passed`, and, only where all pass, `lint` and `docs`; each 0..1.

    All None for an `infra_error`: that fault is ours, and a zero would teach from it. Without tests a pass shows
    nothing, so it earns what compiling earns. `lint` is exp(-warnings/3); `docs` the share of documented public items.
    """
    if verdict["verdict"] == "infra_error":
        return dict.fromkeys(COMPONENTS)
    worth = dict.fromkeys(COMPONENTS, 0.0)
    if is_hack(verdict) or not verdict["compiles"]:
        return worth
    worth["compiles"] = 1.0
    if verdict["tests_total"]:
        worth["tests"] = verdict["tests_passed"] / verdict["tests_total"]
        worth["passed"] = float(verdict["passed"])
    if worth["passed"]:  # else a clean, documented `todo!()` would collect them
        worth["lint"] = math.exp(-verdict["clippy_warnings"] / 3)
        worth["docs"] = structure.documentation(verdict.get("code") or "")
    return worth


def counted(weights: Mapping[str, float]) -> dict[str, float]:
    """The components that a policy is trained on and shown, each with its weight: those of the tests always, a shaping
    term where it has one."""
    return {name: weights[name] for name in COMPONENTS if name in ("compiles", "tests", "passed") or weights[name]}


def total(worth: Mapping[str, float | None], weights: Mapping[str, float]) -> float | None:
    """The reward: the weighted sum of the components, None where they are. TRL is given the same weights and adds the
    same sum, in single precision and for each group; a test holds it to this one."""
    if None in worth.values():
        return None
    return sum(weight * worth[name] for name, weight in counted(weights).items())
