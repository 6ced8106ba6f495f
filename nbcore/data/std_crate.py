"""A crate that needs std alone, read from a folder or from what a librust-*-dev package installed."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
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
    library: str = ""
    """What its tests call it, in Rust; empty: as the package is called."""
    package: tuple[str, str] = ("", "")
    """Name and version, where Cargo.toml has told them."""
    beside: Mapping[str, str] = {}
    """Other files that its Rust names, and may include or read, by path (read_any)."""

    @property
    def rust_name(self) -> str:
        """What its tests call it."""
        return self.library or self.name.rpartition("-")[0].replace("-", "_")

    @property
    def tests(self) -> list[str]:
        """The files whose tests can be tried: its lib.rs with the unit tests, then those of tests/."""
        return [self.root, *(name for name in self.files if re.fullmatch(r"tests/\w[\w-]*(/main)?\.rs", name))]

    def job(self, tests: str, fault: Fault | None = None, **needed: Any) -> dict[str, Any]:
        """What the grader is given: the tests of one of these files, with this fault in the crate. `needed` are the
        `dependencies` and `needs` of a crate that is no such one, as crate.job takes them."""
        files = self.files if fault is None else self.files | {fault.file: fault.applied(self.files[fault.file])}
        library = None if tests == self.root else (self.root, self.rust_name)
        files = {**self.beside, **files}
        return crate.job(files, tests, self.edition, self.features, library, package=self.package, **needed)


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
        manifest = manifest_of(folder)
        package = _whole(manifest["package"], folder)
        named, version = str(package["name"]), str(package.get("version", "0"))
        edition, licence = str(package.get("edition", "2015")), str(package.get("license", ""))
        library, features = dict(manifest.get("lib", {})), dict(manifest.get("features", {}))
        root, name_in_rust = str(library.get("path", "src/lib.rs")), str(library.get("name", named)).replace("-", "_")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"CRATE: {folder}/Cargo.toml describes no package ({error}); give another crate") from None
    files = _rust_files(folder)
    if not library and root not in files and "src/main.rs" in files:
        root = "src/main.rs"  # a program has unit tests, too
    if root not in files and (folder / root).is_file():
        raise ValueError(f"CRATE: {folder}/{root} is no UTF-8 text, or leads out of the crate; save it as UTF-8")
    if root not in files:
        raise ValueError(f"CRATE: {folder} has no {root}, so it has no tests that can be run here; give another crate")
    if edition not in EDITIONS:
        raise ValueError(f"CRATE: {folder}: edition {edition!r} is not one of {', '.join(EDITIONS)}")
    told = {"library": name_in_rust, "package": (named, version), "beside": _beside(folder, files)}
    return Crate(f"{named}-{version}", files, root, edition, _default(features), licence, **told)


def _named(path: Path, name: str) -> bool:
    return name in (path.name, path.name.rpartition("-")[0])


def _whole(package: dict[str, Any], folder: Path) -> dict[str, Any]:
    """A package with what it takes from its workspace. Raises ValueError where there is none above it."""
    taken = [field for field, value in package.items() if isinstance(value, dict) and value.get("workspace") is True]
    if not taken:
        return package
    top = workspace(folder)
    if top is None:
        raise ValueError(f"it takes {taken[0]} from a workspace, and none is above it")
    shared = manifest_of(top)["workspace"].get("package", {})
    return {**package, **{field: shared[field] for field in taken if field in shared}}


def workspace(folder: Path) -> Path | None:
    """The folder of the workspace that a package is in, which may be its own; None where it stands alone."""
    here = folder.resolve()
    found = (place for place in (here, *here.parents) if (place / "Cargo.toml").is_file())
    return next((place for place in found if "workspace" in manifest_of(place)), None)


def manifest_of(folder: Path) -> dict[str, Any]:
    """Cargo.toml of a folder. Raises ValueError where it is no TOML."""
    return tomllib.loads((folder / "Cargo.toml").read_text("utf-8-sig"))  # cargo takes a byte order mark, too


def _rust_files(folder: Path) -> dict[str, str]:
    files = {}
    for path in own_files(folder, "*.rs"):
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError(f"CRATE: {path} has more than {_MOST_BYTES >> 10} KiB; give a smaller crate")
        try:
            files[path.relative_to(folder).as_posix()] = path.read_text("utf-8")
        except UnicodeDecodeError:
            continue  # rustc refuses it as a module; beside the modules, some crates have such files to test with
    if sum(map(len, files.values())) > 8 * _MOST_BYTES:
        raise ValueError(f"CRATE: {folder} has more than {8 * _MOST_BYTES >> 20} MiB of Rust; give a smaller crate")
    return files


def _beside(folder: Path, files: Mapping[str, str]) -> dict[str, str]:
    """Files that are no Rust and that the Rust may include or read, up to as much as the Rust itself may have: those
    that it names, then those of a folder that it names."""
    rust, found, room = "\n".join(files.values()), {}, 8 * _MOST_BYTES
    others = [path for path in own_files(folder, "*") if path.suffix != ".rs"]
    named = [path for path in others if path.name in rust]
    near = [path for path in others if path.parent != folder and path.parts[-2] in rust]
    for path in dict.fromkeys([*named, *near]):
        if (size := path.stat().st_size) <= min(room, _MOST_BYTES):
            found[path.relative_to(folder).as_posix()] = read_any(path)
            room -= size
    return found


def read_any(path: Path) -> str:
    """A file as text that gives its bytes again: those that are no UTF-8 are surrogates."""
    return path.read_bytes().decode("utf-8", "surrogateescape")


def own_files(folder: Path, pattern: str) -> Iterator[Path]:
    """The crate's own files: nothing that was built, nor what `cargo vendor` brought, and no links out of it, which may
    lead anywhere on the machine."""
    for path in sorted(folder.rglob(pattern)):
        parts = path.relative_to(folder).parts
        others = {"target", ".git"} & {*parts} or parts[0] in ("vendor", ".cargo")
        if not others and path.is_file() and path.resolve().is_relative_to(folder.resolve()):
            yield path


def _default(features: dict[str, Any]) -> tuple[str, ...]:
    """The features that cargo would turn on."""
    turned_on, waiting = [], ["default"]
    while waiting:
        name = waiting.pop()
        if name in features and name not in turned_on:
            turned_on.append(name)
            waiting += [str(other) for other in features[name]]
    return tuple(sorted(turned_on))
