"""What to keep, as a pure function: of checkpoints on this disk, and of bundles on the mirror."""

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
    """It is known to have reached the medium it was written to."""
    metric: float | None = None
    """What "best" goes by, lower being better: the evaluation loss."""
    blessed: bool = False
    """A person or a gate said that it stays."""


class Policy(NamedTuple):
    """How much is kept beside what is blessed."""

    newest: int = 2
    best: int = 1
    every: int | None = None
    """Milestones: steps that are multiples of this stay."""


USUAL = Policy()


def expendable(items: Sequence[Item], policy: Policy = USUAL) -> list[Item]:
    """What may go, oldest first.

    Nothing that is blessed, a milestone, among the newest or the best of what verifies. And nothing at all that has
    no newer state which both verifies and is confirmed: a loss of the last good copy cannot be undone.
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
    return item.step, item.name  # of two of one step the name decides, so that every process decides alike
