"""Texts that a test makes of literals: `format!("{}-{}", 1, "a")`, `"ab".repeat(3)`, `3.to_string()` and their like."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from nbcore.grading.rust.arithmetic import whole
from nbcore.grading.rust.literals import Expected, Inner, Unknown, quoted
from nbcore.grading.rust.syntax import COMMENTS, arguments, expression, part_of, text_of

_MOST = 8 << 10  # characters
_HOLE = re.compile(r"\{\{|\}\}|\{(\w*)(?::(.?(?=[<>^]))?([<>^])?(0)?(\d+)?)?\}|[{}]")
_STRINGS = ("string_literal", "raw_string_literal")


def text(node: Any, inner: Inner) -> Expected:
    """The String or &str that such an expression makes."""
    if node.type == "macro_invocation":
        return quoted(_macro(node, inner))
    if node.type == "binary_expression":
        left, sign, right = node.children
        if text_of(sign) != "+" or not inner(left).pattern.startswith('"'):
            raise Unknown
        return quoted(_said(left, inner) + _said(right, inner))
    function = node.child_by_field_name("function")
    given = [child for child in node.child_by_field_name("arguments").named_children if child.type not in COMMENTS]
    if function.type != "field_expression":
        raise Unknown
    whose, name = function.child_by_field_name("value"), part_of(function, "field")
    if name in ("join", "concat") and len(given) == (name == "join"):
        parts = [_said(part, inner) for part in _elements(whose)]
        return quoted((_said(given[0], inner) if given else "").join(parts))
    said = _said(whose, inner)
    if name == "to_string" and not given:
        return quoted(said)
    if not inner(whose).pattern.startswith('"'):
        raise Unknown
    if name == "repeat" and len(given) == 1:
        count = whole(given[0], inner)
        if not 0 <= count * len(said) <= _MOST:
            raise Unknown
        return quoted(said * count)
    if (method := _METHODS.get(name)) is None or given or not said.isascii():
        raise Unknown
    return quoted(method(said))


_METHODS: dict[str, Callable[[str], str]] = {
    "to_uppercase": str.upper,
    "to_lowercase": str.lower,
    "to_ascii_uppercase": str.upper,
    "to_ascii_lowercase": str.lower,
    "trim": lambda said: said.strip(" \t\n\r\x0b\x0c"),
    **dict.fromkeys(("to_owned", "into", "clone", "as_str"), str),
}


def _said(node: Any, inner: Inner) -> str:
    """How `{}` shows a value."""
    if (said := inner(node).said) is None or len(said) > _MOST:
        raise Unknown
    return said


def _elements(node: Any) -> list[Any]:
    """The expressions in an array or a vec."""
    if node.type == "reference_expression":
        node = node.child_by_field_name("value")
    if node.type == "macro_invocation" and part_of(node, "macro") == "vec":
        node = expression(f"[{text_of(node.children[-1])[1:-1]}]")
    if node is None or node.type != "array_expression" or any(child.type == ";" for child in node.children):
        raise Unknown
    return [child for child in node.named_children if child.type not in COMMENTS]


def _macro(node: Any, inner: Inner) -> str:
    given = arguments(text_of(node.children[-1])[1:-1])
    macro = part_of(node, "macro")
    if macro == "concat":
        return "".join(_said(part, inner) for part in given)
    if macro != "format" or not given or given[0].type not in _STRINGS:
        raise Unknown
    named = {part_of(part, "left"): _right(part) for part in given[1:] if part.type == "assignment_expression"}
    plain = [part for part in given[1:] if part.type != "assignment_expression"]
    waiting = iter(plain)

    def one(found: re.Match[str]) -> str:
        if found[0] in ("{{", "}}"):
            return found[0][0]
        if found[1] is None:
            raise Unknown  # `{:?}`, `{:.2}` and others that are not read here
        name = found[1]
        part = next(waiting, None) if not name else plain[int(name)] if name.isdecimal() else named.get(name)
        if part is None and name and not name.isdecimal():
            part = expression(name)
        if part is None:
            raise Unknown
        return _padded(part, inner, found)

    try:
        return _HOLE.sub(one, _said(given[0], inner))
    except IndexError:
        raise Unknown from None


def _right(part: Any) -> Any:
    return part.child_by_field_name("right")


def _padded(part: Any, inner: Inner, form: re.Match[str]) -> str:
    said, number = _said(part, inner), not inner(part).pattern.startswith(('"', "'", "true", "false"))
    fill, side, zero, width = form[2] or " ", form[3], form[4], int(form[5] or 0)
    if width > _MOST or (zero and not number):
        raise Unknown
    if zero:
        return ("-" if said.startswith("-") else "") + said.removeprefix("-").rjust(width - said.startswith("-"), "0")
    if side == "^":
        left = max(0, width - len(said)) // 2
        return fill * left + said + fill * max(0, width - len(said) - left)
    return said.rjust(width, fill) if side == ">" or (number and side is None) else said.ljust(width, fill)
