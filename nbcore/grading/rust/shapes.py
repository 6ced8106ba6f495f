"""How values of a program's own types are shown, where Debug and PartialEq are derived.

    enum Panel { North(i64), Near }          Panel::North(4)          shown as North(4)
    struct Point { x: i64, y: i64 }          Point { y: 2, x: 1 }     shown as Point { x: 1, y: 2 }

Equality written by hand may call things equal that are shown differently, so such types have no shape here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from nbcore.grading.rust.syntax import attributes, conditional, introduced, name_of, part_of, text_of, walk

_SHOWN = {"Option", "Result", "Vec", "String", "Box", "HashMap", "HashSet", "BTreeMap", "BTreeSet", "VecDeque"}
_SHOWN |= {"str", "bool", "char"}
_SHOWN |= {f"{sign}{bits}" for sign in "iu" for bits in (8, 16, 32, 64, 128, "size")} | {"f32", "f64"}
_NAMES = ("type_identifier", "primitive_type", "identifier")
_NOT_SHOWN = (
    "abstract_type",
    "dynamic_type",
    "function_type",
    "pointer_type",
    "macro_invocation",
    "scoped_type_identifier",
)
_FIELDS = ("field_declaration_list", "ordered_field_declaration_list")
_NO_FIELDS = ("visibility_modifier", "attribute_item", "line_comment", "block_comment")


class Shape(NamedTuple):
    """One struct or one variant of an enum."""

    path: str
    """As a test names it: `Point`, `geometry::Point`, `Panel::North`, or `North` where that is imported."""
    shown: str
    fields: tuple[str, ...] = ()
    """By name, or "" for each where they have none, in the order of the declaration."""


def shapes(roots: Iterable[Any], tests: Any, mentioned: set[str]) -> tuple[Shape, ...]:
    """The shapes of the types that these trees and their modules define, a task's own before a candidate's; sorted.

    tests: the tree of the tests, which may define types and import variants. mentioned: the names that they have.
    """
    found: dict[str, list[Shape]] = {}
    for root in roots:
        own: dict[str, list[Shape]] = {}
        for name, whole in _in(root):
            if name in mentioned:
                own[name] = [] if name in own else whole
        for name, whole in own.items():
            found.setdefault(name, whole)  # the task's own is what the candidate's must be
    for name, whole in _of(pair for parent in walk(tests) if parent.child_count for pair in introduced(parent)):
        found[name] = [] if name in found else whole  # of two types with one name a text does not say which
    imported = _variants(tests, found)
    return tuple(sorted([shape for whole in found.values() for shape in whole] + imported))


class Shown(NamedTuple):
    """What is known of the values that a signature's functions return, by the functions' names."""

    as_read: frozenset[str] = frozenset()
    """They are shown as std's and derived types are."""
    of_std: frozenset[str] = frozenset()
    """They are of std's types alone, and so are their methods, such as `is_empty`."""
    crossed: bool = False
    """The task compares some type with another by hand: what is equal there may be shown otherwise."""


NOTHING = Shown()


def shown(asked: Any, names: frozenset[str], known: tuple[Shape, ...]) -> Shown:
    """What is known of those of a signature's functions that have these names."""
    own = {shape.path.partition("::")[0] for shape in known}
    traits = [re.sub(r"\s", "", part_of(node, "trait")) for node in walk(asked) if node.type == "impl_item"]
    crossed = any("PartialEq<" in trait for trait in traits)
    return Shown(_returning(_SHOWN | own, asked, names), _returning(_SHOWN - own, asked, names), crossed)


def _returning(plain: set[str], asked: Any, names: frozenset[str]) -> frozenset[str]:
    """The functions whose types name nothing else."""
    found = set()
    for node in asked.children:
        if node.type == "function_item" and name_of(node) in names:
            kind = node.child_by_field_name("return_type")
            parts = [text_of(one) for one in walk(kind) if one.type in _NAMES] if kind is not None else ["?"]
            odd = [one for one in walk(kind) if one.type in _NOT_SHOWN] if kind is not None else []
            if plain.issuperset(parts) and not odd:
                found.add(name_of(node))
    return frozenset(found)


def derived(before: list[Any]) -> Iterator[Any]:
    """The traits in the derive attributes."""
    for name, attribute in attributes(before):
        if name == "derive":
            yield from (node for node in walk(attribute) if node.type == "identifier" and node.prev_sibling is not None)


def _in(root: Any, path: str = "") -> Iterator[tuple[str, list[Shape]]]:
    """As `_of`, of a file or a module and of the modules in it; a type there has the path to it, too."""
    for node, before in introduced(root):
        for name, whole in _of([(node, before)]):
            yield name, whole + [shape._replace(path=path + shape.path) for shape in whole if path]
        body = node.child_by_field_name("body") if node.type == "mod_item" else None
        if body is not None:
            for name, whole in _in(body, f"{path}{name_of(node)}::"):
                yield name, [] if conditional(before) else whole


def _of(pairs: Iterable[tuple[Any, list[Any]]]) -> Iterator[tuple[str, list[Shape]]]:
    """(name, shapes) of each type; none where its text does not say how it is shown and compared."""
    for node, before in pairs:
        if node.type in ("struct_item", "enum_item"):
            traits = {text_of(trait) for trait in derived(before)}
            plain = {"Debug", "PartialEq"} <= traits and not conditional(before) and "#" not in _code(node)
            yield name_of(node), list(_shapes(node)) if plain else []


def _code(node: Any) -> str:
    """An item without its comments: an attribute or a raw name in it needs more than is read here."""
    return re.sub(r"//[^\n]*|/\*.*?\*/", "", text_of(node), flags=re.DOTALL)


def _shapes(node: Any) -> Iterator[Shape]:
    name, body = name_of(node), node.child_by_field_name("body")
    if node.type == "struct_item":
        yield Shape(name, name, _fields(body))
        return
    for variant in body.named_children:
        if variant.type == "enum_variant":
            own = name_of(variant)
            yield Shape(f"{name}::{own}", own, _fields(variant.child_by_field_name("body")))


def _fields(body: Any) -> tuple[str, ...]:
    if body is None or body.type not in _FIELDS:
        return ()
    inside = [child for child in body.named_children if child.type not in _NO_FIELDS]
    return tuple(name_of(child) if child.type == "field_declaration" else "" for child in inside)


def _variants(tests: Any, found: dict[str, list[Shape]]) -> list[Shape]:
    """Variants by the bare names under which the tests import them."""
    uses = " ".join(text_of(node) for node in walk(tests) if node.type == "use_declaration")
    bare = []
    for name, whole in found.items():
        for listed in re.findall(rf"\b{name}\s*::\s*(\*|\w+|\{{[^{{}}]*\}})", uses):
            names = set(re.findall(r"\w+|\*", listed))
            bare += [
                shape._replace(path=shape.shown)
                for shape in whole
                if {"*", shape.shown} & names and shape.path.startswith(f"{name}::")
            ]
    return bare
