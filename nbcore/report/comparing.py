"""Two models on the same tasks: their evaluations, paired task by task, and what the difference is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nbcore import config, runs, view
from nbcore.config import tasksets
from nbcore.report import chains
from nbcore.view import figures
from nbcore.view.comparison import Row
from nbcore.view.html import aligned

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAMED = 4  # settings that an error names
ALPHA = 0.05  # above which the exact p-value shows no difference
# Fields of an evaluation that choose what is asked, and their values where nothing of theirs is.
CHOOSING = {"heldout": 0, "unseen": 0, "harness": None, "perplexity_documents": 0}
BASE = "base"  # names the base model that the other run was trained on


def evaluations(store: str | Path, first: str, second: str, on: str | None = None) -> tuple[runs.Run, runs.Run]:
    """The two evaluations to compare: those named, or of the models named the newest that were made on equal terms, on
    held-out tasks where there are such, and on the set of tasks `on` where one is asked for.

    A name is an id, its beginning or end, a path or a phase; `first` may be "base". Raises ValueError where a model has
    no evaluation, or where the two have none with equal settings.
    """
    named = [None if name == BASE else runs.find(store, name, field="RUN") for name in (first, second)]
    if named[1] is None:
        raise ValueError("RUN_B: 'base' is what others are compared with; name it first, and a run second")
    made = [run for run in runs.listing(store) if config.TABLE[run.phase].measures and run.finished]
    made = [run for run in made if not run.damage() and _sets(run)]
    base = named[1].info["base"]
    sides = []
    for run, name in zip(named, (first, second), strict=True):
        if run is None:
            side = [each for each in made if each.info["parent"] is None and each.info["base"] == base]
        elif config.TABLE[run.phase].measures:
            side = [each for each in made if each.id == run.id]
        else:
            side = [each for each in made if chains.is_of(each, run)]
        if not side:
            raise ValueError(
                f"RUN: {name} ({run.id if run else base}) has no undamaged evaluation of a set of tasks; "
                "run notebooks/07_evaluate.ipynb on it"
            )
        sides.append(side)
    pairs = [(before, after) for before in reversed(sides[0]) for after in reversed(sides[1])]
    equal = [pair for pair in pairs if _on_equal_terms(*pair)]
    if equal:
        return max(equal, key=lambda pair: _worth(*pair, on))  # of equals the first, which is the newest
    before, after = sides[0][-1], sides[1][-1]
    if not _sets(before) & _sets(after):
        raise ValueError(
            f"RUN: {before.id} and {after.id} share no set of tasks: {', '.join(sorted(_sets(before)))} and "
            f"{', '.join(sorted(_sets(after)))}; run notebooks/07_evaluate.ipynb on both with one config"
        )
    differ = _differences(before, after)
    fields = ", ".join(f"{name} ({first} and {second})" for name, first, second in differ[:NAMED])
    wanted = "{" + ", ".join(f'"{name}": {second!r}' for name, _, second in differ[:NAMED]) + "}"
    raise ValueError(
        f"RUN: {before.id} and {after.id} were evaluated with different settings: {fields}; of other tasks or other "
        "draws a difference says nothing of the models. Evaluate the first again as the second was: "
        f"notebooks/07_evaluate.ipynb with overrides = {wanted}, and its run as parent"
    )


def _sets(evaluation: runs.Run) -> set[str]:
    """The sets of tasks that an evaluation measured."""
    measured = evaluation.info["metrics"].items()
    return {name for name, numbers in measured if isinstance(numbers, Mapping) and name != "perplexity"}


def _on_equal_terms(before: runs.Run, after: runs.Run) -> bool:
    """Whether two evaluations share sets of tasks and asked each of those in the same way. A set that only one of them
    asked is no difference: it is not compared."""
    one, other = before.config, after.config
    shared = _sets(before) & _sets(after)
    if not shared:
        return False
    for field, nothing in CHOOSING.items():
        mine, theirs = getattr(one, field), getattr(other, field)
        if mine != theirs and nothing not in (mine, theirs):
            return False
    lone = [each for each in one.tasksets if each not in other.tasksets]
    lone += [each for each in other.tasksets if each not in one.tasksets]
    try:
        if shared & {tasksets.resolve(each).name for each in lone}:
            return False  # another set under the same name
    except (OSError, ValueError):
        return False  # its file is gone, and its name with it
    same = {"name": "any", "tasksets": [], **CHOOSING}
    return len({config.digest(each.model_copy(update=same)) for each in (one, other)}) == 1


def _worth(before: runs.Run, after: runs.Run, on: str | None) -> tuple[bool, bool, bool]:
    """Sort key for two evaluations on equal terms: with the set that is asked for, held-out tasks, one config."""
    shared = _sets(before) & _sets(after)
    return on in shared, "heldout" in shared, chains.question(before) == chains.question(after)


def _differences(before: runs.Run, after: runs.Run) -> list[tuple[str, object, object]]:
    """(field, its value in each) of the settings in which two evaluations differ; their names are no setting."""
    mine = {leaf.path: leaf.value for leaf in config.leaves(before.config)}
    theirs = {leaf.path: leaf.value for leaf in config.leaves(after.config)}
    names = [name for name in theirs if name != "name" and mine.get(name) != theirs[name]]
    return [(name, mine.get(name), theirs[name]) for name in names]


def lines(rows: Sequence[Row]) -> str:
    """The rows as text for a terminal of 80 columns, those of one set of tasks below its name."""
    cells = [["", "A", "B", "difference [95 %]", "p", "power", "detectable"]]
    for row in rows:
        delta = row.change.delta
        bounds = f"[{100 * delta.low:+.1f}, {100 * delta.high:+.1f}]"
        cells.append(
            [
                f"  {row.measure}",
                f"{100 * row.before:.1f}",
                f"{100 * row.after:.1f}",
                f"{100 * delta.value:+.1f} {bounds}",
                view.p_value(row.change.p),
                f"{100 * row.power:.0f} %" if row.detectable else "–",
                f"{100 * row.detectable:.1f}" if row.detectable else "–",
            ]
        )
    head, *measured = aligned(cells).splitlines()
    text, named = [head], None
    for row, line in zip(rows, measured, strict=True):
        if row.taskset != named:
            named = row.taskset
            text.append(f"{named}, n = {row.change.delta.n}")
        text.append(line)
    note = (
        "In percentage points, paired by task, the interval over families of tasks;",
        "p: exact McNemar; power: of finding a difference of this size;",
        "detectable: what these tasks would show in 4 of 5 repetitions.",
    )
    return "\n".join([*text, *note])


def picture(rows: Sequence[Row]) -> Figure:
    """The differences with their intervals."""
    return figures.differences([(f"{row.taskset}: {row.measure}", row.change.delta) for row in rows])


def sentence(row: Row) -> str:
    """What a row comes to."""
    delta = row.change.delta
    measured = f"{row.measure} on {row.taskset} {view.points(delta)}, n = {delta.n}, p {view.p_value(row.change.p)}"
    if (delta.low > 0 or delta.high < 0) and row.change.p < ALPHA:  # few tasks have intervals that are too narrow
        return f"B is {'better' if delta.low > 0 else 'worse'}: {measured}."
    return f"No difference shown: {measured}."
