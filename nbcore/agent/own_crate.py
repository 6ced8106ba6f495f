"""A person's crate as a problem: its library without its tests, which are run in the jail, and a repair put back.

The agent works on a copy that holds no tests, as in every episode; what it changed in a file is put into the file as it
stands on the disk, tests and all. Nothing is written there before somebody says so.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from nbcore.agent.crates import parted, shared
from nbcore.agent.episode import run
from nbcore.agent.problem import Problem
from nbcore.core.output import shown
from nbcore.data.std_crate import Crate, read_crate
from nbcore.grading.grader import RustGrader

_SECTIONS = ("dependencies", "dev-dependencies", "build-dependencies")
_LONGEST = 400  # characters of the package's description


class OwnCrate(NamedTuple):
    """A crate whose tests fail."""

    folder: Path
    crate: Crate
    problem: Problem
    said: str
    """What is wrong, for people."""


def opened(folder: Path, grader: RustGrader) -> OwnCrate:
    """Read a crate and run its tests. Raises FileNotFoundError and ValueError, with the remedy, where there is nothing
    that could be repaired: no crate, dependencies, no tests, or tests that pass."""
    if not (folder / "Cargo.toml").is_file():
        raise FileNotFoundError(f"CRATE_DIR: {folder} has no Cargo.toml; name the folder of a package")
    _refuse_dependencies(folder)
    one = read_crate(folder)
    parts = parted(one)
    if not one.tests[1:] and not parts.unit_tests:
        raise ValueError(
            f"CRATE_DIR: {folder} has no tests, and they are what says when it is repaired: write one that fails, in "
            f"{one.root} or in tests/"
        )
    suites = [name for name in one.tests[1:]] + ([one.root] if parts.unit_tests else [])
    said = run(grader, [one.job(suite) for suite in suites])
    if infra := [verdict for verdict in said if verdict["verdict"] == "infra_error"]:
        raise RuntimeError(f"CRATE_DIR: its tests could not be run on this machine: {infra[0]['errors'][0]['message']}")
    if not any(verdict["tests_total"] for verdict in said if verdict["compiles"]) and all(
        verdict["passed"] or verdict["verdict"] == "early_exit" for verdict in said
    ):
        raise ValueError(f"CRATE_DIR: {folder} has no tests that run here (doc tests do not): write one that fails")
    failing = [(suite, verdict) for suite, verdict in zip(suites, said, strict=True) if not verdict["passed"]]
    if not failing:
        total = sum(verdict["tests_total"] for verdict in said)
        raise ValueError(f"CRATE_DIR: all {total} tests of {folder} pass: there is nothing to repair")
    suite, verdict = failing[0]
    tests = parts.unit_tests if suite == one.root else {suite: one.files[suite], **shared(one)}
    name = one.name.rpartition("-")[0]
    problem = Problem(
        **{"id": one.name, "source": one.name, "kind": "own", "prompt": _prompt(folder, name)},
        **{"files": parts.library, "working": parts.library, "visible": tests, "hidden": tests},
        **{"root": one.root, "edition": one.edition, "features": one.features},
        **{"suite": "" if suite == one.root else suite, "name": name.replace("-", "_")},
    )
    return OwnCrate(folder, one, problem, f"{suite}: {_words(verdict)}")


def repaired(own: OwnCrate, files: Mapping[str, str]) -> dict[str, str]:
    """The crate's changed files as they would stand on the disk, by path: what the agent left, with the tests."""
    changed = {}
    for name in sorted({*own.problem.files, *files}):
        before, after = own.problem.files.get(name, ""), files.get(name, "")
        if after != before:
            changed[name] = put_back(own.crate.files.get(name, ""), before, after)
    return changed


def judged(own: OwnCrate, changed: Mapping[str, str], grader: RustGrader) -> tuple[bool, str]:
    """(whether all tests pass, words about them) of the crate with these files in it."""
    with_them = own.crate._replace(files={**own.crate.files, **changed})
    said = run(grader, [with_them.job(suite) for suite in with_them.tests])
    told = []
    for suite, verdict in zip(with_them.tests, said, strict=True):
        if verdict["compiles"] and not verdict["tests_total"] and verdict["verdict"] != "tests_failed":
            continue  # a library without unit tests
        count = f"{verdict['tests_passed']} of {verdict['tests_total']} pass"
        told.append((verdict["passed"], f"{suite}: {count if verdict['compiles'] else verdict['verdict']}"))
    return bool(told) and all(passed for passed, _ in told), "; ".join(words for _, words in told)


