"""Notebooks in order through papermill, each in its own process; what has finished before is not repeated.

A stage is a notebook with a config and a parent. Stages meet on disk only, so a pipeline that was killed at any
moment goes on where it stopped when the same command is given again.
"""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from nbcore import config as configs
from nbcore import runs
from nbcore.core import capabilities
from nbcore.core.environment import REPO
from nbcore.core.redact import redact
from nbcore.pipeline import gating, notebook
from nbcore.pipeline.plan import Pipeline, Stage
from nbcore.pipeline.progress import Show, flat, words_of
from nbcore.runs import choice, layout, opening


class StageFailed(RuntimeError):
    """A notebook ended in an error; the message is one line with the cause and the path of the executed copy."""


class StagePaused(runs.Paused):
    """A notebook paused for want of room; the same command goes on once there is some."""


def run(pipeline: Pipeline, store: str | Path, progress: Show | None = None) -> list[runs.Run]:
    """Run the chosen stages; returns their finished runs, those that had finished before included.

    Raises StageFailed where a notebook ends in an error, GateClosed where a gate stops it (with `gates: true`),
    FileNotFoundError where a parent is missing, ValueError before any stage where this machine cannot run one. On
    KeyboardInterrupt the notebook is stopped first; its run resumes with the next call.
    """
    store, show = Path(store).resolve(), progress or Show()
    chosen = [stage.id for stage in pipeline.stages if not pipeline.only or stage.id in pipeline.only]
    done: dict[str, runs.Run | None] = {}
    looked = False
    for at, stage in enumerate(pipeline.stages):
        config = stage.load()
        parent = done[stage.parent] if stage.starts_from_run else None
        orphan = stage.starts_from_run and parent is None
        existing = None if orphan else runs.matching(config, store, parent)
        if not orphan and not (existing and existing.finished):
            opening.bring(config, store, parent)
            existing = runs.matching(config, store, parent)
        if stage.id not in chosen:
            if not (existing and existing.finished):
                is_parent = any(other.parent == stage.id and other.id in chosen for other in pipeline.stages)
                existing = _stand_in(config, store, show if is_parent else None)
            done[stage.id] = existing
            continue
        number, count = chosen.index(stage.id) + 1, len(chosen)
        if orphan:
            raise FileNotFoundError(
                f"stage {stage.id}: no finished run of its parent stage {stage.parent} in {store}; "
                f"run both: --only {stage.parent},{stage.id}"
            )
        if existing and existing.finished:
            show.skip(number, count, stage.id, f"done already · {existing.id}")
            existing.publish()
            done[stage.id] = existing
            _gate(pipeline, stage, existing, show)
            continue
        if not looked:  # a stage that is hours away must not be what finds out
            _require_machine([later for later in pipeline.stages[at:] if later.id in chosen])
            looked = True
        if pipeline.gates and not configs.TABLE[stage.phase].measures:
            gating.require_starts(stage.id, config, store, parent, show)
        show.start(number, count, stage.id, _usual_seconds(config, store))
        try:
            done[stage.id] = _execute(stage, config, store, parent, show)
        except BaseException as error:
            show.end("stopped" if isinstance(error, KeyboardInterrupt) else "failed")
            raise
        show.end(" · ".join(["finished", *words_of(flat(done[stage.id].info["metrics"])), done[stage.id].id]))
        _gate(pipeline, stage, done[stage.id], show)
    for name in chosen:
        done[name].wait_for_mirror()
    return [done[name] for name in chosen]


def _require_machine(waiting: list[Stage]) -> None:
    """Raises ValueError naming the first of these stages that this machine cannot run, and what to do."""
    for stage in waiting:
        try:
            capabilities.check(stage.load())
        except ValueError as error:
            raise ValueError(f"stage {stage.id}: {error}") from None


