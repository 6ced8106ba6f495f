"""Did you mean …: what a person probably wanted to type."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """ " (did you mean 'sft'?)" for the known word that is nearest to `word`, or nothing where none is near."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" (did you mean {near[0]!r}?)" if near else ""


def file_like(path: Path) -> str:
    """The same for a file that is not there: one of its folder, or one of its name in a folder beside that."""
    beside = [*path.parent.glob("*"), *path.parent.parent.glob(f"*/{path.name}")]
    return did_you_mean(str(path), (str(file) for file in beside if file.is_file()))
