"""Commit a directory: a manifest of every file with its sha256, and a marker written last.

Whatever stands in the directory without the marker, or differs from the manifest, does not exist for readers.
The same protocol serves run directories (marker: run.json) and the checkpoints inside them (commit.json).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

MANIFEST = "manifest.json"


def sha256(path: Path) -> str:
    """Hex digest of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_durably(path: Path, text: str) -> None:
    """Replace `path` by `text` so that a crash leaves the old content or the new, never a part of either."""
    temporary = path.with_name(f".{path.name}.new")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make names created or replaced in the directory survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def commit(directory: Path, marker: str, facts: Mapping[str, Any], without: tuple[str, ...] = ()) -> None:
    """Vouch for every file under `directory` (folders named in `without` apart), then write the marker.

    The marker holds `facts` and the manifest's own hash, which makes it an identity of the whole content.
    """
    files = {}
    for path in sorted(directory.rglob("*")):
        name = path.relative_to(directory).as_posix()
        if path.is_file() and name not in (MANIFEST, marker) and name.split("/")[0] not in without:
            with path.open("rb") as file:
                os.fsync(file.fileno())
            files[name] = {"bytes": path.stat().st_size, "sha256": sha256(path)}
    write_durably(directory / MANIFEST, json.dumps({"files": files}, indent=1) + "\n")
    write_durably(directory / marker, json.dumps({**facts, "manifest": sha256(directory / MANIFEST)}, indent=1) + "\n")


def problems(directory: Path, marker: str) -> list[str]:
    """What keeps this directory from being trusted, one line each with the file's name; empty when nothing does."""
    try:
        facts = json.loads((directory / marker).read_text("utf-8"))
        manifest_text = (directory / MANIFEST).read_bytes()
        manifest = json.loads(manifest_text)
    except FileNotFoundError as error:
        return [f"{Path(error.filename).name}: missing, so this was never committed"]
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        return [f"{marker} or {MANIFEST}: not JSON ({error})"]
    if hashlib.sha256(manifest_text).hexdigest() != facts.get("manifest"):
        return [f"{MANIFEST}: differs from what {marker} vouches for"]
    found = []
    for name, expected in manifest["files"].items():
        path = directory / name
        if not path.is_file():
            found.append(f"{name}: missing")
        elif path.stat().st_size != expected["bytes"]:
            found.append(f"{name}: {path.stat().st_size} bytes, {expected['bytes']} were committed")
        elif sha256(path) != expected["sha256"]:
            found.append(f"{name}: content differs from its committed sha256")
    return found