def resume(unfinished: runs.Run, overrides: dict[str, Any], progress: Show | None = None) -> runs.Run:
    """Execute the notebook of an unfinished run to its end; `overrides` may change what leaves the result as it is."""
    show = progress or Show()
    changed = opening.changes(configs.load(unfinished.path / layout.CONFIG), unfinished.requested)
    overrides = {path: now for path, (_, now) in changed.items()} | overrides
    stage = Stage(
        id=unfinished.phase, phase=unfinished.phase, config=str(unfinished.path / layout.CONFIG), overrides=overrides
    )
    show.start(1, 1, stage.id)
    try:
        finished = _execute(stage, stage.load(), unfinished.store, unfinished.parent, show)
    except BaseException as error:
        show.end("stopped" if isinstance(error, KeyboardInterrupt) else "failed")
        raise
    show.end(f"finished · {finished.id}")
    return finished


def _gate(pipeline: Pipeline, stage: Stage, finished: runs.Run, show: Show) -> None:
    """With gates on: judge data and exports as soon as they are made, and a model as soon as it is evaluated."""
    entry = configs.TABLE[stage.phase]
    if pipeline.gates and entry.measures:
        gating.measured(stage.id, finished, show)
    elif pipeline.gates and (entry.makes_data or entry.whole):
        gating.require(stage.id, finished, show)


def _stand_in(config: configs.Phase, store: Path, show: Show | None) -> runs.Run | None:
    """The best finished run of the phase with any config, to be a parent where none has this very config; None where
    there is none. `show` tells of a newer one that was not taken."""
    others = [run_ for run_ in runs.listing(store, config.phase) if run_.finished]
    if not others:
        return None
    preferred = choice.preferred(others, config.name)
    if show and (why := choice.passed_over(preferred, others, config.name)):
        show.note(f"parent: {why}")
    return preferred


def _execute(stage: Stage, config: Any, store: Path, parent: runs.Run | None, show: Show) -> runs.Run:
    """Execute the stage's notebook and return its finished run. Raises StagePaused and StageFailed."""
    no_run = runs.BASE if configs.TABLE[stage.phase].parent else None  # None would be the phase's usual parent
    parameters = {
        "config": stage.config,
        "overrides": stage.overrides,
        "parent": parent.id if parent else no_run,
        "store": str(store),
    }

    def look() -> None:
        existing = runs.matching(config, store, parent)
        show.update(existing.path / layout.METRICS if existing else None, getattr(config, "max_steps", None))

    with tempfile.TemporaryDirectory(prefix="nbcore-") as folder:  # not in the run: papermill keeps rewriting it
        copy, kept, error = Path(folder) / layout.NOTEBOOK, None, None
        try:
            error = notebook.execute(stage.notebook, copy, parameters, REPO, look)
        finally:
            with suppress(OSError):  # on a full disk the notebook's own error is the one to report
                kept = _keep(copy, runs.matching(config, store, parent), store, stage)
    finished = runs.matching(config, store, parent)
    if error is None and not (finished and finished.finished):
        error = "its notebook ended without a finished run"
    if error and error.startswith("Paused: "):
        raise StagePaused(f"stage {stage.id}: {error.removeprefix('Paused: ')}")
    if error:
        raise StageFailed(f"stage {stage.id}: {error}; executed copy: {kept or 'none'}")
    finished.publish()  # its own process may have given up waiting for the mirror
    return finished


def _keep(copy: Path, run_: runs.Run | None, store: Path, stage: Stage) -> Path | None:
    """Copy the executed notebook, without secrets, into its run, or to store/failed/ where no run was opened."""
    if not copy.is_file():
        return None
    text = redact(copy.read_text("utf-8"))
    if run_:
        return run_.keep_notebook(text)
    target = layout.failed_notebook(store, stage.id)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, "utf-8")
    return target


def _usual_seconds(config: configs.Phase, store: Path) -> float | None:
    """Seconds that this config took the last time, with any parent: an evaluation is repeated for each model. None
    where it has not run."""
    for run_ in reversed(runs.listing(store, config.phase)):
        if run_.finished and layout.config_of(run_.path) == (config.name, configs.digest(config)):
            with suppress(ValueError):  # a damaged run is passed over
                return run_.info["seconds"]
    return None
