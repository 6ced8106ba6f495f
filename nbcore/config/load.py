"""Read a config, lay overrides over it, write it out, name it by a digest.

Overrides are laid over the values of the YAML before these are checked, so a wrong name or type gives the same clear
error wherever it was written.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError

from nbcore.config.leaves import leaves
from nbcore.config.phases import PHASES
from nbcore.config.schema import Phase
from nbcore.core import plain_yaml
from nbcore.core.output import shown
from nbcore.core.suggest import did_you_mean, file_like

OPEN = ("trainer", "architecture", "sources")  # fields that are themselves mappings: an override replaces them whole


def load(
    source: str | Path | Mapping | Phase, *overrides: Mapping | list[str] | None, knobs: Mapping | None = None
) -> Phase:
    """Read a config and lay overrides over it, then knobs.

    `overrides` are mappings, nested or with dotted keys, or lists of "a.b=value" whose values are read as YAML.
    `knobs` is a mapping in which None means "as in the YAML".
    Raises ValueError naming the field, the value and the remedy; a missing file raises FileNotFoundError.
    """
    where = "the config"
    if isinstance(source, Phase):
        values = source.model_dump(mode="json")
    elif isinstance(source, Mapping):
        values = json.loads(json.dumps(source))
    else:
        where = str(source)
        values = _read(Path(source))
    for override in (*overrides, {path: value for path, value in (knobs or {}).items() if value is not None}):
        given: dict[str, Any] = {}
        for path, value in assignments(override):
            if path in given and isinstance(override, Mapping):  # of a list of field=value the last one counts
                raise ValueError(f"overrides: {path!r} is given twice, as {given[path]!r} and {value!r}; keep one")
            given[path] = value
            _assign(values, path, value)
    phase = values.get("phase")
    if phase not in PHASES:
        meant = did_you_mean(str(phase), PHASES)
        raise ValueError(f"{where}: 'phase' is {phase!r}{meant}; it must be one of {', '.join(PHASES)}")
    try:
        return PHASES[phase].model_validate(values)
    except ValidationError as error:
        if any(overrides) or knobs:
            load(source)  # raises where the source itself is at fault
            where = f"overrides of {where}"
        raise ValueError(f"{where}: {_explain(error, PHASES[phase])}") from None


def dump(config: Phase) -> str:
    """YAML that `load` reads back to an equal config, every default written out."""
    return plain_yaml.dump(config.model_dump(mode="json"))


def digest(config: Phase) -> str:
    """12 hex digits over every resolved value: equal configs, equal digests.

    A field that the schema has not always had counts only where it says something, so that earlier runs keep
    their names.
    """
    values = config.model_dump(mode="json")
    for path in config.ADDED:
        *sections, field = path.split(".")
        inner, model = values, config
        for name in sections:
            inner, model = inner[name], getattr(model, name)
        if getattr(model, field) == type(model).model_fields[field].default:
            del inner[field]
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:12]


def _read(path: Path) -> dict:
    if not path.is_file():
        raise FileNotFoundError(
            f"config: no file {path}{file_like(path)}; the shipped ones are in configs/<phase>/<profile>.yaml"
        )
    values = plain_yaml.read(path)
    if not isinstance(values, dict):
        raise ValueError(f"{path}: holds {type(values).__name__}; a config is a mapping of field: value")
    return values


def assignments(override: Mapping | list[str] | None) -> Iterator[tuple[str, Any]]:
    """(dotted path, value) of a mapping, nested or dotted, or of a list of "a.b=value"; ValueError for any other."""
    if isinstance(override, Mapping):
        for key, value in override.items():
            if isinstance(value, Mapping) and str(key).rsplit(".", 1)[-1] not in OPEN:
                yield from ((f"{key}.{path}", inner) for path, inner in assignments(value))
            else:
                yield str(key), value
    elif isinstance(override, list | tuple):
        for text in override:
            path, equals, value = str(text).partition("=")
            if not equals:
                raise ValueError(f"overrides: {text!r} is not of the form field=value, for example max_steps=2")
            try:
                yield path.strip(), plain_yaml.parse(value)
            except ValueError as error:
                raise ValueError(f"overrides: {text!r}: {error}") from None
    elif override is not None:
        kind = type(override).__name__
        raise ValueError(f"overrides: {override!r} is {kind}; give a mapping such as {{max_steps: 2}}")


def _assign(values: dict, path: str, value: Any) -> None:
    *parents, last = path.split(".")
    for name in parents:
        if values.get(name) is None:
            values[name] = {}
        inner = values[name]
        if not isinstance(inner, dict):
            raise ValueError(f"overrides: {path!r}: {name!r} is a single value, it has no field inside")
        values = inner
    values[last] = value


def _explain(error: ValidationError, phase: type[Phase]) -> str:
    """One line: field, value, remedy, for the first problem (and how many more there are)."""
    problems = error.errors()
    first = problems[0]
    field = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        model: Any = phase
        for part in first["loc"][:-1]:
            if isinstance(part, int):  # in a list of models, which is the model already
                continue
            model = model.model_fields[part].annotation
            model = next((kind for kind in get_args(model) if kind is not type(None)), model)  # of `X | None`, X
        section = field.removesuffix(str(first["loc"][-1]))
        elsewhere = [leaf.path for leaf in leaves(phase()) if leaf.path.endswith(f".{field}")]
        near = did_you_mean(field, elsewhere[:1] or [f"{section}{name}" for name in model.model_fields])
        text = f"unknown field '{field}'; known here: {', '.join(model.model_fields)}{near}"
    else:
        message = first["msg"].removeprefix("Value error, ")
        text = f"'{field}' is {shown(repr(first['input']))}: {message}" if field else message
    return text + (f" (and {len(problems) - 1} more)" if len(problems) > 1 else "")
