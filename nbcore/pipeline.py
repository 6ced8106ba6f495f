"""Notebooks in order through papermill, each in its own process; what has finished before is not repeated.

A stage is a notebook with a config and a parent. Stages meet on disk only, so a pipeline that was killed at any
moment goes on where it stopped when the same command is given again.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field, ValidationError, model_validator

from nbcore import config as configs
from nbcore import papermilled, runs
from nbcore.place import REPO
from nbcore.progress import Show, flat, words_of
from nbcore.redact import redact
from nbcore.runs import opening


class StageFailed(RuntimeError):
    """A notebook ended in an error; the message is one line with the cause and the path of the executed copy."""


class StagePaused(runs.Paused):
    """A notebook paused for want of room; the same command goes on once there is some."""


class Stage(configs.Closed):
    """One notebook to run."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
    """Name of the stage within its pipeline."""
    phase: str
    """Which notebook."""
    config: str
    """Path of the phase's YAML, from the repository root."""
    parent: str | None = None
    """Id of the earlier stage whose run this one starts from."""
    overrides: dict[str, Any] = Field(default_factory=dict)
    """Laid over the YAML."""

    def load(self) -> configs.Phase:
        """The stage's config. Raises ValueError or FileNotFoundError naming the stage."""
        try:
            config = configs.load(REPO / self.config, self.overrides)
        except (ValueError, FileNotFoundError) as error:
            raise type(error)(f"stage {self.id}: {error}") from None
        if config.phase != self.phase:
            raise ValueError(f"stage {self.id}: {self.config} is a config of {config.phase}, not of {self.phase}")
        return config

    @property
    def notebook(self) -> Path:
        return next((REPO / "notebooks").glob(f"[0-9][0-9]_{self.phase}.ipynb"))


class Pipeline(configs.Closed):
    """Stages in the order they run."""

    name: str
    """For the report."""
    stages: Annotated[list[Stage], Field(min_length=1)]
    """A parent stands before its children."""
    only: list[str] = Field(default_factory=list)
    """Ids of the stages to run; empty: all. Parents are then taken from runs that finished before."""

    @model_validator(mode="after")
    def _makes_sense(self):
        seen: set[str] = set()
        for stage in self.stages:
            if stage.phase not in configs.PHASES:
                raise ValueError(f"stage {stage.id}: no phase {stage.phase!r}; there are {', '.join(configs.PHASES)}")
            if stage.id in seen:
                raise ValueError(f"stage {stage.id}: the id is taken; ids are unique")
            if stage.parent is not None and stage.parent not in seen:
                raise ValueError(f"stage {stage.id}: parent {stage.parent!r} is no earlier stage; put it before")
            if stage.parent is None and (usual := configs.PARENTS[stage.phase]):
                raise ValueError(f"stage {stage.id}: parent is missing; {stage.phase} starts from a {usual} stage")
            seen.add(stage.id)
        if unknown := [name for name in self.only if name not in seen]:
            raise ValueError(f"only: no stage {unknown[0]!r}; there are {', '.join(sorted(seen))}")
        return self


