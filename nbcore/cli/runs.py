"""`python -m nbcore runs …`: look at the runs of a store, verify them, make room, go on with one.

Longer than most modules because it holds eight commands; each can be read without the others.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from nbcore import config as configs
from nbcore import runs
from nbcore.cli import show
from nbcore.core import environment
from nbcore.core.suggest import did_you_mean
from nbcore.runs import checkpoints, choice, disk, health, layout, lease, notebooks, pruning
from nbcore.runs.mirror import mirror, restore

runs_app = typer.Typer(
    help="Look at the runs of a store, verify them, make room, go on with one.", rich_markup_mode=None
)
PLAIN = {"soft_wrap": True, "markup": False, "highlight": False}  # else rich takes [brackets] in a path for markup
out, err = Console(**PLAIN), Console(stderr=True, **PLAIN)

Store = Annotated[
    Path | None, typer.Option(help="Folder of run directories; without it $NBCORE_STORE, then runs/.", metavar="DIR")
]
RunName = Annotated[
    str, typer.Argument(metavar="RUN", help="Id (sft/2026…), its beginning or end, path, or phase: its newest.")
]
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
        meant = did_you_mean(phase, configs.PHASES)
        raise ValueError(f"phase: no phase {phase!r}{meant}; there are {', '.join(configs.PHASES)}")
    where, copies = environment.store(store), _mirror(optional=True)
    listed = set()
    for run in runs.listing(where, phase):
        listed.add(run.id)
        out.print(show.entry(run, _copy(copies, run.id) if copies else "", out.width))
    phases = [phase] if phase else list(configs.PHASES)
    for name in phases if copies else ():
        for id_ in _ask(lambda: copies.runs(name), ()):  # noqa: B023 - called before `name` changes
            if id_ not in listed:
                listed.add(id_)
                below = ["not on this disk", f"mirror: {_copy(copies, id_)}"]
                out.print(show.lines_of(id_, below, out.width))
    if not listed:
        out.print(f"no runs in {where}")
    if late := [id_ for id_ in sorted(listed) if layout.is_in_future(id_)]:
        more = f" and {len(late) - 1} more are" if late[1:] else " is"
        out.print(f"{late[0]}{more} dated in the future: was a clock wrong? Whatever is opened next comes after")


@runs_app.command("show")
def show_(
    reference: RunName,
    raw: Annotated[bool, typer.Option("--raw", help="All that was recorded as JSON, and the config as YAML.")] = False,
    store: Store = None,
):
    """What one run is: its result, what it stands on, its settings, what happened to it, where its files are.

    Example: python -m nbcore runs show sft
    """
    run = lookup(environment.store(store), reference)
    if raw:
        out.print(json.dumps({**run.info, "events": run.events()}, indent=1, ensure_ascii=False))
        return out.print(f"\n{configs.dump(run.config)}", end="")
    out.print(show.page(run, out.width))


@runs_app.command()
def verify(
    reference: Annotated[str | None, typer.Argument(metavar="[RUN]", help="One run; without it every run.")] = None,
    store: Store = None,
):
    """Compare every file of finished runs, and every checkpoint, with what was committed.

    Example: python -m nbcore runs verify
    """
    where = environment.store(store)
    chosen = [lookup(where, reference)] if reference else runs.listing(where)
    damaged = 0
    for run in chosen:
        problems, good = health.look(run)
        damaged += bool(problems)
        if run.finished:
            state = "ok"
        elif good:
            state = "unfinished, ok"
        else:
            state = "unfinished: nothing to verify yet"
        if notebooks.lacks_note(run.path):
            state += f" ({layout.NOTEBOOK} apart: nothing vouches for it)"
        out.print(f"{run.id}  {'; '.join(problems) or state}")
        if problems:
            copies = _copy(_mirror(optional=True), run.id)
            good += [f"its copy on the mirror ({copies})"] if copies != "–" else []
            out.print(f"    still good: {', '.join(good) or 'nothing'}")
    if damaged:
        raise Judged(
            f"{damaged} of {len(chosen)} runs are damaged; what is good on the mirror comes back by itself, the other "
            "stages run again"
        )


Why = Annotated[str, typer.Option(help="Why it stays.")]
Step = Annotated[int | None, typer.Option(help="One checkpoint of it instead of the run.")]
Undo = Annotated[bool, typer.Option("--undo", help="Take it back.")]


@runs_app.command(hidden=True)
def bless(reference: RunName, why: Why = "kept by hand", step: Step = None, undo: Undo = False, store: Store = None):
    """The old name of `runs keep`: to bless a run, so that the next phase may start from it, is what `gate` does.

    Example: python -m nbcore runs bless sft --step 480 --why "best before the merge"
    """
    keep(reference, why, step, undo, store)


@runs_app.command()
def keep(reference: RunName, why: Why = "kept by hand", step: Step = None, undo: Undo = False, store: Store = None):
    """Keep a run, or one checkpoint of it, whatever `prune` and `archive` would do.

    Example: python -m nbcore runs keep sft --step 480 --why "best before the merge"
    """
    run = lookup(environment.store(store), reference)
    checkpoints.bless(run.path, None if undo else why, step)
    checkpoint = "" if step is None else f" step {step}"
    outcome = "may go again" if undo else f"stays: {why}"
    out.print(f"{run.id}{checkpoint} {outcome}")


@runs_app.command()
def prune(dry_run: DryRun = False, unconfirmed: Unconfirmed = False, store: Store = None):
    """Delete checkpoints that nobody needs any more, here and on the mirror, and what kills left half done.

    Of an unfinished run the newest two, the best, milestones and what is blessed stay; of a finished one what is
    blessed. Nothing goes that has no newer copy which verifies. Example: python -m nbcore runs prune --dry-run
    """
    where, copies = environment.store(store), _mirror(optional=True)
    lines: list[str] = []
    for run in runs.listing(where):
        if lease.holder(run.path):
            lines.append(f"{run.id}: in use, left alone")
            continue
        try:
            kept, rules = checkpoints.blessed(run.path), pruning.policy(run.path)
            for checkpoint in pruning.expendable(run.path):
                lines.append(show.lines_of(run.id, [f"{checkpoint.name}, {show.size(checkpoint.bytes())}"], out.width))
                if not dry_run:
                    checkpoints.drop(checkpoint)
            for record in copies.prune(run.id, kept, rules, dry_run, unconfirmed) if copies else ():
                name = record.name.removeprefix(f"{run.id}/")
                lines.append(show.lines_of(run.id, [f"mirror: {name}, {show.size(record.bytes)}"], out.width))
        except ValueError as error:
            lines.append(f"{run.id}: left alone ({error})")
    for folder in layout.leftovers(where):
        # A folder younger than an hour may belong to a process that still works on it. A blessed one is kept.
        if time.time() - folder.lstat().st_ctime > 3600 and not (folder / layout.BLESSED).is_file():
            lines.append(show.lines_of(str(folder.relative_to(where)), [show.size(show.size_of(folder))], out.width))
            if not dry_run:
                disk.remove(folder)
    out.print("\n".join(lines) or "nothing to delete")
    out.print(f"{'would be deleted' if dry_run else 'deleted'}; {show.size(disk.free(where))} are free in {where}")


@runs_app.command()
def archive(reference: RunName, dry_run: DryRun = False, unconfirmed: Unconfirmed = False, store: Store = None):
    """Move a finished run to the mirror: copied, read back, confirmed, and only then deleted here.

    Whatever needs it later brings it back by itself. Example: python -m nbcore runs archive sft/20261124T101500Z-…
    """
    where, copies = environment.store(store), _mirror()
    run = runs.find(where, lookup(where, reference).id, field="RUN")
    kept = checkpoints.blessed(run.path)
    if why := kept["run"] or next(iter(kept["steps"].values()), None):
        raise ValueError(f"RUN: {run.id}, or a checkpoint of it, is blessed ({why}); bless --undo first")
    if dry_run:
        return out.print(f"{run.id}, {show.size(show.size_of(run.path))}, would move to {copies.backend}")
    with mirror.staging_folder(run.path) as staging:
        record = copies.finished(run.id)
        try:  # an older copy may have been damaged since: every byte is read back before the original is deleted
            if record:
                copies.fetch(record, staging / "run", staging)
        except mirror.FAILED:
            record = None
        record = record or copies.publish(run.path, 0, None, None, finished=True)
    if not copies.confirmed(record) and not (unconfirmed and copies.confirmed(record) is None):
        raise Judged(
            f"{run.id} is copied, but the mirror does not confirm it yet: give the command again later, or with "
            "--unconfirmed where it never does"
        )
    freed = show.size_of(run.path)
    disk.remove(run.path)
    out.print(f"{run.id} is on {copies.backend}; {show.size(freed)} freed here")


@runs_app.command()
def usage(store: Store = None):
    """What each run takes, here and on the mirror, and what is free.

    Example: python -m nbcore runs usage
    """
    where, copies = environment.store(store), _mirror(optional=True)
    names = ("checkpoints", "all here", "on the mirror")
    sums = [0, 0, 0]
    for run in runs.listing(where):
        saved = sum(checkpoint.bytes() for checkpoint in checkpoints.listing(run.path))
        records = _ask(lambda: copies.records(run.id), ()) if copies else ()  # noqa: B023 - called before `run` changes
        there = sum(record.bytes for record in records)
        row = [saved, show.size_of(run.path), there]
        sums = [a + b for a, b in zip(sums, row, strict=True)]
        words = [f"{name} {show.size(count)}" for name, count in zip(names, row, strict=True)]
        out.print(show.lines_of(run.id, [show.BETWEEN.join(words)], out.width))
    words = [f"{name} {show.size(count)}" for name, count in zip(names, sums, strict=True)]
    out.print(show.lines_of("together", [show.BETWEEN.join(words)], out.width))
    left = sum(map(show.size_of, layout.leftovers(where)))
    out.print(f"{show.size(disk.free(where))} are free in {where}; set aside there: {show.size(left)}")


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
    run = going[-1] if going else lookup(where, reference)
    if run.finished:
        return out.print(f"{run.id} has finished; `python -m nbcore runs show {run.id}` tells its numbers")
    finished = stages.resume(run, dict(configs.assignments(set_ or [])))
    out.print(f"{finished.id} has finished")


def _copy(copies: mirror.Mirror | None, run: str) -> str:
    """In words, how much of a run the mirror holds, and whether the mirror confirms it."""
    try:
        records = copies.records(run) if copies else []
        if not records:
            return "–"
        state = "finished" if records[0].finished else f"step {records[0].step}"
        return f"{state} {'CONFIRMED' if copies.confirmed(records[0]) else 'COPIED'}"
    except Exception as error:  # whatever the medium's library raises
        return f"unreachable ({type(error).__name__})"


def _ask(question: Callable[[], Any], otherwise: Any) -> Any:
    """What the mirror answers, or `otherwise` where it fails: then the list has a gap, but it is printed."""
    try:
        return question()
    except Exception:  # whatever the medium's library raises
        return otherwise


def _mirror(optional: bool = False) -> mirror.Mirror | None:
    copies = mirror.configured()
    if copies is None and not optional:
        raise ValueError("mirror: there is none; NBCORE_MIRROR=/a/folder (or a mounted Drive) makes one")
    return copies


def lookup(store: Path, reference: str) -> runs.Run:
    """The run that `reference` names; of a phase its newest. Unlike `runs.find` it takes unfinished, damaged runs."""
    known = runs.listing(store)
    fitting = [run for run in known if reference in (run.id, run.phase, str(run.path))]
    if not fitting:
        whole = choice.whole_id(store, reference, known)
        fitting = [run for run in known if run.id == whole]
    return fitting[-1] if fitting else runs.find(store, reference, field="RUN")
