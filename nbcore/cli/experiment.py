"""`python -m nbcore experiment`: a change of a recipe against the recipe as it is, on the same seeds and tasks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from nbcore.cli.runs import DryRun, Store, out
from nbcore.core import environment
from nbcore.runs import layout


def experiment(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An experiment, as in configs/experiments/.")],
    dry_run: DryRun = False,
    only_first: Annotated[bool, typer.Option("--only-first", help="End after the small first stage.")] = False,
    store: Store = None,
):
    """Train a control and its treatments under the same seeds, compare them on the same tasks, say what that shows.

    The runs lie in a store of their own, STORE/experiments/NAME, with experiment.json, .md and .png. Given again, it
    goes on where it stopped. Example:
    python -m nbcore experiment configs/experiments/metadata_comments.yaml
    """
    from nbcore.config import experiment as experiments
    from nbcore.pipeline import effects
    from nbcore.pipeline import experiment as running
    from nbcore.view import experiment as shown

    wanted, where = experiments.load(file), environment.store(store)
    for stage in (running.FIRST, running.FULL):
        running.cells(wanted, stage)  # a typo in an arm is an error before anything has run
    if only_first and not wanted.first:
        raise ValueError(f"--only-first: {file} has no first stage; add `first:`, or leave the option out")
    folder = running.folder(wanted, where)
    if dry_run:
        table = Table("stage", "run", "for", "", box=None, padding=(0, 2, 0, 0), highlight=False)
        rows = running.outline(wanted, folder)
        for row in rows:
            table.add_row(*row)
        out.print(f"{wanted.name}: {wanted.question}")
        out.print(table)
        missing = sum(row[3] == running.TO_DO for row in rows)
        return out.print(f"{len(rows)} runs in {folder}: {len(rows) - missing} done, {missing} to do")
    if wanted.first:
        running.require_first(wanted, running.run(wanted, folder, running.FIRST))
        out.print(f"{wanted.name}: the first stage passes")
    if only_first:
        return None
    record = effects.write(wanted, where, running.run(wanted, folder))
    out.print(f"\n{shown.text(record)}\n\n{shown.note(record)}\n")
    out.print(f"result: {folder / layout.EXPERIMENT_TEXT}")
    return None
