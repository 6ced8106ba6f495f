"""What is refused or noted before it is compiled, by the tokens of a program.

A cheap first wall: a macro can get round it. The sandbox and the report carry the verdict.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from nbcore.grading.rust.lexer import code_tokens

HONEST = frozenset(("signature_mismatch", "unterminated", "unsafe", "foreign_code"))
"""What is refused is a compile error where the compiler would say it too, most times."""

FILE_MACROS = frozenset(("include_str", "include_bytes"))
_OF_STD = (["std", ":", ":"], ["core", ":", ":"])
_ASSEMBLY = frozenset(("global_asm", "naked_asm"))
# Attributes that give a symbol a name or a place of its own, or machine code for a body.
_LINKING = frozenset(
    ["naked", "no_mangle", "export_name", "link_section", "link_name", "link_ordinal", "link", "linkage"]
)
_AFTER_UNSAFE = frozenset(("{", "fn", "impl", "trait", "extern"))
_ASSERTS = ("assert", "assert_eq", "assert_ne", "panic")
_SHADOWED = frozenset((*_ASSERTS, *(f"debug_{name}" for name in _ASSERTS)))
# The patterns see words with one space between them; each is linear on any input.
_NOTED = {
    "process_exit": re.compile(r"\bprocess : : (?:\{ [^{}]*\b)?(?:exit|abort)\b"),
    "panic_hook": re.compile(r"\bset_hook\b"),
    "spawns_process": re.compile(r"\bprocess : : (?:\{ [^{}]*\b)?Command\b"),
    "unsafe": re.compile(r"\bunsafe\b"),
    "std_macro_shadow": re.compile(r"\bextern crate self\b"),
}


class Screening(NamedTuple):
    """What the text alone shows: every flag, and those among them for which it is refused."""

    flags: list[str]
    refused: list[str]


def screen(code: str, source_kb: int, edition: str = "2021") -> Screening:
    """Flags of `code`. Refused is what reads files or the environment when it is compiled, what tells the tools apart,
    what leaves safe Rust, and text that is over-long or has no end."""
    if len(code.encode(errors="surrogatepass")) > source_kb << 10:
        return Screening(["too_long"], ["too_long"])  # and nothing more is read of it
    known = code_tokens(code, edition)
    words = [token.text or token.kind for token in known]
    refused = dict.fromkeys(_refused(words))
    if known and known[-1].kind == "broken":
        refused["unterminated"] = None
    return Screening(list(refused | dict.fromkeys(_noted(words))), list(refused))


def _refused(words: list[str]) -> Iterator[str]:
    """By words and their neighbours; strings, numbers and lifetimes stand as `literal` and `lifetime`."""
    pieces, ended = False, 0  # whether a macro puts an attribute together; where the last attribute ended
    words = [*words, "", "", ""]
    for at, word in enumerate(words[:-3]):
        after = words[at + 1]
        called = after == "!" and words[at + 2] != "="
        if word in FILE_MACROS or (word == "include" and (called or words[at - 3 : at] in _OF_STD)):
            yield "file_macro"
        elif word == "option_env" or (word == "env" and called):
            yield "env_macro"
        elif word == "clippy" and words[at + 1 : at + 3] != [":", ":"]:
            yield "cfg_tool"  # right only where the linter looks
        elif word in _ASSEMBLY or (word == "asm" and called):
            yield "unsafe"
        elif word == "unsafe" and after not in _AFTER_UNSAFE:
            yield "unsafe_attr"
        elif word == "extern" and words[at + 1 + (after == "literal")] == "{":
            yield "foreign_code"
        elif word == "#" and at >= ended and (after == "[" or words[at + 1 : at + 3] == ["!", "["]):
            inside = _inside(words, at + 1 + (after == "!"))
            ended = at + len(inside)
            pieces |= "$" in inside
            if any(inside[place : place + 2] == ["path", "="] for place in range(len(inside))):
                yield "file_macro"
            if not _LINKING.isdisjoint(inside):
                yield "unsafe_attr"
    if pieces and "unsafe" in words:
        yield "unsafe_attr"


def _inside(words: list[str], at: int) -> list[str]:
    """The words of an attribute whose bracket opens at this place."""
    depth = 0
    for end in range(at, len(words)):
        depth += (words[end] == "[") - (words[end] == "]")
        if depth == 0:
            return words[at + 1 : end]
    return words[at + 1 :]


def _noted(words: list[str]) -> Iterator[str]:
    """What honest programs may say too."""
    text = " ".join(words)
    for flag, pattern in _NOTED.items():
        if pattern.search(text):
            yield flag
    for at, word in enumerate(words[:-2]):
        if word == "macro_rules" and words[at + 2] in _SHADOWED:
            yield "std_macro_shadow"
