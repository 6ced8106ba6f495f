"""A pipeline as it is written: stages in order, read from YAML, with the stages to run chosen and settings laid on."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError, model_validator

from nbcore import config as configs
from nbcore import runs
from nbcore.core import plain_yaml
from nbcore.core.environment import REPO, notebook
from nbcore.core.suggest import did_you_mean, file_like


class Stage(configs.Closed):
    """One notebook to run."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
    """Name of the stage within its pipeline."""
    phase: str
    """Which notebook."""
    config: str
    """Path of the phase's YAML, from the repository root."""
    parent: str | None = None
    """Id of the earlier stage whose run this one starts from, or "base" for the base model."""
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
    def starts_from_run(self) -> bool:
        """Whether its parent is a stage, and not the base model."""
        return self.parent not in (None, runs.BASE)

    @property
    def notebook(self) -> Path:
        return notebook(self.phase)


class Pipeline(configs.Closed):
    """Stages in the order they run."""

    name: str
    """For the report."""
    stages: Annotated[list[Stage], Field(min_length=1)]
    """A parent stands before its children."""
    gates: bool = False
    """Whether a phase starts only from a run that its gate (configs/gates/<phase>.yaml) let through, or a person."""
    only: list[str] = Field(default_factory=list)
    """Ids of the stages to run; empty: all. Parents are then taken from runs that finished before."""

    @model_validator(mode="after")
    def _makes_sense(self):
        seen: set[str] = set()
        for stage in self.stages:
            if stage.phase not in configs.PHASES:
                meant = did_you_mean(stage.phase, configs.PHASES)
                raise ValueError(
                    f"stage {stage.id}: no phase {stage.phase!r}{meant}; there are {', '.join(configs.PHASES)}"
                )
            if stage.id in seen:
                raise ValueError(f"stage {stage.id}: the id is taken; ids are unique")
            if stage.id == runs.BASE:
                raise ValueError(f"stage {stage.id}: as a parent this word means the base model; give another id")
            if stage.starts_from_run and stage.parent not in seen:
                raise ValueError(f"stage {stage.id}: parent {stage.parent!r} is no earlier stage; put it before")
            if stage.parent is None and (usual := configs.TABLE[stage.phase].parent):
                raise ValueError(
                    f"stage {stage.id}: parent is missing; {stage.phase} starts from a {usual} stage, or from the base "
                    f"model with parent: {runs.BASE}"
                )
            seen.add(stage.id)
        if unknown := [name for name in self.only if name not in seen]:
            raise ValueError(_no_stage(unknown[0], sorted(seen)))
        return self


def load(path: str | Path, only: str | None = None, set_: Iterable[str] = ()) -> Pipeline:
    """Read a pipeline, choose stages ("sft,ipo") and lay settings over their configs ("sft.max_steps=2", "seed=1").

    A setting that begins with a phase or the id of a stage goes to those stages; any other goes to every stage that has
    the field. Every config is read here, so that a typo in the last stage is an error before the first one has run.
    Raises ValueError or FileNotFoundError with the field, the value and the remedy.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"pipeline: no file {path}{file_like(path)}; the shipped ones are in configs/pipeline/")
    try:
        values = plain_yaml.read(path)
        if isinstance(values, dict) and values.get("phase") in configs.PHASES:
            raise ValueError(_what_to_type(path, values))
        if not isinstance(values, dict) or "stages" not in values:
            raise ValueError(f"pipeline: {path} has no stages; a pipeline is like those in configs/pipeline/")
        pipeline = Pipeline.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        words = first["msg"].removeprefix("Value error, ")
        raise ValueError(f"{path}: {f'{where!r}: {words}' if where else words}") from None
    if only is not None:
        chosen = [name.strip() for name in only.split(",") if name.strip()]
        known = [stage.id for stage in pipeline.stages]
        if not chosen:
            raise ValueError(f"only: {only!r} names no stage; there are {', '.join(known)}")
        if unknown := [name for name in chosen if name not in known]:
            raise ValueError(_no_stage(unknown[0], known, f" in {path}"))
        pipeline = pipeline.model_copy(update={"only": chosen})
    for stage in pipeline.stages:
        stage.load()
    reached: dict[str, list[str]] = {}  # stage id -> the settings that changed it
    for setting in set_:
        before = pipeline
        pipeline = _set(pipeline, setting)
        for old, new in zip(before.stages, pipeline.stages, strict=True):
            if new != old:
                reached.setdefault(new.id, []).append(setting)
    for stage in pipeline.stages:
        try:
            stage.load()
        except ValueError as error:  # without the settings it was valid a moment ago, so they are at fault
            words = str(error).partition(f"{REPO / stage.config}: ")[2] or str(error)
            settings = ", ".join(map(repr, reached.get(stage.id, [])))
            raise ValueError(f"set: {settings}: {words}") from None
    return pipeline


def _no_stage(name: str, known: list[str], where: str = "") -> str:
    return f"only: no stage {name!r}{where}{did_you_mean(name, known)}; there are {', '.join(known)}"


def _what_to_type(path: Path, values: dict) -> str:
    """The error for a config of one phase where a pipeline was expected: it names the commands that were meant."""
    phase = values["phase"]
    book = notebook(phase).name
    shipped = f"configs/pipeline/{values.get('name')}.yaml"
    pipeline = shipped if (REPO / shipped).is_file() else "configs/pipeline/tiny.yaml"
    return (
        f"pipeline: {path} is a config of one phase; papermill -k python3 -l python notebooks/{book} out.ipynb "
        f'-y "{{config: {path}}}" runs that phase, python -m nbcore run {pipeline} --only {phase} that stage'
    )


def _set(pipeline: Pipeline, setting: str) -> Pipeline:
    """The pipeline with one "field=value" added to the overrides of the stages that it is for."""
    path, equals, text = setting.partition("=")
    head, _, rest = path.strip().partition(".")
    names = [name for stage in pipeline.stages for name in (stage.id, stage.phase)]
    if not equals or not head or (head in names and not rest):
        raise ValueError(f"set: {setting!r} is not of the form field=value, for example sft.max_steps=2")
    named = [stage.id for stage in pipeline.stages if head in (stage.phase, stage.id)] if rest else []
    field = rest if named else path.strip()
    if not named:
        named = [stage.id for stage in pipeline.stages if head in configs.PHASES[stage.phase].model_fields]
    if not named:
        fields = {name for stage in pipeline.stages for name in configs.PHASES[stage.phase].model_fields}
        meant = did_you_mean(head, [*names, *sorted(fields)])
        raise ValueError(f"set: {setting!r}: {head!r}{meant} is no phase, no stage and no field of any stage's config")
    try:
        update = {field: plain_yaml.parse(text)}
    except ValueError as error:
        raise ValueError(f"set: {setting!r}: {error}") from None
    stages = []
    for stage in pipeline.stages:
        if stage.id in named:  # overrides as dotted paths, so that the setting replaces one that was written nested
            overrides = {**dict(configs.assignments(stage.overrides)), **update}
            stage = stage.model_copy(update={"overrides": overrides})
        stages.append(stage)
    return pipeline.model_copy(update={"stages": stages})
