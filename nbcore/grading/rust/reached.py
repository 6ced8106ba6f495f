"""The assertions that a test is sure to come to, in order, and what each name in them is by then.

A test is followed as the program will run it: through blocks, loops over literals, calls of the tests' own helpers, and
the only way on where the other one panics. What may be left out, or come again who knows how often, is not followed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from nbcore.grading.rust.literals import Expected, Unknown
from nbcore.grading.rust.syntax import COMMENTS, bindings, conditional, introduced, name_of, part_of, text_of, walk
from nbcore.grading.rust.tables import Part, Read, Scope, Slot, Table, array_of, bound, rows_of

ASSERTS = ("assert", "assert_eq", "assert_ne", "debug_assert", "debug_assert_eq", "debug_assert_ne")
_PANICS = ("panic", "unreachable", "todo", "unimplemented")
_LEAVES = ("return_expression", "break_expression", "continue_expression")
_CONSTANTS = ("const_item", "static_item")
_MOST_STEPS, _MOST_SEEN, _MOST_DEEP = 2000, 20_000, 16


class Step(NamedTuple):
    """One coming to an assertion."""

    call: Any
    scope: Scope
    function: Any


class _TooMuch(Exception):
    """A test that goes on for too long."""


class Follower:
    """Follows the test functions of one text; `slots` are the names bound on the way, by where."""

    def __init__(self, root: Any, tests: Iterable[Any], read: Read):
        self._read = read
        nodes = [*walk(root)]
        functions = [node for node in nodes if node.type == "function_item"]
        names, own = list(map(name_of, functions)), {node.start_byte for node in tests}
        self._words = [text_of(node) for node in nodes if node.type == "identifier"]
        self._helpers = {
            name_of(node): node
            for node in functions
            if names.count(name_of(node)) == 1 and node.start_byte not in own and _is_helper(node)
        }
        items = [node for node in nodes if node.type in _CONSTANTS and _within(node) is None]
        taken = [*(bindings(root) if items else ()), *map(name_of, items)]
        self._constants = [node for node in items if taken.count(name_of(node)) == 1 and part_of(node, "value")]
        self._left_out: set[int] = set()
        self._start()

    def _start(self) -> None:
        self.slots: dict[int, Slot] = {}
        self._calls: dict[str, set[int]] = {}
        self._unknown: set[int] = set()
        self._known: set[int] = set()
        self._steps: list[Step] = []
        self._module = Scope({}, {}, {})
        for item in self._constants:
            self._value(item.child_by_field_name("name"), item, self._module, None)

    def follow(self, tests: list[Any]) -> list[list[Step]]:
        """The steps of each test. What is followed in one of them and not in another is followed in none."""
        while True:
            self._start()
            found = [self._test(node) for node in tests]
            odd = self._unknown & self._known
            for name, calls in self._calls.items():
                if len(calls) != self._words.count(name) - 1:
                    odd.add(self._helpers[name].start_byte)
            if odd <= self._left_out:
                return found
            self._left_out |= odd

    def _test(self, node: Any) -> list[Step]:
        body = node.child_by_field_name("body")
        self._steps, self._seen = [], 0
        if node.start_byte in self._left_out or any(inner.type == "return_expression" for inner in walk(body)):
            return []
        try:
            self._block(body, self._module, node, 0)
        except _TooMuch:
            self._unknown.add(node.start_byte)
            self._known.add(node.start_byte)
            return []
        return self._steps

    def _block(self, block: Any, scope: Scope, function: Any, depth: int) -> None:
        scope = scope.copy()
        for node in block.named_children:
            if node.type in _CONSTANTS:  # known in all of the block, also before it
                scope.forget(node.child_by_field_name("name"))
        for node, before in introduced(block):
            plain = not any(one.type == "attribute_item" for one in before)
            if plain or not conditional(before):
                self._statement(node, scope, function, depth, plain)

    def _statement(self, node: Any, scope: Scope, function: Any, depth: int, plain: bool = True) -> None:
        node = node.children[0] if node.type == "expression_statement" else node
        self._seen += 1
        if depth > _MOST_DEEP or len(self._steps) > _MOST_STEPS or self._seen > _MOST_SEEN:
            raise _TooMuch
        if node.type in ("let_declaration", *_CONSTANTS):
            pattern = node.child_by_field_name("pattern") or node.child_by_field_name("name")
            scope.forget(pattern)
            mutable = any(child.type == "mutable_specifier" for child in node.children)
            if pattern.type == "identifier" and not mutable and part_of(node, "value"):
                self._value(pattern, node, scope, function)
        elif node.type == "macro_invocation" and part_of(node, "macro") in ASSERTS:
            if plain and not _panics(node):
                self._steps.append(Step(node, scope.copy(), function))
        elif node.type == "block" and node.children[0].type != "label":  # which `break` may leave
            self._block(node, scope, function, depth + 1)
        elif node.type == "for_expression":
            self._loop(node, scope, function, depth + 1)
        elif node.type in ("if_expression", "match_expression") and (way := _only_way(node)) is not None:
            pattern, then = way
            inside = scope.copy()
            inside.forget(pattern)
            self._statement(then, inside, function, depth + 1)
        elif node.type == "call_expression" and part_of(node, "function") in self._helpers:
            self._helper(node, scope, depth + 1)

    def _value(self, name: Any, item: Any, scope: Scope, function: Any) -> None:
        """What a `let` or a `const` binds a name to."""
        value = item.child_by_field_name("value")
        known = self._read(text_of(value), scope.names)
        scope.bound[text_of(name)] = value
        if (array := array_of(Part(value))) is not None:
            scope.tables[text_of(name)] = Table(array, item)
        if known is not None:
            slot = self._slot(name, function)
            slot.values.add(Part(value).span)
            slot.constant = item.type == "const_item"
            slot.fits &= item.type != "static_item"
            if (kind := item.child_by_field_name("type")) is not None:
                slot.types.add(Part(kind).span)
            scope.names[text_of(name)] = known

    def _slot(self, name: Any, function: Any) -> Slot:
        return self.slots.setdefault(name.start_byte, Slot(text_of(name), name, function))

    def _loop(self, node: Any, scope: Scope, function: Any, depth: int) -> None:
        body, pattern = node.child_by_field_name("body"), node.child_by_field_name("pattern")
        if not any(word in text_of(body) for word in ("assert", *self._helpers)):
            return
        try:
            rows, table = rows_of(Part(node.child_by_field_name("value")), scope, self._read)
        except Unknown:
            rows = None
        if rows is None or node.start_byte in self._left_out or any(one.type in _LEAVES for one in walk(body)):
            self._unknown.add(node.start_byte)
            return
        self._known.add(node.start_byte)
        for row in rows:
            inside = scope.copy()
            inside.forget(pattern)
            for name, piece, at in bound(pattern, row):
                if isinstance(piece, int):
                    inside.names[text_of(name)] = Expected(str(piece), said=str(piece))
                elif isinstance(piece, Part):
                    self._piece(self._slot(name, function), piece, at, table, inside)
            self._block(body, inside, function, depth)

    def _piece(self, slot: Slot, piece: Part, at: tuple[int, ...] | None, table: Table | None, inside: Scope) -> None:
        """A name that stands for a piece of a loop's row."""
        parts = piece.pieces() if piece.node.type == "tuple_expression" else []
        for number, part in enumerate(parts):
            if (known := self._read(text_of(part.node), inside.names)) is not None:
                inside.names[f"{slot.name}.{number}"] = known
        slot.values.add(piece.span)
        if (known := self._read(text_of(piece.node), inside.names)) is None:
            slot.fits = False
            return
        inside.names[slot.name] = known
        slot.fits &= at is not None
        if table is None or at is None:
            return
        home = _within(table.item)
        words = self._words if home is None else [text_of(one) for one in walk(home) if one.type == "identifier"]
        slot.fits &= words.count(table.name) == 2  # where it is named, and this loop
        try:
            if (kind := table.place(at)) is not None:
                slot.types.add(Part(kind).span)
        except Unknown:
            slot.fits = False

    def _helper(self, call: Any, scope: Scope, depth: int) -> None:
        name = part_of(call, "function")
        helper = self._helpers[name]
        given = [one for one in call.child_by_field_name("arguments").named_children if one.type not in COMMENTS]
        places = [one for one in helper.child_by_field_name("parameters").named_children if one.type == "parameter"]
        self._calls.setdefault(name, set()).add(call.start_byte)
        if helper.start_byte in self._left_out or len(given) != len(places):
            return
        inside = self._module.copy()
        for place, value in zip(places, given, strict=True):
            pattern, kind = place.child_by_field_name("pattern"), place.child_by_field_name("type")
            inside.forget(pattern)
            if pattern.type != "identifier" or any(child.type == "mutable_specifier" for child in place.children):
                continue
            slot = self._slot(pattern, helper)
            slot.values.add(Part(value).span)
            slot.types.add(Part(kind).span)
            slot.fits &= not re.search(r"\bimpl\b", text_of(kind))
            if (known := self._read(text_of(value), scope.names)) is None:
                slot.fits = False
            else:
                inside.names[text_of(pattern)] = known
        self._block(helper.child_by_field_name("body"), inside, helper, depth)


