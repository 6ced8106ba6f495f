"""Code that compiles only against the exact signature of a task: its functions, methods, fields and variants."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from nbcore.grading.rust import signatures
from nbcore.grading.rust.syntax import introduced, items, name_of, part_of, text_of


def pins(asked: Any, given: set[str], signature: str, real: str, where: str = "super") -> tuple[str, set[str]]:
    """The pins, and the names of the functions and modules that they define; those in `given` the task defines itself.

    where: the path from the pins to the candidate's module that they are about. A module of the signature is pinned by
    one of the same name, which has its types and wrappers of its functions.

    A free function is called through a wrapper of the same signature. The methods of an impl must fit a trait that
    declares them as the task does; fields and variants must have the real types of these names.
    """
    lines, names = [], set()
    for name, node in items(asked):
        if node.type == "function_item" and name not in given:
            names.add(name)
            lines.append(("" if where == "super" else "pub ") + _wrapper(node, name, where))
        elif node.type in ("struct_item", "enum_item") and node.child_by_field_name("body") is not None:
            lines.append(f"const _: () = {{ {' '.join(_parts(node, name))} }};")
    lines += [_impl(node) for node in asked.children if node.type == "impl_item"]
    for name, body in signatures.modules(asked):
        names.add(name)
        lines.append(_module(name, body, signature, real, f"super::{where}::{name}"))
    return "\n".join(lines), names


def _module(name: str, body: Any, signature: str, real: str, where: str) -> str:
    """A module like the task's, around the candidate's types and functions."""
    of_std, _ = signatures.uses(body, real)
    others = [text_of(node) for node in body.children if node.type == "use_declaration" and "std" not in text_of(node)]
    types = [type_name for type_name, node in items(body) if node.type in signatures.TYPES]
    given, written = signatures.given(body, signature)
    pinned, _ = pins(body, written, signature, real, where)
    taken = f"pub(crate) use {where}::{{{', '.join(types)}}};" if types else ""
    return f"pub mod {name} {{ {of_std} {' '.join(others)} {taken}\n{given}\n{pinned} }}"


def _parts(item: Any, name: str) -> Iterator[str]:
    """Pins of a struct's fields and an enum's variants: functions that give one, or make the other."""
    parameters = item.child_by_field_name("type_parameters")
    whole = name + applied(parameters)
    body, where = item.child_by_field_name("body"), where_of(item)

    def pin(takes: str, gives: str, does: str, number: int) -> str:
        inside = declared(item)[1:-1]
        given = ", ".join(part for part in ("'pin" if "'pin" in takes else "", inside) if part)
        text = f"fn pin_{number}<{given}>({takes}) -> {gives} {where} {{ {does} }}"
        return re.sub(r"\bSelf\b", whole, text)

    if body.type == "enum_variant_list":
        for number, variant in enumerate(_of(body, "enum_variant")):
            inside, made = variant.child_by_field_name("body"), f"{name}::{name_of(variant)}"
            fields = _fields(inside) if inside is not None else []
            takes = ", ".join(f"p{index}: {kind}" for index, (_, kind) in enumerate(fields))
            if inside is not None and inside.type == "field_declaration_list":
                made += " { " + ", ".join(f"{field}: p{index}" for index, (field, _) in enumerate(fields)) + " }"
            elif inside is not None:
                made += "(" + ", ".join(f"p{index}" for index in range(len(fields))) + ")"
            yield pin(takes, whole, made, number)
        return
    for number, (field, kind) in enumerate(_fields(body)):
        yield pin(f"whole: &'pin {whole}", f"&'pin {kind}", _exactly(f"&whole.{field}", f"&'pin {kind}"), number)


def _fields(body: Any) -> list[tuple[str, str]]:
    """(name or number, type) of each."""
    if body.type == "ordered_field_declaration_list":
        skipped = ("visibility_modifier", "attribute_item", "line_comment", "block_comment")
        kinds = [text_of(child) for child in body.named_children if child.type not in skipped]
        return [(str(number), kind) for number, kind in enumerate(kinds)]
    return [(part_of(node, "name"), part_of(node, "type")) for node in _of(body, "field_declaration")]


def _of(node: Any, kind: str) -> list[Any]:
    return [child for child in node.named_children if child.type == kind]


def _parameters(node: Any) -> list[str]:
    return [part_of(child, "type") for child in _of(node.child_by_field_name("parameters"), "parameter")]


def where_of(node: Any) -> str:
    """The where clause of an item."""
    return " ".join(text_of(child) for child in _of(node, "where_clause"))


def _modifiers(node: Any) -> list[str]:
    return [word for child in _of(node, "function_modifiers") for word in text_of(child).split()]


def _wrapper(node: Any, name: str, where: str) -> str:
    kinds, modifiers = _parameters(node), [word for word in _modifiers(node) if word in ("const", "async")]
    takes = ", ".join(f"p{number}: {kind}" for number, kind in enumerate(kinds))
    gives = f" -> {part_of(node, 'return_type')}" if part_of(node, "return_type") else ""
    given = ", ".join(f"p{number}" for number in range(len(kinds)))
    generic = part_of(node, "type_parameters")
    call = f"{where}::{name}{_turbofish(node)}({given})" + ".await" * ("async" in modifiers)
    return f"{' '.join([*modifiers, 'fn'])} {name}{generic}({takes}){gives} {where_of(node)} {{ {call} }}"


def _turbofish(function: Any) -> str:
    """The type and const parameters by name, to be handed on; lifetimes are inferred."""
    names = ", ".join(_named(function.child_by_field_name("type_parameters"), lifetimes=False))
    return f"::<{names}>" if names else ""


def _named(parameters: Any, lifetimes: bool, any_of: bool = False) -> Iterator[str]:
    for child in parameters.named_children if parameters is not None else ():
        if child.type == "const_parameter":
            yield name_of(child)
        elif child.type in ("type_parameter", "type_identifier"):
            yield "_" if any_of else name_of(child) or text_of(child)
        elif lifetimes and child.type in ("lifetime", "lifetime_parameter"):
            yield "'_" if any_of else text_of(child).split(":")[0].strip()


def applied(parameters: Any, any_of: bool = False) -> str:
    """The parameters by name, as a type takes them; `any_of`: whatever they may be, but for constants."""
    names = ", ".join(_named(parameters, lifetimes=True, any_of=any_of))
    return f"<{names}>" if names else ""


def declared(item: Any) -> str:
    """The parameters of a type as an impl declares them: without what they are where nobody says."""
    parameters = item.child_by_field_name("type_parameters")
    parts = []
    for child in parameters.named_children if parameters is not None else ():
        default = child.child_by_field_name("default_type") or child.child_by_field_name("value")
        end = default.start_byte - child.start_byte if default is not None else len(child.text)
        parts.append(child.text[:end].decode(errors="replace").rstrip(" ="))
    return f"<{', '.join(parts)}>" if parts else ""


def _exactly(value: str, kind: str) -> str:
    """An expression of this very type: what is in an array becomes no other, as `&Mine` would a `&str` elsewhere."""
    return f"let it = [{value}]; let [it]: [{kind}; 1] = it; it"


def _impl(block: Any) -> str:
    """A trait with the block's functions, implemented by calling the candidate's: nothing of it is left in scope."""
    whose, of = part_of(block, "type"), part_of(block, "trait")
    parameters = block.child_by_field_name("type_parameters")
    heads, defined, static = [], [], []
    for node, _ in introduced(block.child_by_field_name("body")):
        if node.type == "type_item":
            heads.append(f"type {name_of(node)};")
            defined.append(text_of(node))
        elif node.type == "function_item":
            own = [text_of(child) for child in _of(node.child_by_field_name("parameters"), "self_parameter")]
            kinds = _parameters(node)
            takes = [*own, *(f"p{number}: {kind}" for number, kind in enumerate(kinds))]
            bare = [re.sub(r"^mut\s+", "", text) for text in takes]
            gives = f" -> {part_of(node, 'return_type')}" if part_of(node, "return_type") else ""
            given = ", ".join([*(["self"] if own else []), *(f"p{number}" for number in range(len(kinds)))])
            head = f"fn {name_of(node)}{part_of(node, 'type_parameters')}({', '.join(bare)}){gives} {where_of(node)}"
            called = f"<{whose}{f' as {of}' if of else ''}>::{name_of(node)}{_turbofish(node)}({given})"
            heads.append(f"{head};")
            inherent = gives and not of and not signatures.is_opaque(node)
            defined.append(f"{head} {{ {_exactly(called, part_of(node, 'return_type')) if inherent else called} }}")
            plain = parameters is None and node.child_by_field_name("type_parameters") is None
            if of and not own and plain and "Self::" not in head:  # an inherent function would be called instead
                kind = re.sub(r"\bSelf\b", whose, f"fn({', '.join(kinds)}){gives}")
                static.append(f"const _: {kind} = <{whose}>::{name_of(node)};")
    generic, where = part_of(block, "type_parameters"), f" {where_of(block)}".rstrip()
    trait = f"trait Pin{generic}: Sized{where} {{ {' '.join(heads)} }}"
    fits = f"impl{generic} Pin{applied(parameters)} for {whose}{where} {{ {' '.join(defined)} }}"
    return f"const _: () = {{ {trait} {fits} }};\n{' '.join(static)}"
