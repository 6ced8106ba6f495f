"""A crate's own tests, built and run in the jail: what `cargo test` says of a crate that needs std alone.

The tests belong to the crate, so this is no verdict on a model's answer: a program could call its own tests passed.
It is for code that is known, and for faults that were put into it. Build scripts have no part in it, and dependencies
only where their files come along.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from nbcore.grading import verdicts
from nbcore.grading.patience import load
from nbcore.grading.rust import compiler, diagnostics
from nbcore.grading.rust.compiler import Toolchain
from nbcore.grading.sandbox import supervisor
from nbcore.grading.sandbox.jail import Jail, write

LANGUAGE = "crate"
_MB = 1 << 20
_BUILT_MB = 64
_MOST_MESSAGE = 600  # characters of what a failing test says
_SUMMARY = re.compile(rb"^test result: (ok|FAILED)\. (\d+) passed; (\d+) failed;", re.MULTILINE)
_OUTCOME = re.compile(rb"^test (\S+)(?: - should panic)? \.\.\. (ok|FAILED)", re.MULTILINE)
_SAID = re.compile(r"^---- (\S+) stdout ----\n(.*?)(?=^---- |^failures:$|\Z)", re.MULTILINE | re.DOTALL)
_THREAD = re.compile(r"^thread '[^']*' (?:\(\d+\) )?panicked at ", re.MULTILINE)  # 1.91 prints the thread's number too


class Dependency(NamedTuple):
    """A crate that another needs, to be built from its files."""

    id: str
    """Of letters, digits and "_": no other has it."""
    name: str
    """In Rust."""
    root: str
    """The path of its lib.rs among the job's files."""
    edition: str
    features: tuple[str, ...]
    needs: dict[str, str]
    """How it calls those that it needs -> their ids."""
    package: Sequence[str] = ()
    """Name and version, which a crate may ask for as it is built."""


def job(
    files: dict[str, str],
    root: str,
    edition: str,
    features: tuple[str, ...] = (),
    library: tuple[str, str] | None = None,
    told: bool = False,
    check: bool = False,
    only: Sequence[str] = (),
    dependencies: Sequence[Dependency] = (),
    needs: Mapping[str, str] | None = None,
    package: Sequence[str] = (),
) -> dict[str, Any]:
    """What a worker is given. `files` are texts by their path in the crate, where a byte that is no UTF-8 is a
    surrogate; those that are no Rust its tests may read as they run. `root` is the path of the file whose tests
    run: its lib.rs, or one of tests/ beside the `library`, (path of its lib.rs, name of the crate in Rust).

    `told`: the verdict also has "diagnostics", what the compiler says (diagnostics.py), and "outcomes", {name of a
    test: whether it passed}. `check`: the types alone. `only`: no other tests than these, by name. `dependencies` are
    built first, in this order, from files among `files`; `needs` says which of them the crate itself names, and how.
    `package`: its name and version, which env!("CARGO_PKG_VERSION") says.
    """
    asked = {"language": LANGUAGE, "files": files, "root": root, "edition": edition, "features": list(features)}
    asked |= {"told": told, "check": check, "only": list(only)}
    asked |= {"dependencies": [one._asdict() for one in dependencies], "needs": dict(needs or {})}
    asked |= {"package": list(package)}
    return asked | {"library": library, "text": "", "tests": "", "signature": None}


def nothing_told(job: Mapping[str, Any]) -> dict[str, Any]:
    """What a verdict on a job tells where nothing was compiled or run."""
    return {"diagnostics": [], "outcomes": {}} if job["told"] else {}


def judge(
    jail: Jail,
    chain: Toolchain,
    limits: supervisor.Limits,
    folders: tuple[Path, Path],
    uid: int | None,
    job: dict[str, Any],
    verdict: dict[str, Any],
) -> None:
    """Fill in the verdict on a job. `folders` are those to build in and to run in, both empty.

    `errors` holds what each failing test said: {"code": name of the test, "message", "line": None}.
    """
    build, here = folders
    crate, program = build / "crate", build / "tests"
    verdict |= nothing_told(job)
    write(crate, job["files"])
    common = [
        *(chain.driver(False), f"--edition={job['edition']}", "-Aunused", "--error-format=json"),
        *(f"--remap-path-prefix={crate}/=", "-Ccodegen-units=1", "-Cdebuginfo=0", "-Coverflow-checks=on"),
        *(part for name in job["features"] for part in ("--cfg", f'feature="{name}"')),
    ]
    for one in job["dependencies"]:
        flags = [f"--edition={one['edition']}", "--cap-lints=allow", "--crate-type=rlib", f"--crate-name={one['name']}"]
        flags += ["--error-format=json", "-Ccodegen-units=1", "-Cdebuginfo=0", f"-Cmetadata={one['id']}"]
        flags += [part for name in one["features"] for part in ("--cfg", f'feature="{name}"')]
        flags += [*_externs(build, one["needs"]), "-o", str(_built(build, one["id"])), str(crate / one["root"])]
        if not _compiled(
            jail, chain, limits, build, [chain.driver(False), *flags], job | {"package": one["package"]}, verdict
        ):
            return
    common += _externs(build, job["needs"])
    if job["check"]:
        checked = ["--crate-type=lib", "--crate-name=candidate", "--emit=metadata", "-o", str(build / "checked.rmeta")]
        if _compiled(jail, chain, limits, build, [*common, *checked, str(crate / job["root"])], job, verdict):
            verdict |= {"compiles": True, "verdict": "pass"}
        return
    extern = []
    if job["library"]:
        path, name = job["library"]
        built_at = build / f"lib{name}.rlib"
        extern = ["--extern", f"{name}={built_at}"]
        library = ["--crate-type=rlib", f"--crate-name={name}", "-o", str(built_at), str(crate / path)]
        if not _compiled(jail, chain, limits, build, [*common, *library], job, verdict):
            return
    tests = ["--test", "--crate-name=candidate", "-Cstrip=symbols", *extern, *chain.link]
    command = [*common, *tests, "-o", str(program), str(crate / job["root"])]
    if not _compiled(jail, chain, limits, build, command, job, verdict):
        return
    verdict["compiles"] = True
    shutil.rmtree(crate)
    program.chmod(0o111)
    # What is no Rust the tests may read as they run; the Rust, which the hidden tests are a part of, they may not.
    others = {one["root"].split("/")[0] for one in job["dependencies"]}
    own = {name: text for name, text in job["files"].items() if name.split("/")[0] not in others}
    data = {name: text for name, text in own.items() if not name.endswith(".rs")}
    if data:
        jail.furnished(here, crate, data)
    options = {"cpu": limits.run_cpu_s, jail.memory: limits.run_mem_mb * _MB, "fsize": _MB, "cwd": str(here)}
    asked = ["--test-threads=1", *(["--exact", *job["only"]] if job["only"] else [])]
    ran = supervisor.run(
        jail.candidate(program, asked, options, uid, crate if data else None),
        env=_package(job["package"], crate),
        cpu_s=limits.run_cpu_s,
        wall_s=limits.run_wall_s * load(),
        output_kb=limits.output_kb,
        kill_over=True,
    )
    verdict["cpu_ms"] += ran.cpu_ms
    _read(ran, crate, verdict)
    if job["told"]:
        verdict["outcomes"] = {name.decode(): how == b"ok" for name, how in _OUTCOME.findall(ran.stdout)}


