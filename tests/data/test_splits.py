"""Splits: by content, stable, and never between near copies."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbcore.data.splits import SPLITS, checked_ratios, content_digest, grouped, of_groups, split_of


@pytest.mark.parametrize(
    "splits",
    ["", "1", "0.8,0.2", "0.5,0.5,0.5", "0.8,0.3,-0.1", "nan,0.5,0.5", "inf,0,0", "a,b,c", "0.7,0.1,0.1,0.1", (1, 2)],
)
def test_shares_that_are_none_are_refused_with_what_to_give(splits):
    with pytest.raises(ValueError, match=r"^splits: .*three numbers of 0 or more that sum to 1"):
        checked_ratios(splits)


def test_shares_that_are_good_are_taken():
    assert checked_ratios("0.8,0.1,0.1") == (0.8, 0.1, 0.1)
    assert checked_ratios("1,0,0") == (1, 0, 0)
    assert checked_ratios((1 / 3, 1 / 3, 1 / 3)) == (1 / 3, 1 / 3, 1 / 3)


digests = st.binary(min_size=32, max_size=32)


@given(digests, st.sampled_from([(1, 0, 0), (0, 1, 0), (0, 0, 1), (0.5, 0, 0.5), (0.5, 0.5, 0), (0, 0.5, 0.5)]))
def test_a_share_of_nothing_gets_nothing(digest, ratios):
    assert ratios[SPLITS.index(split_of(digest, ratios, 0))] > 0


@given(st.lists(st.integers(0, 400), unique=True, min_size=1, max_size=40), st.randoms())
def test_groups_stay_together_and_the_order_of_rows_does_not_matter(names, rng):
    """A near copy in the test split makes its number a lie."""
    near = lambda names: [[place for place, name in enumerate(names) if name % 7 == k] for k in range(7)]  # noqa: E731

    def split(names):
        rows = [hashlib.sha256(b"%d" % name).digest() for name in names]
        groups = [group for group in near(names) if len(group) > 1]
        return dict(zip(names, of_groups(grouped(groups, rows), rows, (0.4, 0.3, 0.3), 3), strict=True))

    chosen = split(names)
    assert all(chosen[a] == chosen[b] for a in names for b in names if a % 7 == b % 7)
    shuffled = list(names)
    rng.shuffle(shuffled)
    assert split(shuffled) == chosen


def test_chains_of_near_copies_and_equal_questions_are_one_group():
    a, b, c = b"a", b"b", b"c"
    assert grouped([[0, 1], [1, 2]], [a, b, c, c, a]) == [0, 0, 0, 0, 0]
    assert grouped([], [a, b, c]) == [0, 1, 2]


def test_shares_come_out_as_asked_for():
    rows = [hashlib.sha256(b"%d" % number).digest() for number in range(5000)]
    drawn = [split_of(row, (0.8, 0.1, 0.1), 0) for row in rows]
    assert drawn.count("train") == pytest.approx(4000, rel=0.03) and drawn.count("test") == pytest.approx(500, rel=0.15)
    assert drawn != [split_of(row, (0.8, 0.1, 0.1), 1) for row in rows]


def test_content_is_the_same_whatever_the_white_space_and_not_when_a_word_differs():
    row = lambda text, role="user": [{"role": role, "content": text}]  # noqa: E731
    assert content_digest(row("a  b\n")) == content_digest(row("a b"))
    assert len({content_digest(row("a b")), content_digest(row("a B")), content_digest(row("a b", "system"))}) == 3
