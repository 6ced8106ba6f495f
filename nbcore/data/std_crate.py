"""A crate that needs std alone, read from a folder or from what a librust-*-dev package installed."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

from nbcore.core.records import EDITIONS
from nbcore.data.faults import Fault
from nbcore.grading.rust import crate

REGISTRY = Path("/usr/share/cargo/registry")  # where Debian's librust-*-dev packages put their crates
_MOST_BYTES = 512 << 10  # of a file of a crate, and eight times as much of all of them


class Crate(NamedTuple):
    """A crate that needs std alone."""

    name: str
    """With its version: "fnv-1.0.7"."""
    files: dict[str, str]
    """Texts of its .rs files, by their path in the crate."""
    root: str
    edition: str
    features: tuple[str, ...]
    licence: str

    @property
    def tests(self) -> list[str]:
        """The files whose tests can be tried: its lib.rs with the unit tests, then those of tests/."""
        return [self.root, *(name for name in self.files if re.fullmatch(r"tests/\w[\w-]*\.rs", name))]

    def job(self, tests: str, fault: Fault | None = None, **needed: Any) -> dict[str, Any]:
        """What the grader is given: the tests of one of these files, with this fault in the crate. `needed` are the
        `dependencies` and `needs` of a crate that is no such one, as crate.job takes them."""
        files = self.files if fault is None else self.files | {fault.file: fault.applied(self.files[fault.file])}
        name = self.name.rpartition("-")[0].replace("-", "_")
        library = None if tests == self.root else (self.root, name)
        return crate.job(files, tests, self.edition, self.features, library, **needed)


def read_crate(name: str | Path) -> Crate:
    """A crate in a folder, or one that a librust-*-dev package installed, by its name with or without version.

    Raises ValueError or FileNotFoundError with the remedy.
    """
    folder = Path(name)
    if not (folder / "Cargo.toml").is_file():
        installed = sorted(path for path in REGISTRY.glob("*-[0-9]*") if _named(path, str(name)))
        if not installed:
            raise FileNotFoundError(
                f"CRATE: no folder {name} with a Cargo.toml, and no such crate in {REGISTRY}; "
                f"`apt-get install librust-{folder.name}-dev` brings many"
            )
        folder = installed[-1]
    try:
        manifest = tomllib.loads((folder / "Cargo.toml").read_text("utf-8"))
        package = manifest["package"]
        named, version = str(package["name"]), str(package.get("version", "0"))
        edition, licence = str(package.get("edition", "2015")), str(package.get("license", ""))
        root, features = str(manifest.get("lib", {}).get("path", "src/lib.rs")), dict(manifest.get("features", {}))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"CRATE: {folder}/Cargo.toml describes no package ({error}); give another crate") from None
    files = _rust_files(folder)
    if root not in files:
        raise ValueError(f"CRATE: {folder} has no {root}: only a library has unit tests that can be run here")
    if edition not in EDITIONS:
        raise ValueError(f"CRATE: {folder}: edition {edition!r} is not one of {', '.join(EDITIONS)}")
    return Crate(f"{named}-{version}", files, root, edition, _default(features), licence)


def _named(path: Path, name: str) -> bool:
    return name in (path.name, path.name.rpartition("-")[0])


def _rust_files(folder: Path) -> dict[str, str]:
    files = {}
    for path in sorted(folder.rglob("*.rs")):
        inside = path.resolve().is_relative_to(folder.resolve())  # a link may lead anywhere on this machine
        if inside and path.is_file() and "target" not in path.parts:
            if path.stat().st_size > _MOST_BYTES:
                raise ValueError(f"CRATE: {path} has more than {_MOST_BYTES >> 10} KiB; give a smaller crate")
            try:
                files[path.relative_to(folder).as_posix()] = path.read_text("utf-8")
            except UnicodeDecodeError:
                raise ValueError(f"CRATE: {path} is not UTF-8; rustc would refuse it too") from None
    if sum(map(len, files.values())) > 8 * _MOST_BYTES:
        raise ValueError(f"CRATE: {folder} has more than {8 * _MOST_BYTES >> 20} MiB of Rust; give a smaller crate")
    return files


def _default(features: dict[str, Any]) -> tuple[str, ...]:
    """The features that cargo would turn on."""
    turned_on, waiting = [], ["default"]
    while waiting:
        name = waiting.pop()
        if name in features and name not in turned_on:
            turned_on.append(name)
            waiting += [str(other) for other in features[name]]
    return tuple(sorted(turned_on))
