"""Hidden tests rewritten so that the program tells what it computed, and the judge outside says whether that is right.

    assert_eq!(add(1, 2), 3);        tells the value of add(1, 2); the 3 is type-checked and not compiled
    assert!(is_prime(n));            tells whether it held, in a sense that is drawn for each build

A candidate that reads and writes every byte of its process finds no expected value there. Only assertions that a test
is sure to come to once are rewritten, its own statements; what stands in loops and helpers still panics.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from nbcore.grading.rust import tolerance
from nbcore.grading.rust.expected import Expected, expected
from nbcore.grading.rust.shapes import Shape
from nbcore.grading.rust.syntax import arguments, expression, name_of, parse, part_of, text_of, walk
from nbcore.grading.rust.tolerance import Near

KEY, COIN = "\ue000", "\ue001"
"""In a rewritten test: the key of a build, and what stands on both sides of the number of a drawn truth value."""

_ASSERTS = ("assert", "assert_eq", "assert_ne")


class Told(NamedTuple):
    """What an assertion will tell: a value like this, or, where that is None, whether it held, as it must."""

    value: Expected | Near | None
    equal: bool = True
    """What must hold: that two sides are equal, or that they are not; drawn truth values alone."""
    answer: bool = False
    """The truth value is the candidate's own answer, so that it cannot know whether it is right."""


class Rewriter:
    """Rewrites the test functions of one text; `coins` counts the truth values to be drawn."""

    def __init__(
        self,
        tests: str,
        pinned: frozenset[str] = frozenset(),
        shapes: tuple[Shape, ...] = (),
        constants: tuple[tuple[str, str], ...] = (),
    ):
        self.coins, self._pinned = 0, pinned
        self._shapes = {shape.path: shape for shape in shapes}
        nodes = list(walk(parse(tests)))
        own = [name_of(node) for node in nodes if node.type == "macro_definition"]
        self._off = bool({*_ASSERTS, "vec"} & set(own)) or KEY in tests or COIN in tests
        taken = {name_of(node) for node in nodes if node.type in ("const_item", "static_item")}
        self._constants: dict[str, Expected] = {}
        for name, text in constants:
            if name not in taken and (value := expected(text, self._constants, self._shapes)) is not None:
                self._constants[name] = value

    def function(self, node: Any) -> tuple[list[tuple[int, int, bytes]], tuple[Told, ...]]:
        """Edits of one test function, as (start, end, text) in bytes, and what it will tell, in order."""
        body = node.child_by_field_name("body")
        if self._off or any(inner.type == "return_expression" for inner in walk(body)):
            return [], ()
        edits, told, known = [], [], _known(body, self._shapes, self._constants)
        for statement in body.children:
            call = statement.children[0] if statement.type == "expression_statement" else statement
            macro = part_of(call, "macro") if call.type == "macro_invocation" else ""
            if macro in _ASSERTS:
                given = [text_of(child) for child in arguments(text_of(call.children[-1])[1:-1])]
                if len(given) >= 1 + (macro != "assert"):
                    text, says = self._assertion(macro, given, known)
                    edits.append((call.start_byte, call.end_byte, text.encode()))
                    told.append(says)
        return edits, tuple(told)

    def _assertion(self, macro: str, given: list[str], known: Mapping[str, Expected]) -> tuple[str, Told]:
        """What takes an assertion's place, and what that tells. Its text stays where it is checked but never run."""
        sides = _sides(given[0]) if macro == "assert" else (given[0], given[1])
        message = given[1 if macro == "assert" else 2 :]
        said = f" assert!(true, {', '.join(message)});" if message else ""
        value, other = f"*told_{KEY}", f"*other_{KEY}"
        for told, wanted in ((0, 1), (1, 0)) if macro != "assert_ne" else ():
            if (known_value := expected(sides[wanted], known, self._shapes)) is not None:
                if not message and _is_call(
                    sides[told], self._pinned
                ):  # its type is known already, and that is cheaper
                    return _tell(f"({sides[told]})"), Told(known_value)
                check = f"let _ = {' == '.join((value, sides[1]) if told == 0 else (sides[0], value))};"
                kept = f"if false {{ {check}{said} }} {_tell(f'told_{KEY}')}"
                return f"match (&({sides[told]}),) {{ (told_{KEY},) => {{ {kept} }} }}", Told(known_value)
        if macro == "assert" and (near := tolerance.read(given[0], lambda text: expected(text, known, self._shapes))):
            check = f"let _ = {near.around[0]}told_{KEY}{near.around[1]};"
            number = f"let near_{KEY} = {near.told[0]}told_{KEY}{near.told[1]};"
            tell = _tell(f"(near_{KEY}, std_{KEY}::mem::size_of_val(&near_{KEY}))")
            kept = f"if false {{ {check}{said} }} else {{ {number} {tell} }}"
            return f"match (({near.value}),) {{ (told_{KEY},) => {kept} }}", Told(near.near)
        coin = f"{COIN}{self.coins}{COIN}"
        self.coins += 1
        if macro == "assert":
            kept = f"if false {{{said} }} {_tell(f'(no_{KEY} != {coin})')}"
            # A bool, as in `if !…`: a type with `!` and equality of its own could say whatever it is compared with.
            held = f"let no_{KEY}: std_{KEY}::primitive::bool = !({given[0]});"
            return f"{{ {held} {kept} }}", Told(None, answer=_is_answer(given[0]))
        check = f"let _: [&dyn std_{KEY}::fmt::Debug; 2] = [&told_{KEY}, &other_{KEY}];"
        kept = f"if false {{ {check}{said} }} {_tell(f'(({value} == {other}) == {coin})')}"
        text = f"match (&({sides[0]}), &({sides[1]})) {{ (told_{KEY}, other_{KEY}) => {{ {kept} }} }}"
        return text, Told(None, macro == "assert_eq")


