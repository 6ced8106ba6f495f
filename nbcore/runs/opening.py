"""Open a run: the one of this config and parent, resumed where it is unfinished; else a new directory.

A config that differs from that of an unfinished run of the same name is an error that says what differs: without it,
one changed number would silently start training from the beginning. Fields that do not change the result (ELASTIC)
may differ, and the run goes on with the new value. Anything else is another run, and needs a name of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from nbcore import config as configs
from nbcore.core import capabilities, environment
from nbcore.core.base_model import local_folder
from nbcore.runs import checkpoints, choice, commit, data_runs, disk, inputs, layout, lease, pausing
from nbcore.runs import run as runs
from nbcore.runs.mirror import backends, restore
from nbcore.runs.run import Run

BATCH = ("batch_size", "gradient_accumulation")  # elastic as long as their product, the effective batch, stays
READ = data_runs.FIELD  # elastic from one name of a data run to another: what it holds is compared in inputs.py
ELASTIC = (*BATCH, "save_steps", "keep_every", "jobs", "gradient_checkpointing", "sandbox.allow_degraded", READ)


def open(
    config: configs.Phase,
    store: str | Path,
    parent: str | Path | Run | None = None,
    admits: Callable[[Run], object] | Literal[False] | None = None,
) -> Run:
    """The run directory of this config and parent, held by this process. No parent, or "base": it starts from the base
    model that the config names.

    A finished run is returned as it is, an unfinished one is resumed; where there is none a new one is made. If the
    mirror has a later state of it than this disk, that is brought back first. The parent is verified before anything is
    created, so a bad one leaves nothing behind; `admits` is asked about it then, and about the data run that the config
    names: it raises where nothing may start from such a run. While another process holds the run, a new one is opened
    beside it, and a printed line says so.
    Raises ValueError or FileNotFoundError with the field, the value and the remedy; Paused where the disk is full.
    """
    store = Path(store)
    backends.refuse_mirror_within(store)
    if parent == choice.BASE:
        parent = None
    if isinstance(parent, Run):
        runs.get(parent.store, parent.id)
    elif parent is not None:
        parent = choice.find(store, parent, config)
    if parent is not None and not (store / parent.id / layout.OPENING).is_file():
        raise ValueError(
            f"parent: {parent.path} is in another store than {store}; copy it to {store / parent.id} first"
        )
    if parent is not None:
        data_runs.refuse_as_parent(parent)
        inputs.refuse_changed_base(parent)
    for start in data_runs.starts(config, store, parent) if admits else ():
        admits(start)
    fitting, on_mirror = candidates(config, store, parent), []
    if not (fitting and fitting[0].finished):
        on_mirror = bring(config, store, parent)
        fitting = candidates(config, store, parent)
    if not (fitting and fitting[0].finished):
        capabilities.check(config)  # before anything is read or loaded
    for run in fitting:
        if run.finished:
            return run
        if lease.take(run.path):
            if changed := changes(run.requested, config):
                run.set(runs.ASKED, **{path: new for path, (_, new) in changed.items()})
                print(f"{run.id} goes on with {_words(changed)}", flush=True)
            return run
    if fitting:
        other = lease.holder(fitting[0].path) or {"pid": "?", "beat": 0.0}
        print(
            f"{fitting[0].id} is in use by process {other['pid']} (last sign of life {other['beat']:.0f} s ago): "
            "this is a new attempt, in a directory of its own",
            flush=True,
        )
    else:
        _refuse_drift(config, store, parent)
        _say_what_changed(config, store, parent)
    if config.model.base:
        local_folder(config.model.base)  # raises where it is a path to no model
    try:
        return _create(config, store, parent, on_mirror)
    except OSError as error:
        if not disk.is_full(error):
            raise
        raise pausing.Paused(
            f"no {config.phase} run can be opened: the disk of {store} is full. Make room (`python -m nbcore runs "
            "usage`, `runs prune`), then give the same command again"
        ) from error


def _create(config: configs.Phase, store: Path, parent: Run | None, on_mirror: list[str]) -> Run:
    read = data_runs.entry(store, config)  # verified before anything is created
    path = _new_directory(config, store, on_mirror)
    commit.write_durably(path / layout.CONFIG, configs.dump(config))
    opening = {
        "id": layout.run_id(path),
        "phase": config.phase,
        "name": config.name,
        "config": commit.sha256(path / layout.CONFIG),
        "parent": _reference(parent),
        "seedling": seedling(config, parent),
        "inputs": inputs.read_by(config, parent, store),
        "shipped": inputs.shipped(config, parent),
        **({data_runs.FIELD: read} if read else {}),
        "seed": config.seed,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": environment.versions(),
    }
    commit.write_sealed(path / layout.OPENING, opening)
    commit.sync(path.parent)
    commit.sync(path.parent.parent)
    lease.take(path)
    return Run(path)


def _new_directory(config: configs.Phase, store: Path, on_mirror: list[str]) -> Path:
    """A new folder, named to come after every run of the phase, here and on the mirror."""
    folder = layout.phase_folder(store, config.phase)
    folder.mkdir(parents=True, exist_ok=True)
    while True:
        names = [layout.run_id(path) for path in folder.iterdir()]
        ids = [id_ for id_ in [*names, *on_mirror] if layout.is_run_id(id_)]
        path = folder / layout.run_name(layout.next_time(ids), config.name, configs.digest(config))
        with suppress(FileExistsError):  # another process has just taken the name
            path.mkdir()
            break
    if ids and layout.is_in_future(max(ids)):
        print(f"{max(ids)} is dated in the future: was a clock wrong? This run is named to come after it", flush=True)
    return path


def bring(config: configs.Phase, store: str | Path, parent: Run | None) -> list[str]:
    """Bring back from the mirror what is ahead of this disk: a run of this config, else the newest of its name.

    Returns the ids of the phase's runs on the mirror.
    """

    def wanted(ids: list[str]) -> list[str]:
        named = [run for run in ids if layout.config_of(run)[0] == config.name]
        return [run for run in named if layout.config_of(run)[1] == configs.digest(config)] or named[-1:]

    return restore.bring(Path(store).resolve(), config.phase, wanted, (parent.id if parent else None,))


def candidates(config: configs.Phase, store: str | Path, parent: Run | None) -> list[Run]:
    """The undamaged runs of this config and parent, the one to go on with first.

    Finished ones come before unfinished ones, then the one with the most steps, then the newest. Where no run has
    exactly this config, those count whose config differs only in fields that do not change the result. A run whose
    files have changed since is none of them.
    """
    now = inputs.read_by(config, parent, Path(store))
    named = [run for run in _of_parent(config, store, parent) if not inputs.changed(run, now)]
    exact = [run for run in named if layout.config_of(run.path)[1] == configs.digest(config)]
    fitting = [run for run in exact or named if is_elastic(changes(run.requested, config), config)]
    if len(fitting) > 1:  # rare, and only then worth reading every checkpoint to see how far each has come
        fitting.sort(key=lambda run: (restore.reached(run.path), run.path.name), reverse=True)
    return fitting


def matching(config: configs.Phase, store: str | Path, parent: Run | None) -> Run | None:
    """The first of the candidates; None where there is none."""
    return next(iter(candidates(config, store, parent)), None)


def changes(was: configs.Phase, now: configs.Phase) -> dict[str, tuple]:
    """Field -> (old value, new value) of what differs between two configs of a phase."""
    old, new = ({leaf.path: leaf.value for leaf in configs.leaves(config)} for config in (was, now))
    return {path: (old.get(path), new.get(path)) for path in old | new if old.get(path) != new.get(path)}


def is_elastic(changed: dict[str, tuple], config: configs.Phase) -> bool:
    """Whether changing a run's config to `config` would not change what it trains."""
    if not all(path in ELASTIC for path in changed) or None in changed.get(READ, ()):
        return False
    was = {name: changed[name][0] for name in BATCH if name in changed}
    return not was or config.effective_batch == config.model_copy(update=was).effective_batch


