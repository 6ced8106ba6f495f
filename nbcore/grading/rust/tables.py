"""What a test's loop goes through where its text says so, and the names that are bound to pieces of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from nbcore.grading.rust.composed import numbers_of
from nbcore.grading.rust.literals import Expected, Unknown
from nbcore.grading.rust.syntax import AHEAD, COMMENTS, expression, part_of, text_of, walk

Names = dict[str, Expected]
Read = Callable[[str, Mapping[str, Expected]], Expected | None]

_BRACKETS = ("(", ")", ",")
_NAMES = ("identifier", "shorthand_field_identifier")
_KEEPS = ("iter", "into_iter", "copied", "cloned", "enumerate")


class Part(NamedTuple):
    """A piece of a literal, and how far its node's offsets are from those of the tests."""

    node: Any
    shift: int = 0

    @property
    def span(self) -> tuple[int, int]:
        return self.node.start_byte + self.shift, self.node.end_byte + self.shift

    def pieces(self) -> list[Part]:
        """The expressions in an array or a tuple."""
        return [Part(node, self.shift) for node in self.node.named_children if node.type not in COMMENTS]


class Table(NamedTuple):
    """An array with a name."""

    array: Part
    item: Any
    """The `let` or `const` that names it."""

    @property
    def name(self) -> str:
        return text_of(self.item.child_by_field_name("pattern") or self.item.child_by_field_name("name"))

    def place(self, at: tuple[int, ...]) -> Any:
        """Where the type of one part of its rows stands; None where no type is written.

        Raises Unknown where its type is not so plain.
        """
        if (kind := self.item.child_by_field_name("type")) is None:
            return None
        tuples = [node for node in walk(kind) if node.type == "tuple_type"]
        if len(tuples) != 1 or len(at) != 1 or at[0] >= tuples[0].named_child_count:
            raise Unknown
        return tuples[0].named_children[at[0]]


class Scope:
    """What is known of the names at one place of a test."""

    def __init__(self, names: Names, tables: dict[str, Table], bound: dict[str, Any]):
        self.names, self.tables, self.bound = names, tables, bound
        """Values; arrays; and the expressions that names are bound to."""

    def copy(self) -> Scope:
        return Scope(dict(self.names), dict(self.tables), dict(self.bound))

    def forget(self, pattern: Any) -> None:
        """The names that a pattern binds anew."""
        for name in {text_of(node) for node in walk(pattern) if node.type in _NAMES}:
            for known in (self.names, self.tables, self.bound):
                known.pop(name, None)
            for key in [key for key in self.names if key.startswith(f"{name}.")]:
                del self.names[key]


class Slot:
    """A name that stands for nothing but expected values, perhaps: where they are written, and their types."""

    def __init__(self, name: str, node: Any, function: Any):
        self.name, self.node, self.function = name, node, function
        self.values: set[tuple[int, int]] = set()
        self.types: set[tuple[int, int]] = set()
        self.fits = True
        self.constant = False
        """Nothing is compiled of it where nothing that is compiled names it."""

    @property
    def home(self) -> tuple[int, str]:
        """Names alike in one function are holes together, or none is."""
        return self.function.start_byte if self.function is not None else -1, self.name


Row = int | Part | tuple[int, Part]


def array_of(part: Part) -> Part | None:
    """The array that an expression is, of a vec or a reference too."""
    node, shift = part
    while node.type in ("reference_expression", "parenthesized_expression"):
        node = node.named_children[-1]
    if node.type == "macro_invocation" and part_of(node, "macro") == "vec" and node.children[-1].type == "token_tree":
        tree = node.children[-1]
        node, shift = expression(f"[{text_of(tree)[1:-1]}]"), shift + tree.start_byte - AHEAD
    if node is None or node.type != "array_expression":
        return None
    return None if any(child.type in (";", "attribute_item") for child in node.children) else Part(node, shift)


def rows_of(part: Part, scope: Scope, read: Read) -> tuple[list[Row], Table | None]:
    """What a loop goes through, numbered where it enumerates, and the table that it is, if it has a name.

    Raises Unknown where the text does not say.
    """
    node = part.node
    while node.type in ("reference_expression", "parenthesized_expression"):
        node = node.named_children[-1]
    if node.type == "identifier" and (table := scope.tables.get(text_of(node))) is not None:
        return [*table.array.pieces()], table
    if (array := array_of(Part(node, part.shift))) is not None:
        return [*array.pieces()], None
    function = node.child_by_field_name("function") if node.type == "call_expression" else None
    if function is not None and function.type == "field_expression" and part_of(function, "field") in _KEEPS:
        rows, table = rows_of(Part(function.child_by_field_name("value"), part.shift), scope, read)
        if part_of(function, "field") != "enumerate":
            return rows, table
        return [(number, row) for number, row in enumerate(rows) if isinstance(row, Part)], table

    def value(inner: Any) -> Expected:
        if (known := read(text_of(inner), scope.names)) is None:
            raise Unknown
        return known

    return [*numbers_of(node, value)], None


def bound(
    pattern: Any, row: Row | Part, at: tuple[int, ...] | None = ()
) -> list[tuple[Any, Row, tuple[int, ...] | None]]:
    """The names that a pattern binds to pieces of a row, as nodes, each with its piece and where that is in the row;
    None where no hole can take its place, for `&name` would not fit one."""
    if pattern.type == "identifier":
        return [(pattern, row, at)]
    if pattern.type == "reference_pattern":
        inside = pattern.named_children[-1]
        return bound(inside, row, None if inside.type == "identifier" else at)
    if isinstance(row, Part) and row.node.type == "reference_expression":
        row = Part(row.node.child_by_field_name("value"), row.shift)
    patterns = [node for node in pattern.children if node.type not in (*_BRACKETS, *COMMENTS)]
    if pattern.type != "tuple_pattern" or any(text_of(node) == ".." for node in patterns):
        return []
    if isinstance(row, Part):
        pieces: list[Row] = [*row.pieces()] if row.node.type == "tuple_expression" else []
    else:
        pieces = [*row] if isinstance(row, tuple) else []
    if len(pieces) != len(patterns):
        return []
    deeper = isinstance(row, Part)  # and not the number that `enumerate` sets before it
    pairs = enumerate(zip(patterns, pieces, strict=True))
    return [
        one for number, (node, piece) in pairs for one in bound(node, piece, (*(at or ()), number) if deeper else at)
    ]