def _tell(value: str) -> str:
    return f"crate::hidden_{KEY}::tell_{KEY}(&{value})"


def _sides(text: str) -> tuple[str, str]:
    """Both sides of an equality, empty where the expression is none."""
    node = expression(text)
    if node is not None and node.type == "binary_expression" and text_of(node.children[1]) == "==":
        return text_of(node.children[0]), text_of(node.children[2])
    return "", ""


def _is_answer(text: str) -> bool:
    """Whether a condition is what a function returned, or the contrary."""
    node = expression(text)
    while node is not None and node.type in ("unary_expression", "parenthesized_expression"):
        node = node.named_children[0]
    return node is not None and node.type == "call_expression"


def _is_call(text: str, names: frozenset[str]) -> bool:
    """Whether an expression is a call of one of these functions."""
    node = expression(text) if names else None
    return node is not None and node.type == "call_expression" and part_of(node, "function") in names


def _known(body: Any, shapes: Mapping[str, Shape], constants: Mapping[str, Expected]) -> dict[str, Expected]:
    """The values of the task's constants, and of the names that a test binds once, to a value that can be read from
    its text."""
    bound: dict[str, list[Any]] = {}
    for node in walk(body):
        if node.type in ("let_declaration", "for_expression", "let_condition", "closure_expression", "match_arm"):
            pattern = node.child_by_field_name("pattern") or node.child_by_field_name("parameters") or node
            for name in walk(pattern):
                if name.type == "identifier":
                    bound.setdefault(text_of(name), []).append(node)
    constants = {name: value for name, value in constants.items() if name not in bound}
    own = [name_of(node) for node in walk(body) if node.type == "const_item"]
    for node in body.children:
        once = node.type == "const_item" and own.count(name_of(node)) == 1
        if once and (value := expected(part_of(node, "value"), constants, shapes)) is not None:
            constants[name_of(node)] = value
    known = dict(constants)
    for name, nodes in bound.items():
        value = nodes[0].child_by_field_name("value") if nodes[0].type == "let_declaration" else None
        plain = value is not None and nodes[0] in body.children and part_of(nodes[0], "pattern") == name
        mutable = any(child.type == "mutable_specifier" for child in nodes[0].children)
        if (
            len(nodes) == 1
            and plain
            and not mutable
            and (constant := expected(text_of(value), constants, shapes)) is not None
        ):
            known[name] = constant
    return known
