"""apply_patch: hunks of context, removed and added lines, found in a file by their text and not by line numbers.

    *** Begin Patch
    *** Update File: src/lib.rs
    @@ fn sum
     let mut total = 0;
    -for x in 1..n {
    +for x in 1..=n {
    *** End Patch

`*** Add File: PATH` takes lines that all begin with "+"; files are not deleted or moved. `@@` lines that follow each
other lead inwards, as from an impl to its method. Lines of context stay as the file has them, also where the patch has
other spaces; `*** End of File`, the numbers of a unified diff, and an empty line behind a hunk tell nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from nbcore.agent.folder import Refused

MOST_LINES, MOST_HUNKS = 500, 50  # of a hunk; of a file: for each of them the file is read once
_NUMBERS = re.compile(r"-\d+(?:,\d+)? \+\d+(?:,\d+)?(?: @@)?")
_NOTHING = ("*** End of File", "\\ No newline at end of file")
_HOW = "a patch is *** Begin Patch, *** Update File: PATH, @@, lines that begin with ' ', - or +, *** End Patch"


class Hunk(NamedTuple):
    """Lines to find, and what stands in their place afterwards."""

    anchors: list[str]
    """Lines that stand somewhere before, each after the one named above it; empty: anywhere."""
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
    lines = [line for line in lines if line.rstrip() not in _NOTHING]
    lines[-1:] = [line.strip() for line in lines[-1:]]  # spaces before it would hide that it ends what stands above
    if len(lines) < 3 or lines[0].strip() != "*** Begin Patch" or lines[-1] != "*** End Patch":
        raise Refused(f"this is no patch: {_HOW}")
    for number, line in enumerate(lines, 1):
        if line.startswith(("*** Delete File", "*** Move to")):
            raise Refused(f"line {number} of the patch is {line[:80]!r}: no file is deleted or moved here")
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
        for anchor in hunk.anchors:
            start = _anchored(lines, anchor, start)
        found, place = _place(lines, hunk, start)
        made = found.new(lines[place : place + len(found.old)])
        lines[place : place + len(found.old)] = made
        start = place + len(made)
    return "\n".join(lines)


def _hunks(body: list[str], first: int) -> list[Hunk]:
    hunks: list[Hunk] = []
    for number, line in enumerate(body, first):
        if line.startswith("@@"):
            if not hunks or hunks[-1].body:
                hunks.append(Hunk([], []))
            anchor = _NUMBERS.sub("", line[2:].removesuffix("@@").strip()).strip()
            hunks[-1].anchors.extend([anchor] if anchor else [])
            continue
        if not hunks:
            hunks.append(Hunk([], []))
        mark, rest = (line[0], line[1:]) if line else (" ", "")
        if mark not in " -+":
            raise Refused(f"line {number} of the patch begins with {mark!r}: {_HOW}")
        hunks[-1].body.append((mark, rest))
    if empty := [hunk for hunk in hunks if not hunk.old]:
        named = " ".join(empty[0].anchors)[:80] or "without a name"
        raise Refused(f"a hunk ({named}) names no line that is there: give one for context")
    if not hunks:
        raise Refused(f"the patch changes nothing: {_HOW}")
    if len(hunks) > MOST_HUNKS or max(len(hunk.old) for hunk in hunks) > MOST_LINES:
        raise Refused(f"a file may have {MOST_HUNKS} hunks of {MOST_LINES} lines; write_file changes more at once")
    return hunks


def _anchored(lines: list[str], anchor: str, start: int) -> int:
    """The first line that is the anchor; or else that has it as whole words; or else that has it."""
    words = re.compile(rf"(?<!\w){re.escape(anchor)}(?!\w)")
    for fits in (lambda line: line.strip() == anchor, words.search, lambda line: anchor in line):
        for place in range(start, len(lines)):
            if fits(lines[place]):
                return place
    raise Refused(f"no line has {anchor[:80]!r}, which a hunk begins with; read_file shows the text")


def _place(lines: list[str], hunk: Hunk, start: int) -> tuple[Hunk, int]:
    """Where the hunk's old lines stand, by their text, or else by their text without the spaces around it; and the
    hunk, which may have lost empty lines at its end."""
    bare = list(hunk.body)
    while bare and bare[-1] == (" ", ""):  # they part it from what comes next in the patch
        bare.pop()
    tried = [hunk, Hunk(hunk.anchors, bare)] if 0 < sum(mark != "+" for mark, _ in bare) < len(hunk.old) else [hunk]
    for one in tried:
        for same in (str, str.strip):
            place, more = _found([same(line) for line in lines[start:]], [same(line) for line in one.old])
            if more and not one.anchors:
                raise Refused("the lines of a hunk stand there more than once: give more lines, or an @@ line before")
            if place is not None:
                return one, start + place
    first = next((line for line in hunk.old if line.strip()), "")
    if start and _found([line.strip() for line in lines], [line.strip() for line in hunk.old])[0] is not None:
        raise Refused(
            f"the lines of a hunk stand before its @@ line, or before the hunk above it; the first is {first[:80]!r}: "
            "write the hunks in the order of the file"
        )
    raise Refused(
        f"the lines of a hunk stand nowhere in the file; the first is {first[:80]!r}: read_file shows the text"
    )


def _found(known: list[str], wanted: list[str]) -> tuple[int | None, bool]:
    """(the number of the line where these lines stand first, whether they stand there again). As one text, for which
    Python's search takes time by its length alone, however much of it is nearly the same."""
    text, looked_for = ("\n".join(["", *part, ""]) for part in (known, wanted))
    at = text.find(looked_for)
    return (None, False) if at < 0 else (text.count("\n", 0, at), text.find(looked_for, at + 1) >= 0)
