"""Statistics against brute force, scipy, the published tables and simulation."""

from itertools import combinations, product
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from nbcore import stats

counts = st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(counts)
def test_wilson_stays_in_the_unit_interval_around_the_rate_and_agrees_with_scipy(count):
    k, n = count
    got = stats.wilson(k, n)
    assert 0 <= got.low <= got.value == k / n <= got.high <= 1
    expected = binomtest(k, n).proportion_ci(method="wilson")
    assert (got.low, got.high) == pytest.approx((expected.low, expected.high), abs=1e-9)


@given(counts)
def test_wilson_widens_with_the_level(count):
    narrow, wide = stats.wilson(*count, level=0.8), stats.wilson(*count, level=0.99)
    assert wide.low <= narrow.low and narrow.high <= wide.high


@pytest.mark.parametrize(("k", "n"), [(0, 0), (-1, 5), (6, 5)])
def test_wilson_refuses_impossible_counts(k, n):
    with pytest.raises(ValueError, match=f"k={k} of n={n}"):
        stats.wilson(k, n)


@given(st.integers(1, 8).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n))))
def test_pass_at_k_is_the_share_of_draws_that_hold_a_pass(case):
    n, c, k = case
    draws = list(combinations([True] * c + [False] * (n - c), k))
    assert stats.pass_at_k(n, c, k) == pytest.approx(sum(map(any, draws)) / len(draws))


@given(st.integers(1, 300).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))))
def test_pass_at_k_at_its_edges(case):
    n, c = case
    assert stats.pass_at_k(n, 0, n) == 0
    assert stats.pass_at_k(n, n, 1) == 1
    assert stats.pass_at_k(n, c, n) == float(c > 0)  # all completions are drawn
    assert stats.pass_at_k(n, c, 1) == pytest.approx(c / n)


def test_pass_at_k_refuses_more_draws_than_completions():
    with pytest.raises(ValueError, match="k=5"):
        stats.pass_at_k(4, 1, 5)


@pytest.mark.parametrize(("b", "c", "p"), [(6, 0, 0.031), (8, 1, 0.039), (10, 2, 0.039)])
def test_mcnemar_smallest_significant_splits(b, c, p):
    assert round(stats.mcnemar_exact(b, c), 3) == p
    assert stats.mcnemar_exact(b - 1, c) > 0.05


@given(st.integers(0, 200), st.integers(0, 200))
def test_mcnemar_is_the_binomial_test_on_discordant_problems(b, c):
    expected = binomtest(b, b + c).pvalue if b + c else 1.0
    assert stats.mcnemar_exact(b, c) == pytest.approx(expected)
    assert stats.mcnemar_exact(b, c) == stats.mcnemar_exact(c, b)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_monotone_and_between_raw_and_bonferroni(pvalues):
    adjusted = stats.holm(pvalues)
    assert all(p <= q <= min(1, len(pvalues) * p) for p, q in zip(pvalues, adjusted, strict=True))
    ordered = [adjusted[i] for i in sorted(range(len(pvalues)), key=pvalues.__getitem__)]
    assert ordered == sorted(ordered)


def test_holm_worked_example():
    assert stats.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


def test_bootstrap_is_deterministic_in_its_seed_and_holds_the_mean():
    values = np.random.default_rng(1).random(50).tolist()
    first = stats.mean_bootstrap(values, seed=3)
    assert first == stats.mean_bootstrap(values, seed=3) != stats.mean_bootstrap(values, seed=4)
    assert first.value == pytest.approx(np.mean(values))
    assert first.low < first.value < first.high
    assert first.n == 50


def test_bootstrap_draws_all_resamples_when_they_are_drawn_in_parts():
    values = [0.0, 1.0] * 5_000  # 10 parts of 200 resamples
    assert stats.mean_bootstrap(values, resamples=2_000).low == pytest.approx(0.4902, abs=0.002)


