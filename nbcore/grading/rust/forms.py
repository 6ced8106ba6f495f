"""Answers in HTML, LaTeX or JSON: what is code by their own marks, in the fences that a reader of Markdown knows."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from nbcore.grading.rust.blocks import begin as rust_begins

_FENCES = re.compile(r"^[ \t>]*(?:```|~~~)(?P<tag>\w*).*$", re.MULTILINE)
_TAGS = ("json", "html", "latex", "tex")
_BEGINS = re.compile(
    r"<pre(?: [^<>\n]{0,200})?>\s*(?:<code(?: [^<>\n]{0,200})?>)?"
    r"|\\begin\{(?P<name>verbatim|Verbatim|lstlisting|minted)\}(?:\[[^\]\n]{0,200}\])?(?:\{\w{0,20}\})?"
)
_FUNCTION = re.compile(r"\bfn\s+\w+\s*[<(]")
_ENTITY = re.compile(r"&(lt|gt|amp|quot|apos|#39|#x27);")
_MEANS = {"lt": "<", "gt": ">", "amp": "&", "quot": '"'}


def markdown(answer: str) -> str:
    """`answer` as Markdown; as it is where it is none of these, or a program that has such marks in its text."""
    fences, text = list(_FENCES.finditer(answer)), answer
    if len(fences) == 2 and fences[0]["tag"].lower() in _TAGS:  # the whole of it is a block of that form
        text = answer[fences[0].end() : fences[1].start()]
    if strings := _strings(text):
        return "\n".join(_fenced(part) if rust_begins(part.strip()) == 0 else part for part in strings)
    return _with_fences(text) or answer


def _fenced(code: str) -> str:
    return f"\n```rust\n{code}\n```\n"


def _strings(text: str) -> list[str]:
    """The strings with a function in them, if the text is JSON; line breaks in a string are not held against it."""
    if not text.lstrip().startswith(("{", "[", '"')):
        return []
    try:
        found = json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return []
    return [part for part in _within(found) if _FUNCTION.search(part)]


def _within(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _within(part)


def _with_fences(text: str) -> str:
    """The text with fences in place of the marks of HTML and LaTeX; "" where it has none, or no function between
    them. Behind a fence, or where a program has begun, such marks are text."""
    if (first := _BEGINS.search(text)) is None:
        return ""
    fence, program = _FENCES.search(text), rust_begins(text)
    if (fence and fence.start() < first.start()) or (program is not None and program < first.start()):
        return ""
    parts, at, functions = [], 0, False
    while begin := _BEGINS.search(text, at):
        close = f"\\end{{{begin['name']}}}" if begin["name"] else "</pre>"
        if (end := text.find(close, begin.end())) < 0:
            break
        code = text[begin.end() : end]
        code = code if begin["name"] else _plain(code.rstrip().removesuffix("</code>"))
        parts += [text[at : begin.start()], _fenced(code)]
        at, functions = end + len(close), functions or _FUNCTION.search(code) is not None
    return "".join(parts) + text[at:] if functions else ""


def _plain(code: str) -> str:
    """The text of HTML. Where a "<" stands in it as it is, nothing was escaped."""
    return code if "<" in code else _ENTITY.sub(lambda entity: _MEANS.get(entity[1], "'"), code)
