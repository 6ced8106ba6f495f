"""Mixing: every rule for whose turn it is and where it ends, over random pools."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbcore.config.data import Mix
from nbcore.data import mix

POOLS = {"a": [0, 1, 2, 3, 4, 5], "b": [10, 11], "c": [20, 21, 22]}
EVEN = dict.fromkeys(POOLS, 1 / 3)


def mixed(pools=POOLS, shares=EVEN, seed=0, **wanted):
    return list(mix.mixed(pools, shares, Mix(**wanted), seed))


sizes = st.dictionaries(st.sampled_from("abcde"), st.integers(0, 30), min_size=1)
modes = st.sampled_from(["concatenate", "sequential", "round_robin", "weighted"])


@given(sizes, modes, st.booleans(), st.integers(0, 1000))
def test_each_record_comes_once_unless_another_end_is_asked_for(counts, mode, shuffle, seed):
    """A record that was mixed twice is trained twice; one that was lost is never missed."""
    pools = {name: range(100 * number, 100 * number + count) for number, (name, count) in enumerate(counts.items())}
    shares = {name: 1 / len(pools) for name in pools}
    chosen = list(mix.mixed(pools, shares, Mix(mode=mode, shuffle=shuffle), seed))
    assert sorted(chosen) == sorted(number for pool in pools.values() for number in pool)
    assert chosen == list(mix.mixed(pools, shares, Mix(mode=mode, shuffle=shuffle), seed))


def test_sequential_is_one_source_after_the_other():
    assert mixed(mode="sequential", shuffle=False) == [*POOLS["a"], *POOLS["b"], *POOLS["c"]]
    shuffled = mixed(mode="sequential")
    assert [sorted(part) for part in (shuffled[:6], shuffled[6:8], shuffled[8:])] == list(POOLS.values())


def test_round_robin_takes_one_of_each_in_turn():
    assert mixed(mode="round_robin", shuffle=False) == [0, 10, 20, 1, 11, 21, 2, 22, 3, 4, 5]
    assert mixed(mode="round_robin", shuffle=False, stop="first_exhausted") == [0, 10, 20, 1, 11]
    again = mixed(mode="round_robin", shuffle=False, stop="all_exhausted")
    assert again == [0, 10, 20, 1, 11, 21, 2, 10, 22, 3, 11, 20, 4, 10, 21, 5]


def test_weights_are_the_shares_that_come_out():
    """Weight 3 beside 1 has to be three quarters, not three quarters of the sources' sizes."""
    pools = {"small": range(200), "large": range(1000, 31000)}
    chosen = mixed(pools, {"small": 0.75, "large": 0.25}, mode="weighted", stop="all_exhausted", total=4000)
    share = sum(number < 200 for number in chosen) / len(chosen)
    assert share == pytest.approx(0.75, abs=0.03)
    assert max(Counter(chosen).values()) > 10, "the small source begins again"


def test_a_cap_is_drawn_with_the_seed_and_keeps_the_order():
    assert list(mix.capped(range(100), None, 0)) == list(range(100))
    drawn = list(mix.capped(range(100), 10, 0))
    assert drawn == sorted(drawn) == list(mix.capped(range(100), 10, 0)) and len(drawn) == 10
    assert drawn != list(mix.capped(range(100), 10, 1))


def test_total_ends_every_mode():
    for mode in ("concatenate", "sequential", "round_robin", "weighted"):
        assert len(mixed(mode=mode, total=4)) == 4
