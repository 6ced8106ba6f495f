"""Faults that the compiler sees, made by rule: borrow, type, lifetime, missing import.

Each is tried, and kept only where the compiler names an error of its kind.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from nbcore.grading.rust.syntax import parse, part_of, text_of, walk

KINDS = {
    "borrow": {"E0382", "E0384", "E0499", "E0502", "E0505", "E0506", "E0507", "E0594", "E0596"},
    "type": {"E0308", "E0277", "E0369", "E0599"},
    "lifetime": {"E0106", "E0261", "E0515", "E0597", "E0621", "E0716", "E0373"},
    "missing_import": {"E0405", "E0412", "E0422", "E0425", "E0432", "E0433"},
}
"""Kind -> the codes of rustc that say so."""
_COPY = {"bool", "char", "f32", "f64", *(f"{sign}{bits}" for sign in "iu" for bits in (8, 16, 32, 64, 128, "size"))}


class CompileFault(NamedTuple):
    """A text that should not compile."""

    kind: str
    code: str


def find(text: str) -> list[CompileFault]:
    """The candidates in a file, in the order of the text; each kind by every rule that fits."""
    raw = text.encode()
    found = {}
    for node in walk(parse(text)):
        for kind, start, end, instead in _edits(node):
            code = (raw[:start] + instead.encode() + raw[end:]).decode()
            found[kind, start, code] = CompileFault(kind, code)
    return [found[key] for key in sorted(found)]


def _edits(node: Any) -> Iterator[tuple[str, int, int, str]]:
    if node.type == "mutable_specifier" and node.parent.type == "let_declaration":
        yield "borrow", node.start_byte, node.end_byte + 1, ""
    if node.type == "use_declaration":
        yield "missing_import", node.start_byte, node.end_byte, ""
    if node.type in ("scoped_identifier", "scoped_type_identifier") and part_of(node, "path").startswith("std::"):
        path = node.child_by_field_name("path")
        if node.parent.type not in ("use_declaration", "scoped_identifier", "scoped_use_list"):
            yield "missing_import", path.start_byte, path.end_byte + 2, ""
    if node.type != "function_item" or (body := node.child_by_field_name("body")) is None:
        return
    inside = [child for child in body.named_children if not child.type.endswith("comment")]
    for parameter in node.child_by_field_name("parameters").named_children:
        kind, name = part_of(parameter, "type"), part_of(parameter, "pattern")
        if name.isidentifier() and kind and kind not in _COPY and not kind.startswith("&"):
            yield "borrow", body.start_byte + 1, body.start_byte + 1, f"\n    let taken = {name};\n    drop(taken);"
    if inside and not text_of(inside[-1]).endswith((";", "}")) and part_of(node, "return_type"):
        tail = inside[-1]
        yield "type", tail.start_byte, tail.end_byte, f"Some({text_of(tail)})"
        yield "type", tail.start_byte, tail.end_byte, f"{text_of(tail)};"
        held = (
            f"let held;\n    {{\n        let inner = {text_of(tail)};\n        held = &inner;\n    }}\n    held.clone()"
        )
        yield "lifetime", tail.start_byte, tail.end_byte, held
        value = text_of(tail)
        pushed = f"let mut kept = Vec::new();\n    let seen = &kept;\n    kept.push({value});\n    let _ = seen.len();"
        yield "borrow", tail.start_byte, tail.end_byte, f"{pushed}\n    kept.pop().unwrap()"
        queued = f"let mut kept = VecDeque::from([{value}]);\n    kept.pop_front().unwrap()"
        yield "missing_import", tail.start_byte, tail.end_byte, queued
