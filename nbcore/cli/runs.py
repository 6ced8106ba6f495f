"""`python -m nbcore runs …`: look at the runs of a store, verify them, make room, go on with one.

Longer than most modules because it is eight commands, each read by itself.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Column, Table

from nbcore import config as configs
from nbcore import runs
from nbcore.core import environment
from nbcore.runs import checkpoints, disk, health, layout, lease, notebooks, pruning
from nbcore.runs.mirror import mirror, restore

runs_app = typer.Typer(
    help="Look at the runs of a store, verify them, make room, go on with one.", rich_markup_mode=None
)
PLAIN = {"soft_wrap": True, "markup": False, "highlight": False}  # paths and ids are text, never markup
out, err = Console(**PLAIN), Console(stderr=True, **PLAIN)

Store = Annotated[
    Path | None, typer.Option(help="Folder of run directories; without it $NBCORE_STORE, then runs/.", metavar="DIR")
]
RunName = Annotated[str, typer.Argument(metavar="RUN", help="Path, id (sft/2026…) or phase: its newest.")]
Unconfirmed = Annotated[
    bool, typer.Option("--unconfirmed", help="Where the mirror cannot tell what it has, take a copy for safe.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only tell what would be done.")]


class Judged(RuntimeError):
    """The command did its work and the answer is no."""


@runs_app.command("list")
def list_(store: Store = None, phase: Annotated[str | None, typer.Option(help="Only this phase.")] = None):
    """Every run, oldest first, here and on the mirror.

    Example: python -m nbcore runs list --phase sft
    """
    if phase is not None and phase not in configs.PHASES:
        raise ValueError(f"phase: no phase {phase!r}; there are {', '.join(configs.PHASES)}")
    where, copies = environment.store(store), _mirror(optional=True)
    table = Table(Column("run", no_wrap=True), "state", "mirror", "parent", "minutes", box=None)
    listed = set()
    for found in runs.listing(where, phase):
        listed.add(found.id)
        table.add_row(found.id, _state(found), _copy(copies, found.id), *_parent_and_minutes(found))
    for name in [phase] if phase else configs.PHASES if copies else ():
        for id_ in _ask(lambda: copies.runs(name), ()) if copies else ():  # noqa: B023 - asked at once
            if id_ not in listed:
                table.add_row(id_, "not on this disk", _copy(copies, id_), "", "")
    # Whole ids, to be copied: where they do not fit beside the rest, the terminal breaks the line, not the table.
    wide = Console(width=max(out.width, 150), **PLAIN)
    wide.print(table if table.row_count else f"no runs in {where}")
    if late := [id_ for id_ in sorted(listed) if layout.is_in_future(id_)]:
        more = f" and {len(late) - 1} more are" if late[1:] else " is"
        out.print(f"{late[0]}{more} dated in the future: was a clock wrong? Whatever is opened next comes after")


@runs_app.command()
def show(reference: RunName, store: Store = None):
    """What one run is: its facts, its checkpoints, what happened to it, its config.

    Example: python -m nbcore runs show sft
    """
    found = _find(environment.store(store), reference)
    table = Table("field", "value", box=None)
    for name, value in found.info.items():
        table.add_row(name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
    for checkpoint in checkpoints.listing(found.path):
        table.add_row("checkpoint", f"step {checkpoint.step}, {_size(checkpoint.bytes())}, {checkpoint.name}")
    for row in found.events():
        words = ", ".join(f"{name} {value}" for name, value in row.items() if name not in ("time", "event") and value)
        table.add_row(time.strftime("%Y-%m-%d %H:%M", time.gmtime(row["time"])), f"{row['event']}: {words}")
    out.print(table)
    out.print(f"\n{configs.dump(found.config)}", end="")


@runs_app.command()
def verify(
    reference: Annotated[str | None, typer.Argument(metavar="[RUN]", help="One run; without it every run.")] = None,
    store: Store = None,
):
    """Compare every file of finished runs, and every checkpoint, with what was committed.

    Example: python -m nbcore runs verify
    """
    where = environment.store(store)
    chosen = [_find(where, reference)] if reference else runs.listing(where)
    damaged = 0
    for found in chosen:
        problems, good = health.look(found)
        damaged += bool(problems)
        state = "ok" if found.finished else "unfinished, ok" if good else "unfinished: nothing to verify yet"
        state += f" ({layout.NOTEBOOK} apart: nothing vouches for it)" if notebooks.lacks_note(found.path) else ""
        out.print(f"{found.id}  {'; '.join(problems) or state}")
        if problems:
            copies = _copy(_mirror(optional=True), found.id)
            good += [f"its copy on the mirror ({copies})"] if copies != "–" else []
            out.print(f"    still good: {', '.join(good) or 'nothing'}")
    if damaged:
        raise Judged(
            f"{damaged} of {len(chosen)} runs are damaged; what is good on the mirror comes back by itself, the other "
            "stages run again"
        )


@runs_app.command()
def bless(
    reference: RunName,
    why: Annotated[str, typer.Option(help="Why it stays.")] = "blessed by hand",
    step: Annotated[int | None, typer.Option(help="One checkpoint of it instead of the run.")] = None,
    undo: Annotated[bool, typer.Option("--undo", help="Take it back.")] = False,
    store: Store = None,
):
    """Keep a run, or one checkpoint of it, whatever `prune` and `archive` would do.

    Example: python -m nbcore runs bless sft --step 480 --why "best before the merge"
    """
    found = _find(environment.store(store), reference)
    checkpoints.bless(found.path, None if undo else why, step)
    out.print(f"{found.id}{'' if step is None else f' step {step}'} {'may go again' if undo else f'stays: {why}'}")


@runs_app.command()
def prune(dry_run: DryRun = False, unconfirmed: Unconfirmed = False, store: Store = None):
    """Delete checkpoints that nobody needs any more, here and on the mirror, and what kills left half done.

    Of an unfinished run the newest two, the best, milestones and what is blessed stay; of a finished one what is
    blessed. Nothing goes that has no newer copy which verifies. Example: python -m nbcore runs prune --dry-run
    """
    where, copies = environment.store(store), _mirror(optional=True)
    table = Table("what", "size", box=None)
    for found in runs.listing(where):
        if lease.holder(found.path):
            table.add_row(f"{found.id}: in use, left alone", "")
            continue
        try:
            kept, rules = checkpoints.blessed(found.path), pruning.policy(found.path)
            for checkpoint in pruning.expendable(found.path):
                table.add_row(f"{found.id} {checkpoint.name}", _size(checkpoint.bytes()))
                if not dry_run:
                    checkpoints.drop(checkpoint)
            for record in copies.prune(found.id, kept, rules, dry_run, unconfirmed) if copies else ():
                table.add_row(f"mirror {record.name}", _size(record.bytes))
        except ValueError as error:
            table.add_row(f"{found.id}: left alone ({error})", "")
    for folder in layout.leftovers(where):
        # Younger ones may be at work; what was blessed before it was set aside stays.
        if time.time() - folder.lstat().st_ctime > 3600 and not (folder / layout.BLESSED).is_file():
            table.add_row(f"{folder.relative_to(where)}", _size(_bytes(folder)))
            if not dry_run:
                disk.remove(folder)
    out.print(table if table.row_count else "nothing to delete")
    out.print(f"{'would be deleted' if dry_run else 'deleted'}; {_size(disk.free(where))} are free in {where}")


@runs_app.command()
def archive(reference: RunName, dry_run: DryRun = False, unconfirmed: Unconfirmed = False, store: Store = None):
    """Move a finished run to the mirror: copied, read back, confirmed, and only then deleted here.

    Whatever needs it later brings it back by itself. Example: python -m nbcore runs archive sft/20261124T101500Z-…
    """
    where, copies = environment.store(store), _mirror()
    found = runs.find(where, reference)
    kept = checkpoints.blessed(found.path)
    if why := kept["run"] or next(iter(kept["steps"].values()), None):
        raise ValueError(f"RUN: {found.id}, or a checkpoint of it, is blessed ({why}); bless --undo first")
    if dry_run:
        return out.print(f"{found.id}, {_size(_bytes(found.path))}, would move to {copies.backend}")
    with mirror.staging_folder(found.path) as staging:
        record = copies.finished(found.id)
        try:  # what was copied some time ago is read again, every byte, before the original goes
            if record:
                copies.fetch(record, staging / "run", staging)
        except mirror.FAILED:
            record = None
        record = record or copies.publish(found.path, 0, None, None, finished=True)
    if not copies.confirmed(record) and not (unconfirmed and copies.confirmed(record) is None):
        raise Judged(
            f"{found.id} is copied, but the mirror does not confirm it yet: give the command again later, or with "
            "--unconfirmed where it never does"
        )
    freed = _bytes(found.path)
    disk.remove(found.path)
    out.print(f"{found.id} is on {copies.backend}; {_size(freed)} freed here")


@runs_app.command()
def usage(store: Store = None):
    """What each run takes, here and on the mirror, and what is free.

    Example: python -m nbcore runs usage
    """
    where, copies = environment.store(store), _mirror(optional=True)
    table = Table("run", "checkpoints", "all here", "on the mirror", box=None)
    sums = [0, 0, 0]
    for found in runs.listing(where):
        saved = sum(checkpoint.bytes() for checkpoint in checkpoints.listing(found.path))
        records = _ask(lambda: copies.records(found.id), ()) if copies else ()  # noqa: B023 - asked at once
        there = sum(record.bytes for record in records)
        row = [saved, _bytes(found.path), there]
        sums = [a + b for a, b in zip(sums, row, strict=True)]
        table.add_row(found.id, *map(_size, row))
    table.add_row("together", *map(_size, sums))
    out.print(table)
    left = sum(map(_bytes, layout.leftovers(where)))
    out.print(f"{_size(disk.free(where))} are free in {where}; set aside there: {_size(left)}")


@runs_app.command()
def resume(
    reference: RunName,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="What leaves the result as it is: batch_size=4. Repeatable."),
    ] = None,
    store: Store = None,
):
    """Go on with an unfinished run, from this disk or from the mirror, to its end.

    Example: python -m nbcore runs resume sft --set batch_size=4 --set gradient_accumulation=8
    """
    from nbcore.pipeline import stages

    where = environment.store(store)
    phase = reference.split("/")[0]
    if phase in configs.PHASES:
        restore.bring(where, phase, lambda ids: [run for run in ids if run == reference] or ids[-1:])
    going = [run for run in runs.listing(where) if run.phase == reference and not run.finished]
    found = going[-1] if going else _find(where, reference)
    if found.finished:
        return out.print(f"{found.id} has finished; `python -m nbcore runs show {found.id}` tells its numbers")
    finished = stages.resume(found, dict(configs.assignments(set_ or [])))
    out.print(f"{finished.id} has finished")


def _state(found: runs.Run) -> str:
    holder = lease.holder(found.path)
    steps = [checkpoint.step for checkpoint in checkpoints.listing(found.path) if checkpoint.committed]
    words = "finished" if found.finished else f"unfinished, step {steps[-1]}" if steps else "unfinished"
    words += f", in use by process {holder['pid']}" if holder else ""
    return words + (", blessed" if (found.path / layout.BLESSED).is_file() else "")


def _copy(copies: mirror.Mirror | None, run: str) -> str:
    """How far a run is on the mirror, in words."""
    try:
        records = copies.records(run) if copies else []
        if not records:
            return "–"
        state = "finished" if records[0].finished else f"step {records[0].step}"
        return f"{state} {'CONFIRMED' if copies.confirmed(records[0]) else 'COPIED'}"
    except Exception as error:  # whatever the medium's library raises
        return f"unreachable ({type(error).__name__})"


def _parent_and_minutes(found: runs.Run) -> tuple[str, str]:
    try:
        info = found.info
    except ValueError:
        return "damaged: see verify", ""
    return info["parent"]["id"] if info["parent"] else "", f"{info['seconds'] / 60:.1f}" if found.finished else ""


def _ask(question: Callable[[], Any], otherwise: Any) -> Any:
    """The answer of a mirror, or `otherwise` where it has none: a table with a gap beats no table."""
    try:
        return question()
    except Exception:  # whatever the medium's library raises
        return otherwise


def _mirror(optional: bool = False) -> mirror.Mirror | None:
    found = mirror.configured()
    if found is None and not optional:
        raise ValueError("mirror: there is none; NBCORE_MIRROR=/a/folder (or a mounted Drive) makes one")
    return found


def _find(store: Path, reference: str) -> runs.Run:
    """Like runs.find, but an unfinished or damaged run may be looked at too; of a phase its newest, whatever it is."""
    known = [run for run in runs.listing(store) if reference in (run.id, run.phase, str(run.path))]
    return known[-1] if known else runs.find(store, reference)


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 10 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
