"""Licences: SPDX expressions as Cargo.toml has them, and whether what they grant is enough."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from functools import lru_cache

_LONGEST = 500  # characters of an expression; real ones have some dozens
_DEEPEST = 20  # parentheses inside one another
_TOKEN = re.compile(r"\s*(?:([()/])|([A-Za-z0-9][A-Za-z0-9.+:-]*))\s*")
_OPERATORS = {"OR", "AND", "WITH"}


def reason(expression: object, permitted: Collection[str]) -> str | None:
    """Why a licence does not do, None where it does. `expression` is what a manifest or a data set has: SPDX text such
    as "MIT OR Apache-2.0" or the old "MIT/Apache-2.0", or anything else, which is no licence that is known."""
    if not permitted:
        return None
    if not isinstance(expression, str):
        return "licence_unknown"
    granted = _granted(expression, frozenset(name.lower() for name in permitted))
    if granted is None:
        return "licence_unknown"
    return None if granted else "licence_not_permitted"


@lru_cache(maxsize=4096)
def _granted(expression: str, permitted: frozenset[str]) -> bool | None:
    """Whether the expression can be met with the permitted licences alone; None where it is no SPDX expression."""
    try:
        tokens = list(_tokens(expression))
        tokens.append("")  # the end
        value, at = _either(tokens, 0, permitted, 0)
    except ValueError:
        return None
    return value if tokens[at] == "" else None


def _tokens(expression: str) -> Iterator[str]:
    at = 0
    if len(expression) > _LONGEST:
        raise ValueError("too long")
    while at < len(expression):
        token = _TOKEN.match(expression, at)
        if token is None:
            raise ValueError("no SPDX")
        word = token[1] or token[2]
        yield word.upper() if word.upper() in _OPERATORS else word
        at = token.end()


def _either(tokens: list[str], at: int, permitted: frozenset[str], depth: int) -> tuple[bool, int]:
    value, at = _both(tokens, at, permitted, depth)
    while tokens[at] == "OR":
        other, at = _both(tokens, at + 1, permitted, depth)
        value = value or other
    return value, at


def _both(tokens: list[str], at: int, permitted: frozenset[str], depth: int) -> tuple[bool, int]:
    value, at = _slashed(tokens, at, permitted, depth)
    while tokens[at] == "AND":
        other, at = _slashed(tokens, at + 1, permitted, depth)
        value = value and other
    return value, at


def _slashed(tokens: list[str], at: int, permitted: frozenset[str], depth: int) -> tuple[bool, int]:
    # The old "/" means OR. Beside an AND nobody knows what it binds to; read as the closer one it grants less.
    value, at = _one(tokens, at, permitted, depth)
    while tokens[at] == "/":
        other, at = _one(tokens, at + 1, permitted, depth)
        value = value or other
    return value, at


def _one(tokens: list[str], at: int, permitted: frozenset[str], depth: int) -> tuple[bool, int]:
    if tokens[at] == "(":
        if depth == _DEEPEST:
            raise ValueError("nested too deep")
        value, at = _either(tokens, at + 1, permitted, depth + 1)
        if tokens[at] != ")":
            raise ValueError("no closing parenthesis")
        return value, at + 1
    value, at = _licence(tokens[at], permitted), at + 1
    if tokens[at] == "WITH":  # an exception grants more than the licence alone
        _licence(tokens[at + 1], permitted)
        at += 2
    return value, at


def _licence(name: str, permitted: frozenset[str]) -> bool:
    if not name or name in _OPERATORS or name in "()/":
        raise ValueError("a licence is missing")
    # "Apache-2.0+" is that version or, by choice, a later one.
    return name.lower() in permitted or name.lower().removesuffix("+") in permitted
