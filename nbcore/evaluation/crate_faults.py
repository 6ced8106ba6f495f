"""A set of repairs made of a folder of crates: faults are put into each, and its own tests say what is repaired."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any

from nbcore.agent import crates as of_crates
from nbcore.agent import making
from nbcore.agent.problem import Problem
from nbcore.config import TaskSet
from nbcore.core import lines
from nbcore.core.formats import crates as packages
from nbcore.data.std_crate import read_crate
from nbcore.grading.grader import RustGrader
from nbcore.tasks import sets

TRIED = 3  # candidates for each fault that is wanted


def of_set(wanted: TaskSet) -> sets.Drawn | None:
    """The crates of a set, each {"id", "family", "crate": its folder}; None where its source is no folder of crates.

    Raises ValueError where one of them cannot be read, or where they are not what the set's sha256 says.
    """
    folders = packages.packages(wanted.source)
    if not folders:
        return None
    if wanted.agent is not None and wanted.agent.brief:
        raise ValueError(f"tasksets: {wanted.name}: agent.brief is for crates of one file, which crates seldom are")
    read = [read_crate(folder) for folder in folders]
    content = lines.digest([one._asdict() for one in read])
    if wanted.sha256 and wanted.sha256 != content:
        raise ValueError(
            f"tasksets: {wanted.name}: sha256 is {wanted.sha256}, and the crates of {wanted.source} have {content}; "
            "put back what was there, or write the new hash into the set"
        )
    tasks = [
        {"id": one.name, "family": one.name, "crate": str(folder)} for one, folder in zip(read, folders, strict=True)
    ]
    return sets.Drawn(wanted, tasks, content, {})


def drawn(
    tasks: Sequence[dict[str, Any]],
    count: int,
    seed: int,
    grader: RustGrader,
    doing: Callable[[str, int, int], None] = lambda words, done, total: None,
) -> list[Problem]:
    """`count` verified faults, as many in each crate as in another; fewer where they have no more. Raises ValueError
    where no crate has tests that pass here and notice a fault."""
    share = -(-count // len(tasks))
    made: list[list[Problem]] = []
    for task in tasks:
        doing(f"verifying faults of {task['id']}", sum(map(len, made)), count)
        waiting = of_crates.problems(read_crate(Path(task["crate"])), share * TRIED, seed, grader)
        own: list[Problem] = []
        while len(own) < share and (chunk := list(islice(waiting, share))):
            own += making.verified(chunk, grader)
        made.append(own[:share])
    found = [problem for turn in zip_longest(*made) for problem in turn if problem is not None]
    if not found:
        raise ValueError(
            f"tasksets: none of {', '.join(task['id'] for task in tasks[:5])} has tests that pass here and notice a "
            "fault: it takes two tests or more, no other crates and no build script"
        )
    return found[:count]
