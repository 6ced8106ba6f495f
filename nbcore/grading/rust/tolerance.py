"""Assertions that a number is near another: `assert!((f(x) - 0.5).abs() < 1e-9)`, or with `f64::abs(f(x) - 0.5)`.

The program tells the number, as the difference from zero, and its size in bytes; the judge subtracts and compares as
Rust would.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

from nbcore.grading.rust.literals import Expected, single
from nbcore.grading.rust.syntax import COMMENTS, expression, part_of, text_of

_EPSILON = re.compile(r"(?:(?:std|core)::)?(f32|f64)::EPSILON")
_TOLD = re.compile(r"\((-?\d+(?:\.\d+)?(?:e-?\d+)?), ([48])\)")


class Near(NamedTuple):
    """A number, and how far from it the told one may be; `bound`: it may be as far as that (`<=`)."""

    wanted: float
    within: float
    bound: bool

    def fits(self, told: str) -> bool:
        """Whether what was told, "(number, size)", is so near."""
        if not (found := _TOLD.fullmatch(told)):
            return False
        rounded: Callable[[float], float] = single if found[2] == "4" else float
        away = rounded(abs(rounded(float(found[1])) - rounded(self.wanted)))
        return away <= rounded(self.within) if self.bound else away < rounded(self.within)


class Read(NamedTuple):
    """Such an assertion, as it was read."""

    value: str
    """The expression of the number."""
    around: tuple[str, str]
    """The condition before and behind that."""
    told: tuple[str, str]
    """What stands before and behind the number where it is told."""
    near: Near


def read(text: str, value: Callable[[str], Expected | None]) -> Read | None:
    """The condition of an assertion; None where it is none of this form. value: what an expression is known to be."""
    node = expression(text)
    if node is None or node.type != "binary_expression":
        return None
    left, sign, right = node.children
    if text_of(sign) in (">", ">="):
        left, right = right, left
    elif text_of(sign) not in ("<", "<="):
        return None
    difference, within = _difference(left), _within(right, value)
    if difference is None or within is None:
        return None
    first, _, second = difference.children
    for part, other, told, sense in ((first, second, ("", " - 0.0"), 1), (second, first, ("0.0 - ", ""), -1)):
        if (wanted := _number(value(text_of(other)))) is not None:
            raw, start = node.text, node.start_byte
            around = raw[: part.start_byte - start].decode(), raw[part.end_byte - start :].decode()
            return Read(text_of(part), around, told, Near(sense * wanted, within, "=" in text_of(sign)))
    return None


def _difference(node: Any) -> Any:
    """The `a - b` of `(a - b).abs()` or `f64::abs(a - b)`."""
    if node.type != "call_expression":
        return None
    function = node.child_by_field_name("function")
    given = [child for child in node.child_by_field_name("arguments").named_children if child.type not in COMMENTS]
    if function.type == "field_expression" and part_of(function, "field") == "abs" and not given:
        inside = function.child_by_field_name("value")
    elif text_of(function) in ("f64::abs", "f32::abs") and len(given) == 1:
        inside = given[0]
    else:
        return None
    while inside.type == "parenthesized_expression" and inside.named_child_count == 1:
        inside = inside.named_children[0]
    minus = inside.type == "binary_expression" and text_of(inside.children[1]) == "-"
    return inside if minus else None


def _within(node: Any, value: Callable[[str], Expected | None]) -> float | None:
    if found := _EPSILON.fullmatch(text_of(node)):
        return sys.float_info.epsilon if found[1] == "f64" else 2.0**-23
    return _number(value(text_of(node)))


def _number(known: Expected | None) -> float | None:
    """A floating point number by itself."""
    if known is None or len(known.numbers) != 1 or not known.pattern.startswith("(") or not known.pattern.endswith(")"):
        return None
    return known.numbers[0][0]
