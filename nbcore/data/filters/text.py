"""A file's text and what several rules ask of it, each computed once and only where a rule asks."""

from __future__ import annotations

import re
from functools import cached_property

from nbcore.grading.rust import lexer

# Comments, strings and characters. A block comment in a block comment is left to the lexer, which is slower.
_NOT_CODE = re.compile(
    r"""//[^\n]*
    |/\*.*?(?:\*/|\Z)
    |(?<![A-Za-z0-9_])[bc]?r(\#*+)"(?:.*?"\1|.*\Z)
    |"(?:[^"\\]|\\.)*+(?:"|\Z)
    |'(?:\\[^\n]{1,10}?|[^\\'\n])'""",
    re.VERBOSE | re.DOTALL,
)


class Text:
    """The text of one file."""

    def __init__(self, text: str, path: str = ""):
        self.text = text
        self.path = path
        """In its repository, with forward slashes; "" where nobody knows."""

    @cached_property
    def raw(self) -> bytes:
        """As UTF-8; half a surrogate pair becomes a question mark."""
        return self.text.encode(errors="replace")

    @cached_property
    def lines(self) -> list[str]:
        """Without the line breaks, which are those of Rust: \\n, or \\r\\n."""
        return self.text.removesuffix("\n").split("\n")

    @cached_property
    def code(self) -> str:
        """The text with comments gone and strings empty, its line breaks kept."""
        nested = False

        def shortened(match: re.Match[str]) -> str:
            nonlocal nested
            nested = nested or (match[0].startswith("/*") and "/*" in match[0][2:])
            literal = "" if match[0].startswith("/") else '""'
            return literal + "\n" * match[0].count("\n")

        code = _NOT_CODE.sub(shortened, self.text)
        return lexer.blank(self.text) if nested else code

    @cached_property
    def code_lines(self) -> int:
        """How many lines hold code; at least 1."""
        return max(1, len(re.findall(r"^[ \t]*[^\s]", self.code, re.MULTILINE)))
