"""Rust's tokens, cut as rustc's own lexer cuts them: what is code here is code there.

A screen that took `'r"` or `"a"r"` for the beginning of a raw string could be made to overlook the code behind it.
Where the two might still differ the text is malformed, and rustc refuses it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

# Beyond ASCII everything counts as a letter but Rust's own white space: what is neither, rustc refuses.
_START, _GO_ON = r"A-Za-z_\x80-\x84\x86-\u200d\u2010-\u2027\u202a-\U0010ffff", "0-9"
_WORD = rf"[{_START}][{_START}{_GO_ON}]*"
_TOKEN = re.compile(
    rf"""(?P<space>[\t-\r\ \x85\u200e\u200f\u2028\u2029]+)
    |(?P<line>//[^\n]*)
    |(?P<block>/\*)
    |(?P<raw>[bc]?r(?P<hashes>\#*)")
    |(?P<string>[bc]?")
    |(?P<byte>b')
    |(?P<word>(?:r\#)?{_WORD})
    |(?P<number>[0-9][{_START}{_GO_ON}]*(?:\.[0-9][{_START}{_GO_ON}]*)?)
    |(?P<quote>')
    |(?P<sign>.)""",
    re.VERBOSE | re.DOTALL,
)
_STRING_END = re.compile(r'(?:[^"\\]|\\.)*+"', re.DOTALL)
_BLOCK_EDGE = re.compile(r"/\*|\*/")
_SUFFIX = re.compile(rf"(?:{_WORD})?")
_LIFETIME = re.compile(rf"[{_START}{_GO_ON}]+")
_RAW_LIFETIME = re.compile(rf"r\#{_WORD}")
_SHEBANG = re.compile(r"#!(?!\s*\[)[^\n]*")


class Token(NamedTuple):
    kind: str
    """`word` (raw ones without their r#), `literal`, `lifetime`, `sign`, `comment`, or `broken`: it has no end."""
    text: str
    """A word in the form that rustc compares, or a sign; "" for the others."""
    start: int
    end: int


def tokens(code: str, edition: str = "2021") -> Iterator[Token]:
    """The tokens of a program. Linear in its length."""
    at = len(code) - len(code.removeprefix("\ufeff"))
    if shebang := _SHEBANG.match(code, at):
        at = shebang.end()
    while found := _TOKEN.match(code, at):
        start, kind, at = at, found.lastgroup, found.end()
        if kind == "hashes":  # the last group that closed is the inner one
            kind = "raw"
        if kind == "space":
            continue
        if kind == "word":
            yield Token("word", _compared(found[0].removeprefix("r#")), start, at)
            continue
        if kind == "sign":
            yield Token("sign", found[0], start, at)
            continue
        if kind in ("raw", "string") and found[0][0] == "c" and edition < "2021":  # a word, and then a string
            at = start + len(found[0].rstrip('#"'))
            yield Token("word", code[start:at], start, at)
            continue
        what, end = _long(code, found, kind, edition)
        if end < 0:
            yield Token("broken", "", start, len(code))
            return
        at = _SUFFIX.match(code, end).end() if what == "literal" and kind != "number" else end
        yield Token(what, "", start, at)


def code_tokens(code: str, edition: str = "2021") -> list[Token]:
    """The tokens that the compiler reads: all but comments."""
    return [token for token in tokens(code, edition) if token.kind != "comment"]


def _compared(word: str) -> str:
    return word if word.isascii() else unicodedata.normalize("NFC", word)


def _long(code: str, found: re.Match[str], kind: str, edition: str) -> tuple[str, int]:
    """What kind of token this is, and where it ends: -1 where it has no end."""
    end = found.end()
    if kind == "number":
        return "literal", end
    if kind == "line":
        return "comment", end
    if kind == "block":
        depth = 1
        while depth:  # Rust's block comments nest
            if not (edge := _BLOCK_EDGE.search(code, end)):
                return "comment", -1
            depth += 1 if edge[0] == "/*" else -1
            end = edge.end()
        return "comment", end
    if kind == "raw":
        close = code.find('"' + found["hashes"], end)
        return "literal", close + 1 + len(found["hashes"]) if close >= 0 else -1
    if kind == "string":
        close = _STRING_END.match(code, end)
        return "literal", close.end() if close else -1
    if kind == "byte":
        return "literal", _quoted(code, end)
    return _quote(code, end, edition)


def _quote(code: str, at: int, edition: str) -> tuple[str, int]:
    """What a single quote begins: a lifetime, or a character."""
    if code[at + 1 : at + 2] == "'" or not (name := _LIFETIME.match(code, at)):
        return "literal", _quoted(code, at)
    if edition >= "2021" and (raw := _RAW_LIFETIME.match(code, at)):
        return "lifetime", raw.end()
    if code[name.end() : name.end() + 1] == "'":  # a character of several letters, which is an error
        return "literal", name.end() + 1
    return "lifetime", name.end()


def _quoted(code: str, at: int) -> int:
    """Where a character ends that begins here; -1 where it does not."""
    if code[at + 1 : at + 2] == "'" and code[at] != "\\":
        return at + 2
    while at < len(code):
        if code[at] == "'":
            return at + 1
        if code[at] == "/" or (code[at] == "\n" and code[at + 1 : at + 2] != "'"):
            break
        at += 2 if code[at] == "\\" else 1
    return -1


def blank(code: str, edition: str = "2021") -> str:
    """`code` with comments, strings and characters replaced by spaces, its line breaks kept."""
    parts, at = [], 0
    for token in tokens(code, edition):
        if token.kind in ("comment", "broken") or (token.kind == "literal" and not code[token.start].isdecimal()):
            parts += [code[at : token.start], re.sub(r"[^\n]", " ", code[token.start : token.end])]
            at = token.end
    return "".join(parts) + code[at:]
