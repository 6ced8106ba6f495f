"""Commit a directory: a manifest of every file with its sha256, and a marker written last.

Readers ignore a directory without its marker, and refuse one whose files differ from its manifest. So a directory that
was cut off in the middle of a write is never taken for a whole one. Run directories (marker: run.json) and the
checkpoints inside them (commit.json) are both written this way.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from nbcore.runs.layout import MANIFEST


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
    sync(path.parent)


def write_sealed(path: Path, facts: Mapping[str, Any]) -> None:
    """Write facts as JSON together with their own hash, the seal: a changed byte in them is noticed."""
    write_durably(path, _text({**facts, "seal": _seal(facts)}))


def read_sealed(path: Path) -> dict[str, Any]:
    """The facts of a sealed file, without the seal. Raises FileNotFoundError, or ValueError where a byte changed."""
    try:
        text = path.read_text("utf-8")
        facts = json.loads(text)
    except ValueError as error:  # not UTF-8, not JSON
        raise ValueError(f"{path.name}: not JSON ({error})") from None
    as_written = isinstance(facts, dict) and text == _text(facts)  # a changed space alters no value
    if not as_written or facts.pop("seal", None) != _seal(facts):
        raise ValueError(f"{path.name}: differs from what was written")
    return facts


def own_hash(record: Mapping[str, Any]) -> str:
    """sha256 over a record that holds its own hash as "self", without that."""
    facts = {name: value for name, value in record.items() if name != "self"}
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _text(facts: Mapping[str, Any]) -> str:
    return json.dumps(facts, indent=1, default=float) + "\n"


def _seal(facts: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=float).encode()).hexdigest()


def sync(path: Path) -> None:
    """Write a file to the medium, or a directory with the names in it: what is synced survives a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def commit(directory: Path, marker: str, facts: Mapping[str, Any], without: tuple[str, ...] = ()) -> None:
    """Write the manifest of every file under `directory`, then the marker.

    Hidden files and the entries named in `without` are left out. The marker holds `facts` and the manifest's hash, so
    its own hash stands for the whole content. Raises ValueError for a symbolic link: what it points to can change
    without the manifest noticing.
    """
    files = {}
    for path in sorted(directory.rglob("*")):
        name = path.relative_to(directory).as_posix()
        if name in (MANIFEST, marker) or name.split("/")[0] in without or is_hidden(name):
            continue
        if path.is_symlink():
            raise ValueError(f"{path} is a symbolic link; a run holds files of its own only: put a copy there")
        sync(path)
        if path.is_file():
            files[name] = {"bytes": path.stat().st_size, "sha256": sha256(path)}
    write_durably(directory / MANIFEST, json.dumps({"files": files}, indent=1) + "\n")
    write_sealed(directory / marker, {**facts, "manifest": sha256(directory / MANIFEST)})
    sync(directory.parent)


def problems(directory: Path, marker: str) -> list[str]:
    """What keeps this directory from being trusted, one line each with the file's name; empty when nothing does."""
    if link := next((name for name in (marker, MANIFEST) if (directory / name).is_symlink()), None):
        return [f"{link}: is a symbolic link"]
    try:
        facts = read_sealed(directory / marker)
        manifest = (directory / MANIFEST).read_bytes()
    except FileNotFoundError as error:
        return [f"{Path(error.filename).name}: missing, so this was never committed"]
    except OSError as error:
        return [f"{marker} or {MANIFEST}: cannot be read ({error.strerror})"]
    except ValueError as error:
        return [str(error)]
    if hashlib.sha256(manifest).hexdigest() != facts.get("manifest"):
        return [f"{MANIFEST}: differs from what {marker} vouches for"]
    lines = []
    for name, expected in json.loads(manifest)["files"].items():
        if not is_confined(name):
            lines.append(f"{name}: names a file outside of the directory")
            continue
        try:
            if difference := _difference(directory / name, expected):
                lines.append(f"{name}: {difference}")
        except OSError as error:
            lines.append(f"{name}: cannot be read ({error.strerror})")
    return lines


def _difference(path: Path, expected: Mapping[str, Any]) -> str | None:
    if path.is_symlink() or not path.is_file():
        return "missing"
    if path.stat().st_size != expected["bytes"]:
        return f"{path.stat().st_size} bytes, {expected['bytes']} were committed"
    return None if sha256(path) == expected["sha256"] else "content differs from its committed sha256"


def is_hidden(name: str) -> bool:
    """Whether a file, or a folder above it, has a name with a dot in front: temporary, or not whole yet."""
    return any(part.startswith(".") for part in PurePosixPath(name).parts)


def is_confined(name: str) -> bool:
    """Whether a file name in a manifest or an archive stays inside its directory."""
    parts = PurePosixPath(name).parts
    return bool(parts) and not name.startswith("/") and ".." not in parts and "\\" not in name and "\0" not in name
