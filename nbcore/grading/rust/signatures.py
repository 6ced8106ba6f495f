"""What a task's signature fixes: the imports its tests may trust, its types as they were given, the exact functions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from nbcore.grading.rust.lexer import blank
from nbcore.grading.rust.syntax import (
    attributes,
    conditional,
    imported,
    introduced,
    items,
    name_of,
    parse,
    part_of,
    text_of,
    walk,
)

_TYPES = ("struct_item", "enum_item", "trait_item", "union_item", "type_item")


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


def pins(asked: Any) -> tuple[str, set[str]]:
    """Code that compiles only against the exact signature, and the names of the functions it defines.

    A free function is called through a wrapper of the same signature. The methods of an impl must fit a trait that
    declares them as the task does; fields and variants must have the real types of these names.
    """
    found, names = [], set()
    for name, node in items(asked):
        if node.type == "function_item":
            names.add(name)
            found.append(_wrapper(node, name))
        elif node.type in ("struct_item", "enum_item") and node.child_by_field_name("type_parameters") is None:
            found += _parts(node, name)
    for node in asked.children:
        if node.type == "impl_item" and node.child_by_field_name("type_parameters") is None:
            found.append(_impl(node))
    return "\n".join(found), names


def _parts(item: Any, name: str) -> Iterator[str]:
    """Pins of a struct's fields and an enum's variants."""
    body = item.child_by_field_name("body")
    if body is None or "'" in text_of(body) or "Self" in text_of(body):
        return
    fields = [(part_of(node, "name"), part_of(node, "type")) for node in _of(body, "field_declaration")]
    if body.type == "ordered_field_declaration_list":
        fields = list(enumerate(_tuple_types(body)))
    for field, kind in fields:
        yield f"const _: fn(&{name}) -> &{kind} = |whole| &whole.{field};"
    for variant in _of(body, "enum_variant"):
        inside = variant.child_by_field_name("body")
        if inside is None:
            yield f"const _: fn() -> {name} = || {name}::{name_of(variant)};"
        elif inside.type == "ordered_field_declaration_list":
            yield f"const _: fn({', '.join(_tuple_types(inside))}) -> {name} = {name}::{name_of(variant)};"


def _of(node: Any, kind: str) -> list[Any]:
    return [child for child in node.named_children if child.type == kind]


def _tuple_types(body: Any) -> list[str]:
    skipped = ("visibility_modifier", "attribute_item", "line_comment", "block_comment")
    return [text_of(child) for child in body.named_children if child.type not in skipped]


def _parameters(node: Any) -> list[str]:
    return [part_of(child, "type") for child in _of(node.child_by_field_name("parameters"), "parameter")]


def _where(node: Any) -> str:
    return " ".join(text_of(child) for child in _of(node, "where_clause"))


def _modifiers(node: Any) -> list[str]:
    return [word for child in _of(node, "function_modifiers") for word in text_of(child).split()]


def _wrapper(node: Any, name: str) -> str:
    kinds, modifiers = _parameters(node), [word for word in _modifiers(node) if word in ("const", "async")]
    takes = ", ".join(f"p{number}: {kind}" for number, kind in enumerate(kinds))
    gives = f" -> {part_of(node, 'return_type')}" if part_of(node, "return_type") else ""
    given = ", ".join(f"p{number}" for number in range(len(kinds)))
    generic = part_of(node, "type_parameters")
    named = _given_types(node.child_by_field_name("type_parameters"))
    call = f"super::{name}{f'::<{named}>' if named else ''}({given})" + ".await" * ("async" in modifiers)
    return f"{' '.join([*modifiers, 'fn'])} {name}{generic}({takes}){gives} {_where(node)} {{ {call} }}"


def _given_types(parameters: Any) -> str:
    """The type and const parameters by name, to be handed on; lifetimes are found by themselves."""
    names = []
    for child in parameters.named_children if parameters is not None else ():
        if child.type in ("type_parameter", "const_parameter"):
            names.append(name_of(child))
        elif child.type == "type_identifier":
            names.append(text_of(child))
    return ", ".join(names)


def _impl(block: Any) -> str:
    """A trait with the block's functions, implemented by calling the candidate's: nothing of it is left in scope."""
    whose, of = part_of(block, "type"), part_of(block, "trait")
    declared, defined, static = [], [], []
    for node, _ in introduced(block.child_by_field_name("body")):
        if node.type == "type_item":
            declared.append(f"type {name_of(node)};")
            defined.append(text_of(node))
        elif node.type == "function_item" and node.child_by_field_name("type_parameters") is None:
            own = [text_of(child) for child in _of(node.child_by_field_name("parameters"), "self_parameter")]
            kinds = _parameters(node)
            takes = [*own, *(f"p{number}: {kind}" for number, kind in enumerate(kinds))]
            bare = [re.sub(r"^mut\s+", "", text) for text in takes]
            gives = f" -> {part_of(node, 'return_type')}" if part_of(node, "return_type") else ""
            given = ", ".join([*(["self"] if own else []), *(f"p{number}" for number in range(len(kinds)))])
            head = f"fn {name_of(node)}({', '.join(bare)}){gives} {_where(node)}"
            called = f"<{whose}{f' as {of}' if of else ''}>::{name_of(node)}({given})"
            declared.append(f"{head};")
            defined.append(f"{head} {{ {called} }}")
            if of and not own and "Self::" not in head:  # an inherent function of that name would be called instead
                kind = re.sub(r"\bSelf\b", whose, f"fn({', '.join(kinds)}){gives}")
                static.append(f"const _: {kind} = <{whose}>::{name_of(node)};")
    trait = f"trait Pin {{ {' '.join(declared)} }} impl Pin for {whose} {{ {' '.join(defined)} }}"
    return f"const _: () = {{ {trait} }};\n{' '.join(static)}"
