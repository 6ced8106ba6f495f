"""What an agent may change in a crate that is judged by its own tests: the bodies of its functions, in safe Rust.

A crate's tests run in one process with its code, which could print their result and end. So nothing that could do so
may come in: no other item, no macro, no type, no operator, no file, and in a body no word that ends a program, catches
a panic, or writes past the test harness.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import zip_longest

from nbcore.grading.rust.lexer import code_tokens
from nbcore.grading.rust.syntax import edited, name_of, parse, walk

WORDS = frozenset(
    (
        *(
            "process",
            "exit",
            "abort",
            "set_hook",
            "take_hook",
            "catch_unwind",
            "resume_unwind",
            "panic_any",
            "Command",
            "stdin",
        ),
        *("stdout", "stderr", "io", "os", "env", "fs", "net", "thread", "libc", "extern"),
        *("unsafe", "asm", "macro_rules", "impl", "trait", "mod", "use", "static", "union", "cfg"),
        *(
            "test",
            "include",
            "include_str",
            "include_bytes",
            "crate_type",
            "no_mangle",
            "transmute",
            "forget",
            "leak",
            "type_name",
            "type_name_of_val",
        ),
        *("caller", "Location", "backtrace", "Backtrace"),
    )
)
_EQUALS = ("eq", "ne")
_LONGER = 20_000  # characters that a file may have more than it had: reading far longer ones takes us too long


def forbidden(given: Mapping[str, str], left: Mapping[str, str]) -> str:
    """Why what was left cannot be judged by the crate's own tests; empty where it can."""
    if set(given) != set(left):
        return f"files came or went: {', '.join(sorted(set(given) ^ set(left)))}"
    for name, text in left.items():
        if text == given[name]:
            continue
        if len(text) > len(given[name]) + _LONGER:
            return f"{name} is more than {_LONGER} characters longer than it was"
        before, after = parse(given[name]), parse(text)
        if after.has_error and not before.has_error:
            return f"{name} does not parse"
        if _skeleton(given[name]) != _skeleton(text):
            return f"{name}: more than the bodies of functions differs"
        # One by one: what another function may say, and another says no longer, is nothing to say here.
        for (_, were), (called, are) in zip_longest(bodies(given[name]), bodies(text), fillvalue=("", [])):
            if new := sorted(WORDS & set(Counter(are) - Counter(were))):
                return f"{name}: a body says {', '.join(new)}, which it did not"
            if called in _EQUALS and are != were:
                return f"{name}: what {called} compares has changed"
    return ""


def _functions(text: str) -> list[tuple[str, int, int]]:
    """(name, start, end) of the body of each function that is in no other, in bytes."""
    found = []
    for node in walk(parse(text)):
        body = node.child_by_field_name("body") if node.type == "function_item" else None
        if body is not None:
            found.append((name_of(node), body.start_byte, body.end_byte))
    found.sort(key=lambda one: one[1])
    outer, end = [], 0
    for one in found:
        if one[1] >= end:
            outer.append(one)
            end = one[2]
    return outer


def _skeleton(text: str) -> list[str]:
    raw = text.encode()
    edits = [(start, end, b"{}") for _, start, end in _functions(text)]
    return _words(edited(raw, edits).decode(errors="replace"))


def bodies(text: str) -> list[tuple[str, list[str]]]:
    """(name, tokens) of the body of each function that is in no other."""
    raw = text.encode()
    return [(name, _words(raw[start:end].decode(errors="replace"))) for name, start, end in _functions(text)]


def _words(text: str) -> list[str]:
    """The tokens; of a literal its source, which the lexer has no word for."""
    return [token.text or text[token.start : token.end] for token in code_tokens(text)]
