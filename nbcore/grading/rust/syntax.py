"""Rust's syntax tree, and the few questions that are asked of it."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

_MOST_NESTED = 50
_ALONE = "const C: () = f({});"
AHEAD = _ALONE.index("{")  # bytes before an expression that is parsed by itself
COMMENTS = ("line_comment", "block_comment")
_BINDERS = ("let_declaration", "for_expression", "let_condition", "closure_expression", "match_arm", "parameter")


@functools.cache
def _parser() -> Any:
    import tree_sitter_rust
    from tree_sitter import Language, Parser

    return Parser(Language(tree_sitter_rust.language()))


def parse(code: str) -> Any:
    """The root node; code that does not parse has error nodes in it. Offsets are of the UTF-8 text."""
    return _parser().parse(code.encode(errors="replace")).root_node


def expression(text: str) -> Any:
    """The node of one expression, None where the text is not one."""
    found = arguments(text)
    return found[0] if len(found) == 1 else None


def arguments(text: str) -> list[Any]:
    """The nodes of expressions between commas, as in a macro's parentheses; empty where the text is something else."""
    root = parse(_ALONE.format(text))
    if root.has_error or root.child_count != 1:
        return []
    call = root.children[0].child_by_field_name("value")
    given = call.child_by_field_name("arguments") if call is not None and call.type == "call_expression" else None
    return [child for child in given.named_children if child.type not in COMMENTS] if given is not None else []


def text_of(node: Any) -> str:
    """The node's source."""
    return node.text.decode(errors="replace")


def part_of(node: Any, field: str) -> str:
    """The source of one of its fields, "" where it has none."""
    return text_of(found) if (found := node.child_by_field_name(field)) is not None else ""


def name_of(node: Any) -> str:
    """The name of an item, "" where it has none."""
    return part_of(node, "name")


def edited(raw: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
    """`raw` with other bytes in these places, (start, end, instead), which do not overlap."""
    for start, end, instead in sorted(edits, reverse=True):
        raw = raw[:start] + instead + raw[end:]
    return raw


def items(root: Any) -> Iterator[tuple[str, Any]]:
    """(name, node) of what a file defines at its top level."""
    for node in root.children:
        if node.type.endswith("_item") and (name := name_of(node)):
            yield name, node


def introduced(parent: Any) -> Iterator[tuple[Any, list[Any]]]:
    """Each child with the attributes and comments that stand before it. One pass: asking a node for its neighbour is
    as long as the file."""
    before: list[Any] = []
    for node in parent.children:
        if node.type in ("attribute_item", "line_comment", "block_comment"):
            before.append(node)
        else:
            yield node, before
            before = []


def attributes(before: list[Any]) -> Iterator[tuple[str, Any]]:
    """(name, node) of the attributes among what introduces an item: ("derive", …), ("cfg", …)."""
    for item in before:
        for node in item.children if item.type == "attribute_item" else ():
            if node.type == "attribute" and node.children:
                yield text_of(node.children[0]).removeprefix("r#"), node


def conditional(before: list[Any]) -> bool:
    """Whether an item is there only in some configuration."""
    return any(name.startswith("cfg") for name, _ in attributes(before))


def imported(node: Any, depth: int = 0) -> Iterator[str]:
    """The names that the argument of a use declaration brings in; what a star brings nobody knows."""
    if node is None or depth > _MOST_NESTED:
        return
    if node.type == "identifier":
        yield text_of(node)
    elif node.type == "scoped_identifier":
        yield name_of(node)
    elif node.type == "use_as_clause":
        yield part_of(node, "alias")
    elif node.type in ("use_list", "scoped_use_list"):
        for child in node.named_children:
            if child != node.child_by_field_name("path"):
                if child.type == "self":
                    yield part_of(node.parent, "path").rpartition("::")[2]
                yield from imported(child, depth + 1)


def walk(root: Any) -> Iterator[Any]:
    """Every node below `root`, itself first; in no order worth relying on, and without recursion."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += node.children


def walk_introduced(root: Any) -> Iterator[tuple[Any, list[Any]]]:
    """As `walk`, without the root, each node with what introduces it."""
    for parent in walk(root):
        if parent.child_count:
            yield from introduced(parent)


def bindings(root: Any) -> set[str]:
    """The names that patterns bind, anywhere below."""
    names = set()
    for node in walk(root):
        if node.type in (
            "let_declaration",
            "for_expression",
            "let_condition",
            "closure_expression",
            "match_arm",
            "parameter",
        ):
            pattern = node.child_by_field_name("pattern") or node.child_by_field_name("parameters")
            names |= {text_of(name) for name in walk(pattern) if name.type == "identifier"} if pattern else set()
    return names
