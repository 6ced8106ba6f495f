"""Retention: whatever is saved, damaged, blessed and confirmed, the last good copy never goes."""

from hypothesis import given
from hypothesis import strategies as st

from nbcore.runs import retention

ITEM = st.builds(
    retention.Item,
    name=st.uuids().map(str),
    step=st.integers(0, 50),
    verified=st.booleans(),
    confirmed=st.booleans(),
    metric=st.none() | st.floats(allow_nan=True),
    blessed=st.booleans(),
)
ITEMS = st.lists(ITEM, max_size=12, unique_by=lambda item: item.name)
POLICY = st.builds(
    retention.Policy, newest=st.integers(1, 4), best=st.integers(0, 3), every=st.none() | st.integers(1, 20)
)


@given(ITEMS, POLICY)
def test_what_stays_stays(items, policy):
    """Each promise of the docstring, over everything hypothesis can think of."""
    gone = retention.expendable(items, policy)
    assert not any(item.blessed for item in gone)
    sound = sorted((item for item in items if item.verified), key=lambda item: (item.step, item.name))
    assert not set(sound[max(0, len(sound) - policy.newest) :]) & set(gone)
    if policy.every:
        assert not any(item.verified and item.step % policy.every == 0 for item in gone)
    for item in gone:
        newer = [other for other in items if other.step > item.step and other.verified and other.confirmed]
        assert newer and not all(other in gone for other in newer)
    best = [item for item in sound if item.metric is not None and item.metric == item.metric]
    for item in gone:
        if item in best:
            assert sum(other.metric <= item.metric for other in best if other not in gone) >= policy.best
    assert [item.step for item in gone] == sorted(item.step for item in gone)


@given(ITEMS, POLICY, st.randoms())
def test_neither_order_nor_a_second_time_changes_anything(items, policy, random):
    """Two processes, or a prune after a prune, agree; times of modification play no part, for there are none."""
    gone = set(retention.expendable(items, policy))
    shuffled = random.sample(items, len(items))
    assert set(retention.expendable(shuffled, policy)) == gone
    left = [item for item in items if item not in gone]
    assert retention.expendable(left, policy) == []


@given(ITEMS, POLICY)
def test_a_damaged_one_never_protects(items, policy):
    """Were a broken checkpoint counted among the newest two, a sound one would go for it."""
    sound_only = [item for item in items if item.verified]
    gone = {item for item in retention.expendable(items, policy) if item.verified}
    assert gone == set(retention.expendable(sound_only, policy))


def test_by_example():
    steps = [retention.Item(f"s{n}", n, metric=abs(n - 30) / 10) for n in (10, 20, 30, 40, 50, 60)]
    assert [item.step for item in retention.expendable(steps)] == [10, 20, 40]
    assert [item.step for item in retention.expendable(steps, retention.Policy(every=20))] == [10]
    unconfirmed = [item._replace(confirmed=item.step < 30) for item in steps]
    assert [item.step for item in retention.expendable(unconfirmed)] == [10], "nothing from 20 on has a safe successor"
