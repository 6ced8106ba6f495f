"""Which checkpoints of a run may go, and their removal: the retention policy applied to one directory."""

from __future__ import annotations

import sys
from pathlib import Path

from nbcore.core import lines, plain_yaml
from nbcore.runs import checkpoints, commit, layout, retention
from nbcore.runs.mirror import publisher


def policy(run: Path) -> retention.Policy:
    """Which checkpoints of a run stay: the usual, and its milestones."""
    every = (plain_yaml.read(run / layout.CONFIG) or {}).get("keep_every")
    for row in lines.read(run / layout.EVENTS):
        every = row.get("values", {}).get("keep_every", every)
    return retention.Policy(every=every)


def expendable(run: Path, trusted: set[Path] = frozenset()) -> list[checkpoints.Checkpoint]:
    """The checkpoints of a run that its policy does not keep; of a finished run all that are not blessed.

    `trusted` ones, which this process committed itself, are not read again to be verified.
    """
    items, rules = checkpoints.items(run, trusted), policy(run)
    if not commit.problems(run, layout.RUN):
        items.append(retention.Item("finished", sys.maxsize))
        rules = retention.Policy(newest=1, best=0)
    named = {each.name: each for each in checkpoints.listing(run)}
    return [named[item.name] for item in retention.expendable(items, rules)]


def prune(run: Path, trusted: set[Path] = frozenset()) -> None:
    """Delete what is expendable, but for a checkpoint that is on its way to the mirror."""
    copier = publisher.current()
    busy = copier.busy_with(run) if copier else None
    for checkpoint in expendable(run, trusted):
        if checkpoint.path != busy:
            checkpoints.drop(checkpoint)
