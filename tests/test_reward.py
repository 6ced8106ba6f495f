"""Verdict to number, without a compiler."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbcore.reward import CHEATS, WEIGHTS, components, score


def verdict(kind="pass", passed=4, total=4, compiles=True):
    return {
        "verdict": kind,
        "passed": kind == "pass",
        "compiles": compiles,
        "tests_passed": passed,
        "tests_total": total,
    }


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
        (verdict("output_limit", 3), 0.0),
        (verdict("pass", 0, 0), 0.1),
    ],
)
def test_default_score(given_verdict, expected):
    assert score(given_verdict) == pytest.approx(expected)


def test_our_own_fault_is_none_and_never_zero():
    fault = verdict("infra_error", 0, compiles=False)
    assert score(fault) is None
    assert components(fault) == {"compiles": None, "tests": None, "passed": None}


def test_weights_may_be_chosen_and_a_wrong_name_is_an_error():
    assert score(verdict("tests_failed", 2), {"tests": 1.0}) == 0.5
    with pytest.raises(ValueError, match="pased"):
        score(verdict(), {"pased": 1.0})


@given(st.sampled_from([*sorted(CHEATS), "tests_failed", "run_oom", "compile_error"]), st.integers(0, 9), st.booleans())
def test_anything_but_a_pass_is_worth_less_than_one(kind, passed, compiles):
    value = score(verdict(kind, passed, 9, compiles))
    assert 0 <= value <= WEIGHTS["compiles"] + WEIGHTS["tests"] < 1
