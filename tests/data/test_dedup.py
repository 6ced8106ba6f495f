"""Which texts are copies of each other, and which one stays."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from nbcore.data import dedup


def _text(seed: int, tokens: int = 200) -> str:
    rng = random.Random(seed)
    return " ".join(f"word{rng.randrange(10_000)}" for _ in range(tokens))


def test_exact_copies_differ_in_white_space_at_most():
    assert dedup.exact(["a  b\n", "c", "a b", "a c", "c"]) == [[0, 2], [1, 4]]


def test_near_copies_are_grouped_and_others_are_not():
    """A near-copy is one whose true similarity reaches the threshold, whatever MinHash estimates."""
    texts = [_text(seed) for seed in range(40)]
    changed = texts[3].split()
    changed[50] = changed[120] = "other"
    texts += [" ".join(changed), texts[7]]
    assert dedup.near(texts) == [[3, 40], [7, 41]]


def test_groups_hold_verified_pairs_only():
    """Candidates of MinHash alone would join texts below the threshold."""
    base = _text(1, 100).split()
    texts = [" ".join(base[:keep] + _text(keep, 100 - keep).split()) for keep in range(50, 100, 2)] + [" ".join(base)]
    for group in dedup.near(texts):
        for index in group:
            others = [dedup.similarity(texts[index], texts[other]) for other in group if other != index]
            assert max(others) >= dedup.THRESHOLD


def test_short_texts_are_copies_only_where_the_tokens_are_the_same():
    """`a + b` and `a - b` share most of what there is of them, and are not the same."""
    assert dedup.near(["a + b", "a - b", "a +  b", "", " "]) == [[0, 2], [3, 4]]


def test_the_better_copy_stays():
    quality, names = [0, 2, 2], ["a", "z", "m"]
    assert dedup.kept([0, 1, 2], quality.__getitem__, names.__getitem__) == 2


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text(max_size=80), max_size=12))
def test_any_text_is_grouped_at_most_once(texts):
    """Texts of a person hold anything, half surrogates from JSON among it; exact copies are near-copies too."""
    texts = [*texts, "\ud800", "x" * 50]
    for groups in (dedup.exact(texts), dedup.near(texts)):
        flat = [index for group in groups for index in group]
        assert len(flat) == len(set(flat)) and all(len(group) > 1 for group in groups)
