"""One-edit mutants of a function, and what a program's own tests are worth: the share of its mutants that they kill."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nbcore.grading.rust.answer import target
from nbcore.grading.rust.structure import own_tests
from nbcore.grading.rust.syntax import attributes, introduced, name_of, parse, text_of, walk

_SWAPS = {
    **{"+": "-", "-": "+", "*": "+", "/": "*", "%": "/", "&&": "||", "||": "&&", "&": "|", "|": "&", "<<": ">>"},
    **{"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "==", "true": "false", "false": "true"},
    **{"+=": "-=", "-=": "+=", "..": "..=", "..=": ".."},
}


def mutants(code: str, name: str | None = None, most: int | None = None) -> list[str]:
    """`code` with one edit in the body of the function called `name` (default: in any): a number one more, an operator,
    comparison, range or truth value swapped. At most `most`, spread evenly over the body."""
    raw, edits = code.encode(errors="replace"), []
    for function in walk(parse(code)):
        if function.type == "function_item" and name in (None, name_of(function)):
            edits += [edit for node in walk(function.child_by_field_name("body")) if (edit := one_edit(node))]
    edits = sorted(set(edits))
    if most is not None and len(edits) > most:
        edits = [edits[index * len(edits) // most] for index in range(most)]
    return [(raw[:start] + new.encode() + raw[end:]).decode() for start, end, new in edits]


def one_edit(node: Any) -> tuple[int, int, str] | None:
    """(start, end, instead) of the edit that this node allows, in bytes of the source; None where it allows none."""
    text = text_of(node)
    if node.type == "integer_literal" and text.isdecimal():
        return node.start_byte, node.end_byte, str(int(text) + 1)
    if not node.is_named or node.type == "boolean_literal":
        inside = node.parent.type if node.parent else ""
        told = inside in ("binary_expression", "compound_assignment_expr", "range_expression", "let_chain")
        if text in _SWAPS and (told or text in ("true", "false")):
            return node.start_byte, node.end_byte, _SWAPS[text]
    return None


def kills(grader: Any, samples: Sequence[dict[str, Any]], most: int = 8) -> list[dict[str, Any]]:
    """What the own tests of each sample's `code` are worth: {"tests", "mutants", "killed", "flags"}.

    Its tests are run as hidden tests are, on the code itself, which must pass them, and on mutants of the function that
    `signature` asks for. Mutants that do not compile count neither way. Tests that can show nothing are not run.
    """
    asked, results = [], []
    for sample in samples:
        code, signature = sample["code"], sample["signature"]
        count, flags = own_tests(code, signature)
        results.append({"tests": count, "mutants": 0, "killed": 0, "flags": flags})
        if count:
            plain, tests = split(code)
            versions = [plain, *mutants(plain, target(signature), most)]
            common = {"tests": tests, "signature": signature, "edition": sample.get("edition", "2021")}
            asked += [{"id": len(results) - 1, "code": version, **common} for version in versions]
    passes: dict[int, bool] = {}
    for verdict in grader.grade(asked):
        row = results[verdict["id"]]
        if verdict["id"] not in passes:  # the code itself comes first
            passes[verdict["id"]] = verdict["passed"]
        elif verdict["compiles"] and passes[verdict["id"]]:
            row["mutants"] += 1
            row["killed"] += not verdict["passed"]
    for row in results:
        if row["tests"] and 2 * row["killed"] < max(1, row["mutants"]):
            row["flags"].append("own_tests_survive_mutation")
    return results


def split(code: str) -> tuple[str, str]:
    """A program without its test modules and functions, and these."""
    raw, tests = code.encode(errors="replace"), []
    for node, before in reversed(list(introduced(parse(code)))):
        marks = [(name, text_of(mark).replace(" ", "")) for name, mark in attributes(before)]
        if any(name == "test" or text == "cfg(test)" for name, text in marks):
            start = next(mark.start_byte for mark in before if mark.type == "attribute_item")
            tests.insert(0, raw[start : node.end_byte].decode())
            raw = raw[:start] + raw[node.end_byte :]
    return raw.decode(), "\n".join(tests)
