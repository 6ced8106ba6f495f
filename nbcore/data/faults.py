"""One-edit faults of working Rust: where each lies, of which kind it is, and what it puts there.

Found in the syntax tree (tree-sitter), or read from what `cargo mutants` lists. Whether a fault compiles, and whether a
test notices it, is for mutants.py to try.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from nbcore.grading.rust.mutants import one_edit
from nbcore.grading.rust.syntax import attributes, introduced, name_of, parse, part_of, text_of, walk

KINDS = ("operator", "boundary", "constant", "return", "removed_statement", "swapped_arguments")
_BOUNDARIES = {"<", "<=", ">", ">=", "..", "..="}
_DEFAULTS = {"bool": "false", "String": "String::new()", "&str": '""', "char": "'\\0'", "f32": "0.0", "f64": "0.0"}
_INTEGER = re.compile(r"(\d[\d_]*?)_?([iu](?:8|16|32|64|128|size))?")
_GENRES = {"FnValue": "return", "MatchArm": "removed_statement", "StructField": "removed_statement"}
_HOW = "give what `cargo mutants --list --json` prints, or mutants.out/mutants.json or outcomes.json"


class Fault(NamedTuple):
    """One edit of one file."""

    kind: str
    """One of KINDS."""
    function: str
    file: str
    line: int
    """Of its beginning, 1-based."""
    column: int
    """Of its beginning in characters, 1-based."""
    start: int
    """Where it begins in the file's UTF-8 text, in bytes."""
    end: int
    original: str
    replacement: str

    def applied(self, text: str) -> str:
        """The file's text with this fault in it."""
        raw = text.encode()
        return (raw[: self.start] + self.replacement.encode() + raw[self.end :]).decode()

    def id(self, source: str) -> str:
        """The same for the same fault of the same text, wherever and whenever it is made."""
        whole = "\0".join([source, *map(str, self)])
        return f"mutant-{hashlib.sha256(whole.encode()).hexdigest()[:12]}"


def find(text: str, file: str = "src/lib.rs") -> list[Fault]:
    """The faults of every function of a file but its tests, in the order of the text. ValueError where it does not
    parse."""
    root = parse(text)
    if root.has_error:
        raise ValueError(f"{file} does not parse as Rust")
    raw = text.encode()
    found = set()
    for function in _functions(root):
        body = function.child_by_field_name("body")
        for node in walk(body) if body else ():
            for kind, start, end, instead in (*_swapped(node), *_of_tree(node, function)):
                if raw[start:end].decode() != instead:
                    found.add(_fault(kind, name_of(function), file, raw, start, end, instead))
    return sorted(found, key=lambda fault: (fault.start, fault.end, fault.kind, fault.replacement))


def choose(faults: list[Fault], most: int, rng: random.Random) -> list[Fault]:
    """`most` of them, drawn such that each kind has its turn as long as it has any left."""
    waiting = {kind: [fault for fault in faults if fault.kind == kind] for kind in sorted({f.kind for f in faults})}
    for group in waiting.values():
        rng.shuffle(group)
    kinds = list(waiting)
    rng.shuffle(kinds)
    chosen: list[Fault] = []
    while len(chosen) < most and any(waiting.values()):
        for kind in kinds:
            if waiting[kind] and len(chosen) < most:
                chosen.append(waiting[kind].pop())
    return chosen


def from_cargo(path: Path, files: dict[str, str]) -> list[Fault]:
    """The faults that `cargo mutants` lists for a crate whose texts are `files`, by their path in the crate.

    Raises ValueError naming the file where it is not that tool's, or tells of another text than the crate has.
    """
    try:
        rows = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"cargo-mutants: {path}: not JSON ({error}); {_HOW}") from None
    if isinstance(rows, dict):
        rows = [_scenario(row) for row in rows.get("outcomes") or []]
    if not isinstance(rows, list):
        raise ValueError(f"cargo-mutants: {path}: holds no list of mutants; {_HOW}")
    faults = []
    for number, row in enumerate(rows, 1):
        if row is None:  # the baseline of an outcomes.json
            continue
        try:
            name = row["file"]
            raw = files[name].encode()
            start, end = (_offset(files[name], row["span"][side]) for side in ("start", "end"))
            kind = _GENRES.get(row.get("genre")) or _kind_of(raw[start:end].decode())
            function = ((row.get("function") or {}).get("function_name") or "").rpartition("::")[2]
            if not (isinstance(row["replacement"], str) and 0 <= start <= end):
                raise ValueError("its replacement or span is no such thing")
            faults.append(_fault(kind, function, name, raw, start, end, row["replacement"]))
        except (KeyError, TypeError, AttributeError, ValueError, IndexError) as error:
            words = f"{type(error).__name__}: {error}"
            raise ValueError(f"cargo-mutants: {path}: mutant {number} fits no file of the crate ({words})") from None
    return faults


