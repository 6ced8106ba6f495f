"""Arithmetic of a test's text: what an expression of literal numbers comes to, as Rust has it."""

from __future__ import annotations

import operator
import re
from typing import Any

from nbcore.grading.rust.literals import Expected, Inner, Unknown, only, real, single
from nbcore.grading.rust.syntax import COMMENTS, part_of, text_of

_NUMBER = re.compile(r"(0x[0-9a-fA-F_]+|0o[0-7_]+|0b[01_]+|[0-9][0-9_]*?)(?:_?([iu](?:8|16|32|64|128|size)))?")
_BOUND = re.compile(r"(?:std::)?([iu](?:8|16|32|64|128|size))::(MIN|MAX)")
_TYPE = re.compile(r"([iu])(8|16|32|64|128|size)")
_MOST_BITS = 200  # of a number on the way: what is larger is no integer of Rust's
_REALS = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv}


def integer(node: Any, inner: Inner) -> Expected:
    return real(text_of(node)) if text_of(node).endswith(("f32", "f64")) else counted(whole(node))


def counted(number: int) -> Expected:
    """An integer, by its value."""
    return Expected(str(number), said=str(number))


def whole(node: Any, inner: Inner | None = None) -> int:
    """The number that an expression of integers comes to: of literals, and of names that `inner` knows.

    Raises Unknown for any other.
    """
    number = _whole(node, inner)
    if number.bit_length() > _MOST_BITS:
        raise Unknown
    return number


def _whole(node: Any, inner: Inner | None) -> int:
    text = text_of(node)
    if node.type == "integer_literal" and (found := _NUMBER.fullmatch(text)):
        return int(found[1].replace("_", ""), 10 if found[1].isdecimal() or found[1][1:2] not in "xob" else 0)
    if node.type == "char_literal" and text.startswith("b") and inner is not None:
        return int(inner(node).pattern)
    if node.type == "parenthesized_expression":
        return whole(only(node), inner)
    if node.type == "unary_expression" and text.startswith("-"):
        return -whole(only(node), inner)
    named = node.type in ("identifier", "field_expression") and inner is not None
    if named and re.fullmatch(r"-?\d+", value := inner(node).pattern):
        return int(value)
    if node.type == "scoped_identifier" and (found := _BOUND.fullmatch(text)):
        return _bounds(found[1])[found[2] == "MAX"]
    if node.type == "binary_expression":
        return _binary(node, inner)
    if node.type == "type_cast_expression":
        return _cast(node, inner)
    if node.type == "call_expression":
        return _called(node, inner)
    raise Unknown


def _bounds(kind: str) -> tuple[int, int]:
    """The least and the greatest number of a type; `usize` has 64 bits wherever this grader runs."""
    if not (found := _TYPE.fullmatch(kind)):
        raise Unknown
    bits = 64 if found[2] == "size" else int(found[2])
    return (-(1 << bits - 1), (1 << bits - 1) - 1) if found[1] == "i" else (0, (1 << bits) - 1)


def _binary(node: Any, inner: Inner | None) -> int:
    left, sign, right = node.children
    first, second, how = whole(left, inner), whole(right, inner), text_of(sign)
    if how in ("/", "%"):
        if second == 0:
            raise Unknown
        quotient = abs(first) // abs(second) * (-1 if (first < 0) != (second < 0) else 1)
        return quotient if how == "/" else first - second * quotient  # towards zero, with the sign of what is divided
    if how == "<<" and 0 <= second < _MOST_BITS:  # bits that fall out do so by the type, which must be said
        least, most = _bounds(_kind(left))
        return _wrapped(first << second, least, most)
    if how in ("&", "|", "^", ">>") and (first < 0 or second < 0):
        raise Unknown
    operations = {"+": operator.add, "-": operator.sub, "*": operator.mul, "&": operator.and_, "|": operator.or_}
    operations |= {"^": operator.xor, ">>": operator.rshift}
    if how not in operations or (how == ">>" and second > _MOST_BITS):
        raise Unknown
    return operations[how](first, second)


