"""Which files an input names: a file, a folder of them, or a data set of the Hub with a pinned revision."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from nbcore.core.formats.content import Unreadable

HUB = re.compile(r"hf:/{1,2}datasets/(?P<name>[\w.-]+/[\w.-]+?)(?:@(?P<revision>[^/]+))?(?:/(?P<path>.+))?")
COMMIT = re.compile(r"[0-9a-f]{40}")
DATA = ("json", "jsonl", "ndjson", "csv", "tsv", "parquet", "txt")  # of a data set of the Hub; packed ones, too


def files(inputs: str | Path | Iterable[str | Path], field: str = "IN") -> list[Path]:
    """The files that inputs name, in the order given; those of a folder by path, without hidden ones.

    Raises FileNotFoundError naming what is not there, and ValueError for a data set of the Hub without a revision, or
    one that cannot be fetched.
    """
    named = [inputs] if isinstance(inputs, str | Path) else inputs
    collected: list[Path] = []
    for given in named:
        if match := HUB.fullmatch(str(given)):
            collected += _in_folder(_fetched(match, field))
            continue
        path = Path(given).expanduser()
        if path.is_dir():
            collected += _in_folder(path)
        elif path.exists() and not path.is_file():
            raise Unreadable(f"{field}: {path}: is a pipe or a device, not a file; save it as a file first")
        elif not path.is_file():
            raise FileNotFoundError(f"{field}: no file {path}; give a file of rows, a folder of them, or {_example()}")
        else:
            collected.append(path)
    return collected


def revision(given: str | Path) -> str | None:
    """The revision of a data set of the Hub; None for a path."""
    match = HUB.fullmatch(str(given))
    return match["revision"] if match else None


def _example() -> str:
    return "hf://datasets/OWNER/NAME@COMMIT"


def _in_folder(folder: Path) -> list[Path]:
    paths = []
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        paths += [Path(parent, name) for name in names if not name.startswith(".")]
    # A link that leads nowhere, and a pipe that nobody writes to, are no files.
    return sorted(path for path in paths if path.is_file())


def _fetched(match: re.Match[str], field: str) -> Path:
    name, pinned = match["name"], match["revision"]
    if not pinned or not COMMIT.fullmatch(pinned):
        what = f"{pinned!r} may be moved" if pinned else "it has no revision"
        raise ValueError(
            f"{field}: data set {name}: {what}; pin the commit, 40 hex digits from its page, as in {_example()}"
        )
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    wanted = [f"*.{ending}{packed}" for ending in DATA for packed in ("", ".gz", ".zst")]
    path = match["path"]
    if path:
        wanted = [path, f"{path}/*"]
    try:
        return Path(snapshot_download(name, repo_type="dataset", revision=pinned, allow_patterns=wanted))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        words = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(
            f"{field}: data set {name}@{pinned[:8]} could not be fetched ({words}); look whether this machine is "
            "online and the name, the commit and your access (HF_TOKEN) are right"
        ) from None