def _of_parent(config: configs.Phase, store: str | Path, parent: Run | None) -> Iterator[Run]:
    """The undamaged runs of this config's name and this parent, the newest first."""
    wanted = (config.name, _reference(parent), seedling(config, parent))
    for run in reversed(runs.listing(store, config.phase)):
        if layout.config_of(run.path)[0] != config.name:
            continue
        try:
            info = run.info
            if (info["name"], info["parent"], info.get("seedling")) != wanted:
                continue
            _ = run.config
        except (ValueError, FileNotFoundError):
            continue  # damaged: `runs verify` says how
        if not (run.finished and run.damage()):
            yield run


def _refuse_drift(config: configs.Phase, store: str | Path, parent: Run | None) -> None:
    """Raises ValueError where the newest run of this name is unfinished and has a checkpoint.

    A new run with another config under the same name would leave that work behind without a word.
    """
    run = next(_of_parent(config, store, parent), None)
    if run is None or run.finished or lease.holder(run.path):
        return
    checkpoint, _ = checkpoints.newest(run.path)
    if checkpoint is None:
        return
    if differing := inputs.changed(run, inputs.read_by(config, parent, Path(store))):
        raise ValueError(
            f"{differing[0]} has changed since {run.id}, unfinished at step {checkpoint.step}, was begun. To go on "
            f"with it, {inputs.remedy(run, differing)}; to leave it and begin another, give the new one a name of its "
            'own: overrides = {"name": "…"}, or --set name=…'
        )
    changed = changes(run.config, config)
    field, (old, new) = next(iter(changed.items()))
    raise ValueError(
        f"{field}: is {new!r}, and {run.id}, unfinished at step {checkpoint.step}, was begun with {old!r} "
        f"(in all: {_words(changed)}). To go on with it, set that back; to leave it and begin another, give the "
        'new one a name of its own: overrides = {"name": "…"}, or --set name=…'
    )


def _say_what_changed(config: configs.Phase, store: Path, parent: Run | None) -> None:
    """Say why a run of this very config and parent is not the one to go on with: its files have changed since."""
    now = inputs.read_by(config, parent, Path(store))
    for run in _of_parent(config, store, parent):
        if not changes(run.requested, config) and (differing := inputs.changed(run, now)):
            print(f"{differing[0]} has changed since {run.id}: this is a new run", flush=True)
            return


def _words(changed: dict[str, tuple]) -> str:
    return ", ".join(f"{path} {old!r} → {new!r}" for path, (old, new) in changed.items())


def seedling(config: configs.Phase, parent: Run | None) -> str | None:
    """sha256 of the shipped base model, for a run that starts from it; None for any other.

    It is part of what a run is: with other weights there, the same config is another run.
    """
    entry = configs.TABLE[config.phase]
    if parent or config.model.base or entry.from_scratch or entry.makes_data:
        return None
    return commit.sha256(runs.SEEDLING / "model.safetensors")


def _reference(parent: Run | None) -> dict | None:
    return {"id": parent.id, "hash": parent.info["manifest"]} if parent else None
