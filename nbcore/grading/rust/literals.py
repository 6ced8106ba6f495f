"""Rust's literals: the text that one stands for, how `{:?}` shows it, and when a number shown is the one meant."""

from __future__ import annotations

import re
import struct

_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "0": "\0", "\\": "\\", "'": "'", '"': '"'}
_SHOWN = {character: f"\\{letter}" for letter, character in _ESCAPES.items()}
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u\{([0-9a-fA-F_]+)\}|\n\s*|(.))", re.DOTALL)
_LARGEST_SINGLE = 3.4e38


def plain(text: str) -> str:
    """The text that a literal stands for."""

    def one(found: re.Match[str]) -> str:
        if found[1] or found[2]:
            return chr(int((found[1] or found[2]).replace("_", ""), 16))
        return _ESCAPES.get(found[3], found[0]) if found[3] else ""

    return _ESCAPE.sub(one, text.replace("\r\n", "\n"))


def shown(character: str, quote: str) -> str:
    """The pattern of one character as Rust shows it between such quotes."""
    code = rf"\\u\{{{ord(character):x}\}}"
    if character in "'\"" and character != quote:
        return character
    if character in _SHOWN:
        return re.escape(_SHOWN[character])
    if character.isascii():
        return re.escape(character) if character.isprintable() else code
    return f"(?:{re.escape(character)}|{code})"  # whether it can be printed is for Rust's tables to say


def same_number(told: str, wanted: float, kind: str) -> bool:
    """Whether a number as shown is the literal, as an f64 or as an f32: what is shown of an f32 has fewer digits."""
    value = float(told)
    if kind != "f32" and value == wanted:
        return True
    if kind == "f64" or abs(wanted) > _LARGEST_SINGLE:
        return False
    single = _single(wanted)
    shortest = (float(f"{single:.{digits}g}") for digits in range(1, 18))
    return value == next(number for number in shortest if _single(number) == single)


def _single(value: float) -> float:
    return struct.unpack("f", struct.pack("f", value))[0]
