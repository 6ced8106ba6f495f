"""Rust files out of a code set of the Hub, streamed at a pinned commit."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from nbcore.core.output import shown
from nbcore.core.records import Document

PREFIX = "hub:"
_NAME = re.compile(rf"{PREFIX}(?P<name>[\w.-]+/[\w.-]+)@(?P<revision>[0-9a-f]{{40}})(?:#(?P<part>[\w./-]+))?")
# The names that published sets use: the-stack, the-stack-v2, starcoderdata, and such.
_TEXT = ("content", "code", "text")
_PATH = ("path", "max_stars_repo_path", "file_path", "filename")
_REPO = ("repo", "repo_name", "max_stars_repo_name", "repository", "repository_name")
_REVISION = ("revision", "revision_id", "max_stars_repo_head_hexsha", "commit", "commit_id")
_LICENCE = ("licence", "license", "licenses", "max_stars_repo_licenses", "detected_licenses")
_LANGUAGE = ("lang", "language", "programming_language")


def documents(name: str, licence: str | None = None, streaming: bool = True) -> Iterator[Document]:
    """The Rust files of "hub:OWNER/NAME@COMMIT", or of its folder FOLDER with "#FOLDER" after it, as documents.

    Rows are streamed, or the set is downloaded first and read from the disk; none is held either way. Raises
    ValueError for a name without the 40 digits of a commit.
    """
    named = _NAME.fullmatch(name)
    if named is None:
        raise ValueError(
            f"source: {shown(name)!r} names no commit; write {PREFIX}OWNER/NAME@ and the 40 hex digits of one, so that "
            "the same data is read tomorrow"
        )
    return rows(_stream(named["name"], named["revision"], named["part"], streaming), name, licence)


def _stream(name: str, revision: str, part: str | None, streaming: bool) -> Iterable[Mapping[str, Any]]:
    from datasets import load_dataset

    return load_dataset(name, revision=revision, data_dir=part, split="train", streaming=streaming)


def rows(stream: Iterable[Mapping[str, Any]], source: str, licence: str | None = None) -> Iterator[Document]:
    """The documents of a code set's rows; what a row says to be of another language is no document. Raises ValueError
    where a row has no text under a name that is known."""
    for number, row in enumerate(stream):
        text, path = _first(row, _TEXT), _first(row, _PATH)
        if not isinstance(text, str):
            raise ValueError(
                f"source: {shown(source)}: row {number} has no text under {', '.join(_TEXT)}, but "
                f"{shown(', '.join(row))}; a set that holds only addresses of files must be downloaded first"
            )
        language = _first(row, _LANGUAGE)
        if (isinstance(language, str) and language.lower() != "rust") or (path and not str(path).endswith(".rs")):
            continue
        meta = {
            "repo": str(_first(row, _REPO) or source),
            "path": str(path or ""),
            "revision": str(_first(row, _REVISION) or source.rpartition("@")[2]),
            "licence": _stated(_first(row, _LICENCE)) or licence or "",
        }
        yield {"id": f"{source}/{number}", "text": text.replace("\r\n", "\n"), "source": source, "meta": meta}


def _first(row: Mapping[str, Any], names: Iterable[str]) -> Any:
    return next((row[name] for name in names if row.get(name) is not None), None)


def _stated(licence: Any) -> str:
    """One expression. A list names what was detected in the repository, and all of it may hold for the file."""
    if isinstance(licence, list | tuple):
        return " AND ".join(f"({name})" for name in licence if isinstance(name, str) and name)
    return licence if isinstance(licence, str) else ""
