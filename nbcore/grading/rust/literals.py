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
_LARGEST_SINGLE = 3.4e38
_NUMBER = re.compile(r"(0x[0-9a-fA-F_]+|0o[0-7_]+|0b[01_]+|[0-9][0-9_]*?)(?:_?[iu](?:8|16|32|64|128|size))?")
_FLOAT = re.compile(r"([0-9][0-9_]*(?:\.[0-9][0-9_]*|\.)?(?:[eE][+-]?[0-9_]+)?)(?:_?(f32|f64))?")
_BOUND = re.compile(r"(?:std::)?(i|u)(8|16|32|64|128)::(MIN|MAX)")


class Expected(NamedTuple):
    """A value as it must be shown: the pattern has a group for each floating point number."""

    pattern: str
    numbers: tuple[tuple[float, str], ...] = ()
    """Each with its type, "" where the literal does not say."""

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


def integer(node: Any, inner: Inner) -> Expected:
    return real(text_of(node)) if text_of(node).endswith(("f32", "f64")) else Expected(str(whole(node)))


def whole(node: Any, inner: Inner | None = None) -> int:
    """The number that an expression of integers comes to: of literals, and of names that `inner` knows.

    Raises Unknown for any other.
    """
    text = text_of(node)
    if node.type == "integer_literal" and (found := _NUMBER.fullmatch(text)):
        return int(found[1].replace("_", ""), 10 if found[1].isdecimal() or found[1][1:2] not in "xob" else 0)
    if node.type == "parenthesized_expression":
        return whole(only(node), inner)
    if node.type == "unary_expression" and text.startswith("-"):
        return -whole(only(node), inner)
    if node.type == "identifier" and inner is not None and re.fullmatch(r"-?\d+", value := inner(node).pattern):
        return int(value)
    if node.type == "scoped_identifier" and (found := _BOUND.fullmatch(text)):
        bits, signed = int(found[2]), found[1] == "i"
        if found[3] == "MIN":
            return -(1 << bits - 1) if signed else 0
        return (1 << bits - signed) - 1
    if node.type == "binary_expression":
        left, sign, right = node.children
        operation = {"+": int.__add__, "-": int.__sub__, "*": int.__mul__, "%": _remainder}.get(text_of(sign))
        if operation is not None:
            return operation(whole(left, inner), whole(right, inner))
    raise Unknown


def _remainder(left: int, right: int) -> int:
    """As Rust has it: with the sign of what is divided."""
    if right == 0:
        raise Unknown
    return abs(left) % abs(right) * (-1 if left < 0 else 1)


def real(text: str, sign: str = "") -> Expected:
    if not (found := _FLOAT.fullmatch(text)):
        raise Unknown
    return Expected(r"(-?\d+(?:\.\d+)?(?:e-?\d+)?)", ((float(sign + found[1].replace("_", "")), found[2] or ""),))


def unary(node: Any, inner: Inner) -> Expected:
    operand, sign = only(node), text_of(node)[0]
    if sign == "-" and operand.type == "float_literal":
        return real(text_of(operand), "-")
    if sign == "!" and operand.type == "boolean_literal":
        return Expected("false" if text_of(operand) == "true" else "true")
    return Expected(str(whole(node, inner)))


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
    return Expected(str(ord(value)) if text.startswith("b") else f"'{shown(value, chr(39))}'")


def quoted(value: str) -> Expected:
    letters = "".join(shown(character, '"') for character in value)
    return Expected(f'"{letters}"')


def several(values: list[Expected], form: str) -> Expected:
    """Values between commas, in the brackets of `form`."""
    numbers = tuple(number for value in values for number in value.numbers)
    return Expected(form.replace("{}", ", ".join(value.pattern for value in values)), numbers)


def only(node: Any) -> Any:
    inside = [child for child in node.named_children if child.type not in COMMENTS]
    if len(inside) != 1:
        raise Unknown
    return inside[0]
