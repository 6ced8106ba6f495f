"""Hidden tests rewritten so that the program tells what it computed, and the judge outside says whether that is right.

    assert_eq!(add(1, 2), 3);        tells the value of add(1, 2); the 3 is type-checked and not compiled
    assert!(!is_prime(n));           tells is_prime(n), and the judge knows that it must be false
    for (n, want) in [(1, 2)] { assert_eq!(f(n), want) }      the 2 is not compiled either: a hole stands for it

A candidate that reads and writes every byte of its process finds no expected value there. Only assertions that a test
is sure to come to a known number of times are rewritten (reached.py); others still panic.
"""

from __future__ import annotations

import re
from typing import Any

from nbcore.grading.rust.asserted import CHECKED, COIN, KEY, Reader, Text, Told, mentions
from nbcore.grading.rust.expected import expected
from nbcore.grading.rust.reached import ASSERTS, Follower, Step
from nbcore.grading.rust.shapes import NOTHING, Shape, Shown
from nbcore.grading.rust.syntax import bindings, edited, name_of, parse, walk
from nbcore.grading.rust.tables import Names, Part, Slot

HOLES = r"""
pub trait WholeKEY { type Out; }
impl<T> WholeKEY for STD::option::Option<T> { type Out = T; }
impl<'a, T> WholeKEY for &'a STD::option::Option<T> { type Out = &'a T; }
pub fn whole_KEY<B: WholeKEY>(_: &B) -> B::Out { loop {} }
pub fn same_KEY<T>(_: &T) -> T { loop {} }
""".lstrip()
"""A hole is `None` in the program, and has the type of an option of what the test expects there. These make a value of
the right type of it where it is checked, and are never run."""

_OPTION = f"std_{KEY}::option::Option"
_MACROS = (*ASSERTS, "vec", "matches", "format", "concat", "panic", "unreachable", "todo", "unimplemented")


