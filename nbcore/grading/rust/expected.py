"""What a hidden test expects, read from its text: so that the program which is judged need not hold it.

The program tells a value as Rust's `{:?}` shows it. An expected value is a pattern for such a text, and the floating
point numbers in it, for the literal 0.5 stands for an f32 or an f64.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from nbcore.grading.rust.literals import plain, same_number, shown
from nbcore.grading.rust.syntax import parse, text_of

MOST = 8 << 10  # characters of a told value; what is longer is compared within the program
_MOST_REPEATED = 1000
_MOST_DEEP = 30
_NUMBER = re.compile(r"(0x[0-9a-fA-F_]+|0o[0-7_]+|0b[01_]+|[0-9][0-9_]*?)(?:_?[iu](?:8|16|32|64|128|size))?")
_FLOAT = re.compile(r"([0-9][0-9_]*(?:\.[0-9][0-9_]*|\.)?(?:[eE][+-]?[0-9_]+)?)(?:_?(f32|f64))?")
_BOUND = re.compile(r"(?:std::)?(i|u)(8|16|32|64|128)::(MIN|MAX)")
_COMMENTS = ("line_comment", "block_comment")


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


class _Unknown(Exception):
    """Not a value that can be read from the text."""


def expected(text: str, known: Mapping[str, Expected] | None = None) -> Expected | None:
    """The value of a closed expression, of literals and what std makes of them. None for any other.

    known: the values of names.
    """
    if len(text) > MOST or not (node := expression(text)):
        return None
    try:
        value = _value(node, known or {}, 0)
    except (_Unknown, ValueError, OverflowError, RecursionError):
        return None
    return value if len(value.pattern) <= MOST else None


def expression(text: str) -> Any:
    """The node of one expression, None where the text is not one."""
    found = arguments(text)
    return found[0] if len(found) == 1 else None


def arguments(text: str) -> list[Any]:
    """The nodes of expressions between commas, as in a macro's parentheses; empty where the text is something else."""
    root = parse(f"const C: () = f({text});")
    if root.has_error or root.child_count != 1:
        return []
    call = root.children[0].child_by_field_name("value")
    given = call.child_by_field_name("arguments") if call is not None and call.type == "call_expression" else None
    return [child for child in given.named_children if child.type not in _COMMENTS] if given is not None else []


def _value(node: Any, known: Mapping[str, Expected], depth: int) -> Expected:
    if node.type == "identifier" and text_of(node) in known:
        return known[text_of(node)]
    read = _READERS.get(node.type)
    if read is None or depth > _MOST_DEEP:
        raise _Unknown
    return read(node, lambda inner: _value(inner, known, depth + 1))


Inner = Callable[[Any], Expected]


def _integer(node: Any, inner: Inner) -> Expected:
    return _real(text_of(node)) if text_of(node).endswith(("f32", "f64")) else Expected(str(whole(node)))


def whole(node: Any) -> int:
    """The number that an expression of integer literals comes to. Raises _Unknown for any other."""
    text = text_of(node)
    if node.type == "integer_literal" and (found := _NUMBER.fullmatch(text)):
        return int(found[1].replace("_", ""), 10 if found[1].isdecimal() or found[1][1:2] not in "xob" else 0)
    if node.type == "parenthesized_expression":
        return whole(_only(node))
    if node.type == "unary_expression" and text.startswith("-"):
        return -whole(_only(node))
    if node.type == "scoped_identifier" and (found := _BOUND.fullmatch(text)):
        bits, signed = int(found[2]), found[1] == "i"
        if found[3] == "MIN":
            return -(1 << bits - 1) if signed else 0
        return (1 << bits - signed) - 1
    if node.type == "binary_expression":
        left, sign, right = node.children
        operation = {"+": int.__add__, "-": int.__sub__, "*": int.__mul__}.get(text_of(sign))
        if operation is not None:
            return operation(whole(left), whole(right))
    raise _Unknown


def _real(text: str, sign: str = "") -> Expected:
    if not (found := _FLOAT.fullmatch(text)):
        raise _Unknown
    return Expected(r"(-?\d+(?:\.\d+)?(?:e-?\d+)?)", ((float(sign + found[1].replace("_", "")), found[2] or ""),))


def _unary(node: Any, inner: Inner) -> Expected:
    operand, sign = _only(node), text_of(node)[0]
    if sign == "-" and operand.type == "float_literal":
        return _real(text_of(operand), "-")
    if sign == "!" and operand.type == "boolean_literal":
        return Expected("false" if text_of(operand) == "true" else "true")
    return Expected(str(whole(node)))


