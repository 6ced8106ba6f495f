"""The values of a config as knobs: by path, as text and back, as the space of a sweep, as a notebook's parameters cell.

Nothing here holds a value of its own, and whatever a person types goes through `load`, so a knob accepts exactly what
the YAML accepts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, get_args, get_origin

from nbcore.config.leaves import Leaf
from nbcore.config.leaves import leaves as every_leaf
from nbcore.config.load import load
from nbcore.config.phases import TABLE
from nbcore.config.schema import Closed, Phase
from nbcore.core import plain_yaml

SIGNS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
FIXED = "phase"  # names the schema itself; nothing to turn


def leaves(config: Phase) -> dict[str, Leaf]:
    """Path -> leaf of everything that can be turned."""
    return {leaf.path: leaf for leaf in every_leaf(config) if leaf.path != FIXED}


def change(config: Phase, path: str, value: Any) -> Phase:
    """The config with one value replaced. None is a value like any other, and a mapping replaces the old one whole.

    Raises ValueError naming the field, the value and the remedy.
    """
    values = config.model_dump(mode="json")
    *parents, last = path.split(".")
    inner = values
    for name in parents:
        inner = inner[name]
    inner[last] = value
    return load(values)


def allowed(leaf: Leaf) -> str:
    """What the schema says a value may be, in words: "≥ 1", "float32 · float16", "" where it says nothing."""
    if get_origin(leaf.annotation) is Literal:
        return " · ".join(map(str, get_args(leaf.annotation)))
    return ", ".join(f"{SIGNS[key]} {bound:g}" for key, bound in leaf.bounds.items())


def as_text(value: Any) -> str:
    """A value as a person would write it into the YAML, on one line; empty for none."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return plain_yaml.dump_line(plain(value))


def from_text(leaf: Leaf, text: str) -> Any:
    """What a person typed, as the YAML would read it. Raises ValueError where it is not YAML."""
    text = text.strip()
    kinds = get_args(leaf.annotation) or (leaf.annotation,)
    if not text and type(None) in kinds:
        return None
    if str in kinds and get_origin(leaf.annotation) not in (list, dict):
        return text
    try:
        return plain_yaml.parse(text) if text else text
    except ValueError as error:
        raise ValueError(f"'{leaf.path}' is {text!r}: {error}") from None


class Dimension(NamedTuple):
    """One axis of a sweep, in Optuna's terms: suggest_int or suggest_float (low, high, log), or a choice."""

    kind: Literal["int", "float", "categorical"]
    low: float | None
    high: float | None
    log: bool
    choices: tuple = ()


def sweep_space(config: Phase, ranges: Mapping[str, Any]) -> dict[str, Dimension]:
    """The dimensions of a sweep by path. `ranges` gives [low, high] for a number, or {"choices": [...]}, by path; each
    value is checked by the schema.

    A range over more than one power of ten is sampled on a log scale. Raises ValueError for an unknown path, a value
    out of bounds, an empty range, or a pair given for something that is not a number.
    """
    known, dimensions = leaves(config), {}
    for path, given in ranges.items():
        if path not in known:
            raise ValueError(f"ranges: unknown field {path!r}; known: {', '.join(known)}")
        choices = given.get("choices") if isinstance(given, Mapping) else None
        values = choices if choices is not None else given
        if not isinstance(values, list | tuple) or not values:
            raise ValueError(f"ranges: {path!r} is {given!r}; give [low, high] or {{choices: [a, b]}}")
        checked = [leaves(change(config, path, value))[path].value for value in values]
        if choices is not None:
            dimensions[path] = Dimension("categorical", None, None, False, tuple(checked))
            continue
        if len(checked) != 2 or any(isinstance(end, bool) or not isinstance(end, int | float) for end in checked):
            raise ValueError(f"ranges: {path!r} is {given!r}; two numbers make a range, else give {{choices: [a, b]}}")
        low, high = checked
        if low >= high:
            raise ValueError(f"ranges: {path!r} is {given!r}; the low end must be below the high end")
        kind = "int" if isinstance(low, int) and isinstance(high, int) else "float"
        dimensions[path] = Dimension(kind, low, high, low > 0 and high / low > 10)
    return dimensions


def parameters_source(phase: str) -> str:
    """The source of a notebook's `parameters` cell: config, overrides, parent and store, whether gates are kept to in a
    phase that builds on what others left, then the headline knobs.

    One physical line each, because Colab's form grammar and papermill's inspector both read line by line.
    """
    raw = '# @param {type:"raw"}'
    entry = TABLE[phase]
    gated = not (entry.measures or entry.makes_data)
    return "\n".join(
        [
            '# @markdown `None` means "as in the YAML"; `overrides` takes any field: `{"lora.rank": 8}`.',
            f'config = "configs/{phase}/tiny.yaml"  # @param {{type:"string"}}',
            f"overrides = {{}}  {raw}",
            f"parent = None  {raw}",
            f"store = None  {raw}",
            *(['require_blessed = False  # @param {type:"boolean"}'] if gated else []),
            *(f"{name} = None  {raw}" for name in entry.knobs),
        ]
    )


def plain(value: Any) -> Any:
    """A value as YAML knows it: tuples (the stages of a curriculum) as lists, models (the sources of a data run) as
    what differs from their defaults."""
    if isinstance(value, Closed):
        return value.model_dump(mode="json", exclude_defaults=True)
    if isinstance(value, Mapping):
        return {name: plain(item) for name, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value
