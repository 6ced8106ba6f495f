"""The data run that a training run reads: found by what its config says, known by the hash of its data.

open.json of the training run has it as "data_run": {"id", "hash": of its manifest, "data": of its shards}. Another run
with equal data is the same input; one with other data is another.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nbcore import config as configs
from nbcore.runs import choice, layout
from nbcore.runs import run as runs
from nbcore.runs.run import Run

FIELD = "data_run"


def named(config: configs.Phase) -> str | None:
    """What a config says of the data run that it reads; None where it reads none."""
    return getattr(config, FIELD, None)


def find(store: Path, reference: str, config: configs.Phase | None) -> Run:
    """The finished, verified data run that a reference means. Raises as `choice.find` does, and ValueError for a run
    that holds no data."""
    try:
        run = choice.find(store, reference, config, field=FIELD)
    except FileNotFoundError as error:
        makes = [name for name, entry in configs.TABLE.items() if entry.makes_data]
        if reference not in makes:
            raise
        raise FileNotFoundError(
            f"{FIELD}: no finished {reference} run in {store}; run the {reference} notebook first, or leave "
            f"{FIELD} out and let this phase draw its own"
        ) from error
    if not configs.TABLE[run.phase].makes_data:
        raise ValueError(f"{FIELD}: {run.id} is a {run.phase} run, which holds no data to read; name a data run")
    return run


def starts(config: configs.Phase, store: Path, parent: Run | None) -> list[Run]:
    """The runs that a run of this config and parent would build on: the parent, and the data run that it reads.

    Raises as `find` does."""
    reference = named(config)
    read = [find(store, reference, config)] if reference is not None else []
    return [*([parent] if parent else []), *read]


def refuse_as_parent(parent: Run) -> None:
    """Raises ValueError where a run that was named as a parent holds data."""
    if configs.TABLE[parent.phase].makes_data:
        raise ValueError(f"parent: {parent.id} holds data and no model, so nothing starts from it; name it in {FIELD}")


def entry(store: Path, config: configs.Phase) -> dict[str, Any] | None:
    """What open.json of a new run holds of the data run that it reads."""
    reference = named(config)
    if reference is None:
        return None
    run = find(store, reference, config)
    return {"id": run.id, "hash": run.info["manifest"], "data": run.info["data_hash"]}


def data_hash(store: Path, config: configs.Phase) -> str | None:
    """The hash of the data that a config's reference means now, None where there is none. Nothing is verified or
    brought back: this is asked once a second while a pipeline shows its progress."""
    reference = named(config)
    if reference in configs.PHASES:
        finished = [run for run in runs.listing(store, reference) if run.finished]
        run = choice.preferred(finished, config.name) if finished else None
    else:
        whole = choice.whole_id(store, str(reference))
        path = store / whole if layout.is_run_id(whole) else layout.run_at(Path(whole))
        run = Run(path) if layout.is_run(path) else None
    try:
        return run.info.get("data_hash") if run and run.finished else None  # `find` says what is wrong with another run
    except ValueError:  # its run.json was changed
        return "damaged"


def of(run: Run) -> Run | None:
    """The data run that a run reads, verified; None where it reads none. Where it is gone, one with the same data does.

    Raises ValueError where what is there now is not what the run was opened with.
    """
    opened_with = run.info.get(FIELD)
    if opened_with is None:
        return None
    try:
        read = runs.get(run.store, opened_with["id"], field=FIELD)
    except FileNotFoundError:
        read = find(run.store, named(run.config), run.config)
    if read.info["data_hash"] != opened_with["data"]:
        raise ValueError(
            f"{FIELD}: {read.id} holds other data than {opened_with['id']}, which {run.id} was opened with; build that "
            "again, or open the run again for a new one"
        )
    return read
