"""Rules that need a syntax tree: how much of a file is no Rust, and how much of it is documented."""

from __future__ import annotations

import bisect
import re
from typing import Any

from nbcore.config.filters import Filters
from nbcore.data.filters import style
from nbcore.data.filters.text import Text
from nbcore.grading.rust import syntax

_RAW_STRING = re.compile(rb'r(#+)"')
_READINGS = 4  # how often the parser may read a file as a whole while it looks for the ends of raw strings
_AT_LEAST = 1 << 16  # bytes that it may always read


def tangled(raw: bytes) -> bool:
    """Whether the parser would take too long. Where something looks like the beginning of a raw string, in a comment or
    another string too, it may read on to what looks like the end; with thousands whose end is far away or missing it
    was busy for minutes, and cannot be stopped. In real Rust all this reading together is less than the file."""
    allowed = _READINGS * len(raw) + _AT_LEAST
    ends: dict[bytes, list[int]] = {}
    for beginning in _RAW_STRING.finditer(raw):
        hashes = beginning[1]
        if hashes not in ends:
            ends[hashes] = [end.start() for end in re.finditer(b'"' + hashes, raw)]
        after = bisect.bisect_left(ends[hashes], beginning.end())
        end = ends[hashes][after] if after < len(ends[hashes]) else len(raw)
        allowed -= end - beginning.start()
        if allowed < 0:
            return True
    return False


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
    if tangled(text.raw):
        return "syntax_errors"
    root = syntax.parse(text.text)
    if error_share(root, len(text.raw)) > rules.max_syntax_errors:
        return "syntax_errors"
    if rules.prefer_documented and style.documented_share(root) < rules.min_documented:
        return "undocumented"
    return None