def test_bootstrap_interval_covers_the_truth_about_as_often_as_it_says():
    generator = np.random.default_rng(0)
    covered = 0
    for seed in range(200):
        got = stats.mean_bootstrap(generator.binomial(1, 0.3, 150), resamples=500, seed=seed)
        covered += got.low <= 0.3 <= got.high
    assert 0.90 <= covered / 200 <= 0.985


def test_bootstrap_refuses_nothing_and_unequal_lengths():
    with pytest.raises(ValueError, match="no values"):
        stats.mean_bootstrap([])
    with pytest.raises(ValueError, match="2 problems before, 1 after"):
        stats.paired_bootstrap([1, 0], [1])


@pytest.mark.parametrize(("n", "effect"), [(156, 0.100), (500, 0.056), (1000, 0.040), (2000, 0.028)])
def test_minimum_detectable_effect_is_the_power_table(n, effect):
    assert stats.minimum_detectable_effect(n) == pytest.approx(effect, abs=6e-4)


def test_planted_effect_of_the_detectable_size_is_found_about_four_times_in_five():
    generator = np.random.default_rng(0)
    n, discordance = 500, 0.2
    effect = stats.minimum_detectable_effect(n, discordance)
    found = 0
    for _ in range(300):
        better, worse, _ = generator.multinomial(n, [(discordance + effect) / 2, (discordance - effect) / 2, 0.8])
        found += stats.mcnemar_exact(better, worse) < 0.05
    assert 0.7 <= found / 300 <= 0.88


def test_compare_pairs_by_id_and_counts_both_directions():
    before = {"a": 0, "b": 1, "c": 0, "only before": 1}
    after = {"c": 1, "a": 1, "b": 1, "only after": 0}
    got = stats.compare(before, after)
    assert (got.delta.n, got.better, got.worse, got.p) == (3, 2, 0, 0.5)
    assert got.delta.value == pytest.approx(2 / 3)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=30))
def test_compare_of_a_model_with_itself_finds_nothing(pairs):
    outcomes = {str(i): a for i, (a, _) in enumerate(pairs)}
    got = stats.compare(outcomes, outcomes)
    assert (got.delta.value, got.delta.low, got.delta.high, got.p) == (0, 0, 0, 1)


def test_compare_refuses_disjoint_evaluations():
    with pytest.raises(ValueError, match="share no problem id"):
        stats.compare({"a": 1}, {"b": 1})


def test_clusters_of_one_problem_change_nothing_and_copies_of_a_problem_add_nothing():
    """Ten samples of each of five problems are no fifty problems: the interval must be as wide as five make it."""
    values = np.random.default_rng(1).random(40).tolist()
    plain = stats.mean_bootstrap(values, seed=3)
    assert stats.mean_bootstrap(values, seed=3, clusters=list(range(40))) == pytest.approx(plain)
    tenfold = stats.mean_bootstrap(values * 10, seed=3, clusters=list(range(40)) * 10)
    assert (tenfold.low, tenfold.high) == pytest.approx((plain.low, plain.high))
    assert stats.mean_bootstrap(values * 10, seed=3).low > plain.low, "unclustered it would look much narrower"


@given(st.lists(st.tuples(st.floats(-1, 1), st.integers(0, 3)), min_size=1, max_size=12))
def test_clustered_bootstrap_is_the_ratio_over_drawn_clusters(rows):
    """Against every possible draw of clusters, where there are few enough to try them all."""
    values, clusters = [value for value, _ in rows], [cluster for _, cluster in rows]
    got = stats.mean_bootstrap(values, clusters=clusters, resamples=400)
    groups = [[value for value, own in rows if own == cluster] for cluster in sorted(set(clusters))]
    means = []
    for draw in product(groups, repeat=len(groups)):
        drawn = [value for group in draw for value in group]
        means.append(sum(drawn) / len(drawn))
    assert min(means) - 1e-9 <= got.low <= got.high <= max(means) + 1e-9
    assert got.value == pytest.approx(np.mean(values)) and got.n == len(values)


def test_clusters_of_another_length_are_refused():
    with pytest.raises(ValueError, match="2 values, 1 clusters"):
        stats.mean_bootstrap([0, 1], clusters=["a"])


