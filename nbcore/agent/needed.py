"""The crates that a person's crate needs, where all of them are on the disk: vendored, or beside it.

cargo tells which they are, with their features, on a copy and without the network; no code of theirs is run for that.
They are built in the jail by rustc alone, so a build script or a procedural macro among them is refused.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from nbcore.core.output import shown
from nbcore.data import std_crate
from nbcore.grading.rust.crate import Dependency

_MOST_BYTES, _MOST_IN_ALL = 1 << 20, 16 << 20  # of one file of a needed crate, and of all of them
_SECONDS = 60
# A crate's .cargo/config.toml may name programs to run in the place of the compiler; these names come before it.
_NO_PROGRAM = {"RUSTC": "rustc", "RUSTC_WRAPPER": "", "RUSTC_WORKSPACE_WRAPPER": ""}
_LEFT_OUT = shutil.ignore_patterns("target", ".git", "rust-toolchain*")  # a toolchain would be fetched
_OUTSIDE = re.compile(r"""(\bpath\s*=\s*)(["'])(\.\.[^"'\n]*)\2""")  # of a crate beside this one


class Needed(NamedTuple):
    """What stands beside a crate's own files when it is built."""

    files: dict[str, str]
    dependencies: tuple[Dependency, ...]
    needs: dict[str, str]


def of(folder: Path) -> Needed:
    """The crates that the package in a folder needs. Raises ValueError where one is not here, or cannot be built so."""
    if shutil.which("cargo") is None:
        raise ValueError(f"CRATE_DIR: {folder} needs other crates, and there is no cargo here to say which: install it")
    with tempfile.TemporaryDirectory(prefix="nbcore-needed-") as made:
        top = std_crate.workspace(folder) or folder.resolve()
        copy = Path(made, "crate")  # cargo writes a Cargo.lock where there is none
        shutil.copytree(top, copy, symlinks=True, ignore=_LEFT_OUT)
        for manifest in [*copy.rglob("Cargo.toml")]:
            _keep_paths(manifest, top / manifest.parent.relative_to(copy), top)
        command = ["cargo", "metadata", "--offline", "--format-version=1"]
        inside = copy / folder.resolve().relative_to(top)
        try:
            done = subprocess.run(
                command, cwd=inside, env=os.environ | _NO_PROGRAM, capture_output=True, text=True, timeout=_SECONDS
            )
        except subprocess.TimeoutExpired:
            raise ValueError(f"CRATE_DIR: cargo did not say in {_SECONDS} s what {folder} needs; try again") from None
        if done.returncode:
            why = " ".join(line for line in done.stderr.replace(str(copy), str(top)).splitlines() if line.strip())
            raise ValueError(
                f"CRATE_DIR: {folder} needs crates that are not here, and the agent has no network: run `cargo vendor` "
                f"in it and write what that says into .cargo/config.toml (cargo: {shown(why, 200)})"
            )
        return _read(json.loads(done.stdout), folder)


def _keep_paths(manifest: Path, was_in: Path, top: Path) -> None:
    """Let a copied manifest name the crates outside of the copy by the places where they are."""

    def there(found: re.Match[str]) -> str:
        path = (was_in / found[3]).resolve()
        return found[0] if path.is_relative_to(top) else f"{found[1]}{json.dumps(str(path))}"

    text = manifest.read_text("utf-8-sig")
    if (kept := _OUTSIDE.sub(there, text)) != text:
        manifest.write_text(kept, "utf-8")


def _read(told: dict[str, Any], folder: Path) -> Needed:
    packages = {one["id"]: one for one in told["packages"]}
    nodes = {one["id"]: one for one in told["resolve"]["nodes"]}
    root = told["resolve"]["root"]
    ordered: list[str] = []
    files: dict[str, str] = {}

    def visit(id_: str, kinds: set[str | None]) -> dict[str, str]:
        needs = {}
        for edge in nodes[id_]["deps"]:
            wanted = [kind for kind in edge["dep_kinds"] if kind["kind"] in kinds and _here(kind["target"])]
            if wanted:
                if edge["pkg"] not in ordered:
                    known[edge["pkg"]] = visit(edge["pkg"], {None})
                    ordered.append(edge["pkg"])
                needs[edge["name"]] = _id(packages[edge["pkg"]])
        return needs

    known: dict[str, dict[str, str]] = {}
    own = visit(root, {None, "dev"})
    made = []
    for id_ in ordered:
        package = packages[id_]
        target = _library(package, folder)
        under, source = f"needed/{_id(package)}", Path(package["manifest_path"]).parent
        files |= {f"{under}/{name}": text for name, text in _texts(source).items()}
        root_file = f"{under}/{Path(target['src_path']).relative_to(source).as_posix()}"
        features = tuple(nodes[id_]["features"])
        name = target["name"].replace("-", "_")
        called = (package["name"], package["version"])
        made.append(Dependency(_id(package), name, root_file, target["edition"], features, known[id_], called))
    if sum(map(len, files.values())) > _MOST_IN_ALL:
        raise ValueError(f"CRATE_DIR: the crates that {folder} needs have more than {_MOST_IN_ALL >> 20} MiB")
    return Needed(files, tuple(made), own)


def _library(package: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The library of a package. Raises ValueError where it cannot be built by rustc alone."""
    kinds = {kind: target for target in package["targets"] for kind in target["kind"]}
    for kind, words in (("proc-macro", "a procedural macro"), ("custom-build", "built by a script of its own")):
        if kind in kinds:
            raise ValueError(f"CRATE_DIR: {folder} needs {package['name']}, which is {words}: that is not run here")
    found = next((kinds[kind] for kind in ("lib", "rlib") if kind in kinds), None)
    if found is None:
        raise ValueError(f"CRATE_DIR: {folder} needs {package['name']}, which has no library")
    return found


def _here(target: str | None) -> bool:
    return target is None or target in ("cfg(unix)", "cfg(not(windows))", 'cfg(target_os = "linux")')


def _id(package: dict[str, Any]) -> str:
    return re.sub(r"\W", "_", f"{package['name']}_{package['version']}")


def _texts(source: Path) -> dict[str, str]:
    """The files of a crate: its Rust, and what it may include."""
    files = [path for path in std_crate.own_files(source, "*") if path.stat().st_size <= _MOST_BYTES]
    return {path.relative_to(source).as_posix(): std_crate.read_any(path) for path in files}
