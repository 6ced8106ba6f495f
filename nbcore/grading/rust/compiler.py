"""The Rust toolchain: find it, build one sample with its hidden tests in one call, read the diagnostics.

clippy-driver is rustc: one call lints, checks and links. Costs on one 2025 x86-64 core, CPU per small sample: 139 ms
plain, 113 with a shared std and one codegen unit, 101 with the linker called directly, 86 without symbols.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nbcore.grading.rust import diagnostics
from nbcore.grading.sandbox import supervisor

_REMEDY = "install Rust with `bash colab_setup.sh`, or with rustup (https://rustup.rs)"
_MAX_ERRORS = 5
_MAX_MESSAGE = 300
# What rustc adds only when it links through a C compiler; without an entry here that is what it does.
_LOADERS = {"x86_64": "/lib64/ld-linux-x86-64.so.2", "aarch64": "/lib/ld-linux-aarch64.so.1"}
TIERS = ("check", "lint", "test")


@dataclass(frozen=True)
class Toolchain:
    """One installed toolchain. Its own binaries are called, since a rustup proxy costs 6 ms more."""

    sysroot: Path
    version: str
    """All of `rustc -vV`."""
    link: tuple[str, ...]
    """Codegen options of the fastest way to link that works here."""

    libraries: tuple[Path, ...] = ()
    """The shared objects that a built program needs, its loader among them."""

    @property
    def link_folders(self) -> tuple[str, ...]:
        """Where the linker looks for libc's parts."""
        options = [option.removeprefix("-Clink-arg=") for option in self.link]
        return tuple(option[2:] for option in options if option.startswith("-L"))

    def driver(self, lint: bool) -> str:
        """The compiler to call. clippy-driver lints, checks and links in one call: what is linted is what runs."""
        return str(self.sysroot / "bin" / ("clippy-driver" if lint else "rustc"))

    def arguments(self, edition: str, out: Path, tier: str = "test", lint: bool = False, warn: Sequence[str] = ()):
        """Arguments that build a program at `out` from the source on stdin, or only check it.

        Force-warn beats any `allow` or `deny` in the source; `warn` are lints to force beside clippy's own.
        """
        warned = [*(["clippy::all"] if lint else []), *warn]
        return [
            *(f"--edition={edition}", "--crate-name=candidate", "--crate-type=bin", "--error-format=json"),
            *("-Ccodegen-units=1", "-Cdebuginfo=0", "-Coverflow-checks=on", "-Cprefer-dynamic", "-Cstrip=symbols"),
            *("-Funsafe_code", "-Aunused", *(part for name in warned for part in ("--force-warn", name))),
            *(self.link if tier == "test" else ["--emit=metadata"]),
            *("-o", str(out), "-"),
        ]

    def env(self, scratch: Path, conf: Path) -> dict[str, str]:
        """All the compiler sees: `env!` must find nothing of ours, and RUSTC_BOOTSTRAP must not leak in."""
        return {
            "SYSROOT": str(self.sysroot),
            "CLIPPY_CONF_DIR": str(conf),
            "CLIPPY_DISABLE_DOCS_LINKS": "1",
            "TMPDIR": str(scratch),
            "PATH": "/usr/bin:/bin",
        }


@functools.cache
def find(lint: bool = True) -> Toolchain:
    """The toolchain that `rustc` on PATH stands for; links once to see which linker works, about 0.2 s.

    Raises RuntimeError with the remedy when rustc, clippy or any working linker is missing.
    """
    if shutil.which("rustc") is None:
        raise RuntimeError(f"rustc not found; {_REMEDY}")
    sysroot = Path(_ask(["rustc", "--print", "sysroot"]))
    if lint and not (sysroot / "bin" / "clippy-driver").exists():
        raise RuntimeError(f"clippy-driver not found in {sysroot}/bin; run `rustup component add clippy`")
    if (cc := shutil.which("cc")) is None:
        raise RuntimeError("cc not found on PATH, and Rust links with its start files; apt-get install gcc libc6-dev")
    chain = Toolchain(sysroot, _ask([str(sysroot / "bin" / "rustc"), "-vV"]), ())
    reasons = []
    # The shared std is found by rpath: a built program then needs no environment at all.
    std = chain.sysroot / "lib" / "rustlib" / _host(chain.version) / "lib"
    for link in (_direct_link(chain, cc, std), (f"-Clinker={cc}", f"-Clink-arg=-Wl,-rpath,{std}")):
        reason, libraries = _try_link(chain, link) if link else ("rust-lld does not fit this platform", ())
        if reason is None:
            return Toolchain(chain.sysroot, chain.version, link, libraries)
        reasons.append(reason)
    raise RuntimeError(f"rustc cannot build a program here ({'; '.join(reasons)}); {_REMEDY}")


