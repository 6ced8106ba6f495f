"""stats.crossed: the interval over tasks and trainings, against closed forms and against simulated experiments."""

import numpy as np
import pytest
from scipy import stats as reference

from nbcore import stats


def test_one_seed_is_students_test_over_tasks():
    values = np.random.default_rng(0).normal(0.1, 1, 60).tolist()
    found = stats.crossed([values])
    theirs = reference.ttest_1samp(values, 0)
    assert found.p == pytest.approx(theirs.pvalue, abs=1e-9)
    assert (found.low, found.high) == pytest.approx(tuple(theirs.confidence_interval(0.95)), abs=1e-9)


def test_where_every_task_says_the_same_the_seeds_alone_decide():
    rows = [[shift] * 40 for shift in (0.1, 0.02, -0.03)]
    found, theirs = stats.crossed(rows), reference.ttest_1samp([0.1, 0.02, -0.03], 0)
    assert found.p == pytest.approx(theirs.pvalue, abs=1e-9) and found.freedom == pytest.approx(2)


def test_copies_of_a_task_in_one_family_add_no_certainty():
    values = np.random.default_rng(1).normal(0, 1, 50).tolist()
    alone = stats.crossed([values])
    doubled = stats.crossed([values + values], [*range(50), *range(50)])
    assert doubled.error == pytest.approx(alone.error)


def test_power_and_what_is_detectable_agree():
    found = stats.crossed(np.random.default_rng(2).normal(0, 1, (3, 200)).tolist())
    assert found.power(found.detectable()) == pytest.approx(0.8, abs=0.02)
    assert found.power(0) == pytest.approx(0.05, abs=1e-6)


@pytest.mark.parametrize(
    ("rows", "clusters", "words"),
    [
        ([], None, "tasks"),
        ([[1.0, 2.0], [1.0]], None, "same tasks"),
        ([[1.0]], None, "two"),
        ([[1, 2]], ["a"], "1 clu"),
    ],
)
def test_what_cannot_be_told_is_an_error(rows, clusters, words):
    with pytest.raises(ValueError, match=words):
        stats.crossed(rows, clusters)


def test_trainings_that_differ_by_luck_are_no_effect():
    """An interval over tasks alone called a third of such experiments an effect: each training is a little better or
    worse as a whole, and three of them do not average that out."""
    draw = np.random.default_rng(3)
    alarms = alone = 0
    for _ in range(400):
        rows = draw.normal(0, 0.2, 200) + draw.normal(0, 0.05, 3)[:, None] + draw.normal(0, 0.3, (3, 200))
        found, mean = stats.crossed(rows.tolist()), rows.mean(axis=0)
        alarms += found.p < 0.05
        alone += reference.ttest_1samp(mean, 0).pvalue < 0.05
    assert stats.wilson(alarms, 400).low <= 0.05 and alone > 80


def test_an_effect_of_twice_what_is_detectable_is_found():
    draw, found = np.random.default_rng(4), 0
    for _ in range(200):
        rows = draw.normal(0, 0.2, 200) + draw.normal(0, 0.3, (3, 200))
        detectable = stats.crossed(rows.tolist()).detectable()
        found += stats.crossed((rows + 2 * detectable).tolist()).low > 0
    assert found >= 190
