"""Conditions on what a function returned, judged outside, as `f(x).is_err()`, `matches!(f(x), Some(_))` or `f(x) < 7`.

The program tells the value as `{:?}` shows it, and the judge says whether it is like that; so the value must be of a
type that is known to be shown as std and derived Debug show things.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from nbcore.grading.rust.literals import NUMBER, Expected, kind_of, plain
from nbcore.grading.rust.syntax import AHEAD, COMMENTS, expression, parse, part_of, text_of, walk

Value = Callable[[str], Expected | None]
Test = Callable[[str], bool]
Shows = Callable[[Any, bool], bool]

_COMPARED = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
_TURNED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
_STARTS = {"is_some": "Some(", "is_none": "None", "is_ok": "Ok(", "is_err": "Err("}
_OF_STD = ("Some", "None", "Ok", "Err", "Less", "Equal", "Greater")
_PART = re.compile(
    r""""(?:[^"\\]|\\.)*(?:"|\\?$)|'(?:[^'\\]|\\.[^']*)'|[\[({]|[\])}]|,\s|[^\[\](){},"']+|.""", re.DOTALL
)


class Like(NamedTuple):
    """What a told value must be like, or must not."""

    test: Test
    must: bool = True
    kind: str = ""
    """The first letters' kind of what is compared with: what is no such value is neither like nor unlike it."""

    def fits(self, told: str) -> bool:
        """Whatever is told: that may be no value at all, and text of somebody who means harm."""
        try:
            return (not self.kind or kind_of(told) == self.kind) and self.test(told) is self.must
        except (ValueError, OverflowError):  # a number of a million digits, a character that there is not
            return False


class Read(NamedTuple):
    """Such a condition, as it was read."""

    value: str
    """The expression to be told."""
    around: tuple[str, str]
    """The condition before and behind that."""
    like: Like


def unlike(value: Expected) -> Like:
    """Any other value; of the same kind, so that a word that is no value at all does not do."""
    kind = "number" if value.numbers and value.pattern.startswith("(-?") else kind_of(value.pattern)
    return Like(value.fits, False, kind)


def read(text: str, is_shown: Shows, value: Value, named: Callable[[Any], bool]) -> Read | None:
    """The expression to be told, and what it must be like; None for other conditions.

    is_shown: whether an expression's value is known to be shown as a test reads it, and, where its methods are asked,
    to be of std's types alone. named: the same of a variant.
    """
    node, must, shift = expression(text), True, AHEAD
    while (
        node is not None
        and node.type in ("parenthesized_expression", "unary_expression")
        and node.named_child_count == 1
    ):
        if node.type == "unary_expression" and text_of(node.children[0]) != "!":
            return None
        must ^= node.type == "unary_expression"
        node = node.named_children[0]
    if node is None:
        return None
    found = None
    if node.type == "macro_invocation" and part_of(node, "macro") == "matches":
        found, shift = _matches(node, value, named), AHEAD * 2 - node.children[-1].start_byte - 1
    elif node.type == "binary_expression":
        found = _compared(node, value)
    elif node.type == "call_expression":
        found = _asked(node, value)
    if found is None or not is_shown(found[0], node.type != "macro_invocation"):
        return None
    raw, (start, end) = text.encode(), (found[0].start_byte - shift, found[0].end_byte - shift)
    return Read(text_of(found[0]), (raw[:start].decode(), raw[end:].decode()), Like(found[1], must))


def _compared(node: Any, value: Value) -> tuple[Any, Test] | None:
    left, sign, right = node.children
    if (how := text_of(sign)) not in _COMPARED:
        return None
    for told, other, compared in ((left, right, how), (right, left, _TURNED[how])):
        if (known := value(text_of(other))) is not None and re.fullmatch(r"-?\d+", known.pattern):
            return told, partial(_holds, _COMPARED[compared], int(known.pattern))
        if known is not None and known.pattern.startswith("(-?") and len(known.numbers) == 1:
            return told, partial(_holds, _COMPARED[compared], known.numbers[0][0])
    return None


def _holds(compared: Callable[[Any, Any], bool], number: int | float, shown: str) -> bool:
    """Whether a number as shown compares so with another of its kind."""
    kind = type(number)
    return re.fullmatch(r"-?\d+" if kind is int else NUMBER, shown) is not None and compared(kind(shown), number)


def _asked(node: Any, value: Value) -> tuple[Any, Test] | None:
    """A method of std's that answers yes or no."""
    function = node.child_by_field_name("function")
    if function.type != "field_expression":
        return None
    given = [child for child in node.child_by_field_name("arguments").named_children if child.type not in COMMENTS]
    name, whose = part_of(function, "field"), function.child_by_field_name("value")
    if not given and name in _STARTS:
        return whose, lambda shown: shown.startswith(_STARTS[name])
    if not given and name == "is_empty":
        return whose, lambda shown: shown in ('""', "[]", "{}")
    if len(given) != 1 or (part := value(text_of(given[0]))) is None:
        return None
    said = part.said

    def in_list(shown: str) -> bool:
        return name == "contains" and shown[:1] in "[{" and any(map(part.fits, parts(shown[1:-1])))

    if name in ("contains", "starts_with", "ends_with") and said is not None and part.pattern[0] in "\"'":
        held = {"contains": str.__contains__, "starts_with": str.startswith, "ends_with": str.endswith}[name]
        return whose, lambda shown: held(plain(shown[1:-1]), said) if shown[:1] == '"' else in_list(shown)
    if name == "contains" and given[0].type == "reference_expression":
        return whose, in_list
    return None