@given(st.floats(-1, 1), st.floats(0, 0.5), st.floats(0.001, 0.5))
def test_margins_are_decided_by_the_whole_interval(value, half, margin):
    """An interval that holds the margin decides nothing, in either direction."""
    delta = stats.Interval(value, value - half, value + half, 100)
    for judgement, limit in ((stats.non_inferior(delta, margin), -margin), (stats.superior(delta, margin), margin)):
        assert judgement.limit == limit
        assert (judgement.verdict == "PASS") == (delta.low > limit)
        assert (judgement.verdict == "FAIL") == (delta.high <= limit)


def test_margins_that_mean_nothing_are_refused():
    delta = stats.Interval(0.1, 0.0, 0.2, 100)
    for margin in (0.0, -0.1, float("nan")):
        with pytest.raises(ValueError, match="above 0"):
            stats.non_inferior(delta, margin)
    for margin in (-0.1, float("nan")):
        with pytest.raises(ValueError, match="0 or above"):
            stats.superior(delta, margin)


@pytest.mark.parametrize("effect", [0.0, 0.2, -0.4, 0.5])
def test_power_is_the_sum_over_every_outcome(effect):
    """Every split of twelve problems into better, worse and equal, weighed by its chance."""
    n, discordance = 12, 0.5
    better, worse = (discordance + effect) / 2, (discordance - effect) / 2
    expected = 0.0
    for b in range(n + 1):
        for c in range(n - b + 1):
            if stats.mcnemar_exact(b, c) <= 0.05:
                ways = comb(n, b) * comb(n - b, c)
                expected += ways * better**b * worse**c * (1 - discordance) ** (n - b - c)
    assert stats.power(n, effect, discordance) == pytest.approx(expected, abs=1e-9)


def test_power_at_the_detectable_effect_is_about_what_was_asked_for():
    for n in (156, 500, 1000):
        assert 0.74 <= stats.power(n, stats.minimum_detectable_effect(n), 0.2) <= 0.84
    assert stats.power(5, 0.9, 0.9) == 0, "five problems can never be significant"
    with pytest.raises(ValueError, match="discordance"):
        stats.power(10, 0.5, 0.2)


def test_a_model_is_seldom_superior_to_itself_and_a_planted_regression_is_found():
    """The alarm rate that a gate promises, on recorded outcomes rather than on a formula."""
    generator = np.random.default_rng(0)
    outcomes = [generator.binomial(1, chance, 4).tolist() for chance in generator.random(120)]
    false = stats.false_alarms(outcomes, repetitions=100)
    assert false.low <= 0.025 and false.value <= 0.06 and false.n == 100
    assert stats.false_alarms(outcomes, repetitions=20, effect=0.2).value == 1.0
    with pytest.raises(ValueError, match="problem 1 has 1 samples"):
        stats.false_alarms([[0, 1], [1]])


@pytest.mark.parametrize(
    "asked",
    [
        lambda: stats.mean_bootstrap([1.0, float("nan")]),
        lambda: stats.compare({"a": float("nan"), "b": 0.0}, {"a": 1.0, "b": 1.0}),
        lambda: stats.crossed([[0.1, float("nan")]]),
        lambda: stats.holm([float("nan"), 0.01]),
        lambda: stats.mcnemar_exact(1.5, 2.5),
        lambda: stats.wilson(2.7, 5),
        lambda: stats.minimum_detectable_effect(10, power=0.01),
    ],
)
def test_what_is_no_number_or_no_count_is_refused(asked):
    """A NaN went through to an interval of NaN and to Holm's order; half a success was cut down to none."""
    with pytest.raises(ValueError):
        asked()


@pytest.mark.parametrize("families", [1, 9])
def test_a_few_families_are_no_certainty(families):
    """All of HumanEval is one family: drawn as a whole it gave any difference an interval without width."""
    before = {str(number): float(number % 2) for number in range(60)}
    after = before | {"0": 1.0}
    found = stats.compare(before, after, families={id_: int(id_) % families for id_ in before})
    assert found.delta.low <= 0 < found.delta.high
