"""A person's crate as a problem: its library without its tests, which are run in the jail, and a repair put back.

The agent works on a copy that holds no tests, as in every episode; what it changed in a file is put into the file as it
stands on the disk, tests and all. Nothing is written there before somebody says so.
"""

from __future__ import annotations

import contextlib
import difflib
import itertools
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from nbcore.agent import doubts, needed
from nbcore.agent.crates import parted, tests_in, without_fault
from nbcore.agent.episode import run
from nbcore.agent.folder import MOST_BYTES
from nbcore.agent.problem import Problem
from nbcore.core.output import shown
from nbcore.data.std_crate import Crate, manifest_of, read_crate
from nbcore.grading.grader import RustGrader

_SECTIONS = ("dependencies", "dev-dependencies", "target")
_EXAMPLE = re.compile(r"^\s*//[/!] *```", re.MULTILINE)  # where documentation shows code
_LONGEST = 400  # characters of the package's description


class OwnCrate(NamedTuple):
    """A crate whose tests fail."""

    folder: Path
    crate: Crate
    built: needed.Needed
    """The crates that it needs."""
    problem: Problem
    said: str
    """What is wrong, for people."""
    totals: dict[str, int]
    """By file of tests: how many of them there must be; one where none could be counted."""


def opened(folder: Path, grader: RustGrader) -> OwnCrate:
    """Read a crate and run its tests. Raises FileNotFoundError and ValueError, with the remedy, where there is nothing
    that could be repaired: no crate, dependencies, no tests, or tests that pass."""
    if not (folder / "Cargo.toml").is_file():
        raise FileNotFoundError(f"CRATE_DIR: {folder} has no Cargo.toml; name the folder of a package")
    built = _needed(folder)
    one = read_crate(folder)
    parts = parted(one)
    if one.root not in parts.library:
        raise ValueError(f"CRATE_DIR: {folder}/{one.root} has more than {MOST_BYTES >> 10} KiB: no agent edits that")
    if not one.tests[1:] and not parts.unit_tests:
        raise ValueError(
            f"CRATE_DIR: {folder} has no tests, and they are what says when it is repaired: write one that fails, in "
            f"{one.root} or in tests/"
        )
    suites = [name for name in one.tests[1:]] + ([one.root] if parts.unit_tests else [])
    said = run(grader, [_job(one, suite, built) for suite in suites])
    if infra := [verdict for verdict in said if verdict["verdict"] == "infra_error"]:
        raise RuntimeError(f"CRATE_DIR: its tests could not be run on this machine: {infra[0]['errors'][0]['message']}")
    texts = {suite: [one.files[suite]] if suite != one.root else [*parts.unit_tests.values()] for suite in suites}
    has = {suite: any("#[test]" in text for text in texts[suite]) for suite in suites}
    if not any(verdict["tests_total"] for verdict in said if verdict["compiles"]) and all(
        verdict["passed"] or (verdict["verdict"] == "early_exit" and not has[suite])
        for suite, verdict in zip(suites, said, strict=True)
    ):
        raise ValueError(f"CRATE_DIR: {folder} has no tests that run here (doc tests do not): write one that fails")
    failing = [(suite, verdict) for suite, verdict in zip(suites, said, strict=True) if not verdict["passed"]]
    if not failing:
        total = sum(verdict["tests_total"] for verdict in said)
        unseen = " (doc tests are not run here)" if _has_doc_tests(one) else ""
        raise ValueError(f"CRATE_DIR: all {total} tests of {folder} pass{unseen}: there is nothing to repair")
    suite, verdict = failing[0]
    problem = replace(
        without_fault(one, parts, suite),
        kind="own",
        prompt=_prompt(folder, one.package[0]),
        vendored=built.files | parts.unseen,
        dependencies=tuple(each._asdict() for each in built.dependencies),
        needs=built.needs,
    )
    totals = {
        suite: verdict["tests_total"] if verdict["compiles"] else int(has[suite])
        for suite, verdict in zip(suites, said, strict=True)
    }
    return OwnCrate(folder, one, built, problem, f"{suite}: {_words(verdict)}", totals)


def repaired(own: OwnCrate, files: Mapping[str, str]) -> dict[str, str]:
    """The crate's changed files as they would stand on the disk, by path: what the agent left, with the tests."""
    changed = {}
    for name in sorted({*own.problem.files, *files}):
        before, after = own.problem.files.get(name, ""), files.get(name, "")
        if after and not after.endswith("\n"):
            after += "\n"  # what stands behind it on the disk would go on in its last line, which may be a comment
        if after != before:
            original = own.crate.files.get(name, "")
            places, _ = tests_in(original)
            changed[name] = put_back(original.encode(), places, before.encode(), after.encode()).decode()
    return changed


def judged(own: OwnCrate, changed: Mapping[str, str], grader: RustGrader) -> tuple[bool, str]:
    """(whether all tests pass and can be believed, words about them) of the crate with these files in it."""
    with_them = own.crate._replace(files={**own.crate.files, **changed})
    said = run(grader, [_job(with_them, suite, own.built) for suite in with_them.tests])
    told = []
    for suite, verdict in zip(with_them.tests, said, strict=True):
        total, wanted = verdict["tests_total"], own.totals.get(suite, 0)
        if verdict["compiles"] and not total and not wanted and verdict["verdict"] != "tests_failed":
            continue  # a library without unit tests
        passed = verdict["passed"] and total >= wanted
        count = f"{verdict['tests_passed']} of {total if passed else max(total, wanted)} pass"
        told.append((passed, f"{suite}: {count if verdict['compiles'] else verdict['verdict']}"))
    found = doubts.of(own.crate.files, changed, own.crate.edition)
    unseen = ["doc tests are not run here"] if _has_doc_tests(with_them) else []
    words = "; ".join([*(words for _, words in told), *found, *unseen])
    return bool(told) and all(passed for passed, _ in told) and not found, words