def _matches(node: Any, value: Value, named: Callable[[Any], bool]) -> tuple[Any, Test] | None:
    inside = text_of(node.children[-1])[1:-1]
    commas = [one.start_byte for one in node.children[-1].children if text_of(one) == ","]
    if not commas:
        return None
    at = commas[0] - node.children[-1].start_byte - 1
    raw = inside.encode()
    told, pattern = raw[:at].decode(), raw[at + 1 :].decode().strip().rstrip(",")
    arms = [one for one in walk(parse(f"fn f() {{ match x {{ {pattern} => {{}} }} }}")) if one.type == "match_arm"]
    whose = expression(told)
    if len(arms) != 1 or whose is None or arms[0].has_error:
        return None
    found = arms[0].child_by_field_name("pattern")
    if found is None or found.child_by_field_name("condition") is not None:
        return None
    try:
        return whose, _pattern(found.named_children[0], value, named)
    except LookupError:
        return None


def _pattern(node: Any, value: Value, named: Callable[[Any], bool]) -> Test:
    """Whether a shown value matches such a pattern. Raises LookupError for patterns that are not read here."""
    text = text_of(node)

    def inner(part: Any) -> Test:
        return _pattern(part, value, named)

    if node.type == "or_pattern":
        tests = [inner(part) for part in node.named_children]
        return lambda shown: any(test(shown) for test in tests)
    if node.type == "reference_pattern":
        return inner(node.named_children[-1])
    if text == "_" or (node.type == "identifier" and re.fullmatch("[a-z_][a-z0-9_]*", text)):
        return lambda _: True
    if node.type in ("identifier", "scoped_identifier"):
        name = _variant(node, named)
        return lambda shown: shown == name
    if node.type in ("tuple_struct_pattern", "tuple_pattern", "slice_pattern"):
        kind = node.child_by_field_name("type")
        name = _variant(kind, named) if kind is not None else ""
        opens, closes = "[]" if node.type == "slice_pattern" else "()"
        return _sequence(name + opens, closes, _members(node, kind), inner)
    if node.type == "struct_pattern":
        return _fields(_variant(node.child_by_field_name("type"), named), node, inner)
    if node.type == "range_pattern":
        ends = re.fullmatch(r"(-?\d+)\s*(\.\.=?)\s*(-?\d+)", text)
        if ends is None:
            raise LookupError
        span = range(int(ends[1]), int(ends[3]) + (ends[2] == "..="))
        return lambda shown: re.fullmatch(r"-?\d+", shown) is not None and int(shown) in span
    if (known := value(text)) is None:
        raise LookupError
    return known.fits


def _members(node: Any, kind: Any) -> list[Any]:
    """The patterns in one; `_` is no named node."""
    return [part for part in node.children if part.type not in ("(", ")", "[", "]", ",", *COMMENTS) and part != kind]


def _variant(node: Any, named: Callable[[Any], bool]) -> str:
    name = text_of(node).rpartition("::")[2].strip()
    if name not in _OF_STD and not named(node):
        raise LookupError
    return name


def _sequence(start: str, end: str, nodes: list[Any], inner: Callable[[Any], Test]) -> Test:
    rests = [
        number for number, node in enumerate(nodes) if node.type == "remaining_field_pattern" or text_of(node) == ".."
    ]
    if len(rests) > 1:
        raise LookupError
    front = nodes[: rests[0]] if rests else nodes
    before, after = [inner(node) for node in front], [inner(node) for node in nodes[rests[0] + 1 :]] if rests else []

    def test(shown: str) -> bool:
        if not (shown.startswith(start) and shown.endswith(end)):
            return False
        found = parts(shown[len(start) : -1])
        if len(found) < len(before) + len(after) or (not rests and len(found) != len(before)):
            return False
        pairs = [*zip(before, found, strict=False), *zip(reversed(after), reversed(found), strict=False)]
        return all(one(part) for one, part in pairs)

    return test


def _fields(name: str, node: Any, inner: Callable[[Any], Test]) -> Test:
    tests: dict[str, Test] = {}
    for part in node.named_children:
        if part.type == "field_pattern":
            pattern = part.child_by_field_name("pattern")
            tests[part_of(part, "name")] = inner(pattern) if pattern is not None else lambda _: True
        elif part.type not in ("remaining_field_pattern", *COMMENTS) and part != node.child_by_field_name("type"):
            raise LookupError

    def test(shown: str) -> bool:
        if not re.match(rf"{name}(?: \{{ |\(|$)", shown):
            return False
        pairs = (part.partition(": ") for part in parts(shown.removeprefix(f"{name} {{ ").removesuffix(" }")))
        found = {field: value for field, _, value in pairs}
        return all(field in found and one(found[field]) for field, one in tests.items())

    return test


def parts(shown: str) -> list[str]:
    """What stands between the commas of a list as Debug shows it, outside of all brackets and texts."""
    found, depth, start = [], 0, 0
    for piece in _PART.finditer(shown):
        text = piece[0]
        depth += (text in "[({") - (text in "])}")
        if depth == 0 and len(text) == 2 and text[0] == ",":
            found.append(shown[start : piece.start()])
            start = piece.end()
    return [part for part in (*found, shown[start:].rstrip(",")) if part]
