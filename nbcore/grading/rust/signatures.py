"""What a task's signature gives is the task's: imports, types, constants, helper functions, written methods."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from nbcore.grading.rust.answer import target
from nbcore.grading.rust.lexer import blank
from nbcore.grading.rust.shapes import derived
from nbcore.grading.rust.syntax import (
    conditional,
    edited,
    imported,
    introduced,
    name_of,
    parse,
    part_of,
    text_of,
    walk,
)

TYPES = ("struct_item", "enum_item", "trait_item", "union_item")
_VALUES = ("const_item", "static_item", "type_item")
_DERIVED = {"PartialEq": "cmp", "Eq": "cmp", "PartialOrd": "cmp", "Ord": "cmp", "Debug": "fmt", "Clone": "clone"}
_DERIVED |= {"Copy": "marker", "Hash": "hash", "Default": "default"}


class Mismatch(ValueError):
    """The candidate is not of the form that was asked for; `flag` names how."""

    def __init__(self, flag: str, message: str):
        super().__init__(message)
        self.flag = flag


def parsed(signature: str) -> Any:
    """The tree of a signature, with the braces closed that it leaves open."""
    text = blank(signature)
    if "{" not in text:
        return parse(signature + " {}")
    return parse(signature + "\n}" * (text.count("{") - text.count("}")))


def uses(asked: Any, real: str) -> tuple[str, set[str]]:
    """The imports from std that the task itself gives, from the real std, and the names they bring."""
    found, own = [], set()
    for node in asked.children:
        argument = node.child_by_field_name("argument") if node.type == "use_declaration" else None
        if argument is not None and re.match(r"(?:::)?\s*std\b", text_of(argument)):
            found.append("use ::" + real + re.sub(r"^(?:::)?\s*std\b", "", text_of(argument)) + ";")
            own |= set(imported(argument))
    return "".join(found), own


def given(asked: Any, signature: str) -> tuple[str, set[str]]:
    """The constants, aliases and whole functions of the task, as text for its tests, and their names."""
    whole = [node for node in asked.children if node.type in _VALUES or _is_written(node, signature)]
    return "\n".join(map(text_of, whole)), {name_of(node) for node in whole}


def constants(asked: Any) -> tuple[tuple[str, str], ...]:
    """(name, text of the value) of the task's constants."""
    return tuple((name_of(node), part_of(node, "value")) for node in asked.children if node.type == "const_item")


def as_given(asked: Any, signature: str, code: str) -> str:
    """`code` with what the task has written already as the task wrote it: constants, and methods of given impls.

    Raises Mismatch where such a method is not there, and where one that returns `impl Trait` returns a type by name,
    whose own methods the tests would call.
    """
    if not any(node.type in ("impl_item", "const_item", "static_item", "mod_item") for node in asked.children):
        return code
    tree, edits = parse(code), []
    for part, theirs in _scopes(asked, tree):
        edits += _written_edits(part, theirs, signature)
    return edited(code.encode(errors="replace"), edits).decode()


def _written_edits(asked: Any, tree: Any, signature: str) -> list[tuple[int, int, bytes]]:
    """What puts the task's constants, and the methods that it has written, in place of the candidate's."""
    impls = [node for node in asked.children if node.type == "impl_item"]
    values = {name_of(node): node for node in asked.children if node.type in ("const_item", "static_item")}
    pairs = [pair for pair in introduced(tree) if not conditional(pair[1])]
    edits = [
        _instead(node, values[name_of(node)]) for node, _ in pairs if node.type in _VALUES and name_of(node) in values
    ]
    theirs = [node for node, _ in pairs if node.type == "impl_item"]
    parts = [(block, part) for block in impls for part in _members(block)]
    for block, part in [pair for pair in parts if _is_written(pair[1], signature) or is_opaque(pair[1])]:
        same = [own for one in theirs if whose(one) == whose(block) for own in _members(one)]
        found = [own for own in same if (own.type, name_of(own)) == (part.type, name_of(part))]
        if not found:
            raise Mismatch("signature_mismatch", f"`{name_of(part)}` must be there as the task has it")
        if is_opaque(part) and not all(map(is_opaque, found)):
            raise Mismatch("signature_mismatch", f"`{name_of(part)}` must return `impl` as the task has it")
        if _is_written(part, signature):
            edits += [_instead(own, part) for own in found if _body(own) != _body(part)]
    return edits


def modules(asked: Any) -> Iterator[tuple[str, Any]]:
    """The modules of a signature: name and body."""
    for node in asked.children:
        body = node.child_by_field_name("body") if node.type == "mod_item" else None
        if body is not None:
            yield name_of(node), body


def _scopes(asked: Any, tree: Any) -> Iterator[tuple[Any, Any]]:
    """The signature with the candidate, then each of its modules with the candidate's of that name."""
    yield asked, tree
    for name, body in modules(asked):
        found = [
            node.child_by_field_name("body")
            for node, before in introduced(tree)
            if node.type == "mod_item" and name_of(node) == name and not conditional(before)
        ]
        if len(found) != 1 or found[0] is None:
            raise Mismatch("signature_mismatch", f"module `{name}` must be there once")
        yield from _scopes(body, found[0])


