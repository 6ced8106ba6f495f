"""JSON in a file: lines of mappings, one list of them, or mappings that run over several lines."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from nbcore.core import lines as json_lines
from nbcore.core.conversation import BadRecord
from nbcore.core.formats.content import Cut, Line, cut_off, lines

_BEGINNING = re.compile(rb'\s*(?:\{|\[\s*(?:[\[{"\]0-9-]|true|false|null|\Z))')  # not TOML's [section]
_BETWEEN = re.compile(rb"[\s,\[\]]*")
_SCALAR_END = re.compile(rb"[,\]\n{]")
_STRUCTURE = re.compile(rb'["\[\]{}]')
_IN_STRING = re.compile(rb'(?:[^"\\\n]++|\\[^\n])*+')
_BEGINS = re.compile(rb"\n([ \t]*)\{")
SAMPLE = 50  # lines of the beginning that tell whether a file is JSON lines


def is_json(head: bytes) -> bool:
    """Whether text is meant as JSON records, by its beginning."""
    if _BEGINNING.match(head):
        return True
    return any(_mapping(line) for line in head.split(b"\n")[:SAMPLE])


def records(head: bytes, blocks: Iterator[bytes]) -> Iterator[Line]:
    """The records of a text of JSON, each as its bytes; what is not whole says so."""
    if _in_lines(head):
        return _lines(blocks)
    return _elements(blocks)


def _in_lines(head: bytes) -> bool:
    text = head.lstrip()
    if text.startswith(b"["):
        return False
    first, *others = text.split(b"\n")[:SAMPLE]
    if not any(line.strip() for line in others) or any(_mapping(line) for line in (first, *others)):
        return True
    # No line is a mapping by itself: the first one goes on below, or all of these lines are bad.
    return first.rstrip().endswith(b"}")


def _mapping(line: bytes) -> bool:
    if not line.lstrip(b"\xef\xbb\xbf \t").startswith(b"{"):
        return False
    try:
        return isinstance(json_lines.value(line.removeprefix(b"\xef\xbb\xbf")), dict)
    except ValueError:
        return False


def _lines(blocks: Iterator[bytes]) -> Iterator[Line]:
    last = None
    for line in lines(blocks):
        text = line.text.removeprefix(b"\xef\xbb\xbf")  # files that were joined have a mark in the middle
        if line.problem is not None or text.strip():
            if last is not None:
                yield last
            last = line._replace(text=text)
    if last is not None:
        yield _perhaps_cut(last)


def _perhaps_cut(line: Line) -> Line:
    """The last record of a text, with what is said of it where its brackets are still open."""
    if line.problem is not None or line.ended:
        return line
    depth, position, inside = 0, 0, False
    while (match := _STRUCTURE.search(line.text, position)) is not None:
        position, mark = match.end(), match[0]
        if mark == b'"':
            position = _IN_STRING.match(line.text, position).end() + 1
            inside = position > len(line.text)
        else:
            depth += 1 if mark in b"{[" else -1
    if line.text.lstrip().startswith(b"{") and (inside or depth > 0) and not _mapping(line.text):
        return line._replace(problem=BadRecord("the record is cut off: the file ends inside it", "cut_off"))
    return line


def _elements(blocks: Iterator[bytes]) -> Iterator[Line]:
    """Mappings wherever they stand, by their brackets, so that a bad one or a file cut off costs what it must."""
    buffer, number, nesting, problem = bytearray(), 1, 0, None
    begun, indent, position, depth, in_string = False, 0, 0, 0, False
    blocks = iter(blocks)
    while True:
        try:
            block = next(blocks)
        except StopIteration:
            break
        except Cut as error:
            problem = cut_off(error)
            break
        buffer += block
        while True:
            if not begun:
                end = _BETWEEN.match(buffer).end()
                indent = end - 1 - buffer.rfind(b"\n", 0, end)
                number += buffer.count(b"\n", 0, end)
                nesting += buffer.count(b"[", 0, end) - buffer.count(b"]", 0, end)
                del buffer[:end]
                if not buffer:
                    break
                if buffer[0] != ord("{"):
                    match = _SCALAR_END.search(buffer)
                    end = match.start() if match else 0
                    match = None  # it holds on to the buffer, which could not shrink
                    if not end:
                        break
                    yield Line(number, bytes(buffer[:end]))
                    del buffer[:end]
                    continue
                begun, position, depth, in_string = True, 0, 0, False
            position, depth, in_string = _scan(buffer, position, depth, in_string)
            if depth or in_string:
                break
            yield from _whole(Line(number, bytes(buffer[:position])), indent)
            number += buffer.count(b"\n", 0, position)
            if buffer[position - 1] == ord("]"):  # the list's own end, where the element lacks one
                nesting -= 1
            del buffer[:position]
            begun = False
    rest = bytes(buffer).strip()
    if rest:
        problem = problem or BadRecord("the record is cut off: the file ends inside it", "cut_off")
        yield from _whole(Line(number, rest, problem), indent)
    elif problem or nesting > 0:
        yield Line(number, b"", problem or BadRecord("the file ends before its list is closed", "cut_off"))


def _scan(buffer: bytearray, position: int, depth: int, in_string: bool) -> tuple[int, int, bool]:
    """Go on to the end of the element, or of the buffer: (position, depth, whether that is inside a string)."""
    while position < len(buffer):
        if in_string:
            position = _IN_STRING.match(buffer, position).end()
            if position >= len(buffer) or (buffer[position] == ord("\\") and position + 1 == len(buffer)):
                return position, depth, True
            # The end of the string, or a line break, which no string of JSON can hold: it was never closed.
            in_string = False
            position += 1
            continue
        match = _STRUCTURE.search(buffer, position)
        if match is None:
            return len(buffer), depth, False
        position, mark = match.end(), match[0]
        if mark == b'"':
            in_string = True
        else:
            depth += 1 if mark in b"{[" else -1
            if depth <= 0:
                return position, 0, False
    return position, depth, in_string


def _whole(line: Line, indent: int) -> Iterator[Line]:
    """The element; where it cannot be read and others, indented as little, were taken into it: each of them."""
    if b"\n" not in line.text or _mapping(line.text):
        yield line
        return
    begins = [match.start() + 1 for match in _BEGINS.finditer(line.text) if len(match[1]) <= indent]
    places = [0, *begins, len(line.text)]
    for begin, end in pairwise(places):
        piece = line.text[begin:end].rstrip(b", \t\r\n]") if begins else line.text
        problem = line.problem if end == places[-1] and not _mapping(piece) else None
        yield Line(line.number + line.text.count(b"\n", 0, begin), piece, problem)
