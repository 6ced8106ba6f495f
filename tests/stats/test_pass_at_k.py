"""pass@k against the product form that its authors published, on real answers and at the sizes of their paper."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbcore import stats
from nbcore.evaluation import measures
from tests.bench import gates as bench


def reference(n, c, k):
    """The numerically stable estimator of Chen et al. 2021 (human-eval, evaluation.py)."""
    if n - c < k:
        return 1.0
    return 1.0 - np.prod(1.0 - k / np.arange(n - c + 1, n + 1))


@pytest.mark.parametrize("k", [1, 10, 100])
def test_every_count_of_two_hundred_answers(k):
    """HumanEval's 200 samples a task: binomials of that size overflow a float where they are computed as floats."""
    for c in range(201):
        assert stats.pass_at_k(200, c, k) == pytest.approx(reference(200, c, k), abs=1e-9)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_count_of_any_number_of_answers(data):
    """Between the corners: every n up to 400, c and k drawn freely."""
    n = data.draw(st.integers(1, 400))
    c, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    found = stats.pass_at_k(n, c, k)
    assert 0 <= found <= 1 and found == pytest.approx(reference(n, c, k), abs=1e-9)
    assert (found == 0) == (c == 0) and (k > n - c) <= (found == 1)
    if n < 12:
        draws = [sum(drawn) > 0 for drawn in itertools.combinations([1] * c + [0] * (n - c), k)]
        assert found == pytest.approx(sum(draws) / len(draws), abs=1e-12)


@pytest.mark.parametrize("k", [1, 2, 5, 10])
def test_an_evaluation_of_recorded_answers_reports_the_mean_of_the_reference(k):
    """The number that a report shows, from ten graded answers to each of 300 tasks."""
    tasks = bench.recorded()
    rows = []
    for task in tasks:
        for digit in task["passed"]:
            passed = digit == "1"
            rows.append(
                {"id": task["id"], "family": task["family"], "prompt": "", "code": "fn f() {}", "verdict": "pass"}
                | {"passed": passed, "compiles": True, "tests_passed": 6 * passed, "tests_total": 6, "flags": []}
                | {"clippy_warnings": 0, "lints": {}, "truncated": False}
            )
    expected = np.mean([reference(len(task["passed"]), task["passed"].count("1"), k) for task in tasks])
    for found in (measures.summary(rows, 10, [k])[f"pass@{k}"], measures.detailed(rows, [k])["metrics"][f"pass@{k}"]):
        assert found["value"] == pytest.approx(expected, abs=1e-9) and found["n"] == len(tasks)