def _built(build: Path, id_: str) -> Path:
    return build / f"lib{id_}.rlib"


def _externs(build: Path, needs: Mapping[str, str]) -> list[str]:
    named = [part for name, id_ in needs.items() for part in ("--extern", f"{name}={_built(build, id_)}")]
    return [*named, "-L", f"dependency={build}"] if named else []


def _compiled(
    jail: Jail,
    chain: Toolchain,
    limits: supervisor.Limits,
    build: Path,
    command: list[str],
    job: dict[str, Any],
    verdict: dict[str, Any],
) -> bool:
    """Whether the compiler did it; else the verdict says why not."""
    options = {"cpu": limits.compile_cpu_s, "as": limits.compile_mem_mb * _MB, "fsize": _BUILT_MB * _MB}
    built = supervisor.run(
        [str(jail.folder / "jail"), *jail.compiler(command, options, build)],
        env=chain.env(build, jail.folder) | _package(job["package"], build / "crate"),
        cpu_s=limits.compile_cpu_s,
        wall_s=limits.compile_wall_s * load(),
        output_kb=limits.output_kb,
    )
    verdict["cpu_ms"] += built.cpu_ms
    said = built.stderr  # what it says must be the same on every machine, and name none of its folders
    for folder, instead in ((f"{build / 'crate'}/", ""), (build, "build"), (chain.sysroot, "rust")):
        said = said.replace(os.fsencode(folder), instead.encode())
    if job["told"]:
        verdict["diagnostics"] = diagnostics.read(said, job["files"])
    report = compiler.read_report(said, range(0), "tests")
    if wrong := compiler.failure(built, report, False):
        errors = report.errors or [verdicts.note(None, f"the compiler ended with {built.code or built.signal}")]
        verdict |= {"verdict": wrong, "errors": errors, "keep": built.timeout != "wall"}
    return not wrong


def _package(package: Sequence[str], folder: Path) -> dict[str, str]:
    """What cargo tells a crate of itself as it is built."""
    if not package:
        return {}
    name, version = package
    numbers = version.partition("+")[0].partition("-")
    parts = dict(zip(("MAJOR", "MINOR", "PATCH"), [*numbers[0].split("."), "", ""], strict=False))
    told = {"NAME": name, "VERSION": version, "VERSION_PRE": numbers[2], "AUTHORS": "", "DESCRIPTION": ""}
    told |= {f"VERSION_{part}": number for part, number in parts.items()}
    return {f"CARGO_PKG_{part}": text for part, text in told.items()} | {"CARGO_MANIFEST_DIR": str(folder)}


def _read(ran: supervisor.Outcome, crate: Path, verdict: dict[str, Any]) -> None:
    """What the test harness reported, as a verdict. `crate` is where the crate was, which no message shows."""
    summary = next(reversed([*_SUMMARY.finditer(ran.stdout)]), None)  # those before it a failing test has printed
    passed, failed = (int(summary[2]), int(summary[3])) if summary else (0, 0)
    verdict |= {"tests_passed": passed, "tests_total": passed + failed, "keep": ran.timeout != "wall"}
    if summary and summary[1] == b"FAILED" and ran.code == 101:
        verdict["verdict"] = "tests_failed"
    else:
        complete = bool(summary) and summary[1] == b"ok"
        verdict["verdict"] = verdicts.judgement(ran, passed, complete, passed)
    text = ran.stdout.decode(errors="replace").replace("\r\n", "\n").replace(f"{crate}/", "").replace(str(crate), ".")
    text = text.replace(str(crate.parent), "build")  # where the program itself is, which it may ask for
    for name, said in _SAID.findall(text):
        said = _THREAD.sub("panicked at ", said).partition("\nnote: run with")[0].strip()
        verdict["errors"].append({"code": name, "message": said[:_MOST_MESSAGE], "line": None})
    if not verdict["errors"] and verdict["verdict"] != "pass":
        last = (ran.stderr.decode(errors="replace").strip() or text.strip()).splitlines()[-1:]
        verdict["errors"] = [verdicts.note(None, " ".join(last)[:_MOST_MESSAGE] or verdict["verdict"])]
