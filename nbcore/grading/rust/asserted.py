"""One assertion of a hidden test: what takes its place in the program, and what that tells.

Its text stays in the program, behind `if false`: the compiler checks the types of all of it, and compiles none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

from nbcore.grading.rust import likeness, tolerance
from nbcore.grading.rust.arithmetic import boolean
from nbcore.grading.rust.expected import expected
from nbcore.grading.rust.likeness import Like
from nbcore.grading.rust.literals import Expected
from nbcore.grading.rust.reached import Step
from nbcore.grading.rust.shapes import Shape, Shown
from nbcore.grading.rust.syntax import arguments, expression, part_of, text_of
from nbcore.grading.rust.tables import Names, Scope
from nbcore.grading.rust.tolerance import Near

KEY, COIN, CHECKED = "\ue000", "\ue001", "\ue002"
"""In a rewritten test: the key of a build; what stands on both sides of the number of a drawn truth value; and where
what is only checked will stand."""

_ASKS = ("is_ok", "is_err", "is_some", "is_none", "contains", "contains_key", "starts_with", "ends_with", "all", "any")
_ASKS += ("eq", "ne", "lt", "le", "gt", "ge")
"""Methods of std's that answer yes or no."""


Wanted = Expected | Near | Like
"""What the judge holds a told value to."""


class Told(NamedTuple):
    """What an assertion will tell: a value like this, or, where that is None, whether it held, as it must."""

    value: Wanted | None
    equal: bool = True
    """What must hold: that two sides are equal, or that they are not; drawn truth values alone."""
    coin: int = 0
    """The number of the drawn truth value."""
    apart: bool = True
    """The program does not hold what is expected."""


class Text(NamedTuple):
    """What takes the place of an assertion, or of one of the conditions that it joins by `&&`."""

    checked: str
    """What stands behind `if false`: it is checked and never run, and names that are holes may stand in it."""
    run: str
    """The rest, with CHECKED where that goes."""
    tells: list[Told]
    """At each coming to it."""
    wanted: str = ""
    """What is expected, as the test has it."""


