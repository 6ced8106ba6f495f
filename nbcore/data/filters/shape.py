"""Rules about a text's shape: its length, its lines, its letters, and tables of literals."""

from __future__ import annotations

import re

from nbcore.config.filters import Filters
from nbcore.data.filters.text import Text

_ALPHANUMERIC = bytes(range(ord("0"), ord("9") + 1)) + bytes(
    code for letter in range(ord("a"), ord("z") + 1) for code in (letter, letter - 32)
)
_DIGITS_AND_COMMAS = b"0123456789,"
_SPACE = b" \t\r\n"
_WORD = re.compile(r"\w")
# A line of literals alone, with what may stand between them. Possessive, so that a long line takes linear time.
_TABLE_LINE = re.compile(
    r"""^[ \t()\[\]{}&]*+
    (?:(?:
        [bc]?"(?:[^"\\\n]|\\.)*+"
        |b?'(?:\\[^'\n]{1,10}+|\\'|[^\\'\n])'
        |-?\d[\w.]*+
    )[ \t()\[\]{}&,]*+)++
    ;?[ \t\r]*+(?://.*)?$""",
    re.VERBOSE | re.MULTILINE,
)


def length(text: Text, rules: Filters) -> str | None:
    """The cheapest rules, which need no look at the content."""
    if len(text.text) < rules.min_chars:
        return "too_short"
    # A character has at least one byte, so most files need not be encoded to be known as too long.
    if len(text.text) > rules.max_bytes or len(text.raw) > rules.max_bytes:
        return "too_long"
    count = len(text.lines)
    if count < rules.min_lines:
        return "too_few_lines"
    if count > rules.max_lines:
        return "too_many_lines"
    return None


def line_lengths(text: Text, rules: Filters) -> str | None:
    if max(map(len, text.lines)) > rules.max_line:
        return "long_line"
    mean = len(text.text) / len(text.lines)
    if mean > rules.max_mean_line:
        return "long_mean_line"
    if mean < rules.min_mean_line:
        return "short_mean_line"
    return None


def repetition(text: Text, rules: Filters) -> str | None:
    telling = [line for line in map(str.strip, text.lines) if len(line) > 2]  # not "}" and "},"
    repeated = len(telling) - len(set(telling))
    return "repeated_lines" if repeated > rules.max_repeated_lines * len(telling) else None


def letters(text: Text, rules: Filters) -> str | None:
    if text.text.isascii():
        alphanumeric = len(text.raw) - len(text.raw.translate(None, _ALPHANUMERIC))
    else:
        alphanumeric = sum(map(str.isalnum, text.text))
    return "few_letters" if alphanumeric < rules.min_alphanumeric * len(text.text) else None


def tables(text: Text, rules: Filters) -> str | None:
    dense = text.raw.translate(None, _SPACE)
    if len(dense) - len(dense.translate(None, _DIGITS_AND_COMMAS)) > rules.max_digits_and_commas * len(dense):
        return "literal_table"
    in_tables = sum(len(match[0]) for match in _TABLE_LINE.finditer(text.text))
    return "literal_table" if in_tables > rules.max_table_lines * len(text.text) else None