class Rewriter:
    """Rewrites the test functions of one text; afterwards `coins` counts the truth values to be drawn, and `uses` says
    whether the text needs HOLES."""

    def __init__(
        self,
        tests: str,
        pinned: frozenset[str] = frozenset(),
        shapes: tuple[Shape, ...] = (),
        constants: tuple[tuple[str, str], ...] = (),
        shown: Shown = NOTHING,
    ):
        self.coins, self.uses = 0, False
        self._raw, self._root = tests.encode(errors="replace"), parse(tests)
        nodes = list(walk(self._root))
        own = [name_of(node) for node in nodes if node.type == "macro_definition"]
        self._off = not set(own).isdisjoint(_MACROS) or not {KEY, COIN, CHECKED}.isdisjoint(tests)
        taken = {name_of(node) for node in nodes if node.type in ("const_item", "static_item")}
        by_path = {shape.path: shape for shape in shapes}
        known: Names = {}
        for name, text in constants:
            if name not in taken and (value := expected(text, known, by_path)) is not None:
                known[name] = value
        own_names = bindings(self._root)  # a helper's parameter `f` is not the task's function `f`
        shown = Shown(shown.as_read - own_names, shown.of_std - own_names, shown.crossed)
        self._reader = Reader(known, by_path, pinned - own_names, shown)

    def rewrite(self, tests: list[Any]) -> tuple[list[tuple[int, int, bytes]], dict[int, tuple[Told, ...]]]:
        """Edits of these test functions and of what they call, as (start, end, text) in bytes; and what each
        function, by its start, will tell in order."""
        if self._off or not tests:
            return [], {}
        follower = Follower(self._root, tests, self._reader.value)
        followed = follower.follow(tests)
        met: dict[int, list[Step]] = {}
        for step in (step for steps in followed for step in steps):
            met.setdefault(step.call.start_byte, []).append(step)
        calls = {at: steps[0].call for at, steps in met.items()}
        texts = {at: parts for at, steps in met.items() if (parts := self._reader.read(steps))}
        holes = self._holes([*follower.slots.values()], texts, calls)
        edits = []
        for at, parts in texts.items():
            whole = "; ".join(self._whole(part, at, holes) for part in parts)
            edits.append((at, calls[at].end_byte, (f"{{ {whole} }}" if len(parts) > 1 else whole).encode()))
        for slot in (slot for slot in holes if not slot.constant):
            edits += [(*span, self._hole(span, holes)) for span in slot.values]
            edits += [(*span, f"{_OPTION}<{self._between(*span)}>".encode()) for span in slot.types]
        self.coins, self.uses = self._reader.coins, bool(holes) or self._reader.likens
        held = {slot.name for slot in follower.slots.values() if slot not in holes}
        says = {at: iter([_told(parts, time, held) for time in range(len(met[at]))]) for at, parts in texts.items()}
        told = {
            test.start_byte: tuple(
                one for step in steps if (at := step.call.start_byte) in says for one in next(says[at])
            )
            for test, steps in zip(tests, followed, strict=True)
        }
        return edits, told

    def _between(self, start: int, end: int) -> str:
        return self._raw[start:end].decode(errors="replace")

    def _holes(self, slots: list[Slot], texts: dict[int, list[Text]], calls: dict[int, Any]) -> list[Slot]:
        """The slots whose names stand only where they are checked, so that their values need not be compiled."""
        holes = [slot for slot in slots if slot.fits and slot.values and not _has_parts(slot, slots)]
        while True:
            gone = [(*span, b" ") for slot in holes for span in slot.values]
            gone += [
                (at, calls[at].end_byte, " ".join(part.run for part in parts).encode()) for at, parts in texts.items()
            ]
            gone += [(slot.node.start_byte, slot.node.end_byte, b" ") for slot in holes]
            left_in = set()
            for slot in holes:
                start, end = self._home(slot)
                rest = edited(self._raw[start:end], [(a - start, b - start, c) for a, b, c in gone if start <= a < end])
                if mentions(rest.decode(errors="replace"), slot.name):
                    left_in.add(slot.home)
            if not left_in:
                return holes
            holes = [slot for slot in holes if slot.home not in left_in]

    def _whole(self, part: Text, at: int, holes: list[Slot]) -> str:
        kept = f"if false {{ {self._lets(part.checked, at, holes)}{part.checked} }}" if part.checked else ""
        return part.run.replace(CHECKED, kept)

    def _hole(self, span: tuple[int, int], holes: list[Slot]) -> bytes:
        value = self._between(*span)
        some = f"{self._lets(value, span[0], holes)}{_OPTION}::Some({value})"
        return f"(if false {{ {some} }} else {{ {_OPTION}::None }})".encode()

    def _home(self, slot: Slot) -> tuple[int, int]:
        return Part(slot.function).span if slot.function is not None else (0, len(self._raw))

    @staticmethod
    def _lets(text: str, at: int, holes: list[Slot]) -> str:
        """The names in a text that are holes, as what they stand for."""
        names = dict.fromkeys(
            slot.name
            for slot in holes
            if not slot.constant
            and slot.function.start_byte <= at < slot.function.end_byte
            and mentions(text, slot.name)
        )
        return "".join(f"let {name} = crate::hidden_{KEY}::whole_{KEY}(&{name}); " for name in names)


def _has_parts(slot: Slot, slots: list[Slot]) -> bool:
    """Whether a value of another slot stands within one of this."""
    own = slot.values
    others = {span for other in slots if other is not slot for span in other.values}
    return any(a <= c and d <= b and (a, b) != (c, d) for a, b in own for c, d in others)


def _told(parts: list[Text], time: int, held: set[str]) -> list[Told]:
    """What an assertion tells at one coming to it; `held` are the names whose values are in the program."""
    return [part.tells[time]._replace(apart=not any(_is_held(part, name) for name in held)) for part in parts]


def _is_held(part: Text, name: str) -> bool:
    """Whether what is expected is told by such a name, and that is not the input of what is told."""
    if re.search(rf"\b{re.escape(name)}\s*\.\s*\d", part.wanted):
        return True
    return mentions(part.wanted, name) and not mentions(part.run, name)
