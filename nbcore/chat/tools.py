"""The functions that a conversation offers, and whether the arguments of a call fit one of them."""

from __future__ import annotations

import contextlib
import functools
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import jsonschema
import referencing

from nbcore.core.conversation import shortened

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
NOTHING = {"type": "object", "properties": {}}  # what is shown to a template of a function that takes no arguments


class Function(NamedTuple):
    """A function that a model may call."""

    name: str
    description: str
    parameters: Mapping[str, Any] | None
    """JSON schema of its arguments; None where it takes none. {"type": "string"} takes the text of a call as it is, so
    that source code needs no quoting."""

    @property
    def takes_text(self) -> bool:
        """Whether a call of it is plain text, not a JSON object."""
        return self.parameters is not None and self.parameters.get("type") == "string"


class BadArguments(ValueError):
    """What a model wrote as the arguments of a call cannot be taken; the message says why."""


def functions(tools: Any) -> dict[str, Function]:
    """The functions by name, in order. `tools` are {"name", "description"?, "parameters"?}, or those under the key
    "function", as OpenAI's API has them; None is no tools. Raises ValueError with field, value and remedy."""
    found: dict[str, Function] = {}
    if tools is not None and (isinstance(tools, (str, bytes, Mapping)) or not isinstance(tools, (list, tuple))):
        raise ValueError(f"tools is {shortened(tools)}; it must be a list of mappings that describe functions")
    for number, tool in enumerate(tools or ()):
        described = tool.get("function", tool) if isinstance(tool, Mapping) else None
        if not isinstance(described, Mapping):
            raise ValueError(f"tools[{number}] is {shortened(tool)}; it must be a mapping that describes a function")
        name = described.get("name")
        check_name(name, f"tools[{number}].name")
        if name in found:
            raise ValueError(f"tools[{number}].name is {name!r}, as an earlier one's; each function needs its own name")
        description = described.get("description")
        if description is not None and not isinstance(description, str):
            raise ValueError(f"tools[{number}].description is {shortened(description)}; it must be text")
        whole(description or "", f"tools[{number}].description")
        parameters = described.get("parameters")
        if parameters is not None:
            _check_schema(parameters, f"tools[{number}].parameters")
        found[name] = Function(name, description or "", parameters)
    return found


def whole(text: str, field: str) -> str:
    """The text. Raises ValueError for one that no file could hold."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"{field} holds half of a surrogate pair, {text[error.start]!r} at {error.start}; take it out"
        ) from None
    return text


def check_name(name: Any, field: str) -> None:
    """Raises ValueError where a function cannot be called so: in a header the name ends at the first space."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(f"{field} is {shortened(name)}; a function's name is 1 to 64 of A-Z a-z 0-9 _ . -")


def arguments(function: Function, written: str) -> Any:
    """The arguments of a call as a model wrote them: a dict, or the text itself of a function that takes text.

    JSON is read strictly: no NaN, no key twice, nothing behind it; and nothing that the schema does not name, because a
    misspelt optional argument would otherwise be a call of another meaning. Raises BadArguments.
    """
    if function.takes_text:
        _fit(function, written)
        return written
    if function.parameters is None and not written.strip():
        return {}
    try:
        value = json.loads(written, object_pairs_hook=_once, parse_constant=_no_constant)
        # Half of a surrogate pair cannot be written to a file, and 1e999 is read as infinity.
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except RecursionError:
        raise BadArguments(f"arguments of {function.name}: nested too deep") from None
    except ValueError as error:
        raise BadArguments(f"arguments of {function.name} are no JSON object: {' '.join(str(error).split())}") from None
    if not isinstance(value, dict):
        raise BadArguments(f"arguments of {function.name} are {shortened(value)}; they must be a JSON object")
    _fit(function, value)
    return value


def _fit(function: Function, value: Any) -> None:
    schema = function.parameters
    if schema is None:
        schema = {"type": "object", "maxProperties": 0}
    try:
        wrong = next(_validator(_text(schema)).iter_errors(value), None)
    except (RecursionError, OverflowError, re.error, referencing.exceptions.Unresolvable) as error:
        raise BadArguments(f"arguments of {function.name} cannot be checked: {shortened(error)}") from None
    if wrong is not None:
        where = "".join(f"[{part!r}]" for part in wrong.absolute_path)
        raise BadArguments(f"arguments{where} of {function.name} do not fit: {' '.join(wrong.message.split())[:200]}")
    if not isinstance(value, dict):
        return
    known = schema.get("properties")
    open_ended = {"additionalProperties", "patternProperties", "$ref", "allOf", "anyOf", "oneOf"} & set(schema)
    named = known if isinstance(known, Mapping) and not open_ended else value
    if unknown := [key for key in value if key not in named]:
        raise BadArguments(
            f"arguments of {function.name}: it has no {shortened(unknown[0])}; it has {', '.join(known)}"
        )


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a key stands there twice")
    return made


def _no_constant(word: str) -> None:
    raise ValueError(f"{word} is no JSON")


def _text(schema: Any) -> str:
    return json.dumps(schema)


@functools.lru_cache(maxsize=256)
def _validator(schema: str) -> Any:
    kind = jsonschema.validators.extend(jsonschema.Draft202012Validator, {"pattern": _pattern})
    return kind(json.loads(schema), registry=referencing.Registry())  # an empty registry fetches nothing


def _pattern(validator: Any, pattern: str, instance: Any, schema: Any) -> Iterator[Any]:
    """What a pattern says of a text; nothing where Python cannot read it, as one of JavaScript with \\p{L}."""
    with contextlib.suppress(re.error):
        yield from jsonschema.Draft202012Validator.VALIDATORS["pattern"](validator, pattern, instance, schema)


@functools.lru_cache(maxsize=256)
def _schema_error(schema: str) -> str | None:
    try:
        # Without the formats: a regular expression that Python cannot read may be one of JavaScript's.
        jsonschema.Draft202012Validator.check_schema(json.loads(schema), format_checker=jsonschema.FormatChecker(()))
    except (jsonschema.SchemaError, RecursionError) as error:
        return " ".join(str(error).split())[:200]
    return None


def _check_schema(schema: Any, field: str) -> None:
    if not isinstance(schema, Mapping):
        raise ValueError(f"{field} is {shortened(schema)}; it must be a JSON schema, or left out")
    try:
        json.dumps(schema, ensure_ascii=False, allow_nan=False).encode()  # no NaN, and no half of a surrogate pair
        error = _schema_error(_text(schema))
    except (TypeError, ValueError, RecursionError) as problem:
        error = str(problem)
    if error:
        raise ValueError(f"{field} is {shortened(schema)}, which is no JSON schema: {error}")