def _direct_link(chain: Toolchain, cc: str, std: Path) -> tuple[str, ...] | None:
    """Options to call the toolchain's rust-lld without cc and collect2 in between, which saves 12 ms."""
    lld = chain.sysroot / "lib" / "rustlib" / _host(chain.version) / "bin" / "rust-lld"
    loader = _LOADERS.get(platform.machine())
    if loader is None or not lld.exists() or "-linux-gnu" not in _host(chain.version):
        return None
    start = [_ask([cc, f"-print-file-name={name}"]) for name in ("Scrt1.o", "crti.o", "crtn.o")]
    dirs = [os.path.dirname(_ask([cc, f"-print-file-name={name}"])) for name in ("libc.so", "libgcc_s.so", "libgcc.a")]
    args = [*start, *(f"-L{name}" for name in dict.fromkeys(dirs)), f"-rpath={std}"]
    args += [f"--dynamic-linker={loader}", "-pie", "--threads=1"]
    return (f"-Clinker={lld}", "-Clinker-flavor=ld.lld", *(f"-Clink-arg={arg}" for arg in args))


def _try_link(chain: Toolchain, link: Sequence[str]) -> tuple[str | None, tuple[Path, ...]]:
    """None and the libraries of a program that unwinds and threads and can be built this way, else what went wrong."""
    source = b"""fn main() {
        let caught = std::thread::spawn(|| std::panic::catch_unwind(|| { let v: Vec<u8> = vec![]; v[1] }).is_err());
        assert!(caught.join().unwrap());
        assert!(std::hint::black_box(4f64).powf(0.5) == 2.0); // the mathematical library is one of those to be found
    }"""
    with tempfile.TemporaryDirectory() as scratch:
        out, here = Path(scratch, "probe"), {"cwd": scratch, "capture_output": True, "timeout": 60}
        command = [chain.driver(False), *replace(chain, link=tuple(link)).arguments("2021", out)]
        built = subprocess.run(command, env=chain.env(Path(scratch), Path(scratch)), input=source, **here)
        if built.returncode:
            return (first_message(built.stderr) or f"rustc ended with {built.returncode}").strip(), ()
        ran = subprocess.run([out], env={}, **here)
        if ran.returncode:
            return f"the built program ended with {ran.returncode}", ()
        listed = subprocess.run([out], env={"LD_TRACE_LOADED_OBJECTS": "1"}, **here).stdout.decode()
        return None, tuple(Path(found) for found in re.findall(r"(/\S+) \(0x", listed))


@dataclass(frozen=True)
class Report:
    """What the compiler said about the candidate. Lines are 1-based in the candidate's text, None outside it."""

    errors: list[dict[str, Any]]
    """At most five of {"code", "message", "line"}."""
    lints: dict[str, int]
    """Of each clippy lint, on how many of the candidate's own lines."""
    denied: tuple[str, ...]
    """When every error is a lint that the candidate denies where it should not count: clippy's, or on our lines."""
    flags: list[str]
    linking: bool
    """The linker failed, which only the compiler itself can say: no source is quoted."""


# clippy.toml knows names as the compiler resolves them, so that a macro or an alias cannot hide one.
CLIPPY_TOML = """disallowed-macros = ["std::include", "std::include_str", "std::include_bytes", "std::env",
"std::option_env", "core::include", "core::include_str", "core::include_bytes", "core::env", "core::option_env"]
disallowed-methods = ["std::process::exit", "std::process::abort", "std::panic::set_hook", "std::process::Command::new"]
"""
_RESOLVED = {
    "file_macro": r"`(?:std|core)::include|^couldn't read `",  # the latter by a #[path] that a macro has made
    "env_macro": r"`(?:std|core)::(?:option_)?env`",
    "process_exit": r"`std::process::(?:exit|abort)`",
    "panic_hook": r"`std::panic::set_hook`",
    "spawns_process": r"`std::process::Command::new`",
}


