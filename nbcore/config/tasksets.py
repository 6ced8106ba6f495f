"""Named task sets: where the tasks of an evaluation come from, how they are asked, and how often.

A set is a file `configs/tasksets/<name>.yaml`, a file of one's own, or a mapping in the evaluation's config.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from nbcore.config import prompt_form as forms
from nbcore.config.agent import Playing
from nbcore.config.schema import BUILT_IN, Closed, Count, Positive
from nbcore.core import environment, plain_yaml
from nbcore.core.suggest import did_you_mean

SHIPPED = environment.REPO / "configs" / "tasksets"
REFUSALS = "refusals"
HUB = ("hf://", "hf:/")
BUILT_IN_SETS = ("katas", REFUSALS)
TAKEN = ("heldout", "unseen_family", "perplexity")  # what an evaluation calls its own parts


def _form(value: Any) -> Any:
    return value if value == forms.COMPLETE else forms.check(value)


class Repairs(Playing):
    """How an agent is asked to repair the crates of a set, and what it is compared with."""

    one_shot: bool = True
    """Also: repair in one go by the same weights, without tests."""
    attempts: Count = 4
    """Also: verified retries, so many at most, chosen by the visible tests. 1: none."""
    temperature: Positive = 0.7
    """Of the attempts after the first."""
    scripted: bool = True
    """Also: an agent that knows the answer, which is the ceiling."""


class TaskSet(Closed):
    """Tasks that an evaluation asks, under a name of their own."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$")] = "tasks"
    """What its numbers are called."""
    kind: Literal["tasks", "refusals", "repairs"] = "tasks"
    """tasks: answers are compiled and tested. refusals: it is read whether an answer refuses. repairs: faults are put
    into the tasks' solutions, or into the crates of a folder, and an agent repairs them with tools; `limit` is how many
    faults."""
    source: str
    """'katas', 'refusals' (the shipped prompts), or a file or folder: Task lines, MultiPL-E, HumanEval-X (Rust),
    HumanEval (Python), Exercism-style crates; or hf://datasets/OWNER/NAME@COMMIT. Of repairs also a folder of crates
    that need std alone, which are judged by their own tests."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    """Of the file, as sha256sum prints it (of a folder or of the katas: of the tasks, as the evaluation prints it).
    Empty: whatever stands there, and the evaluation records what it was."""
    split: Literal["train", "validation", "heldout", "unseen_family"] = "heldout"
    """Of the katas. A file is all of one split."""
    prompt_form: Annotated[str | None, BeforeValidator(_form)] = None
    """As in the evaluation, and 'complete': the bare text that a base model goes on from, cut at the set's stop tokens.
    Empty: the evaluation's."""
    limit: Count | None = None
    """Only so many tasks, drawn with the run's seed."""
    samples: Count | None = None
    """Answers to each task. Empty: the evaluation's."""
    k: Annotated[list[Count], Field(min_length=1)] | None = None
    """Which pass@k to report. Empty: the evaluation's, as far as the samples reach."""
    agent: Repairs | None = None
    """Of repairs. Empty: as the defaults are."""

    @model_serializer(mode="wrap")
    def _as_before(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        values = write(self)  # sets that are no repairs keep their digests
        return values if self.agent is not None else {name: values[name] for name in values if name != "agent"}

    @model_validator(mode="after")
    def _consistent(self):
        if self.name in TAKEN:
            raise ValueError(f"name is {self.name!r}, which an evaluation calls a part of its own; give another")
        if (self.source == REFUSALS) != (self.kind == REFUSALS) and self.source in BUILT_IN_SETS:
            raise ValueError(f"kind is {self.kind!r} and source {self.source!r}; the two do not go together")
        if self.agent is not None and self.kind != "repairs":
            raise ValueError(f"agent is given and kind is {self.kind!r}; only repairs have an agent")
        if self.kind == "repairs" and (self.samples or self.k or self.prompt_form):
            raise ValueError("samples, k and prompt_form are not of repairs; agent.attempts and agent.tools are")
        if self.k and self.samples and max(self.k) > self.samples:
            raise ValueError(f"k is {self.k}: pass@{max(self.k)} needs samples of at least {max(self.k)}")
        return self


def parsed(value: Any) -> str | TaskSet:
    """An entry of `tasksets`: a name or path as it is, a mapping as a TaskSet. Raises ValueError in one line."""
    if isinstance(value, str | TaskSet):
        return value
    if not isinstance(value, dict):
        raise ValueError(f"{value!r} is neither a name, nor the path of a .yaml, nor a mapping of a task set's fields")
    try:
        return TaskSet.model_validate(value)
    except ValidationError as error:
        raise ValueError(_words(error)) from None


def resolve(named: str | TaskSet) -> TaskSet:
    """The set that a name, a path or a mapping means; a relative source is looked for here, then beside the YAML.

    Raises FileNotFoundError and ValueError naming tasksets, the value and the remedy.
    """
    if isinstance(named, TaskSet):
        return named
    path = path_of(named)
    values = plain_yaml.read(path)
    if not isinstance(values, dict):
        raise ValueError(f"tasksets: {path}: holds {type(values).__name__}; a task set is a mapping of field: value")
    try:
        made = TaskSet.model_validate({"name": path.stem.lower(), **values})
    except ValidationError as error:
        raise ValueError(f"tasksets: {path}: {_words(error)}") from None
    return made.model_copy(update={"source": _source(made.source, path)})


def path_of(named: str) -> Path:
    """The YAML of a set, by its name or its path. Raises FileNotFoundError."""
    shipped = SHIPPED / f"{named}.yaml"
    given = Path(named).expanduser()
    if given.suffix in (".yaml", ".yml") and given.is_file():
        return given
    if given.name == named and shipped.is_file():
        return shipped
    names = sorted(path.stem for path in SHIPPED.glob("*.yaml"))
    raise FileNotFoundError(
        f"tasksets: no task set {named!r}{did_you_mean(named, names)}; shipped are {', '.join(names)}, any other is "
        "named by the path of its .yaml"
    )


def _source(source: str, beside: Path) -> str:
    if source in (*BUILT_IN, REFUSALS) or source.startswith(HUB):
        return source
    there = Path(os.path.normpath(beside.parent / source))
    return str(there) if not Path(source).expanduser().exists() and there.exists() else source


def _words(error: ValidationError) -> str:
    first: dict[str, Any] = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        meant = did_you_mean(where, TaskSet.model_fields)
        return f"unknown field {where!r}{meant}; known: {', '.join(TaskSet.model_fields)}"
    return f"{where}: {message}" if where else message
