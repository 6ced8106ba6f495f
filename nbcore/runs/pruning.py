"""Delete the checkpoints of a run that its retention policy does not keep."""

from __future__ import annotations

import sys
from pathlib import Path

from nbcore.core import lines, plain_yaml
from nbcore.runs import checkpoints, commit, layout, retention
from nbcore.runs.mirror import publisher


def policy(run: Path) -> retention.Policy:
    """The retention policy of a run: the usual one, with the milestones that its config asks for (keep_every)."""
    every = (plain_yaml.read(run / layout.CONFIG) or {}).get("keep_every")
    for row in lines.read(run / layout.EVENTS):
        every = row.get("values", {}).get("keep_every", every)
    return retention.Policy(every=every)


def expendable(run: Path, trusted: set[Path] = frozenset()) -> list[checkpoints.Checkpoint]:
    """The checkpoints of a run that its policy does not keep; of a finished run all that are not blessed.

    Only verified checkpoints count as good. Those in `trusted`, which this process committed itself, are taken as
    verified without being read again.
    """
    items, rules = checkpoints.items(run, trusted), policy(run)
    if not commit.problems(run, layout.RUN):
        items.append(retention.Item("finished", sys.maxsize))
        rules = retention.Policy(newest=1, best=0)
    named = {each.name: each for each in checkpoints.listing(run)}
    return [named[item.name] for item in retention.expendable(items, rules)]


def prune(run: Path, trusted: set[Path] = frozenset()) -> None:
    """Delete what is expendable, except a checkpoint that is being copied to the mirror."""
    copier = publisher.current()
    busy = copier.busy_with(run) if copier else None
    for checkpoint in expendable(run, trusted):
        if checkpoint.path != busy:
            checkpoints.drop(checkpoint)