def read_report(stderr: bytes, ours: range, module: str) -> Report:
    """Read rustc's JSON lines; the last may be cut. Only messages: rendered text can quote files of the host."""
    errors, lints, flags, denied, real, linking = [], set(), [], [], False, False
    for message in _messages(stderr):
        code = (message["code"] or {}).get("code") or ""
        inside, line = _own_line(message, ours)
        if code in ("", "clippy::disallowed_macros", "clippy::disallowed_methods"):
            flags += [flag for flag, pattern in _RESOLVED.items() if re.search(pattern, message["message"])]
        elif code.startswith("clippy::") and line is not None:
            lints.add((code, line))
        summary = message["message"].startswith("aborting due to") and not message["spans"]
        if message["level"] == "error" and not summary:
            lint = not re.fullmatch(r"E\d+|", code)
            if lint and (code.startswith("clippy::") or inside):
                denied.append(code)
            else:
                real = True
                if inside:
                    flags.append("signature_mismatch")
            if "unlinked crate" in json.dumps(message["spans"]) or code == "E0463":
                flags.append("missing_crate")
            text = diagnostics.in_a_line(message).replace(module, "tests")[:_MAX_MESSAGE]
            if not (lint and inside):  # of lines that are not its own a candidate is not told
                errors.append({"code": code or None, "message": text, "line": line})
            linking |= diagnostics.of_linker(message)
    once = () if real else tuple(sorted(set(denied)))
    counted = Counter(name.removeprefix("clippy::") for name, _ in sorted(lints))
    return Report(errors[:_MAX_ERRORS], dict(counted), once, sorted(set(flags)), linking)


def grammar(built: supervisor.Outcome) -> list[dict[str, Any]]:
    """The errors without a code, which are of grammar and macros, in a text that was compiled by itself."""
    nothing_of_ours = range(sys.maxsize, sys.maxsize)
    return [error for error in read_report(built.stderr, nothing_of_ours, "\0").errors if error["code"] is None]


def first_message(stderr: bytes) -> str:
    """First error message, whole, or the raw beginning when there is none."""
    wrong = [message["message"] for message in _messages(stderr) if message["level"] == "error"]
    return wrong[0] if wrong else stderr[:_MAX_MESSAGE].decode(errors="replace")


def failure(built: supervisor.Outcome, report: Report, disk_full: bool) -> str | None:
    """Verdict for a build that was not a success, None for one that was. Our fault is only what no source can bring
    about: that others had the processors, that the disk is full, that the jail could not start the compiler."""
    if built.timeout:
        return "infra_error" if built.starved else "compile_timeout"
    if built.code == 0:
        return None
    if disk_full or (built.code == 125 and built.stderr.startswith(b"jail: ")):
        return "infra_error"
    if built.signal or built.code == 101:  # 101: the compiler itself panicked
        return "compile_resource"
    too_large = report.linking and f"signal: {signal.SIGXFSZ.value}".encode() in built.stderr
    return "compile_resource" if too_large else "compile_error"


def _messages(stderr: bytes) -> list[dict[str, Any]]:
    found = []
    for line in stderr.split(b"\n"):
        if line.startswith(b"{"):
            with contextlib.suppress(ValueError):  # the cut last line of a flood
                message = json.loads(line)
                if message.get("$message_type", "diagnostic") == "diagnostic":
                    found.append(message)
    return found


def _own_line(message: Mapping[str, Any], ours: range) -> tuple[bool, int | None]:
    """Whether the primary span lies in our lines, and else its line in the candidate's text."""
    for span in message["spans"]:
        if span["is_primary"]:
            line = span["line_start"]
            if line in ours:
                return True, None
            return False, line if line < ours.start else line - len(ours) - 1  # the split makes two lines of one
    return False, None


def _host(version: str) -> str:
    return re.search(r"^host: (\S+)", version, re.MULTILINE)[1]


def _ask(command: Sequence[str]) -> str:
    """One line from a tool of ours; RuntimeError with its complaint when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"`{' '.join(command)}` failed: {done.stderr.strip()[:_MAX_MESSAGE]}; {_REMEDY}")
    return done.stdout.strip()
