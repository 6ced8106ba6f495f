"""Problems made of a crate that needs std alone: its tests taken out of its files, a fault put in.

The tests that stand in the crate's files are cut out of them, and are added again when they are to run. What is left in
the folder is the library alone.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from nbcore.agent import compile_faults
from nbcore.agent.episode import run
from nbcore.agent.folder import holds
from nbcore.agent.problem import Problem
from nbcore.data import faults
from nbcore.data.std_crate import Crate
from nbcore.grading.grader import RustGrader
from nbcore.grading.rust.syntax import attributes, edited, introduced, name_of, parse, text_of

_NOT_LIBRARY = {"tests", "benches", "examples"}


class Parted(NamedTuple):
    """A crate's library, and the tests that stood in it."""

    library: dict[str, str]
    unit_tests: dict[str, str]
    """By path: what is cut out of a file, or a whole file of tests."""
    unseen: dict[str, str]
    """By path: files that are built with it, and that no folder of an agent holds: odd names, long ones, no Rust."""


def parted(one: Crate) -> Parted:
    """Take the tests out of a crate's files."""
    inside = Path(one.root).parent
    names = [name for name in one.files if Path(name).is_relative_to(inside) and not _NOT_LIBRARY & {*Path(name).parts}]
    library, tests, whole = {}, {}, {}
    unseen = {**one.beside, **{name: one.files[name] for name in names if not holds(name, one.files[name])}}
    for name in (name for name in names if name not in unseen):
        library[name], cut, modules = _cut(one.files[name])
        if cut:
            tests[name] = cut
        for module in modules:
            whole |= {path: one.files[path] for path in _files_of(name, module) if path in one.files}
    return Parted({name: text for name, text in library.items() if name not in whole}, tests | whole, unseen)


def problems(one: Crate, most: int, seed: int, grader: RustGrader) -> Iterator[Problem]:
    """At most `most` candidates of a crate, to be verified (making.py); every third is one that the compiler sees.

    Each is judged by the one file of tests that notices it. Yields nothing where no tests of the crate pass here.
    """
    parts = parted(one)
    if one.root not in parts.library:
        return
    suites = [name for name in one.tests if name != one.root] + ([one.root] if parts.unit_tests else [])
    bases = [without_fault(one, parts, suite) for suite in suites]
    said = run(grader, [base.final_test(base.files) | {"told": True} for base in bases])
    usable = [
        (base, sorted(verdict["outcomes"]))
        for base, verdict in zip(bases, said, strict=True)
        if verdict["passed"] and len(verdict["outcomes"]) == verdict["tests_total"] > 1
    ]
    for number, (kind, name, code) in enumerate(_faults(parts, most, seed, one.name)):
        files = parts.library | {name: code}
        judged = run(grader, [base.final_test(files) | {"told": True} for base, _ in usable])
        for (base, tests), verdict in zip(usable, judged, strict=True):
            failing = [test for test in tests if verdict["outcomes"].get(test) is False]
            if failing or not verdict["compiles"]:
                only = sorted({*tests[number % 2 :: 2], *failing[:1]} or tests)
                made = {"id": f"{one.name}-{number}", "kind": kind, "files": files, "only": only, "total": len(tests)}
                yield Problem.of_record(base.record() | made)
                break


def whole(one: Crate) -> Problem:
    """A crate as the folder of an episode will hold it, without a fault: to be looked at."""
    return without_fault(one, parted(one), one.root)


def without_fault(one: Crate, parts: Parted, suite: str) -> Problem:
    """The problem without a fault, judged by the tests of one file."""
    tests = parts.unit_tests if suite == one.root else {suite: one.files[suite], **shared(one)}
    name = one.package[0] or one.rust_name
    return Problem(
        **{"id": one.name, "source": one.name, "kind": "", "prompt": f"The crate `{name}` has a fault. Repair it."},
        **{"files": parts.library, "working": parts.library, "visible": tests, "hidden": tests},
        **{"root": one.root, "edition": one.edition, "features": one.features},
        **{"suite": "" if suite == one.root else suite, "name": one.rust_name},
        **{"vendored": parts.unseen, "package": one.package},
    )


def shared(one: Crate) -> dict[str, str]:
    """Modules that files of tests share."""
    return {name: text for name, text in one.files.items() if name.startswith("tests/") and name.count("/") > 1}


def _faults(parts: Parted, most: int, seed: int, source: str) -> list[tuple[str, str, str]]:
    """(kind, file, its text with the fault): two that run for each that the compiler sees."""
    rng = random.Random(f"{seed} {source}")
    running, compiled = [], []
    for name, text in parts.library.items():
        compiled += [(fault.kind, name, fault.code) for fault in compile_faults.find(text)]
        try:
            running += faults.find(text, name)
        except ValueError:  # macros that tree-sitter does not read: other files remain
            continue
    chosen = faults.choose(running, most - most // 3, rng)
    seen = [(fault.kind, fault.file, fault.applied(parts.library[fault.file])) for fault in chosen]
    return seen + rng.sample(compiled, min(most // 3, len(compiled)))


def _cut(text: str) -> tuple[str, str, list[str]]:
    """A file without its tests, what is cut out, and the modules of tests that are files of their own."""
    raw = text.encode()
    cuts, modules = tests_in(text)
    taken = b"\n".join(raw[start:end] for start, end in cuts).decode()
    return edited(raw, [(start, end, b"") for start, end in cuts]).decode().rstrip() + "\n", taken, modules


def tests_in(text: str) -> tuple[list[tuple[int, int]], list[str]]:
    """Where the tests of a file stand, in bytes, and the modules of tests that are files of their own."""
    cuts, modules = [], []
    for node, before in introduced(parse(text)):
        marks = [(name, "".join(text_of(mark).split())) for name, mark in attributes(before)]
        if any(name == "test" or _of_tests(mark) for name, mark in marks):
            start = min([node.start_byte, *(item.start_byte for item in before if item.type == "attribute_item")])
            cuts.append((start, node.end_byte))
            if node.type == "mod_item" and node.child_by_field_name("body") is None:
                modules.append(name_of(node))
    return cuts, modules


def _of_tests(mark: str) -> bool:
    """Whether an attribute without its spaces keeps something for tests alone: cfg(test), cfg(all(test, …))."""
    inner = mark.removeprefix("cfg(").removesuffix(")")
    if inner.startswith("all("):
        inner = inner[4:-1]
        while (flat := re.sub(r"\w+\([^()]*\)", "", inner)) != inner:  # what stands in not(…) and any(…) is no promise
            inner = flat
    return mark.startswith("cfg(") and "test" in inner.split(",")


def _files_of(name: str, module: str) -> list[str]:
    """Where a module of a file may stand."""
    path = Path(name)
    folder = path.parent if path.stem in ("lib", "main", "mod") else path.parent / path.stem
    return [(folder / f"{module}.rs").as_posix(), (folder / module / "mod.rs").as_posix()]