def _kind(node: Any) -> str:
    """The type of an integer expression, "" where its text does not say."""
    if node.type == "parenthesized_expression":
        return _kind(only(node))
    if node.type == "type_cast_expression":
        return part_of(node, "type")
    found = _NUMBER.fullmatch(text_of(node)) if node.type == "integer_literal" else _BOUND.fullmatch(text_of(node))
    return (found[2] if node.type == "integer_literal" else found[1]) or "" if found else ""


def _wrapped(number: int, least: int, most: int) -> int:
    return (number - least) % (most - least + 1) + least


def _cast(node: Any, inner: Inner | None) -> int:
    least, most = _bounds(part_of(node, "type"))
    value = node.child_by_field_name("value")
    if value.type == "char_literal" and text_of(value)[0] == "'" and inner is not None:
        return _wrapped(ord(inner(value).said or ""), least, most)
    return _wrapped(whole(value, inner), least, most)


def _called(node: Any, inner: Inner | None) -> int:
    function = node.child_by_field_name("function")
    given = [child for child in node.child_by_field_name("arguments").named_children if child.type not in COMMENTS]
    if function.type == "field_expression":
        name, value = part_of(function, "field"), function.child_by_field_name("value")
        if name == "len" and not given and value.type == "string_literal" and inner is not None:
            return len((inner(value).said or "").encode())
        given = [value, *given]
    else:
        kind, _, name = text_of(function).rpartition("::")
        _bounds(kind)
    numbers = [whole(child, inner) for child in given]
    if name == "pow" and len(numbers) == 2 and 0 <= numbers[1] < _MOST_BITS and numbers[0].bit_length() < _MOST_BITS:
        return numbers[0] ** numbers[1]
    if name in ("min", "max") and len(numbers) == 2:
        return min(numbers) if name == "min" else max(numbers)
    if name in ("abs", "from") and len(numbers) == 1 and (name == "abs") == (function.type == "field_expression"):
        return abs(numbers[0]) if name == "abs" else numbers[0]
    raise Unknown


def called(node: Any, inner: Inner) -> Expected:
    return counted(whole(node, inner))


def unary(node: Any, inner: Inner) -> Expected:
    operand, sign = only(node), text_of(node)[0]
    if sign == "-" and operand.type == "float_literal":
        return real(text_of(operand), "-")
    if sign == "!" and (value := inner(operand).pattern) in ("true", "false"):
        return boolean(value == "false")
    if sign == "*":
        return inner(operand)
    return counted(whole(node, inner))


def boolean(value: bool) -> Expected:
    text = "true" if value else "false"
    return Expected(text, said=text)


def binary(node: Any, inner: Inner) -> Expected:
    """Of whole numbers, of floating point ones, or of a text and what is added to it."""
    left, sign, right = node.children
    try:
        return counted(whole(node, inner))
    except Unknown:
        first, second = inner(left), inner(right)
    if not first.numbers or not second.numbers:
        raise Unknown
    return _real(first, text_of(sign), second)


def _real(first: Expected, sign: str, second: Expected) -> Expected:
    """One operation. As an f32 it comes to the same, rounded once more, where both numbers are whole in an f32."""
    alone = re.compile(r"\([^()]*(?:\([^()]*\)[^()]*)*\)")
    if sign not in _REALS or not alone.fullmatch(first.pattern) or not alone.fullmatch(second.pattern):
        raise Unknown
    (one, kind), (other, kind_too) = first.numbers[0], second.numbers[0]
    exact = single(one) == one and single(other) == other
    if (sign == "/" and other == 0) or not (exact or "f64" in (kind, kind_too)):
        raise Unknown
    return Expected(first.pattern, ((_REALS[sign](one, other), kind or kind_too),))


def cast(node: Any, inner: Inner) -> Expected:
    kind = part_of(node, "type")
    if kind in ("f32", "f64"):
        return real(f"{whole(node.child_by_field_name('value'), inner)}.0".removeprefix("-"), _sign(node, inner), kind)
    return counted(whole(node, inner))


def _sign(node: Any, inner: Inner) -> str:
    return "-" if whole(node.child_by_field_name("value"), inner) < 0 else ""
