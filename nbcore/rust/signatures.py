"""What a task's signature fixes: the imports its tests may trust, exact types, and equality that is derived."""

from __future__ import annotations

import re
from typing import Any

from nbcore.rust.screen import blank
from nbcore.rust.syntax import attributes, conditional, imported, items, name_of, parse, part_of, text_of


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


def uses(asked, real: str) -> tuple[str, set[str]]:
    """The imports from std that the task itself gives, from the real std, and the names they bring."""
    found, own = [], set()
    for node in asked.children:
        argument = node.child_by_field_name("argument") if node.type == "use_declaration" else None
        if argument is not None and re.match(r"(?:::)?\s*std\b", text_of(argument)):
            found.append("use ::" + real + re.sub(r"^(?:::)?\s*std\b", "", text_of(argument)) + ";")
            own |= set(imported(argument))
    return "".join(found), own


def pins(asked) -> tuple[str, set[str]]:
    """Code that compiles only against the exact signature, and the names of the functions it defines.

    A free function is called through a wrapper of the same signature; a method is assigned to a pointer of its type.
    """
    found, names = [], set()
    for name, node in items(asked):
        if node.type == "function_item":
            names.add(name)
            found.append(_wrapper(node, name))
    for node in asked.children:
        if node.type == "impl_item" and node.child_by_field_name("type_parameters") is None:
            found += filter(None, (_method(node, item) for item in node.child_by_field_name("body").children))
    return "\n".join(found), names


def _wrapper(node, name: str) -> str:
    kinds = [
        part_of(child, "type")
        for child in node.child_by_field_name("parameters").named_children
        if child.type == "parameter"
    ]
    takes = ", ".join(f"p{number}: {kind}" for number, kind in enumerate(kinds))
    gives = f" -> {part_of(node, 'return_type')}" if part_of(node, "return_type") else ""
    where = " ".join(text_of(child) for child in node.children if child.type == "where_clause")
    given = ", ".join(f"p{number}" for number in range(len(kinds)))
    return f"fn {name}{part_of(node, 'type_parameters')}({takes}){gives} {where} {{ super::{name}({given}) }}"


def _method(block, node) -> str | None:
    if node.type != "function_item" or node.child_by_field_name("type_parameters") is not None:
        return None
    whose, of = part_of(block, "type"), part_of(block, "trait")
    kinds = []
    for child in node.child_by_field_name("parameters").named_children:
        if child.type == "self_parameter":
            borrowed = re.match(r"(&\s*(?:mut\b)?)?", text_of(child))[0]
            kinds.append(f"{borrowed} {whose}")
        elif child.type == "parameter":
            kinds.append(part_of(child, "type"))
    gives = part_of(node, "return_type") or "()"
    pointer = f"fn({', '.join(kinds)}) -> {gives}"
    if "impl " in pointer or "'" in pointer:
        return None
    pointer = re.sub(r"\bSelf\b", whose, pointer)
    return f"const _: {pointer} = <{whose}{f' as {of}' if of else ''}>::{name_of(node)};"


def _derived(root) -> dict[str, set[str]]:
    """What each struct and enum at the top level derives; one that is there only at times derives nothing."""
    found = {}
    for name, node in items(root):
        if node.type in ("struct_item", "enum_item"):
            derives = re.findall(r"#\s*\[\s*derive\s*\(([^)]*)\)", " ".join(attributes(node)))
            found[name] = set() if conditional(node) else set(re.findall(r"\w+", " ".join(derives)))
    return found


def same_types(asked, code: str) -> None:
    """A type that the task derives equality for must derive it too: one written by hand may call all things equal."""
    wanted = [name for name, derives in _derived(asked).items() if "PartialEq" in derives]
    given = _derived(parse(code)) if wanted else {}
    for name in wanted:
        if "PartialEq" not in given.get(name, ()):
            raise Mismatch("signature_mismatch", f"`{name}` must derive PartialEq, as the task has it")