def _string(node: Any, inner: Inner) -> Expected:
    text = text_of(node)
    if text.startswith("b"):
        return _several([Expected(str(byte)) for byte in plain(text[2:-1]).encode("latin-1")], r"\[{}\]")
    if not text.startswith('"'):
        raise _Unknown
    return _text(plain(text[1:-1]))


def _raw(node: Any, inner: Inner) -> Expected:
    if not (found := re.fullmatch(r'r(#*)"(.*)"\1', text_of(node), re.DOTALL)):
        raise _Unknown
    return _text(found[2])


def _character(node: Any, inner: Inner) -> Expected:
    text = text_of(node)
    value = plain(text[text.index("'") + 1 : -1])
    if len(value) != 1:
        raise _Unknown
    return Expected(str(ord(value)) if text.startswith("b") else f"'{shown(value, chr(39))}'")


def _text(value: str) -> Expected:
    letters = "".join(shown(character, '"') for character in value)
    return Expected(f'"{letters}"')


def _several(values: list[Expected], form: str) -> Expected:
    """Values between commas, in the brackets of `form`."""
    numbers = tuple(number for value in values for number in value.numbers)
    return Expected(form.replace("{}", ", ".join(value.pattern for value in values)), numbers)


def _array(node: Any, inner: Inner) -> Expected:
    parts = [child for child in node.children if child.type not in _COMMENTS][1:-1]
    if any(part.type == "attribute_item" for part in parts):
        raise _Unknown
    if len(parts) == 3 and parts[1].type == ";":
        count = whole(parts[2])
        if not 0 <= count <= _MOST_REPEATED:
            raise _Unknown
        return _several([inner(parts[0])] * count, r"\[{}\]")
    return _several([inner(part) for part in parts if part.is_named], r"\[{}\]")


def _tuple(node: Any, inner: Inner) -> Expected:
    values = [inner(child) for child in node.named_children if child.type not in _COMMENTS]
    return _several(values, r"\({},\)" if len(values) == 1 else r"\({}\)")


def _macro(node: Any, inner: Inner) -> Expected:
    if text_of(node.child_by_field_name("macro")) != "vec" or node.children[-1].type != "token_tree":
        raise _Unknown
    if not (array := expression(f"[{text_of(node.children[-1])[1:-1]}]")):
        raise _Unknown
    return inner(array)


def _name(node: Any, inner: Inner) -> Expected:
    if text_of(node) != "None":
        raise _Unknown
    return Expected("None")


def _call(node: Any, inner: Inner) -> Expected:
    function, given = node.child_by_field_name("function"), node.child_by_field_name("arguments").named_children
    name = re.sub(r"::<[\w<>&', ]*>", "", text_of(function).replace(" ", ""))
    if function.type == "field_expression" and not given:
        whose = function.child_by_field_name("value")
        if name.endswith((".to_string", ".to_owned")) and whose.type in ("string_literal", "raw_string_literal"):
            return inner(whose)
        if name.endswith((".to_vec", ".to_owned")) and whose.type == "array_expression":
            return inner(whose)
    elif name in ("String::new", "Vec::new") and not given:
        return _text("") if name == "String::new" else Expected(r"\[\]")
    elif len(given) == 1 and name in ("Some", "Ok", "Err"):
        return _several([inner(given[0])], rf"{name}\({{}}\)")
    elif len(given) == 1 and (name == "Box::new" or (name == "String::from" and given[0].type == "string_literal")):
        return inner(given[0])
    raise _Unknown


def _only(node: Any) -> Any:
    inside = [child for child in node.named_children if child.type not in _COMMENTS]
    if len(inside) != 1:
        raise _Unknown
    return inside[0]


_READERS: dict[str, Callable[[Any, Inner], Expected]] = {
    **{
        "integer_literal": _integer,
        "float_literal": lambda node, _: _real(text_of(node)),
        "boolean_literal": lambda node, _: Expected(text_of(node)),
        "char_literal": _character,
    },
    **{"string_literal": _string, "raw_string_literal": _raw, "array_expression": _array, "macro_invocation": _macro},
    **{
        "tuple_expression": _tuple,
        "unit_expression": _tuple,
        "identifier": _name,
        "scoped_identifier": lambda node, _: Expected(str(whole(node))),
    },
    **{
        "call_expression": _call,
        "parenthesized_expression": lambda node, inner: inner(_only(node)),
        "reference_expression": lambda node, inner: inner(_only(node)),
    },
    **{"unary_expression": _unary, "binary_expression": lambda node, _: Expected(str(whole(node)))},
}