def _is_helper(node: Any) -> bool:
    """Whether a function is one that tests call to assert."""
    body = node.child_by_field_name("body")
    if body is None or node.child_by_field_name("return_type") is not None or _within(node) is not None:
        return False
    inside = [*walk(body)]
    asserts = any(one.type == "macro_invocation" for one in inside) and any(one in text_of(body) for one in ASSERTS)
    return asserts and not any(one.type == "return_expression" for one in inside)


def _within(node: Any) -> Any:
    """The function that an item stands in."""
    while (node := node.parent) is not None:
        if node.type == "function_item":
            return node
    return None


def _panics(node: Any) -> bool:
    """Whether nothing comes after it."""
    if node.type == "expression_statement":
        node = node.children[0]
    if node.type == "block":
        return any(map(_panics, node.named_children))
    if node.type != "macro_invocation":
        return False
    never = part_of(node, "macro") == "assert" and re.match(r"[(\[{]\s*false\s*[,)\]}]", text_of(node.children[-1]))
    return part_of(node, "macro") in _PANICS or bool(never)


def _only_way(node: Any) -> tuple[Any, Any] | None:
    """What is sure to be done of an `if` or a `match` whose other ways panic, and what binds names in it."""
    if node.type == "match_expression":
        pairs = [*introduced(node.child_by_field_name("body"))]
        arms = [one for one, before in pairs if one.type == "match_arm" and not before]
        ways = [(one.child_by_field_name("pattern"), one.child_by_field_name("value")) for one in arms]
        whole = len(arms) == sum(one.type == "match_arm" for one, _ in pairs) > 1
    else:
        other, condition = node.child_by_field_name("alternative"), node.child_by_field_name("condition")
        others = other.named_children if other is not None else []
        ways = [(condition, node.child_by_field_name("consequence")), *((condition, one) for one in others)]
        whole = len(others) == 1
    left = [way for way in ways if not _panics(way[1])]
    return left[0] if whole and len(left) == 1 else None
