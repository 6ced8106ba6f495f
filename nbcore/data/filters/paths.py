"""Rules about where a file lies: vendored copies, build output, lock files; tests, benches and examples."""

from __future__ import annotations

import re
from collections.abc import Sequence

_VENDORED = {"vendor", "vendored", "third_party", "third-party", "thirdparty", "node_modules"}
_BUILD_OUTPUT = {"target"}
_LOCK_FILES = {
    "package-lock.json", "npm-shrinkwrap.json", "pnpm-lock.yaml", "go.sum", "gopkg.lock", "package.resolved",
    "packages.lock.json",
}  # fmt: skip
_KINDS = {  # tag -> (names of its folders, names of its files)
    "test": ({"test", "tests"}, re.compile(r"tests?\.rs|.+_tests?\.rs|test_.+\.rs")),
    "bench": ({"bench", "benches", "benchmark", "benchmarks"}, re.compile(r"bench(?:es)?\.rs|.+_bench\.rs|bench_.+")),
    "example": ({"example", "examples"}, re.compile(r"example\.rs")),
}  # fmt: skip


def reason(path: str) -> str | None:
    """Why a path is left out, whatever its file holds."""
    *folders, name = path.lower().split("/")
    if name.endswith(".lock") or name in _LOCK_FILES:
        return "lock_file"
    if _VENDORED.intersection(folders):
        return "vendored"
    # Cargo builds into target/ beside src/; a module below src/ may well be about targets.
    before_source = folders[: folders.index("src")] if "src" in folders else folders
    if _BUILD_OUTPUT.intersection(before_source):
        return "build_output"
    return None


def in_folder(path: str, names: Sequence[str]) -> bool:
    """Whether it lies below a folder with one of these names."""
    return not {name.lower() for name in names}.isdisjoint(path.lower().split("/")[:-1])


def kind(path: str) -> str | None:
    """ "test", "bench", "example", or None for what is none of them."""
    *folders, name = path.lower().split("/")
    for tag, (of_folders, of_files) in _KINDS.items():
        if of_folders.intersection(folders) or of_files.fullmatch(name):
            return tag
    return None
