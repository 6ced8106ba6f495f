"""What a Cargo.toml says of a crate: name, version, licence, repository; some of it inherited from its workspace."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from typing import Any, NamedTuple

MOST_BYTES = 1 << 20  # of a Cargo.toml or .cargo_vcs_info.json that is read


class Package(NamedTuple):
    """Whose a file is. Empty where nobody says."""

    name: str = ""
    version: str = ""
    licence: str = ""
    """As it is written there; `filters.licences` reads it."""
    repo: str = ""
    revision: str = ""
    """The commit, where the archive names it; else the version."""


def table(content: bytes) -> dict[str, Any]:
    """The tables of a Cargo.toml; none where it cannot be read: what follows is that its licence is unknown."""
    try:
        return tomllib.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return {}


def package(manifest: Mapping[str, Any], workspace: Mapping[str, Any], vcs: bytes = b"") -> Package | None:
    """The package of a Cargo.toml, None where it has none. `workspace` is the manifest of its workspace, {} for none;
    `vcs` the content of .cargo_vcs_info.json."""
    own = manifest.get("package", manifest.get("project"))
    if not isinstance(own, Mapping):
        return None
    shared = _mapping(_mapping(workspace.get("workspace")).get("package"))

    def field(name: str) -> str:
        value = own.get(name)
        if isinstance(value, Mapping) and value.get("workspace") is True:
            value = shared.get(name)
        return value.strip() if isinstance(value, str) else ""

    name, version = field("name"), field("version")
    return Package(name, version, field("license"), field("repository") or name, commit(vcs) or version)


def inherits(manifest: Mapping[str, Any]) -> bool:
    """Whether a field of the package is said to stand in the workspace's manifest."""
    return any(
        isinstance(value, Mapping) and "workspace" in value for value in _mapping(manifest.get("package")).values()
    )


def workspace_path(manifest: Mapping[str, Any]) -> str:
    """The folder of its workspace, where the package names one; else ""."""
    path = _mapping(manifest.get("package")).get("workspace")
    return path if isinstance(path, str) and "\0" not in path else ""


def commit(vcs: bytes) -> str:
    """The commit that .cargo_vcs_info.json names, "" where it names none."""
    try:
        sha1 = _mapping(_mapping(json.loads(vcs or b"{}")).get("git")).get("sha1")
    except (ValueError, RecursionError):
        return ""
    return sha1 if isinstance(sha1, str) else ""


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
