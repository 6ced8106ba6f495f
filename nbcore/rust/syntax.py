"""Rust's syntax tree, and the few questions that are asked of it."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from typing import Any

_MOST_NESTED = 50


@functools.cache
def _parser() -> Any:
    import tree_sitter_rust
    from tree_sitter import Language, Parser

    return Parser(Language(tree_sitter_rust.language()))


def parse(code: str) -> Any:
    """The root node; code that does not parse has error nodes in it. Offsets are of the UTF-8 text."""
    return _parser().parse(code.encode(errors="replace")).root_node


def text_of(node: Any) -> str:
    """The node's source."""
    return node.text.decode(errors="replace")


def part_of(node: Any, field: str) -> str:
    """The source of one of its fields, "" where it has none."""
    return text_of(found) if (found := node.child_by_field_name(field)) is not None else ""


def name_of(node: Any) -> str:
    """The name of an item, "" where it has none."""
    return part_of(node, "name")


def items(root: Any) -> Iterator[tuple[str, Any]]:
    """(name, node) of what a file defines at its top level."""
    for node in root.children:
        if node.type.endswith("_item") and (name := name_of(node)):
            yield name, node


def attributes(node: Any) -> list[str]:
    """The outer attributes of an item, as they are written."""
    found, before = [], node.prev_sibling
    while before is not None and before.type in ("attribute_item", "line_comment", "block_comment"):
        if before.type == "attribute_item":
            found.append(text_of(before))
        before = before.prev_sibling
    return found


def imported(node: Any, depth: int = 0) -> Iterator[str]:
    """The names that the argument of a use declaration brings in; what a star brings nobody knows."""
    if node is None or depth > _MOST_NESTED:
        return
    if node.type == "identifier":
        yield text_of(node)
    elif node.type == "scoped_identifier":
        yield name_of(node)
    elif node.type == "use_as_clause":
        yield text_of(node.child_by_field_name("alias"))
    elif node.type in ("use_list", "scoped_use_list"):
        for child in node.named_children:
            if child != node.child_by_field_name("path"):
                if child.type == "self":
                    yield text_of(node.parent.child_by_field_name("path")).rpartition("::")[2]
                yield from imported(child, depth + 1)


def conditional(node: Any) -> bool:
    """Whether an item is there only in some configuration."""
    return any(re.match(r"#\s*\[\s*cfg", text) for text in attributes(node))


def walk(root: Any) -> Iterator[Any]:
    """Every node below `root`, itself first; in no order worth relying on, and without recursion."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += node.children
