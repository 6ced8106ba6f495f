"""apply_patch: hunks of context, removed and added lines, found in a file by their text and not by line numbers.

    *** Begin Patch
    *** Update File: src/lib.rs
    @@ fn sum
     let mut total = 0;
    -for x in 1..n {
    +for x in 1..=n {
    *** End Patch

`*** Add File: PATH` takes lines that all begin with "+"; `*** Delete File` is refused. Lines of context stay as the
file has them, also where the patch has other spaces; `*** End of File` and the numbers of a unified diff tell nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from nbcore.agent.folder import Refused

MOST_LINES, MOST_HUNKS = 500, 50  # of a hunk; of a file: finding them takes time by the product with the file's lines
_NUMBERS = re.compile(r"-\d+(?:,\d+)? \+\d+(?:,\d+)?(?: @@)?")
_HOW = "a patch is *** Begin Patch, *** Update File: PATH, @@, lines that begin with ' ', - or +, *** End Patch"


class Hunk(NamedTuple):
    """Lines to find, and what stands in their place afterwards."""

    anchor: str
    """A line that stands somewhere before; empty: anywhere."""
    body: list[tuple[str, str]]
    """(" ", "-" or "+", the line)"""

    @property
    def old(self) -> list[str]:
        """The lines to find."""
        return [line for mark, line in self.body if mark != "+"]

    def new(self, there: list[str]) -> list[str]:
        """What stands in the place of the lines that are there."""
        left, made = iter(there), []
        ending = "\r" if there[0].endswith("\r") else ""
        for mark, line in self.body:
            here = f"{line}{ending}" if mark == "+" else next(left)
            made += [here] if mark != "-" else []
        return made


def applied(patch: str, read: Callable[[str], str]) -> dict[str, str]:
    """The new text of each file that a patch changes. `read` gives a file's text. Raises Refused, naming the line."""
    lines = patch.strip("\n").split("\n")
    lines = [line.removesuffix("\r") for line in lines]
    lines = [line for line in lines if line.rstrip() != "*** End of File"]
    lines[-1:] = [line.strip() for line in lines[-1:]]  # spaces before it would hide that it ends what stands above
    if len(lines) < 3 or lines[0].strip() != "*** Begin Patch" or lines[-1] != "*** End Patch":
        raise Refused(f"this is no patch: {_HOW}")
    changed: dict[str, str] = {}
    at = 1
    while at < len(lines) - 1:
        head = lines[at]
        end = next(place for place in range(at + 1, len(lines)) if lines[place].startswith("*** "))
        body = lines[at + 1 : end]
        kind, _, name = head.partition(": ")
        name = name.strip()
        if kind == "*** Update File":
            changed[name] = _updated(changed[name] if name in changed else read(name), body, at + 2)
        elif kind == "*** Add File":
            if wrong := [number for number, line in enumerate(body, at + 2) if not line.startswith("+")]:
                raise Refused(f"line {wrong[0]} of the patch: every line of an added file begins with '+'")
            changed[name] = "".join(f"{line[1:]}\n" for line in body)
        else:
            raise Refused(f"line {at + 1} of the patch is {head[:80]!r}: {_HOW}")
        at = end
    return changed


def _updated(text: str, body: list[str], first: int) -> str:
    lines = text.split("\n")
    start = 0
    for hunk in _hunks(body, first):
        if hunk.anchor:
            start = _anchored(lines, hunk.anchor, start)
        place = _place(lines, hunk, start)
        made = hunk.new(lines[place : place + len(hunk.old)])
        lines[place : place + len(hunk.old)] = made
        start = place + len(made)
    return "\n".join(lines)


def _hunks(body: list[str], first: int) -> list[Hunk]:
    hunks: list[Hunk] = []
    for number, line in enumerate(body, first):
        if line.startswith("@@"):
            hunks.append(Hunk(_NUMBERS.sub("", line[2:].removesuffix("@@").strip()).strip(), []))
            continue
        if not hunks:
            hunks.append(Hunk("", []))
        mark, rest = (line[0], line[1:]) if line else (" ", "")
        if mark not in " -+":
            raise Refused(f"line {number} of the patch begins with {mark!r}: {_HOW}")
        hunks[-1].body.append((mark, rest))
    if empty := [hunk for hunk in hunks if not hunk.old]:
        raise Refused(
            f"a hunk ({empty[0].anchor or 'without a name'}) names no line that is there: give one for context"
        )
    if not hunks:
        raise Refused(f"the patch changes nothing: {_HOW}")
    if len(hunks) > MOST_HUNKS or max(len(hunk.old) for hunk in hunks) > MOST_LINES:
        raise Refused(f"a file may have {MOST_HUNKS} hunks of {MOST_LINES} lines; write_file changes more at once")
    return hunks


def _anchored(lines: list[str], anchor: str, start: int) -> int:
    for place in range(start, len(lines)):
        if anchor in lines[place]:
            return place
    raise Refused(f"no line has {anchor[:80]!r}, which a hunk begins with; read_file shows the text")


def _place(lines: list[str], hunk: Hunk, start: int) -> int:
    """Where the hunk's old lines stand, by their text, or else by their text without the spaces around it."""
    for same in (str, str.strip):
        wanted = [same(line) for line in hunk.old]
        known = [same(line) for line in lines]
        found = [at for at in range(start, len(lines) - len(wanted) + 1) if known[at : at + len(wanted)] == wanted]
        if len(found) == 1 or (found and hunk.anchor):
            return found[0]
        if found:
            raise Refused(f"the lines of a hunk stand there {len(found)} times: give more lines, or an @@ line before")
    first = next((line for line in hunk.old if line.strip()), "")
    raise Refused(
        f"the lines of a hunk stand nowhere in the file; the first is {first[:80]!r}: read_file shows the text"
    )
