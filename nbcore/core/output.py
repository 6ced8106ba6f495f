"""Output that survives a terminal, a pipe or a log file that cannot hold every character."""

from __future__ import annotations

import codecs
import io
import sys

PLAINER = {"→": ">", "–": "-", "·": "-", "…": ".", "×": "x", "Δ": "d", "─": "-", "█": "#"}  # any other becomes "?"
HANDLER = "nbcore.plainer"


def replace_unknown_characters() -> None:
    """Have standard output and error print a plainer character for one that their encoding lacks, instead of raising.

    LANG=C, an old terminal or a scheduler's log would otherwise end an hour of training at its first "·".
    """
    codecs.register_error(HANDLER, _plainer)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a notebook's own stream takes every character
            stream.reconfigure(errors=HANDLER)


def _plainer(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)  # nothing is read from these streams
    return "".join(PLAINER.get(character, "?") for character in error.object[error.start : error.end]), error.end


def shown(text: str, longest: int = 200) -> str:
    """The beginning of a text that somebody else wrote, on one line and safe for a terminal: line breaks, colour codes,
    and characters that are invisible or turn the direction of writing, are spelled out as in a Python string."""
    beginning = text[:longest] + ("…" if len(text) > longest else "")
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in beginning
    )
