"""Functions as Harmony shows them to a model: TypeScript types, to the letter as openai-harmony 0.0.8 writes them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from nbcore.chat.tools import Function


def section(functions: Iterable[Function], namespace: str = "functions") -> str:
    """The part "# Tools" of the developer's message."""
    lines = [f"## {namespace}\n", f"namespace {namespace} {{\n"]
    for function in functions:
        lines += [f"// {line}" for line in _lines(function.description)]
        given = "()" if function.parameters is None else f"(_: {_type(function.parameters, '')})"
        lines.append(f"type {function.name} = {given} => any;\n")
    return "# Tools\n\n" + "\n".join([*lines, f"}} // namespace {namespace}"])


def instructions(text: str, functions: Mapping[str, Function]) -> str | None:
    """The instructions in a developer's message; None where it has only tools."""
    if functions:
        shown = section(functions.values())
        if text == shown:
            return None
        text = text.removesuffix(f"\n\n{shown}")
    return text.removeprefix("# Instructions\n\n")


def _type(schema: Any, indent: str) -> str:
    schema = schema if isinstance(schema, Mapping) else {}  # `true` is a schema, too
    if isinstance(schema.get("oneOf"), list):
        return "".join(f"\n{indent} | {_variant(variant, indent)}" for variant in schema["oneOf"])
    kind = schema.get("type")
    if isinstance(kind, list) and (kinds := [word for word in kind if isinstance(word, str)]):
        return " | ".join("number" if word == "integer" else word for word in kinds)
    match kind:
        case "object":
            return _object(schema, indent)
        case "string":
            return " | ".join(f'"{word}"' for word in _words(schema) if isinstance(word, str)) or "string"
        case "number" | "integer":
            return "number"
        case "boolean":
            return "boolean"
        case "array":
            return f"{_type(schema['items'], indent)}[]" if "items" in schema else "Array<any>"
    return "any"


def _variant(variant: Any, indent: str) -> str:
    """One of several types that stand by themselves, with what is said of it behind."""
    made = _nullable(variant, _type(variant, f"{indent}   "))
    said = [text for text in [_word(variant, "description")] if text is not None]
    if "default" in _mapping(variant):
        default = variant["default"]
        plain = isinstance(default, str) and not _words(
            variant
        )  # here it is a word of an enum that is quoted as JSON is
        said.append(f'default: "{default}"' if plain else f"default: {_json(default)}")
    return f"{made} // {' '.join(said)}" if said else made


def _object(schema: Mapping, indent: str) -> str:
    description = _word(schema, "description")
    made = "" if description is None else f"{indent}// {description}\n"
    made += "{\n"
    required = schema.get("required")
    required = required if isinstance(required, list) else []
    for name, value in _mapping(schema.get("properties")).items():
        made += _remarks(value, indent)
        mark = "" if name in required else "?"
        if isinstance(_mapping(value).get("oneOf"), list):
            made += _alternatives(f"{name}{mark}", value, indent)
            continue
        made += f"{indent}{name}{mark}: {_nullable(value, _type(value, f'{indent}    '))},"
        if "oneOf" not in _mapping(value) and "default" in _mapping(value):
            made += f" // default: {_default(value)}"
        made += "\n"
    return f"{made}{indent}}}"


def _remarks(value: Any, indent: str) -> str:
    """The comments above a property."""
    made = ""
    if (title := _word(value, "title")) is not None:
        made += f"{indent}// {title}\n{indent}//\n"
    if "oneOf" not in _mapping(value) and (description := _word(value, "description")) is not None:
        made += f"{indent}// {description}\n"
    examples = _mapping(value).get("examples")
    if isinstance(examples, list) and examples:
        made += f"{indent}// Examples:\n"
        made += "".join(f'{indent}// - "{example}"\n' for example in examples if isinstance(example, str))
    return made


def _alternatives(name: str, value: Mapping, indent: str) -> str:
    """A property that is one of several types, each on a line of its own."""
    variants, description = value["oneOf"], _word(value, "description")
    made = ""
    above = description is not None and not (variants and _word(variants[0], "description") == description)
    if above:
        made += f"{indent}// {description}\n"
    if "default" in value:
        made += f"{indent}// default: {_default(value)}\n"
    made += f"{indent}{name}:\n"
    for number, variant in enumerate(variants):
        made += f"{indent} | {_nullable(variant, _type(variant, f'{indent}   '))}"
        said = []
        text = _word(variant, "description")
        if text is not None and text != description and not (number == 0 and above):
            said.append(text)
        if "default" in _mapping(variant):
            said.append(f"default: {_default(variant)}")
        made += f" // {' '.join(said)}\n" if said else "\n"
    return f"{made}{indent},\n"


def _nullable(schema: Any, made: str) -> str:
    nullable = _mapping(schema).get("nullable") is True and "null" not in made
    return f"{made} | null" if nullable else made


def _default(schema: Mapping) -> str:
    """A default as a comment says it: a word of an enum without quotes."""
    default = schema["default"]
    if isinstance(default, str):
        return default if _words(schema) else f'"{default}"'
    return _json(default)


def _words(schema: Mapping) -> list:
    """The values of an enum; empty where it is none."""
    allowed = schema.get("enum")
    return allowed if isinstance(allowed, list) else []


def _json(value: Any) -> str:
    """JSON as Rust writes it: without spaces, the exponent of a number without sign and zeros to fill it up, none where
    four zeros behind the point say the same, and an integer of more than 64 bits as a number with one."""
    if isinstance(value, Mapping):
        return f"{{{','.join(f'{_json(key)}:{_json(item)}' for key, item in value.items())}}}"
    if isinstance(value, list):
        return f"[{','.join(map(_json, value))}]"
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 64 and abs(value) < 10**308:
        value = float(value)
    made = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, float):
        return made
    if made.endswith("e-05"):
        sign, digits = "-" if value < 0 else "", re.sub(r"[-.]", "", made.removesuffix("e-05"))
        return f"{sign}0.0000{digits}"
    return re.sub(r"e\+?(-?)0*", r"e\1", made)


def _word(schema: Any, field: str) -> str | None:
    text = _mapping(schema).get(field)
    return text if isinstance(text, str) else None


def _mapping(value: Any) -> Mapping:
    return value if isinstance(value, Mapping) else {}


def _lines(text: str) -> list[str]:
    """Lines as Rust has them: only line feeds end one, and the last may have none."""
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    return lines if lines[-1] else lines[:-1]