def _is_written(node: Any, signature: str) -> bool:
    """Whether the task has a constant, or the body of a function that is neither the one asked for nor a stub."""
    if node.type != "function_item":
        return node.type == "const_item"
    stub = re.fullmatch(r"\{\s*(?:(?:todo|unimplemented)!\s*\([^()]*\)\s*;?\s*)?\}", part_of(node, "body"))
    whole = node.end_byte <= len(signature.rstrip().encode(errors="replace"))
    return whole and not stub and name_of(node) != target(signature)


def is_opaque(function: Any) -> bool:
    """Whether a function returns a type without a name, `impl Trait`."""
    kind = function.child_by_field_name("return_type")
    return kind is not None and any(node.type == "abstract_type" for node in walk(kind))


def whose(block: Any) -> tuple[str, str]:
    """Trait, with its arguments, and type of an impl, by their last names."""
    trait = re.sub(r"\s|[\w\s]+::\s*(?=\w)", "", part_of(block, "trait"))
    return trait, re.sub(r"\s|<.*|[\w\s]+::\s*(?=\w)", "", part_of(block, "type"), flags=re.DOTALL)


def _members(block: Any) -> list[Any]:
    body = block.child_by_field_name("body")
    wanted = ("function_item", "const_item")
    return [node for node in body.children if node.type in wanted] if body is not None else []


def functions(block: Any) -> set[str]:
    """The names of an impl's or a trait's functions."""
    body = block.child_by_field_name("body")
    kinds = ("function_item", "function_signature_item")
    return {name_of(node) for node in body.children if node.type in kinds} if body is not None else set()


def _instead(node: Any, other: Any) -> tuple[int, int, bytes]:
    return node.start_byte, node.end_byte, other.text


def same_types(asked: Any, code: str, real: str) -> str:
    """`code` with the types of the task as the task has them, or Mismatch.

    Each must be there once, unconditionally, with the same body: else a variant could be a function, a trait have one
    method more. What the task derives is derived, of the real traits: an order or a default written by hand, which may
    say what it likes, gives way to it. Equality by hand is refused.
    """
    if not any(node.type in (*TYPES, "mod_item") for node in asked.children):
        return code
    edits = [edit for part, theirs in _scopes(asked, parse(code)) for edit in _type_edits(part, theirs, real)]
    return edited(code.encode(errors="replace"), edits).decode() if edits else code


def _type_edits(asked: Any, tree: Any, real: str) -> list[tuple[int, int, bytes]]:
    wanted = {name_of(node): (node, before) for node, before in introduced(asked) if node.type in TYPES}
    given: dict[str, list[tuple[Any, list[Any]]]] = {}
    by_hand = []
    for node, before in introduced(tree):
        if node.type.endswith("_item"):
            given.setdefault(name_of(node), []).append((node, before))
        if node.type == "impl_item" and whose(node)[0] in _DERIVED:
            by_hand.append((whose(node), node))
    edits = []
    for name, (node, before) in wanted.items():
        found = given.get(name, [])
        if len(found) != 1 or conditional(found[0][1]) or not _same(node, found[0][0]):
            raise Mismatch("signature_mismatch", f"`{name}` must be defined once, as the task has it")
        asked_for = {text_of(trait) for trait in derived(before)}
        there = {text_of(trait): trait for trait in derived(found[0][1])}
        if "PartialEq" in asked_for and "PartialEq" not in there:
            raise Mismatch("signature_mismatch", f"`{name}` must derive PartialEq, as the task has it")
        edits += [
            (_path_start(there[trait]), there[trait].end_byte, f"::{real}::{_DERIVED[trait]}::{trait}".encode())
            for trait in asked_for & there.keys() & _DERIVED.keys()
        ]
        if missing := sorted(asked_for & _DERIVED.keys() - there.keys()):
            start = found[0][0].start_byte
            paths = ", ".join(f"::{real}::{_DERIVED[trait]}::{trait}" for trait in missing)
            edits.append((start, start, f"#[derive({paths})] ".encode()))
            written = [node for (trait, kind), node in by_hand if kind == name and trait in missing]
            edits += [(node.start_byte, node.end_byte, b"\n" * node.text.count(b"\n")) for node in written]
    return edits


def _path_start(name: Any) -> int:
    """Where the path begins that ends with this identifier, among the flat tokens of a derive."""
    first = name
    while first.prev_sibling is not None and first.prev_sibling.type == "::":
        first = first.prev_sibling
        if first.prev_sibling is not None and first.prev_sibling.type == "identifier":
            first = first.prev_sibling
    return first.start_byte


def _same(asked: Any, own: Any) -> bool:
    """Whether a type has the same body, and the same variant as its default where the task names one."""
    default = "#[default]" in _body(asked, True)
    return _body(asked, default) == _body(own, default)


def _body(item: Any, default: bool = False) -> str:
    """An item's tokens, without visibility, comments, trailing commas, and attributes but for `#[default]`."""
    tokens, waiting = [], [item]
    while waiting:
        node = waiting.pop()
        if default and node.type == "attribute_item" and re.sub(r"\s", "", text_of(node)) == "#[default]":
            tokens.append("#[default]")
        if node.type in ("visibility_modifier", "attribute_item", "line_comment", "block_comment"):
            continue
        if node.child_count:
            waiting += reversed(node.children)
        else:
            tokens.append(text_of(node))
    return re.sub(r" ,(?= [)}])", "", " ".join(tokens))
