"""Methods of a candidate's own that would be called instead of a trait's, in whatever way they came to be there.

A test that calls `p.to_string()` means the trait's that the task gives, and a method of the type itself goes before it.
The compiler is asked whether there is one: where there is no prelude, only a trait of ours has the name beside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from nbcore.grading.rust import signatures
from nbcore.grading.rust.pins import applied, declared, where_of
from nbcore.grading.rust.shapes import derived
from nbcore.grading.rust.syntax import introduced, items, name_of, text_of

# Methods that std's traits bring, by trait. Of Iterator's those that a test is likely to call.
_STD_METHODS = {
    "Display": "to_string", "PartialEq": "eq ne", "PartialOrd": "partial_cmp lt le gt ge",
    "Ord": "cmp max min clamp", "Clone": "clone clone_from", "Default": "default", "From": "from", "Hash": "hash",
    "FromStr": "from_str", "IntoIterator": "into_iter", "Deref": "deref", "AsRef": "as_ref", "TryFrom": "try_from",
    "Add": "add", "Sub": "sub", "Mul": "mul", "Div": "div", "Neg": "neg", "Not": "not", "Index": "index",
    "Iterator": "next size_hint count last nth step_by chain zip map for_each filter filter_map enumerate peekable"
    " skip_while take_while skip take scan flat_map flatten fuse inspect by_ref collect partition fold all any find"
    " find_map position max min max_by_key min_by_key rev unzip copied cloned cycle sum product eq ne lt le gt ge",
}  # fmt: skip
_NAME = r"(?<![\w:'])[A-Z]\w*"


def probes(asked: Any, called: set[str], known: set[str], real: str) -> str:
    """A module that compiles only where no type of the task has a method ahead of a trait's that the tests call.

    known: the names that may stand in bounds, which the module around has.
    """
    found = [
        _probe(item, names, path, real)
        for path, scope in _scopes(asked, "super")
        for item, names in _shadowed(scope, called)
        if _bounds(item) <= known
    ]
    asks = " ".join(f"mod a{number} {{ {text} }}" for number, text in enumerate(found))
    return f"#[no_implicit_prelude] mod ahead {{ {asks} }}" if found else ""


def _bounds(item: Any) -> set[str]:
    """What the bounds of a type's parameters name, but for std's own paths."""
    text = f"{declared(item)} {where_of(item)}"
    own = re.findall(r"\w+", applied(item.child_by_field_name("type_parameters")))
    return set(re.findall(_NAME, text)) - {*own, "Self"}


def _scopes(asked: Any, path: str) -> Iterator[tuple[str, Any]]:
    """The signature and its modules, each with the path to it."""
    yield path, asked
    for name, body in signatures.modules(asked):
        yield from _scopes(body, f"{path}::{name}")


def _shadowed(asked: Any, called: set[str]) -> Iterator[tuple[Any, list[str]]]:
    """The types of one scope, each with the called methods that traits alone bring it."""
    brought: dict[str, set[str]] = {}
    own: dict[str, set[str]] = {}
    traits = {name_of(node): signatures.functions(node) for node in asked.children if node.type == "trait_item"}
    for node, before in introduced(asked):
        if node.type in signatures.TYPES:
            for trait in derived(before):
                brought.setdefault(name_of(node), set()).update(_STD_METHODS.get(text_of(trait), "").split())
        elif node.type == "impl_item":
            trait, kind = signatures.whose(node)
            base = trait.partition("<")[0]
            methods = signatures.functions(node) | set(_STD_METHODS.get(base, "").split()) | traits.get(base, set())
            (brought if trait else own).setdefault(kind, set()).update(methods)
    for name, item in items(asked):
        names = sorted(called & brought.get(name, set()) - own.get(name, set()))
        if names and item.type in signatures.TYPES and item.type != "trait_item":
            yield item, names


def _probe(item: Any, names: list[str], path: str, real: str) -> str:
    """A trait with these names, and a function that asks for each of them: what it finds must be the trait's.

    Bounds are named by their paths, for a trait that is imported would bring its methods along.
    """
    bounds, parameters = _bounds(item), item.child_by_field_name("type_parameters")

    def placed(text: str) -> str:
        return re.sub(_NAME, lambda found: f"super::super::{found[0]}" if found[0] in bounds else found[0], text)

    generic, where = placed(declared(item)), placed(where_of(item))
    kind, marked = f"super::{path}::{name_of(item)}", f"::{real}::marker::PhantomData"
    whole, any_of = kind + applied(parameters), kind + applied(parameters, any_of=True)
    heads = [f"fn {name}(_: {marked}<Self>) -> Ours" for name in names]
    trait = f"struct Ours; trait Ahead {{ {' '.join(f'{head};' for head in heads)} }}"
    fits = f"impl{generic} Ahead for {whole} {where} {{ {' '.join(f'{head} {{ Ours }}' for head in heads)} }}"
    asks = " ".join(f"let _: fn({marked}<{whole}>) -> Ours = <{any_of}>::{name};" for name in names)
    return f"use ::{real} as std; {trait} {fits} fn asks{generic}() {where} {{ {asks} }}"