def _scenario(row: Any) -> Any:
    scenario = row.get("scenario") if isinstance(row, dict) else None
    return scenario.get("Mutant") if isinstance(scenario, dict) else None


def _offset(text: str, place: dict[str, int]) -> int:
    """Bytes before a place that is given in lines and characters, both 1-based."""
    rows = text.split("\n")
    line, column = place["line"], place["column"]
    if not (1 <= line <= len(rows) and 1 <= column <= len(rows[line - 1]) + 1):
        raise ValueError(f"line {line}, column {column} is outside the file")
    before = "\n".join([*rows[: line - 1], rows[line - 1][: column - 1]])
    return len(before.encode())


def _fault(kind: str, function: str, file: str, raw: bytes, start: int, end: int, instead: str) -> Fault:
    before = raw[:start].decode()
    column = len(before) - before.rfind("\n")
    return Fault(kind, function, file, before.count("\n") + 1, column, start, end, raw[start:end].decode(), instead)


def _functions(parent: Any) -> Iterator[Any]:
    """Every function below, but those of tests."""
    waiting = [parent]
    while waiting:
        for node, before in introduced(waiting.pop()):
            marks = [(name, re.sub(r"\s", "", text_of(mark))) for name, mark in attributes(before)]
            if any(name == "test" or (text.startswith("cfg(") and "test" in text) for name, text in marks):
                continue
            if node.type == "function_item":
                yield node
            else:
                waiting.append(node)


def _kind_of(token: str) -> str:
    if token in _BOUNDARIES:
        return "boundary"
    return "constant" if token in ("true", "false") or _INTEGER.fullmatch(token) else "operator"


def _swapped(node: Any) -> Iterator[tuple[str, int, int, str]]:
    """Operators, boundaries and constants: the edits that a program's own tests are tried by, and a few more."""
    if edit := one_edit(node):
        start, end, instead = edit
        yield _kind_of(text_of(node)), start, end, instead
    number = _INTEGER.fullmatch(text_of(node)) if node.type == "integer_literal" else None
    if number:
        value, suffix = int(number[1].replace("_", "")), number[2] or ""
        for other in (value + 1, value - 1):
            if other >= 0:
                yield "constant", node.start_byte, node.end_byte, f"{other}{suffix}"
    if node.type == "unary_expression" and text_of(node.children[0]) in ("!", "-"):
        yield "operator", node.start_byte, node.children[0].end_byte, ""


def _of_tree(node: Any, function: Any) -> Iterator[tuple[str, int, int, str]]:
    """Returns, removed statements, swapped arguments."""
    if node.type == "return_expression" and node.named_children:
        yield from _returned(node.named_children[0], function)
    if node.type == "block" and node == function.child_by_field_name("body"):
        tail = _tail(node)
        if tail is not None:
            yield from _returned(tail, function)
    if node.type == "expression_statement" and node.parent.type == "block":
        is_value = node == node.parent.named_children[-1] and not text_of(node).endswith(";")
        if not is_value:
            yield "removed_statement", node.start_byte, node.end_byte, ""
    if node.type == "arguments":
        given = [child for child in node.named_children if not child.type.endswith("comment")]
        for left, right in itertools.pairwise(given):
            between = node.text[left.end_byte - node.start_byte : right.start_byte - node.start_byte].decode()
            yield "swapped_arguments", left.start_byte, right.end_byte, f"{text_of(right)}{between}{text_of(left)}"


def _tail(block: Any) -> Any:
    """The expression that a block ends in, whose value it has; None where it ends in a statement."""
    inside = [child for child in block.named_children if not child.type.endswith("comment")]
    if not inside or text_of(inside[-1]).endswith(";") or inside[-1].type.endswith(("_item", "declaration")):
        return None
    return inside[-1]


def _returned(value: Any, function: Any) -> Iterator[tuple[str, int, int, str]]:
    """Other values of the type that the function returns."""
    returns = " ".join(part_of(function, "return_type").split())
    if re.fullmatch(r"[iu](8|16|32|64|128|size)", returns):
        others = ["0", "1"]
    elif returns == "bool":
        others = ["true", "false"]
    elif returns.startswith("Option<"):
        others = ["None"]
    elif returns.startswith("Vec<"):
        others = ["Vec::new()"]
    elif returns.startswith("Result<"):
        others = ["Ok(Default::default())"]
    else:
        others = [_DEFAULTS.get(returns, "Default::default()")] if returns else []
    for other in others:
        yield "return", value.start_byte, value.end_byte, other
