"""Why tests of a person's crate that pass after an agent's work may not be believed: what a person is to look at.

The agent may change all of the crate but its tests, as a person may, so this refuses nothing; it names what can make
tests pass that nothing was repaired for.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import pairwise

from nbcore.agent.guard import bodies
from nbcore.grading.rust.lexer import code_tokens

_ENDS = {"exit", "abort", "set_hook", "extern", "asm", "global_asm", "macro_rules"}
"""Words by which code can end the tests, after a report of its own, or put other asserts in the place of theirs."""
_ON_ITEMS = {"cfg", "cfg_attr", "test", "ignore", "should_panic"}
"""Attributes by which tests come and go."""
_COMPARES = ("eq", "ne")


def of(before: Mapping[str, str], changed: Mapping[str, str], edition: str) -> list[str]:
    """A line for each doubt about the changed files of a crate."""
    found = []
    for name, text in changed.items():
        both = text, before.get(name, "")
        words, old = ([token.text for token in code_tokens(one, edition)] for one in both)
        if new := sorted(Counter(_said(words)) - Counter(_said(old))):
            found.append(f"{name} says {', '.join(new)}, by which tests can be made to pass: look at it")
        if gone := sorted(Counter(_modules(old)) - Counter(_modules(words))):
            found.append(f"{name} has no mod {', '.join(gone)} any more, whose tests are not run then: look at it")
        are, were = ([one for one in bodies(each) if one[0] in _COMPARES] for each in both)
        if are != were:
            found.append(f"{name} compares in another way, by which tests can be made to pass: look at it")
    return found


def _said(words: list[str]) -> Iterator[str]:
    for at, word in enumerate(words):
        asked = word == "cfg" and words[at + 1 : at + 2] == ["!"]
        if word in _ENDS or asked or (word in _ON_ITEMS and _is_attribute(words[max(0, at - 3) : at])):
            yield word


def _is_attribute(before: list[str]) -> bool:
    return before[-2:] == ["#", "["] or before[-3:] == ["#", "!", "["]


def _modules(words: list[str]) -> Iterator[str]:
    return (name for word, name in pairwise(words) if word == "mod" and re.match(r"\w", name))
