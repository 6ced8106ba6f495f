"""Which saved states may be deleted, as a pure function: checkpoints on this disk and bundles on the mirror alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Item(NamedTuple):
    """One saved state."""

    name: str
    step: int
    verified: bool = True
    """Its content matches its manifest."""
    confirmed: bool = True
    """The medium says that it has it (on a Drive: it was uploaded)."""
    metric: float | None = None
    """The evaluation loss, by which the best is chosen; lower is better."""
    blessed: bool = False
    """A person or a gate said that it stays."""


class Policy(NamedTuple):
    """How many states are kept besides those that are blessed."""

    newest: int = 2
    best: int = 1
    every: int | None = None
    """States at multiples of this step are milestones, which stay."""


USUAL = Policy()


def expendable(items: Sequence[Item], policy: Policy = USUAL) -> list[Item]:
    """The states that may be deleted, oldest first.

    Kept are the blessed ones and, among those that verify, the milestones, the newest and the best. And a state is only
    deleted while there is a newer one that both verifies and is confirmed: losing the last good copy cannot be undone.
    """
    sound = sorted((item for item in items if item.verified), key=_age)
    measured = [item for item in sound if item.metric is not None and item.metric == item.metric]  # a NaN is no best
    measured.sort(key=lambda item: (item.metric, _age(item)))
    kept = set(sound[max(0, len(sound) - policy.newest) :]) | set(measured[: policy.best])
    kept |= {item for item in items if item.blessed}
    if policy.every:
        kept |= {item for item in sound if item.step % policy.every == 0}
    safe = max((item.step for item in sound if item.confirmed), default=-1)
    return sorted((item for item in items if item not in kept and item.step < safe), key=_age)


def _age(item: Item) -> tuple[int, str]:
    return item.step, item.name  # by name where steps are equal, so that every process decides alike
