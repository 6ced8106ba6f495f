"""Rust's literals: what one stands for, how `{:?}` shows it, and when a number shown is the one meant."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable
from typing import Any, NamedTuple

from nbcore.grading.rust.syntax import COMMENTS, text_of

_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "0": "\0", "\\": "\\", "'": "'", '"': '"'}
_SHOWN = {character: f"\\{letter}" for letter, character in _ESCAPES.items()}
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u\{([0-9a-fA-F_]+)\}|\n\s*|(.))", re.DOTALL)
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e-?\d+)?")
_LARGEST_SINGLE = 3.4e38
_FLOAT = re.compile(r"([0-9][0-9_]*(?:\.[0-9][0-9_]*|\.)?(?:[eE][+-]?[0-9_]+)?)(?:_?(f32|f64))?")


class Expected(NamedTuple):
    """A value as it must be shown: the pattern has a group for each floating point number."""

    pattern: str
    numbers: tuple[tuple[float, str], ...] = ()
    """Each with its type, "" where the literal does not say."""
    said: str | None = None
    """How `{}` shows it, where that is known."""

    def fits(self, told: str) -> bool:
        """Whether a told value is this one."""
        found = re.fullmatch(self.pattern, told)
        return found is not None and all(
            same_number(text, *number) for text, number in zip(found.groups(), self.numbers, strict=True)
        )


class Unknown(Exception):
    """Not a value that can be read from the text."""


Inner = Callable[[Any], Expected]


def plain(text: str) -> str:
    """The text that a literal stands for."""

    def one(found: re.Match[str]) -> str:
        if found[1] or found[2]:
            return chr(int((found[1] or found[2]).replace("_", ""), 16))
        return _ESCAPES.get(found[3], found[0]) if found[3] else ""

    return _ESCAPE.sub(one, text.replace("\r\n", "\n"))


def shown(character: str, quote: str) -> str:
    """The pattern of one character as Rust shows it between such quotes."""
    code = rf"\\u\{{{ord(character):x}\}}"
    if character in "'\"" and character != quote:
        return character
    if character in _SHOWN:
        return re.escape(_SHOWN[character])
    if character.isascii():
        return re.escape(character) if character.isprintable() else code
    return f"(?:{re.escape(character)}|{code})"  # whether it can be printed is for Rust's tables to say


def same_number(told: str, wanted: float, kind: str) -> bool:
    """Whether a number as shown is the literal, as an f64 or as an f32: what is shown of an f32 has fewer digits."""
    value = float(told)
    if kind != "f32" and value == wanted:
        return True
    if kind == "f64" or abs(wanted) > _LARGEST_SINGLE:
        return False
    near = single(wanted)
    shortest = (float(f"{near:.{digits}g}") for digits in range(1, 18))
    return value == next(number for number in shortest if single(number) == near)


def single(value: float) -> float:
    """The f32 that is nearest."""
    try:
        return struct.unpack("f", struct.pack("f", value))[0]
    except OverflowError:
        return math.copysign(math.inf, value)


def real(text: str, sign: str = "", kind: str = "") -> Expected:
    if not (found := _FLOAT.fullmatch(text)):
        raise Unknown
    number = float(sign + found[1].replace("_", ""))
    return Expected(r"(-?\d+(?:\.\d+)?(?:e-?\d+)?)", ((number, kind or found[2] or ""),))


def string(node: Any, inner: Inner) -> Expected:
    text = text_of(node)
    if text.startswith("b"):
        return several([Expected(str(byte)) for byte in plain(text[2:-1]).encode("latin-1")], r"\[{}\]")
    if not text.startswith('"'):
        raise Unknown
    return quoted(plain(text[1:-1]))


def raw(node: Any, inner: Inner) -> Expected:
    if not (found := re.fullmatch(r'r(#*)"(.*)"\1', text_of(node), re.DOTALL)):
        raise Unknown
    return quoted(found[2])


def character(node: Any, inner: Inner) -> Expected:
    text = text_of(node)
    value = plain(text[text.index("'") + 1 : -1])
    if len(value) != 1:
        raise Unknown
    if text.startswith("b"):
        return Expected(str(ord(value)), said=str(ord(value)))
    return Expected(f"'{shown(value, chr(39))}'", said=value)


def quoted(value: str) -> Expected:
    letters = "".join(shown(character, '"') for character in value)
    return Expected(f'"{letters}"', said=value)


def several(values: list[Expected], form: str) -> Expected:
    """Values between commas, in the brackets of `form`."""
    numbers = tuple(number for value in values for number in value.numbers)
    return Expected(form.replace("{}", ", ".join(value.pattern for value in values)), numbers)


def only(node: Any) -> Any:
    inside = [child for child in node.named_children if child.type not in COMMENTS]
    if len(inside) != 1:
        raise Unknown
    return inside[0]


def kind_of(shown: str) -> str:
    """Whether a text is of a truth, a number, a text or a list; "" for others."""
    for kind, form in (("truth", "true|false"), ("number", NUMBER.pattern), ("text", r'".*"'), ("list", r"\[.*\]")):
        if re.fullmatch(form, shown, re.DOTALL):
            return kind
    return ""
