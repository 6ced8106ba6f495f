"""Verdict to number, without a compiler."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbcore.config import RewardWeights
from nbcore.grading.reward import CHEATS, COMPONENTS, FORGING, components, counted, is_hack, total

WEIGHTS = RewardWeights().model_dump()


def verdict(kind="pass", passed=4, tests=4, compiles=True, flags=(), warnings=0, code=None):
    return {
        "verdict": kind,
        "passed": kind == "pass",
        "compiles": compiles,
        "tests_passed": passed,
        "tests_total": tests,
        "flags": list(flags),
        "clippy_warnings": warnings,
        "code": code,
    }


def score(of):
    return total(components(of), WEIGHTS)


@pytest.mark.parametrize(
    ("given_verdict", "expected"),
    [
        (verdict(), 1.0),
        (verdict("tests_failed", 2), 0.1 + 0.4 / 2),
        (verdict("tests_failed", 0), 0.1),
        (verdict("run_timeout", 1), 0.1 + 0.4 / 4),
        (verdict("compile_error", 0, compiles=False), 0.0),
        (verdict("no_code", 0, compiles=False), 0.0),
        (verdict("rejected", 0, compiles=False), 0.0),
        (verdict("early_exit", 3), 0.0),
        (verdict("output_limit", 3), 0.1 + 0.4 * 3 / 4),
        (verdict("rejected", 0, compiles=False, flags=["file_macro"]), 0.0),
        (verdict("pass", 0, 0), 0.1),
        (verdict(flags=["forged_report"]), 0.0),
        (verdict(flags=["process_exit"]), 1.0),
        (verdict(flags=["std_macro_shadow", "panic_hook", "spawns_process"]), 1.0),
    ],
)
def test_default_score(given_verdict, expected):
    """The default weights are the handbook's, and a cheat is worth nothing even when its tests pass."""
    assert score(given_verdict) == pytest.approx(expected)


def test_our_own_fault_is_none_and_never_zero():
    """A zero for a full disk would teach the model from our fault."""
    assert components(verdict("infra_error", 0, compiles=False)) == dict.fromkeys(COMPONENTS)
    assert score(verdict("infra_error", 0, compiles=False)) is None


def test_a_component_for_every_weight():
    """A weight without its component would be a setting that does nothing."""
    assert tuple(WEIGHTS) == COMPONENTS
    assert counted(WEIGHTS) == {"compiles": 0.1, "tests": 0.4, "passed": 0.5}
    assert tuple(counted({**WEIGHTS, "lint": 0.1, "passed": 0.0})) == ("compiles", "tests", "passed", "lint")


def test_lints_and_docs_count_only_when_all_tests_pass():
    """Else a clean, documented stub collects them."""
    code = "/// Adds.\npub fn add(a: i64, b: i64) -> i64 { a + b }\npub fn bare() {}"
    good = components(verdict(warnings=3, code=code))
    assert good["lint"] == pytest.approx(math.exp(-1)) and good["docs"] == 0.5
    stub = components(verdict("tests_failed", 3, code=code))
    assert stub["lint"] == stub["docs"] == 0


@given(
    st.sampled_from([*sorted(CHEATS), "tests_failed", "run_oom", "compile_error"]),
    st.integers(0, 9),
    st.booleans(),
    st.sets(st.sampled_from([*sorted(FORGING), "unsafe"])),
)
def test_anything_but_a_pass_is_worth_less_than_one(kind, passed, compiles, flags):
    """Else a policy would be paid in full for less than a solution."""
    given_verdict = verdict(kind, passed, 9, compiles, flags)
    value = score(given_verdict)
    assert 0 <= value <= WEIGHTS["compiles"] + WEIGHTS["tests"] < 1
    assert value == 0 or not is_hack(given_verdict)