def load(path: str | Path, only: str | None = None, set_: Iterable[str] = ()) -> Pipeline:
    """Read a pipeline, choose stages ("sft,ipo") and lay settings over their configs ("sft.max_steps=2", "seed=1").

    A setting goes to the stages of the phase, or the one with the id, that it begins with; without such a beginning,
    to every stage that has the field. Every config is read here, so a typo in the last stage is an error at once.
    Raises ValueError or FileNotFoundError with the field, the value and the remedy.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"pipeline: no file {path}; the shipped ones are in configs/pipeline/")
    try:
        values = yaml.safe_load(path.read_text("utf-8"))
        pipeline = Pipeline.model_validate(values)
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        words = first["msg"].removeprefix("Value error, ")
        raise ValueError(f"{path}: {f'{where!r}: {words}' if where else words}") from None
    if only is not None:
        chosen = [name.strip() for name in only.split(",") if name.strip()]
        if unknown := [name for name in chosen if name not in {stage.id for stage in pipeline.stages}]:
            known = ", ".join(stage.id for stage in pipeline.stages)
            raise ValueError(f"only: no stage {unknown[0]!r} in {path}; there are {known}")
        pipeline = pipeline.model_copy(update={"only": chosen})
    for setting in set_:
        pipeline = _set(pipeline, setting)
    for stage in pipeline.stages:
        stage.load()
    return pipeline


def run(pipeline: Pipeline, store: str | Path, progress: Show | None = None) -> list[runs.Run]:
    """Run the chosen stages; returns their finished runs, those that had finished before included.

    Raises StageFailed where a notebook ends in an error and FileNotFoundError where a parent is missing. On
    KeyboardInterrupt the notebook is stopped first; its run resumes with the next call.
    """
    store, show = Path(store).resolve(), progress or Show()
    chosen = [stage.id for stage in pipeline.stages if not pipeline.only or stage.id in pipeline.only]
    done: dict[str, runs.Run | None] = {}
    for stage in pipeline.stages:
        config = stage.load()
        parent = done[stage.parent] if stage.parent else None
        orphan = stage.parent is not None and parent is None
        found = None if orphan else runs.matching(config, store, parent)
        if not orphan and not (found and found.finished):
            opening.bring(config, store, parent)
            found = runs.matching(config, store, parent)
        if stage.id not in chosen:
            # Another config of the same phase is as good a parent as the person has; the newest finished one is theirs.
            others = [other for other in runs.listing(store, stage.phase) if other.finished]
            done[stage.id] = found if found and found.finished else (others[-1] if others else None)
            continue
        number, count = chosen.index(stage.id) + 1, len(chosen)
        if orphan:
            raise FileNotFoundError(
                f"stage {stage.id}: no finished run of its parent stage {stage.parent} in {store}; "
                f"run both: --only {stage.parent},{stage.id}"
            )
        if found and found.finished:
            show.skip(number, count, stage.id, f"done already · {found.id}")
            found.copy(wait=False)
            done[stage.id] = found
            continue
        show.start(number, count, stage.id, _usual_seconds(config, store))
        try:
            done[stage.id] = _execute(stage, config, store, parent, show)
        except BaseException as error:
            show.end("stopped" if isinstance(error, KeyboardInterrupt) else "failed")
            raise
        show.end(" · ".join(["finished", *words_of(flat(done[stage.id].info["metrics"])), done[stage.id].id]))
    for name in chosen:
        done[name].mirrored(wait=True)
    return [done[name] for name in chosen]


def resume(unfinished: runs.Run, overrides: dict[str, Any], progress: Show | None = None) -> runs.Run:
    """Execute the notebook of an unfinished run to its end; `overrides` may change what leaves the result as it is."""
    show = progress or Show()
    changed = opening.changes(configs.load(unfinished.path / "config.yaml"), unfinished.requested)
    overrides = {path: now for path, (_, now) in changed.items()} | overrides
    stage = Stage(
        id=unfinished.phase, phase=unfinished.phase, config=str(unfinished.path / "config.yaml"), overrides=overrides
    )
    show.start(1, 1, stage.id)
    try:
        finished = _execute(stage, stage.load(), unfinished.store, unfinished.parent, show)
    except BaseException as error:
        show.end("stopped" if isinstance(error, KeyboardInterrupt) else "failed")
        raise
    show.end(f"finished · {finished.id}")
    return finished


def _execute(stage: Stage, config: Any, store: Path, parent: runs.Run | None, show: Show) -> runs.Run:
    parameters = {
        "config": stage.config,
        "overrides": stage.overrides,
        "parent": parent.id if parent else None,
        "store": str(store),
    }

    def look() -> None:
        found = runs.matching(config, store, parent)
        show.update(found.path / "metrics.jsonl" if found else None, getattr(config, "max_steps", None))

    with tempfile.TemporaryDirectory(prefix="nbcore-") as folder:  # papermill rewrites its output all the time
        copy, kept, error = Path(folder) / "notebook.ipynb", None, None
        try:
            error = papermilled.execute(stage.notebook, copy, parameters, REPO, look)
        finally:
            with suppress(OSError):  # a full disk: what it did to the run is the news
                kept = _keep(copy, runs.matching(config, store, parent), store, stage)
    finished = runs.matching(config, store, parent)
    if error is None and not (finished and finished.finished):
        error = "its notebook ended without a finished run"
    if error and error.startswith("Paused: "):
        raise StagePaused(f"stage {stage.id}: {error.removeprefix('Paused: ')}")
    if error:
        raise StageFailed(f"stage {stage.id}: {error}; executed copy: {kept or 'none'}")
    finished.copy(wait=False)  # where its own process gave up waiting for the mirror
    return finished


def _keep(copy: Path, run_: runs.Run | None, store: Path, stage: Stage) -> Path | None:
    """Copy the executed notebook, without secrets, into its run, or to store/failed/ where no run was opened."""
    if not copy.is_file():
        return None
    failed = f"failed/{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{stage.id}.ipynb"
    target = run_.path / "notebook.ipynb" if run_ else store / failed
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(redact(copy.read_text("utf-8")), "utf-8")
    if run_:
        run_.publish_notebook()
    return target


def _set(pipeline: Pipeline, setting: str) -> Pipeline:
    path, equals, text = setting.partition("=")
    if not equals:
        raise ValueError(f"set: {setting!r} is not of the form field=value, for example sft.max_steps=2")
    head, _, rest = path.strip().partition(".")
    named = [stage.id for stage in pipeline.stages if head in (stage.phase, stage.id)] if rest else []
    field = rest if named else path.strip()
    if not named:
        named = [s.id for s in pipeline.stages if head in configs.PHASES[s.phase].model_fields]
    if not named:
        raise ValueError(f"set: {setting!r}: {head!r} is no phase, no stage and no field of any stage's config")
    try:
        update = {field: yaml.safe_load(text)}
    except yaml.YAMLError:
        raise ValueError(f"set: {setting!r}: {text!r} is not YAML; quote it, or close its bracket") from None
    stages = [
        stage.model_copy(update={"overrides": {**stage.overrides, **update}}) if stage.id in named else stage
        for stage in pipeline.stages
    ]
    return pipeline.model_copy(update={"stages": stages})


def _usual_seconds(config: configs.Phase, store: Path) -> float | None:
    """What this very config took the last time, from whatever parent: evaluations repeat with every model."""
    ending = f"-{config.name}-{configs.digest(config)}"
    for run_ in reversed(runs.listing(store, config.phase)):
        if run_.finished and run_.path.name.endswith(ending):
            with suppress(ValueError):  # a damaged one tells nothing
                return run_.info["seconds"]
    return None
