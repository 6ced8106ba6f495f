"""Open a run: the one of this config and parent, resumed where it is unfinished; else a new directory.

Who asks for another config under the name of an unfinished run is told what differs: it would have begun anew in
silence. What does not change the result (ELASTIC) is taken over; all else is a run with a name of its own.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from nbcore import config as configs
from nbcore.runs import checkpoints, commit, lease, restore
from nbcore.runs import run as runs
from nbcore.runs.run import OPENING, Run

PACKAGES = ("torch", "transformers", "trl", "peft", "datasets", "accelerate", "bitsandbytes", "tokenizers")
BATCH = ("batch_size", "gradient_accumulation")  # elastic as long as their product, the effective batch, stays
ELASTIC = (*BATCH, "save_steps", "keep_every", "jobs", "gradient_checkpointing", "sandbox.allow_degraded")


def open(config: configs.Phase, store: str | Path, parent: str | Path | Run | None = None) -> Run:
    """The run directory of this config and parent, held by this process: resumed where unfinished, handed back where
    finished, else new. What is further on the mirror is brought back first.

    The parent is verified before anything is created, so a bad one leaves nothing behind. Where another process
    holds the run, a new one is opened beside it, and that is said.
    Raises ValueError or FileNotFoundError with the field, the value and the remedy.
    """
    store = Path(store)
    if parent is not None and not isinstance(parent, Run):
        parent = runs.find(store, parent)
    if parent is not None and not (store / parent.id / OPENING).is_file():
        raise ValueError(
            f"parent: {parent.path} is in another store than {store}; copy it to {store / parent.id} first"
        )
    bring(config, store)
    found = matching(config, store, parent) or _namesake(config, store, parent)
    if found and (found.finished or lease.take(found.path)):
        return found
    if found:
        other = lease.holder(found.path) or {"pid": "?", "beat": 0.0}
        print(
            f"{found.id} is in use by process {other['pid']} (last sign of life {other['beat']:.0f} s ago): "
            "this is a new attempt, in a directory of its own",
            flush=True,
        )
    digest = configs.digest(config)
    while True:  # names are never reused, and they have a resolution of one second
        now = datetime.now(UTC)
        path = store.resolve() / config.phase / f"{now:%Y%m%dT%H%M%SZ}-{config.name}-{digest}"
        try:
            path.mkdir(parents=True)
            break
        except FileExistsError:
            time.sleep(1)
    commit.write_durably(path / "config.yaml", configs.dump(config))
    opening = {
        "id": f"{config.phase}/{path.name}",
        "phase": config.phase,
        "name": config.name,
        "config": commit.sha256(path / "config.yaml"),
        "parent": _reference(parent),
        "seedling": seedling(config, parent),
        "seed": config.seed,
        "started": now.isoformat(timespec="seconds"),
        "versions": versions(),
    }
    commit.write_sealed(path / OPENING, opening)
    lease.take(path)
    return Run(path)


def bring(config: configs.Phase, store: str | Path) -> None:
    """Bring back from the mirror what it has further of runs of this config than this disk."""
    ending = _ending(config)
    restore.bring(Path(store).resolve(), config.phase, lambda run: run.endswith(ending))


def matching(config: configs.Phase, store: str | Path, parent: Run | None) -> Run | None:
    """The newest run of exactly this config and parent, finished and sound or unfinished; None where there is none."""
    ending = _ending(config)
    return next(_of_parent(config, store, parent, lambda run: run.path.name.endswith(ending)), None)


def _ending(config: configs.Phase) -> str:
    return f"-{config.name}-{configs.digest(config)}"


def _of_parent(
    config: configs.Phase, store: str | Path, parent: Run | None, wanted: Callable[[Run], bool]
) -> Iterator[Run]:
    """Wanted runs of this phase and parent that can be trusted, the newest first."""
    for run in filter(wanted, reversed(runs.listing(store, config.phase))):
        try:
            info = run.info
        except ValueError:
            continue  # run.json or open.json has changed since it was written: `runs verify` tells
        same = (info["parent"], info.get("seedling")) == (_reference(parent), seedling(config, parent))
        if same and not (run.finished and run.verify()):
            yield run


def _namesake(config: configs.Phase, store: str | Path, parent: Run | None) -> Run | None:
    """The newest run of this name and parent, where it is unfinished and goes on with this config; else None.

    Raises ValueError with what differs, where it has come as far as a checkpoint and cannot go on with this config.
    """
    run = next(_of_parent(config, store, parent, lambda run: f"-{config.name}-" in run.path.name), None)
    if run is None or run.finished or run.info["name"] != config.name or lease.holder(run.path):
        return None
    was = {leaf.path: leaf.value for leaf in configs.leaves(run.config)}
    now = {leaf.path: leaf.value for leaf in configs.leaves(config)}
    changed = {path: now.get(path) for path in was | now if was.get(path) != now.get(path)}
    same_batch = isinstance(config, configs.Training) and effective_batch(config) == effective_batch(run.config)
    if all(path in ELASTIC and (path not in BATCH or same_batch) for path in changed):
        if lease.take(run.path):
            run.set("the config it was opened with again", **changed)
            print(f"{run.id} goes on with {_words(was, changed)}", flush=True)
        return run
    checkpoint, _ = checkpoints.newest(run.path)
    if checkpoint is None:
        return None
    field, value = next(iter(changed.items()))
    raise ValueError(
        f"{field}: is {value!r}, and {run.id}, unfinished at step {checkpoint.step}, was begun with {was.get(field)!r} "
        f"(in all: {_words(was, changed)}). To go on with it, set that back; to leave it and begin another, give the "
        'new one a name of its own: overrides = {"name": "…"}, or --set name=…'
    )


def _words(was: dict, changed: dict) -> str:
    return ", ".join(f"{path} {was.get(path)!r} → {value!r}" for path, value in changed.items())


def effective_batch(config: configs.Training) -> int:
    """Rows in one optimizer step."""
    return config.batch_size * config.gradient_accumulation


def seedling(config: configs.Phase, parent: Run | None) -> str | None:
    """sha256 of the shipped base model where a run starts from it: other weights there make it another run."""
    if parent or config.model.base or config.phase == "pretrain":
        return None
    return commit.sha256(runs.SEEDLING / "model.safetensors")


def versions() -> dict[str, str]:
    """Of Python and of the packages that decide a training result, as far as they are installed."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        with suppress(metadata.PackageNotFoundError):  # the base floor runs without the training packages
            found[package] = metadata.version(package)
    return found


def _reference(parent: Run | None) -> dict | None:
    return {"id": parent.id, "hash": parent.info["manifest"]} if parent else None