def apply(own: OwnCrate, changed: Mapping[str, str]) -> None:
    """Write the files: all of them beside their places first, then each into it. Raises ValueError where the crate on
    the disk is not what was read."""
    for name in changed:
        path = own.folder / name
        known = own.crate.files.get(name)
        now = path.read_text("utf-8") if path.is_file() else None
        if now != known or path.is_symlink():
            raise ValueError(f"CRATE_DIR: {path} has changed since it was read: nothing was applied; run it again")
    fresh = []
    for name, text in changed.items():
        path = own.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{path.name}.nbcore")
        windows = path.is_file() and b"\r\n" in path.read_bytes()
        beside.write_bytes((text.replace("\n", "\r\n") if windows else text).encode())
        if path.is_file():
            beside.chmod(path.stat().st_mode & 0o777)
        fresh.append((beside, path))
    for beside, path in fresh:
        os.replace(beside, path)


def put_back(original: str, before: str, after: str) -> str:
    """`original` with what changed from `before` to `after`, where `before` is `original` without some of its lines."""
    lines, old, new = (text.splitlines(keepends=True) for text in (original, before, after))
    place = {}
    for block in difflib.SequenceMatcher(None, lines, old, autojunk=False).get_matching_blocks():
        place |= {block.b + at: block.a + at for at in range(block.size)}
    made, done = [], 0
    for op, first, last, start, end in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if op == "equal":
            continue
        known = [place[at] for at in range(first, last) if at in place]
        begin = known[0] if known else max((place[at] + 1 for at in range(first) if at in place), default=0)
        made += lines[done : max(begin, done)] + new[start:end]
        done = max(begin, done)
        if known:  # what stands between replaced lines and was not among them stays, behind what is new
            made += [lines[at] for at in range(begin, known[-1] + 1) if at not in set(known)]
            done = known[-1] + 1
    return "".join(made + lines[done:])


def _words(verdict: dict[str, Any]) -> str:
    """What a run of tests said, in a line for people."""
    told = f"{verdict['tests_passed']} of {verdict['tests_total']} tests pass"
    lines = verdict["errors"][0]["message"].split("\n") if verdict["errors"] else []
    why = " ".join(" ".join(line for line in lines if not line.startswith("panicked at ")).split())
    return (
        f"{told if verdict['compiles'] else verdict['verdict'].replace('_', ' ')}{': ' if why else ''}{shown(why, 300)}"
    )


def _refuse_dependencies(folder: Path) -> None:
    """Raises ValueError for a crate that needs other crates, or a build script: the jail has neither."""
    try:
        manifest = tomllib.loads((folder / "Cargo.toml").read_text("utf-8"))
    except ValueError as error:
        raise ValueError(f"CRATE_DIR: {folder}/Cargo.toml is no TOML ({error}); cargo would refuse it too") from None
    if "package" not in manifest:
        raise ValueError(f"CRATE_DIR: {folder}/Cargo.toml is of a workspace; name the folder of one of its packages")
    named = [name for section in _SECTIONS for name in (manifest.get(section) or {})]
    if named:
        raise ValueError(
            f"CRATE_DIR: {folder} needs {', '.join(named[:5])}{' …' if named[5:] else ''}, and its copy is built where "
            "there is no network and no other crate: only crates that need std alone can be repaired here"
        )
    if (folder / "build.rs").is_file():
        raise ValueError(
            f"CRATE_DIR: {folder} has a build.rs, which is not run on a model's behalf; give another crate"
        )


def _prompt(folder: Path, name: str) -> str:
    described = tomllib.loads((folder / "Cargo.toml").read_text("utf-8"))["package"].get("description")
    about = f" {' '.join(described.split())[:_LONGEST]}" if isinstance(described, str) else ""
    return f"The crate `{name}` has a fault. Repair it.{about}"
