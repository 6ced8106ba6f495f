"""What a hidden test expects, read from its text: so that the program which is judged need not hold it.

The program tells a value as Rust's `{:?}` shows it. An expected value is a pattern for such a text, and the floating
point numbers in it, for the literal 0.5 stands for an f32 or an f64.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from nbcore.grading.rust import arithmetic, composed, literals, texts
from nbcore.grading.rust.literals import Expected, Inner, Unknown, only
from nbcore.grading.rust.shapes import Shape
from nbcore.grading.rust.syntax import expression, text_of

MOST = 8 << 10  # characters of a told value; what is longer is compared within the program
_MOST_DEEP = 30


def expected(
    text: str, known: Mapping[str, Expected] | None = None, shapes: Mapping[str, Shape] | None = None
) -> Expected | None:
    """The value of a closed expression, of literals and what std makes of them. None for any other.

    known: the values of names. shapes: by path, how values of the task's own types are shown.
    """
    if len(text) > MOST or not (node := expression(text)):
        return None
    try:
        value = _value(node, known or {}, shapes or {}, 0)
    except (Unknown, ValueError, OverflowError, RecursionError):
        return None
    return value if len(value.pattern) <= MOST else None


def _value(node: Any, known: Mapping[str, Expected], shapes: Mapping[str, Shape], depth: int) -> Expected:
    if node.type in ("identifier", "field_expression") and text_of(node) in known:
        return known[text_of(node)]

    def inner(part: Any) -> Expected:
        return _value(part, known, shapes, depth + 1)

    if depth > _MOST_DEEP:
        raise Unknown
    if (shape := shapes.get(composed.path_of(node))) is not None:
        return composed.own(node, shape, inner)
    if (read := _READERS.get(node.type)) is None:
        raise Unknown
    return read(node, inner)


def _name(node: Any, inner: Inner) -> Expected:
    if text_of(node) != "None":
        raise Unknown
    return Expected("None")


def _first(*readers: Callable[[Any, Inner], Expected]) -> Callable[[Any, Inner], Expected]:
    """What the first of these makes of a node that does not find it unknown."""

    def read(node: Any, inner: Inner) -> Expected:
        for reader in readers:
            try:
                return reader(node, inner)
            except Unknown:
                continue
        raise Unknown

    return read


_READERS: dict[str, Callable[[Any, Inner], Expected]] = {
    "integer_literal": arithmetic.integer,
    "float_literal": lambda node, _: literals.real(text_of(node)),
    "boolean_literal": lambda node, _: arithmetic.boolean(text_of(node) == "true"),
    "char_literal": literals.character,
    "string_literal": literals.string,
    "raw_string_literal": literals.raw,
    "array_expression": composed.array,
    "macro_invocation": _first(composed.made_by_macro, texts.text),
    "tuple_expression": composed.tuple_of,
    "unit_expression": composed.tuple_of,
    "identifier": _name,
    "scoped_identifier": _first(composed.of_std, lambda node, _: arithmetic.counted(arithmetic.whole(node))),
    "call_expression": _first(
        composed.call, texts.text, lambda node, inner: arithmetic.counted(arithmetic.whole(node, inner))
    ),
    "parenthesized_expression": lambda node, inner: inner(only(node)),
    "reference_expression": lambda node, inner: inner(only(node)),
    "unary_expression": arithmetic.unary,
    "binary_expression": _first(arithmetic.binary, texts.text),
    "type_cast_expression": arithmetic.cast,
    "generic_function": lambda node, inner: _name(node.child_by_field_name("function"), inner),
}
