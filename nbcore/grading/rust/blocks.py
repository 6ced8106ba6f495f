"""The blocks of code in an answer, as a reader of its Markdown sees them.

A fence ends a block of Rust where it stands outside of comments and literals: doc comments hold examples in fences of
their own. Where the code is too broken to tell, the first line that is a fence does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from nbcore.grading.rust.lexer import tokens

RUST = ("rust", "rs", "")
"""Tags of blocks that may be Rust; "" has none."""

_MOST_LEXED = 50  # blocks that are read as Rust to find their end, for each may be read to the end of the text
# Quotes and items of lists, behind what nobody sees.
_CONTAINER = r"[\ufeff\u200b\xa0]*+(?P<container>[ \t]*+(?:(?:>|[-*+]|\d{1,9}[.)])[ \t]*+)*+)"
# Words before a fence are words of the answer where the fence is tagged as Rust's or closed on the same line.
_OPENING = re.compile(
    rf"^{_CONTAINER}(?:[^`~\n]*(?:[^`~\s][ \t]+|[>:])(?=```(?:[^`\n]+```|[ \t]*(?:rust|rs)\b)))?"
    r"(?P<fence>`{3,}|~{3,})(?P<info>[^\n]*)",
    re.MULTILINE | re.IGNORECASE,
)
_TAG = re.compile(r"[\s,{:]")
_TAGGED = re.compile(r"\{?\.?\w")
_QUOTE = re.compile(r"[ \t]*>[ \t]?")
_MARKDOWN = ("markdown", "md")
_BEGINS = re.compile(
    r"[ \t]*(?:#!?\[|//|/\*|use\s+[\w:{*]+\s*(?:[;:,{]|as\b)|(?:macro_rules!|extern crate|unsafe|async|impl[\s<])"
    r"|(?:pub(?:\([^)\n]*\))?\s+)?(?:(?:const|async|unsafe|extern\s*\"[^\"\n]*\")\s+)*"
    r"(?:fn|mod|struct|enum|union|trait|type|const|static|use)\s+[\w:{(*]+\s*[<({;:=]?)"
)
# A sentence, a heading, a rule, or a mark such as <answer> or [/INST] on a line of its own.
_PROSE = re.compile(
    r"[ \t]*(?:(?:[#>*-]+\s+|\d+[.)]\s+)?[*_\"'(]*[A-Za-z](?:[^{}=;]*[^{}=;,(])?"
    r"|(?:</?\w[^<>\n]*>)+|\[/?[A-Z]+\]|---+|\*\*\*+)"
)


class Block(NamedTuple):
    """One block: its tag in lower case, without attributes such as `,ignore`, and its text."""

    tag: str
    text: str


class _Close(NamedTuple):
    """Where the text of a block ends, and where what stands behind it goes on."""

    end: int
    next: int
    opens: bool = False
    """The fence opens the next block; this one was never closed."""


def blocks(text: str) -> list[Block]:
    """The blocks of an answer, in order, empty ones left out.

    A block that the prompt opened begins with the answer, one that is not closed goes on to its end, and an answer
    without any fence is a block of its own where it has a function, words around it left out.
    """
    start, fence = begin(text), "```" if "```" in text else "~~~"
    if start is not None and re.search(r"\bfn\b", text[start:]):
        close = _lexed_close(text[start:], fence)
        if close is None and not _OPENING.search(text):
            close = _Close(len(text), len(text))
        if close and start + close.end == len(text):
            return [Block("", without_words(text))]
        if close and not close.opens and text[: start + close.end].rstrip().endswith(("}", ";")):
            return [Block("", text[start : start + close.end]), *_fenced(text[start + close.next :])]
        if close:  # code without a fence, then words, then a block
            before = without_words(text[: start + close.end])
            code = [Block("", before)] if before.rstrip().endswith(("}", ";")) else []
            return [*code, *_fenced(text[start + close.end :])]
    found = list(_fenced(text))
    if not found and re.search(r"\bfn\b", text) and not _OPENING.search(text):
        return [Block("", text)]
    return found


def begin(text: str) -> int | None:
    """Where the first line that looks like Rust begins, if nothing but words stands before it; None elsewhere."""
    at = 0
    for line in text.split("\n"):
        if _BEGINS.match(line):
            return at
        if line.strip() and not _PROSE.fullmatch(line.rstrip()):
            return None
        at += len(line) + 1
    return None


def without_words(text: str) -> str:
    """`text` without the sentences before its code and behind it; as it is where they cannot be told apart."""
    start = begin(text)
    lines = text[start or 0 :].split("\n")
    last = next((index for index in reversed(range(len(lines))) if lines[index].rstrip().endswith(("}", ";"))), None)
    if last is None or not any(line.strip() for line in lines[last + 1 :]):
        return text[start or 0 :]
    behind = [line.rstrip() for line in lines[last + 1 :] if line.strip()]
    words = all(_PROSE.fullmatch(line) and not _BEGINS.match(line) for line in behind)
    words = words and all(
        line[-1] in ":.!?>]" or line[0] in "#-*" or (line[0].isupper() and len(line.split()) > 2) for line in behind
    )
    return "\n".join(lines[: last + 1]) + "\n" if words else text[start or 0 :]


def _fenced(text: str) -> Iterator[Block]:
    at, lexed = 0, 0
    while opening := _OPENING.search(text, at):
        fence, info = opening["fence"], opening["info"].strip()
        tag = _TAG.split(info.lower().lstrip("{."))[0]
        content = opening.end() + 1
        if code := _on_one_line(info, fence):
            yield from _kept(*code)
            at = opening.end()
            continue
        if fence[0] == "`" and "`" in info:
            at = opening.end()  # code in a line of words
            continue
        if (inline := _code_in(info)) is not None:
            tag = "rust" if tag in RUST else ""
            content = opening.start("info") + opening["info"].index(info) + inline
        if tag in _MARKDOWN and len(fence) == 3:  # its own end cannot be told from that of a block inside of it
            at = opening.end()
            continue
        close = _close(text, content, fence, tag if lexed < _MOST_LEXED else None)
        closed, lexed = close is not None and close.end < len(text), lexed + 1
        at = close.next if close else len(text)
        inside = _uncontained(text[content : close.end if close else len(text)], opening["container"])
        if tag in _MARKDOWN:
            yield from _fenced(inside)
        else:
            yield from _kept(tag, without_words(inside) if tag in RUST and not closed else inside)


def _kept(tag: str, text: str) -> Iterator[Block]:
    if text.strip():
        yield Block(tag, text)


def _on_one_line(info: str, fence: str) -> tuple[str, str] | None:
    """(tag, code) where the fence is closed on the line that opened it."""
    code, closed, _ = info.partition(fence)
    if not closed or not code.strip():
        return None
    at = _code_in(code)
    return ("rust", code[at:]) if at is not None else ("", code)


def _code_in(info: str) -> int | None:
    """Where Rust begins in what stands behind an opening fence; None where that is a tag."""
    at = re.match(r"(?:(?:rust|rs)\s+)?", info, re.IGNORECASE).end()
    return at if _BEGINS.match(info, at) and re.search(r"[({;\]]", info[at:]) else None


def _close(text: str, start: int, fence: str, tag: str | None) -> _Close | None:
    """Where the block that begins at `start` is closed; None where it goes on to the end."""
    line = re.compile(rf"^[ \t>]*{fence[0]}{{{len(fence)},}}[ \t\r]*$\n?", re.MULTILINE).search(text, start)
    plain = _Close(line.start(), line.end()) if line else None
    seen = text[start : plain.end if plain else len(text)]
    like_rust = tag or begin(seen) == 0 or re.search(r"\b(?:fn|use|struct|enum|impl)\b", seen)
    if tag not in RUST or not like_rust:
        return plain
    close = _lexed_close(text[start:], fence, plain.end - start if plain else None)
    return _Close(start + close.end, start + close.next) if close else plain


def _lexed_close(text: str, fence: str, plain: int | None = None) -> _Close | None:
    """The first fence outside of comments and literals, or the end of the text. None where it cannot be told: where a
    literal has no end, or an ordinary string runs over the line at `plain`, which shows a quote without its pair."""
    start, end = -1, -1
    for token in tokens(text):
        if token.kind == "broken":
            return None
        if token.kind == "literal" and text[token.start] == '"' and token.start < (plain or 0) < token.end:
            return None
        if token.kind == "sign" and token.text == fence[0]:
            start, end = start if token.start == end else token.start, token.end
            if end - start == len(fence):
                return _found_close(text, start, end)
    return _Close(len(text), len(text))


def _found_close(text: str, start: int, end: int) -> _Close:
    line = text.rfind("\n", 0, start) + 1
    alone = not text[line:start].strip(" \t>")
    if alone and _TAGGED.match(text, end):  # the next block is opened without this one being closed
        return _Close(line, line, opens=True)
    newline = text.find("\n", end)
    return _Close(line if alone else start, len(text) if newline < 0 else newline + 1)


def _uncontained(text: str, container: str) -> str:
    """The text of a block without the marks of the quote, and the indentation of the list, that it stands in."""
    quotes, behind = container.count(">"), container.rpartition(">")[2]
    width = max(0, len(behind) - 1) if quotes else len(behind)
    if not (quotes or width):
        return text
    lines = []
    for line in text.split("\n"):
        for _ in range(quotes):
            mark = _QUOTE.match(line)
            line = line[mark.end() :] if mark else line
        lines.append(line[min(width, len(line) - len(line.lstrip(" \t"))) :])
    return "\n".join(lines)
