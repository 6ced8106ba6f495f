"""Rules that need a syntax tree: how much of a file is no Rust, and how much of it is documented."""

from __future__ import annotations

from typing import Any

from tree_sitter import Parser

from nbcore.config.filters import Filters
from nbcore.data.filters import style
from nbcore.data.filters.text import Text
from nbcore.grading.rust import syntax

_CHUNK = 4096
_READINGS = 8  # how often the parser may read a file as a whole; it reads real Rust at most twice
_AT_LEAST = 1 << 18  # bytes that it may always read


class _Reader:
    """Hands the text to the parser, and stops it where it has read too often: some malformed texts, such as thousands
    of raw strings without an end, take it quadratic time. What it reads is the same on every machine, unlike time."""

    def __init__(self, raw: bytes):
        self.raw = raw
        self.left = _READINGS * len(raw) + _AT_LEAST

    def read(self, start: int, point: tuple[int, int]) -> bytes:
        part = self.raw[start : start + _CHUNK]
        self.left -= len(part)
        return part

    def stop(self, offset: int, has_error: bool) -> bool:
        return self.left < 0


def parse(raw: bytes) -> Any:
    """The root node, or None for a text that the parser was stopped at."""
    reader, parser = _Reader(raw), Parser(syntax.language())
    try:
        return parser.parse(reader.read, progress_callback=reader.stop).root_node
    except ValueError:
        return None


def error_share(root: Any, size: int) -> float:
    """Share of the bytes that lie in erroneous nodes; a token that is missing counts as one byte."""
    wrong, waiting = 0, [root] if root.has_error else []
    while waiting:
        node = waiting.pop()
        if node.is_error or node.is_missing:
            wrong += max(1, node.end_byte - node.start_byte)
        else:
            waiting += [child for child in node.children if child.has_error]
    return wrong / max(1, size)


def syntax_rules(text: Text, rules: Filters) -> str | None:
    if rules.max_syntax_errors == 1 and not rules.prefer_documented:
        return None  # nothing asks for the tree, which takes most of the time
    root = parse(text.raw)
    if root is None or error_share(root, len(text.raw)) > rules.max_syntax_errors:
        return "syntax_errors"
    if rules.prefer_documented and style.documented_share(root) < rules.min_documented:
        return "undocumented"
    return None
