"""The config of an experiment: one pipeline, a control and treatments as settings over it, the same seeds and tasks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from nbcore.config.schema import Closed, Count, Positive
from nbcore.core import plain_yaml
from nbcore.core.suggest import did_you_mean, file_like

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_]{0,39}$")]
Settings = dict[str, Any]


class Arm(Closed):
    """One side of the comparison; the first is the control."""

    name: Name
    """What tables call it."""
    set: Settings = {}
    """Laid over the pipeline, in the words of `run --set`: {sft.metadata_comments: true}."""
    other_seeds: Count | None = None
    """For a comparison of the control with itself: this is the control once more, under seeds greater by so much."""


class First(Closed):
    """The small stage that must pass before the full one starts: does every part run, does the treatment arrive?"""

    seeds: Count = 1
    """The first so many seeds."""
    set: Settings = {}
    """Laid over both arms: few steps, few tasks."""
    compiles: Annotated[int, Field(ge=0)] = 1
    """At least so many answers of each arm must compile: a broken prompt or a broken model shows here."""


class Experiment(Closed):
    """A question to a recipe, answered by training it with and without a change."""

    name: Name
    """Names the folder of its runs and results."""
    question: str
    """In words, for the report."""
    pipeline: str
    """The pipeline that all arms run, a path from the repository root."""
    stages: Annotated[list[str], Field(min_length=1)]
    """Its stages that run, by id; the last one measures."""
    set: Settings = {}
    """Laid over all arms."""
    arms: Annotated[tuple[Arm, ...], Field(min_length=2)]
    """The control, then the treatments."""
    seeds: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]
    """Every arm runs under each."""
    seeded: Annotated[list[str], Field(min_length=1)]
    """The stages, by id, whose seed these are. All others keep their own, so that every run is asked the same."""
    taskset: str = "heldout"
    """The set of tasks that decides."""
    metric: Literal["passed", "compiles"] = "passed"
    """What decides: pass@1 or the compile rate; the other one and the perplexity are told beside it."""
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    """The interval holds 1 - alpha."""
    margin: Positive = 0.05
    """The smallest difference of rates that would matter: an interval inside it says that there is none that does."""
    first: First | None = None
    """The small stage. Empty: the full one at once."""

    @field_validator("arms", "seeds", "stages", "seeded")
    @classmethod
    def _unique(cls, values: Any) -> Any:
        names = [value.name if isinstance(value, Arm) else value for value in values]
        if twice := [name for at, name in enumerate(names) if name in names[:at]]:
            raise ValueError(f"{twice[0]!r} stands twice; keep one")
        return values

    @model_validator(mode="after")
    def _makes_sense(self):
        if self.control.other_seeds:
            raise ValueError(f"arms: the first, {self.control.name!r}, is the control and cannot have other_seeds")
        for arm in self.treatments:
            if arm.other_seeds and arm.set:
                raise ValueError(f"arms: {arm.name!r} has other_seeds and set: the seeds would explain it; drop one")
            if arm.other_seeds and {seed + arm.other_seeds for seed in self.seeds} & {*self.seeds}:
                raise ValueError(
                    f"arms: {arm.name!r}: other_seeds {arm.other_seeds} meets seeds {self.seeds}; raise it"
                )
        if unknown := [name for name in self.seeded if name not in self.stages]:
            raise ValueError(
                f"seeded: no stage {unknown[0]!r}{did_you_mean(unknown[0], self.stages)} among stages; there are "
                f"{', '.join(self.stages)}"
            )
        if self.first and self.first.seeds > len(self.seeds):
            raise ValueError(f"first.seeds is {self.first.seeds}, of {len(self.seeds)} seeds; lower it")
        return self

    @property
    def control(self) -> Arm:
        return self.arms[0]

    @property
    def treatments(self) -> tuple[Arm, ...]:
        return self.arms[1:]


def load(source: str | Path | Mapping) -> Experiment:
    """Read an experiment. Raises ValueError or FileNotFoundError with field, value and remedy, in one line."""
    where, values = "the experiment", source
    if not isinstance(source, Mapping):
        path = Path(source)
        if not path.is_file():
            shipped = "the shipped ones are in configs/experiments/"
            raise FileNotFoundError(f"experiment: no file {path}{file_like(path)}; {shipped}")
        where, values = str(path), plain_yaml.read(path)
    if not isinstance(values, Mapping) or "arms" not in values:
        raise ValueError(f"{where}: has no arms; an experiment is like those in configs/experiments/")
    try:
        return Experiment.model_validate(values)
    except ValidationError as error:
        problems = error.errors()
        first, more = problems[0], f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        field, words = ".".join(map(str, first["loc"])), first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            model = {"arms": Arm, "first": First}.get(str(first["loc"][0]), Experiment)
            words = f"unknown field{did_you_mean(str(first['loc'][-1]), model.model_fields)}"
        elif field and first["type"] != "missing":
            words = f"is {first['input']!r}: {words}"
        elif field:
            words = "is missing"
        raise ValueError(f"{where}: {f'{field!r} ' if field else ''}{words}{more}") from None
