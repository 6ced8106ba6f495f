"""Tests that cannot tell a right program from a wrong one: seen by reading them, or by a function not written yet."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

from nbcore.core.records import Sample, Verdict
from nbcore.grading.rust import hidden
from nbcore.grading.rust.answer import target
from nbcore.grading.rust.lexer import blank
from nbcore.grading.rust.syntax import (
    attributes,
    introduced,
    name_of,
    parse,
    part_of,
    text_of,
    walk,
    walk_introduced,
)

BODY = "todo!()"  # compiles wherever the signature does, and panics
# Errors of names, methods and traits that are not there: a solution may bring them.
_MISSING = re.compile("E0(?:405|412|422|423|425|432|433|531|574|599|277|369)")
_NEVER_RIGHT = ("early_exit", "compile_timeout", "compile_resource")
"""How tests end that stop the program, or are too much for the compiler, whatever the function does."""
_TEST = re.compile(r"#\s*\[\s*(?:[\w:\s]*::\s*)?test\s*\]")


def problem(tests: str) -> str | None:
    """Why these tests would run nothing, or not all of them; None where they would run."""
    if not tests.strip():
        return "are empty"
    if made := _by_macros(tests):
        return f"are made by a macro, `{made}!`, and would not run: write them out"
    if hidden.count(tests):
        plain = blank(tests)
        uneven = [
            f"{left} and {right}" for left, right in ("{}", "()", "[]") if plain.count(left) != plain.count(right)
        ]
        return f"do not compile: {uneven[0]} do not come in pairs" if uneven else _unfit(tests)
    if _TEST.search(blank(tests)):
        return "run nothing: each #[test] function is ignored"
    return "run nothing: they have no #[test] function, and no main"


def _by_macros(tests: str) -> str | None:
    """A macro of the tests' own that makes test functions and is called where items stand, or what does so by a
    condition: these functions are not found."""
    if "macro_rules" not in tests and "cfg_attr" not in tests:
        return None
    root = parse(tests)
    bodies = {name_of(node): blank(text_of(node)) for node in walk(root) if node.type == "macro_definition"}
    makers = {name for name, text in bodies.items() if _TEST.search(text)}
    while (
        more := {name for name, text in bodies.items() if any(re.search(rf"\b{one}\s*!", text) for one in makers)}
        - makers
    ):
        makers |= more
    waiting = [root]
    while waiting:
        for node, before in introduced(waiting.pop()):
            for name, mark in attributes(before):
                if name == "cfg_attr" and re.search(r",\s*(?:[\w:]*::)?test\s*\)?\)$", text_of(mark)):
                    return "cfg_attr"
            call = node.children[0] if node.type == "expression_statement" else node
            if call.type == "macro_invocation" and part_of(call, "macro") in makers:
                return part_of(call, "macro")
            if node.type == "mod_item" and node.child_by_field_name("body") is not None:
                waiting.append(node.child_by_field_name("body"))
    return None


def _unfit(tests: str) -> str | None:
    """A test function that libtest would not take."""
    for node, before in walk_introduced(parse(tests)):
        if node.type == "function_item" and any(name == "test" for name, _ in attributes(before)):
            modifiers = [
                word for child in node.children if child.type == "function_modifiers" for word in text_of(child).split()
            ]
            if "async" in modifiers:
                return f"do not compile: `{name_of(node)}` is async, and no runtime is here to run it"
            if any(child.type == "parameter" for child in node.child_by_field_name("parameters").named_children):
                return f"do not compile: `{name_of(node)}` takes arguments, which a #[test] function cannot"
    return None


def unwritten(signature: str | None) -> str:
    """The function that a signature asks for, with a body that panics; any function where there is no signature."""
    if not (signature and target(signature)):
        return f"fn unwritten() {{ {BODY} }}"
    text, plain = signature.rstrip().rstrip(";"), blank(signature).rstrip()
    missing = plain.count("{") - plain.count("}")
    if missing > 0:
        return f"{text}\n{BODY}\n" + "}" * missing
    return text if plain.endswith("}") else f"{text}\n{{ {BODY} }}"


def trial(sample: Sample, name: str) -> Sample:
    """A sample for these tests whose function is not written yet.

    Without its signature beside it: the grader then checks the types of everything that the tests compare.
    """
    common: dict[str, Any] = {"tests": sample["tests"], "edition": sample.get("edition")}
    return {"id": name, "code": unwritten(sample.get("signature")), **common}


def found(verdict: Verdict, sample: Sample) -> str | None:
    """What the verdict on a trial of this sample's tests says of them; None where they may be right, or could not be
    judged.

    An error with a line is in the function itself: todo!() is no body for one that returns `impl Trait`. What a
    solution may bring is not held against the tests; without a signature that may be every name and type.
    """
    if verdict.get("passed"):
        return f"pass with the body {BODY}"
    if verdict["verdict"] in _NEVER_RIGHT:
        return f"end in {verdict['verdict']} even with the body {BODY}"
    errors = verdict["errors"] if verdict["verdict"] == "compile_error" else []
    theirs = [error for error in errors if error["line"] is None]
    for error in theirs:
        if _is_own(error["message"], sample["tests"]):
            return f"do not run here, for a condition that does not hold: {error['message']}"
        if _is_a_crate(error["message"], sample):
            return f"do not compile: {error['message']} (the standard library is all that is here)"
    missing = [
        error for error in errors if _MISSING.fullmatch(error["code"] or "") or "cannot find macro" in error["message"]
    ]
    told = bool(target(sample.get("signature"))) or any(error["code"] is None for error in errors)
    if theirs and len(theirs) == len(errors) and told and not missing:
        return f"do not compile: {theirs[0]['message']}"
    return None


def _is_own(message: str, tests: str) -> bool:
    """Whether what the compiler cannot find is a test, or a module of tests, which the text has."""
    lost = re.match(r"cannot find (?:module or crate |value )?`(\w+)` in (?:this scope|(?:module )?`(\w+)`)$", message)
    paths = [["", *case.path.split("::")] for case in hidden.functions(tests).cases]
    return lost is not None and any((lost[2] or "", lost[1]) in pairwise(path) for path in paths)


def _is_a_crate(message: str, sample: Sample) -> bool:
    """Whether an import is of a crate, and not of a module that the answer may have."""
    lost = re.match(r"unresolved import `(?!(?:super|crate|self)\b)(\w+)", message)
    answer = sample.get("code") or sample.get("completion") or ""
    return lost is not None and not re.search(rf"\bmod\s+{lost[1]}\b", answer)