def apply(own: OwnCrate, changed: Mapping[str, str]) -> None:
    """Write the files: all of them beside their places first, then each into it. Raises ValueError where the crate on
    the disk is not what was read."""
    for name in changed:
        path = own.folder / name
        if path.is_symlink():
            raise ValueError(f"CRATE_DIR: {path} is a link, and nothing is written through links: nothing was applied")
        now = path.read_text("utf-8", errors="replace") if path.is_file() else None
        if now != own.crate.files.get(name):
            raise ValueError(f"CRATE_DIR: {path} has changed since it was read: nothing was applied; run it again")
    fresh = []
    try:
        for name, text in changed.items():
            path = own.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            beside = path.with_name(f".{path.name}.nbcore")
            fresh.append((beside, path))
            beside.write_bytes(_with_its_endings(path.read_bytes() if path.is_file() else b"", text))
            if path.is_file():
                beside.chmod(path.stat().st_mode & 0o777)
    except OSError as error:
        for beside, _ in fresh:
            with contextlib.suppress(OSError):
                beside.unlink()
        why = f"{path} cannot be written ({error.strerror}): nothing was applied"
        raise ValueError(f"CRATE_DIR: {why}; make room, or make the folder writable, and run it again") from None
    for beside, path in fresh:
        os.replace(beside, path)


def _with_its_endings(before: bytes, text: str) -> bytes:
    """A text as the bytes of a file: lines that it had end as they did, new ones as most of them do."""
    old = re.findall(r"[^\r\n]*(?:\r\n|\r|\n|$)", before.decode()) if b"\r" in before else []
    plain = [re.sub(r"\r\n?", "\n", line) for line in old]
    new = re.findall(r"[^\n]*(?:\n|$)", text)
    ending = "\r\n" if 2 * before.count(b"\r\n") > before.count(b"\n") else "\n"
    made = []
    for op, first, last, start, end in difflib.SequenceMatcher(None, plain, new, autojunk=False).get_opcodes():
        made += old[first:last] if op == "equal" else [line.replace("\n", ending) for line in new[start:end]]
    return "".join(made).encode()


def put_back(original: bytes, tests: Sequence[tuple[int, int]], before: bytes, after: bytes) -> bytes:
    """`original` with what changed from `before` to `after`, where `before` is what `original` is without its `tests`,
    which are places in it. What is new where tests stand comes before them."""
    places, taken = [], 0  # where the tests would stand in `before`, and themselves
    for start, end in sorted(tests):
        places.append((start - taken, original[start:end]))
        taken += end - start
    kept, done = b"", 0
    for start, end in [*sorted(tests), (len(original), len(original))]:
        kept, done = kept + original[done:start], end
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    offsets = [0, *itertools.accumulate(map(len, old))]
    edits = [
        (offsets[first], offsets[last], b"".join(new[start:end]))
        for op, first, last, start, end in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
        if op != "equal"
    ]
    edits.append((len(kept), len(kept), b""))
    made, at = b"", 0
    for begin, end, text in edits:
        begin, end = min(begin, len(kept)), min(end, len(kept))
        while places and (places[0][0] < begin or (places[0][0] == begin < end)):
            place, words = places.pop(0)
            made, at = made + kept[at:place] + words, place
        made += kept[at:begin] + text
        while places and places[0][0] < end:
            made += places.pop(0)[1]
        at = end
    return made + b"".join(words for _, words in places)


def _words(verdict: dict[str, Any]) -> str:
    """What a run of tests said, in a line for people."""
    told = f"{verdict['tests_passed']} of {verdict['tests_total']} tests pass"
    if verdict["verdict"] != "tests_failed":
        told = verdict["verdict"].replace("_", " ")
    lines = verdict["errors"][0]["message"].split("\n") if verdict["errors"] else []
    why = " ".join(" ".join(line for line in lines if not line.startswith("panicked at ")).split())
    return f"{told}{': ' if why else ''}{shown(why, 300)}"


def _has_doc_tests(one: Crate) -> bool:
    return any(_EXAMPLE.search(text) for text in one.files.values())


def _job(one: Crate, suite: str, built: needed.Needed) -> dict[str, Any]:
    with_them = one._replace(files=built.files | one.files)
    return with_them.job(suite, dependencies=built.dependencies, needs=built.needs)


def _needed(folder: Path) -> needed.Needed:
    """The crates that it needs. Raises ValueError where one is not here, or where there is a build script."""
    try:
        manifest = manifest_of(folder)
    except ValueError as error:
        raise ValueError(f"CRATE_DIR: {folder}/Cargo.toml is no TOML ({error}); cargo would refuse it too") from None
    if "package" not in manifest:
        what = "is of a workspace" if "workspace" in manifest else "has no [package]"
        raise ValueError(f"CRATE_DIR: {folder}/Cargo.toml {what}; name the folder of a package")
    package = manifest["package"]
    script = package.get("build", (folder / "build.rs").is_file()) if isinstance(package, dict) else False
    if script:
        raise ValueError(
            f"CRATE_DIR: {folder} has a {script if isinstance(script, str) else 'build.rs'}, which is not run on a "
            "model's behalf; give another crate"
        )
    if any(manifest.get(section) for section in _SECTIONS):
        return needed.of(folder)
    return needed.Needed({}, (), {})


def _prompt(folder: Path, name: str) -> str:
    described = manifest_of(folder)["package"].get("description")
    about = f" {' '.join(described.split())[:_LONGEST]}" if isinstance(described, str) else ""
    return f"The crate `{name}` has a fault. Repair it.{about}"
