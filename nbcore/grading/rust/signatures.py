"""What a task's signature gives is the task's: imports, types, constants, helper functions, written methods."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from nbcore.grading.rust.answer import target
from nbcore.grading.rust.lexer import blank
from nbcore.grading.rust.syntax import (
    attributes,
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

_TYPES = ("struct_item", "enum_item", "trait_item", "union_item")
_VALUES = ("const_item", "static_item", "type_item")
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


def as_given(asked: Any, signature: str, code: str, called: set[str]) -> str:
    """`code` with what the task has written already as the task wrote it: constants, and methods of given impls.

    Raises Mismatch where such a method is not there, and where a method of the candidate's own stands ahead of one
    that a trait of the task's brings and that the tests call.
    """
    impls = [node for node in asked.children if node.type == "impl_item"]
    values = {name_of(node): node for node in asked.children if node.type in ("const_item", "static_item")}
    written = [(block, part) for block in impls for part in _members(block) if _is_written(part, signature)]
    if not impls and not values:
        return code
    tree = parse(code)
    pairs = [pair for pair in introduced(tree) if not conditional(pair[1])]
    edits = [
        _instead(node, values[name_of(node)]) for node, _ in pairs if node.type in _VALUES and name_of(node) in values
    ]
    theirs = [node for node, _ in pairs if node.type == "impl_item"]
    for block, part in written:
        same = [own for one in theirs if _whose(one) == _whose(block) for own in _members(one)]
        found = [own for own in same if (own.type, name_of(own)) == (part.type, name_of(part))]
        if not found:
            raise Mismatch("signature_mismatch", f"`{name_of(part)}` must be there as the task has it")
        edits += [_instead(own, part) for own in found if _body(own) != _body(part)]
    _no_shadows(asked, tree, called)
    return edited(code.encode(errors="replace"), edits).decode()


def _is_written(node: Any, signature: str) -> bool:
    """Whether the task has a constant, or the body of a function that is neither the one asked for nor a stub."""
    if node.type != "function_item":
        return node.type == "const_item"
    stub = re.fullmatch(r"\{\s*(?:(?:todo|unimplemented)!\s*\([^()]*\)\s*;?\s*)?\}", part_of(node, "body"))
    whole = node.end_byte <= len(signature.rstrip().encode(errors="replace"))
    return whole and not stub and name_of(node) != target(signature)


def _no_shadows(asked: Any, tree: Any, called: set[str]) -> None:
    traits: dict[str, set[str]] = {}  # of each type of the task, the methods that traits bring
    own: dict[str, set[str]] = {}
    brought = {name_of(node): _functions(node) for node in asked.children if node.type == "trait_item"}
    for node, before in introduced(asked):
        if node.type in _TYPES:
            for trait in _derived(before):
                traits.setdefault(name_of(node), set()).update(_STD_METHODS.get(text_of(trait), "").split())
        elif node.type == "impl_item":
            trait, kind = _whose(node)
            base = trait.partition("<")[0]
            methods = _functions(node) | set(_STD_METHODS.get(base, "").split()) | brought.get(base, set())
            (traits if trait else own).setdefault(kind, set()).update(methods)
    for node in walk(tree) if traits else ():
        trait, kind = _whose(node) if node.type == "impl_item" else ("-", "")
        if not trait and (ahead := _functions(node) & called & traits.get(kind, set()) - own.get(kind, set())):
            raise Mismatch("signature_mismatch", f"`{min(ahead)}` of `{kind}` would stand ahead of the trait's")


def _whose(block: Any) -> tuple[str, str]:
    """Trait, with its arguments, and type of an impl, by their last names."""
    trait = re.sub(r"\s|[\w\s]+::\s*(?=\w)", "", part_of(block, "trait"))
    return trait, re.sub(r"\s|<.*|[\w\s]+::\s*(?=\w)", "", part_of(block, "type"), flags=re.DOTALL)


def _members(block: Any) -> list[Any]:
    body = block.child_by_field_name("body")
    wanted = ("function_item", "const_item")
    return [node for node in body.children if node.type in wanted] if body is not None else []


def _functions(block: Any) -> set[str]:
    body = block.child_by_field_name("body")
    kinds = ("function_item", "function_signature_item")
    return {name_of(node) for node in body.children if node.type in kinds} if body is not None else set()


def _instead(node: Any, other: Any) -> tuple[int, int, bytes]:
    return node.start_byte, node.end_byte, other.text


def same_types(asked: Any, code: str, real: str) -> str:
    """`code` with the types of the task as the task has them, or Mismatch.

    Each must be there once, unconditionally, with the same body: else a variant could be a function, a trait have one
    method more. Where the task derives equality it must be derived, and of the real PartialEq: one written by hand may
    call all things equal.
    """
    wanted = {name_of(node): (node, before) for node, before in introduced(asked) if node.type in _TYPES}
    if not wanted:
        return code
    given: dict[str, list[tuple[Any, list[Any]]]] = {}
    for node, before in introduced(parse(code)):
        if node.type.endswith("_item"):
            given.setdefault(name_of(node), []).append((node, before))
    edits = []
    for name, (node, before) in wanted.items():
        found = given.get(name, [])
        if len(found) != 1 or conditional(found[0][1]) or _body(found[0][0]) != _body(node):
            raise Mismatch("signature_mismatch", f"`{name}` must be defined once, as the task has it")
        if any(text_of(trait) == "PartialEq" for trait in _derived(before)):
            equal = [trait for trait in _derived(found[0][1]) if text_of(trait) == "PartialEq"]
            if not equal:
                raise Mismatch("signature_mismatch", f"`{name}` must derive PartialEq, as the task has it")
            edits += [(trait.start_byte, trait.end_byte) for trait in equal]
    raw = code.encode(errors="replace")
    for start, end in sorted(edits, reverse=True):
        raw = raw[:start] + f"::{real}::cmp::PartialEq".encode() + raw[end:]
    return raw.decode() if edits else code


def _derived(before: list[Any]) -> Iterator[Any]:
    """The traits in the derive attributes."""
    for name, attribute in attributes(before):
        if name == "derive":
            yield from (node for node in walk(attribute) if node.type == "identifier" and node.prev_sibling is not None)


def _body(item: Any) -> str:
    """An item's tokens, without visibility, attributes, comments and trailing commas."""
    tokens, waiting = [], [item]
    while waiting:
        node = waiting.pop()
        if node.type in ("visibility_modifier", "attribute_item", "line_comment", "block_comment"):
            continue
        if node.child_count:
            waiting += reversed(node.children)
        else:
            tokens.append(text_of(node))
    return re.sub(r" ,(?= [)}])", "", " ".join(tokens))