class Reader:
    """Reads the assertions of one text. `coins` counts the truth values to be drawn; `likens`: some value is told that
    must be like another."""

    def __init__(self, constants: Names, shapes: Mapping[str, Shape], pinned: frozenset[str], shown: Shown):
        self.coins, self.likens = 0, False
        self._constants, self._shapes, self._pinned, self._shown = constants, shapes, pinned, shown

    def read(self, met: list[Step]) -> list[Text]:
        """What takes an assertion's place; nothing where it is none that can be read."""
        call, names = met[0].call, [step.scope.names for step in met]
        macro = part_of(call, "macro").removeprefix("debug_")
        given = [text_of(child) for child in arguments(text_of(call.children[-1])[1:-1])]
        wants = 1 if macro == "assert" else 2
        if len(given) < wants:
            return []
        said = f" assert!(true, {', '.join(given[wants:])});" if given[wants:] else ""
        if macro != "assert":
            return [self._compared((given[0], given[1]), macro == "assert_eq", said, names, True)]
        return [self._condition(text, said, names, [step.scope for step in met]) for text in _joined(given[0])]

    def _values(self, text: str, names: list[Names]) -> list[Expected] | None:
        """What an expression is known to be each time."""
        found = [self.value(text, known) for known in names]
        return [value for value in found if value is not None] if None not in found else None

    def _compared(self, sides: tuple[str, str], equal: bool, said: str, names: list[Names], shown: bool) -> Text:
        """Of two sides that must be equal, or must not. shown: both are shown by Debug."""
        value, other, sign = f"*told_{KEY}", f"*other_{KEY}", "==" if equal else "!="
        for told, wanted in ((0, 1), (1, 0)):
            crossed = self._shown.crossed and not self._is_call(sides[told], self._shown.of_std)
            if crossed or (values := self._values(sides[wanted], names)) is None:
                continue
            tells = [Told(known if equal else likeness.unlike(known)) for known in values]
            named = any(mentions(sides[wanted], name) for name in names[0])
            if equal and not said and not named and self._is_call(sides[told], self._pinned):
                return Text("", _tell(f"({sides[told]})"), tells)  # its type is known already, and that is cheaper
            check = f"let _ = {f' {sign} '.join((value, sides[1]) if told == 0 else (sides[0], value))};"
            run = f"match (&({sides[told]}),) {{ (told_{KEY},) => {{ {CHECKED} {_tell(f'told_{KEY}')} }} }}"
            return Text(check + said, run, tells, sides[wanted])
        coin, tells = self._coin(len(names), equal)
        check = f"let _: [&dyn std_{KEY}::fmt::Debug; 2] = [&told_{KEY}, &other_{KEY}];" if shown else ""
        tell = _tell(f"(({value} == {other}) == {coin})")
        return Text(
            check + said,
            f"match (&({sides[0]}), &({sides[1]})) {{ (told_{KEY}, other_{KEY}) => {{ {CHECKED} {tell} }} }}",
            tells,
        )

    def _coin(self, times: int, equal: bool = True) -> tuple[str, list[Told]]:
        self.coins += 1
        return f"{COIN}{self.coins - 1}{COIN}", [Told(None, equal, self.coins - 1)] * times

    def _condition(self, text: str, said: str, names: list[Names], scopes: list[Scope]) -> Text:
        sides, sign = _sides(text)
        if sign and any(self._values(side, names) is not None for side in sides):
            return self._compared(sides, sign == "==", said, names, False)
        told = f"told_{KEY}"
        near = [tolerance.read(text, partial(self.value, names=known)) for known in names]
        if near[0] is not None and None not in near:
            first, number = near[0], f"near_{KEY}"
            check = f"let _ = {first.around[0]}{told}{first.around[1]};"
            tell = f"let {number} = {first.told[0]}{told}{first.told[1]}; "
            tell += _tell(f"({number}, std_{KEY}::mem::size_of_val(&{number}))")
            run = f"match (({first.value}),) {{ ({told},) => {{ {CHECKED} else {{ {tell} }} }} }}"
            return Text(check + said, run, [Told(one.near) for one in near if one is not None])
        like = [
            likeness.read(text, self._shows(scope), partial(self.value, names=scope.names), self._named)
            for scope in scopes
        ]
        if like[0] is not None and None not in like:
            self.likens = True
            first_like = like[0]
            same = f"let {told} = crate::hidden_{KEY}::same_{KEY}({told});"
            check = f"{same} let _: std_{KEY}::primitive::bool = {first_like.around[0]}{told}{first_like.around[1]};"
            run = f"match (&({first_like.value}),) {{ ({told},) => {{ {CHECKED} {_tell(told)} }} }}"
            return Text(check + said, run, [Told(one.like) for one in like if one is not None])
        if (answer := _answer(text)) is not None:
            held = f"let {told}: std_{KEY}::primitive::bool = {answer[0]};"
            return Text(said, f"{{ {held} {CHECKED} {_tell(told)} }}", [Told(boolean(answer[1]))] * len(names))
        coin, tells = self._coin(len(names))
        # A bool, as in `if !…`: a type with `!` and equality of its own could say whatever it is compared with.
        held = f"let no_{KEY}: std_{KEY}::primitive::bool = !({text});"
        return Text(said, f"{{ {held} {CHECKED} {_tell(f'(no_{KEY} != {coin})')} }}", tells)

    def value(self, text: str, names: Mapping[str, Expected]) -> Expected | None:
        """What an expression is known to be where these names are."""
        return expected(text, {**self._constants, **names}, self._shapes)

    def _is_call(self, text: str, names: frozenset[str]) -> bool:
        """Whether an expression is a call of one of these functions."""
        node = expression(text) if names else None
        return node is not None and node.type == "call_expression" and part_of(node, "function") in names

    def _shows(self, scope: Scope) -> likeness.Shows:
        """Whether an expression is what a function returned, or a part of it, that is shown as a test reads it; and, if
        so asked, whether it is of std's types alone."""

        def shown(node: Any, of_std: bool) -> bool:
            if node.type == "identifier":
                value = scope.bound.get(text_of(node))
                return value is not None and value.type == "call_expression" and shown(value, of_std)
            if node.type != "call_expression":
                return False
            called = node.child_by_field_name("function")
            if called.type == "field_expression" and part_of(called, "field") in ("len", "unwrap", "unwrap_err"):
                return shown(called.child_by_field_name("value"), of_std)
            return text_of(called) in (self._shown.of_std if of_std else self._shown.as_read)

        return shown

    def _named(self, node: Any) -> bool:
        """Whether a pattern's path is that of a struct or a variant whose shape is known."""
        return re.sub(r"^(?:(?:crate|super|self)::)+|\s", "", text_of(node)) in self._shapes


def _tell(value: str) -> str:
    return f"crate::hidden_{KEY}::tell_{KEY}(&{value})"


def mentions(text: str, name: str) -> bool:
    return re.search(rf"\b{re.escape(name)}\b", text) is not None


def _joined(text: str) -> list[str]:
    """The conditions that stand between `&&`, each of which must hold."""
    node = expression(text)
    if node is not None and node.type == "binary_expression" and text_of(node.children[1]) == "&&":
        return [*_joined(text_of(node.children[0])), *_joined(text_of(node.children[2]))]
    return [text]


def _sides(text: str) -> tuple[tuple[str, str], str]:
    """Both sides of an equality or of its contrary, and which it is; "" where the expression is neither."""
    node = expression(text)
    sign = text_of(node.children[1]) if node is not None and node.type == "binary_expression" else ""
    if node is not None and sign in ("==", "!="):
        return (text_of(node.children[0]), text_of(node.children[2])), sign
    return ("", ""), ""


def _answer(text: str) -> tuple[str, bool] | None:
    """The call in a condition that is what a function answered, or the contrary; and what the answer must be. None for
    what std makes of an answer: that is in the program to be read."""
    node, must = expression(text), True
    while node is not None and node.type in ("unary_expression", "parenthesized_expression"):
        must ^= text_of(node).startswith("!")
        node = node.named_children[0]
    if node is None or node.type != "call_expression":
        return None
    function = node.child_by_field_name("function")
    if function.type == "field_expression" and part_of(function, "field") in _ASKS:
        return None
    return text_of(node), must
