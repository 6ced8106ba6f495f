"""Samples in, verdicts out, in batches: extract, screen, compile, run the hidden tests, say what happened.

Untrusted code shares a process with libtest here, so a sample that sets out to forge a report can; the counts and the
end line only stop the simple tricks. Every verdict names its level in `isolation`.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import signal
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from nbcore.rust import compiler, sandbox
from nbcore.rust.screen import blank, extract, screen

VERSION = 1
"""Part of every cache key: raise it when a verdict may change."""
KINDS = (
    *("pass", "tests_failed", "compile_error", "compile_timeout", "compile_resource", "rejected", "no_code"),
    *("run_timeout", "run_crash", "run_oom", "early_exit", "output_limit", "infra_error"),
)

Sample = Mapping[str, Any]
Verdict = dict[str, Any]


@dataclass(frozen=True)
class Limits:
    """Seconds of CPU (what judges), seconds of wall clock (a backstop), MiB of address space, KiB of text."""

    compile_cpu_s: int = 10
    compile_wall_s: float = 15
    compile_mem_mb: int = 2048
    run_cpu_s: int = 4
    run_wall_s: float = 10
    run_mem_mb: int = 1024
    output_kb: int = 1024
    source_kb: int = 256


class _Job(NamedTuple):
    """A checked sample: all that its verdict depends on."""

    text: str
    plain: bool
    """`text` is code; otherwise a completion to extract it from."""
    tests: str
    signature: str | None
    edition: str

    @classmethod
    def of(cls, sample: Sample) -> _Job:
        name = f"sample {sample.get('id')!r}"
        if "id" not in sample:
            raise ValueError("a sample has no `id`: give each one a string")
        given = [field for field in ("completion", "code") if isinstance(sample.get(field), str)]
        if len(given) != 1:
            raise ValueError(f"{name} must have exactly one of `completion` and `code`, a string; it has {given}")
        tests, edition = sample.get("tests"), str(sample.get("edition") or "2021")
        if not isinstance(tests, str):
            raise ValueError(f"{name} must have `tests`, Rust text with #[test] functions; it is {tests!r}")
        if not isinstance(sample.get("signature"), str | None):
            raise ValueError(f"{name}: signature is {sample['signature']!r}; give text, or leave it out")
        if edition not in compiler.EDITIONS:
            raise ValueError(f"{name}: edition is {edition!r}; use one of {', '.join(compiler.EDITIONS)}")
        return cls(sample[given[0]], given == ["code"], tests, sample.get("signature"), edition)


class Grader:
    """Grades in parallel and remembers: the same code, tests and edition are compiled once per Grader.

    `jobs` samples at a time (default: the processors we may use). Raises RuntimeError when the toolchain is missing.
    """

    def __init__(self, jobs: int | None = None, lint: bool = True, limits: Limits | None = None):
        if jobs is not None and jobs < 1:
            raise ValueError(f"jobs is {jobs}, but at least one sample must be graded at a time: give 1 or more")
        self.jobs = jobs or len(os.sched_getaffinity(0))
        self.lint, self.limits = lint, limits or Limits()
        self._chain = compiler.find(lint)
        self._known: dict[str, Verdict] = {}

    def grade(self, samples: Sequence[Sample], progress: Callable[[int, int], None] | None = None) -> list[Verdict]:
        """One verdict per sample, in the order given; `progress(done, total)` after each distinct sample.

        A repeat of a sample is `cached`; infra errors and wall-clock timeouts are shared within a call, not kept.
        Raises ValueError naming the sample and the field when one is malformed.
        """
        jobs = [_Job.of(sample) for sample in samples]
        keys = [self._key(job) for job in jobs]
        fresh = {key: job for key, job in zip(keys, jobs, strict=True) if key not in self._known}
        answers = {key: self._known[key] for key in keys if key in self._known}
        with ThreadPoolExecutor(self.jobs) as pool:
            pending = {pool.submit(self._judge, job): key for key, job in fresh.items()}
            try:
                for done, future in enumerate(as_completed(pending), 1):
                    key, (verdict, keep) = pending[future], future.result()
                    answers[key] = verdict
                    if keep:
                        self._known[key] = verdict
                    if progress:
                        progress(done, len(pending))
            except BaseException:  # an interrupt must not wait for the rest of the queue
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        verdicts, first = [], set(fresh)
        for sample, key in zip(samples, keys, strict=True):
            repeat = {"cpu_ms": 0.0, "wall_ms": 0.0, "cached": True} if key not in first else {}
            first.discard(key)
            copy = {"errors": [dict(error) for error in answers[key]["errors"]], "flags": list(answers[key]["flags"])}
            verdicts.append({"id": sample["id"], **answers[key], **copy, **repeat})
        return verdicts

    def _key(self, job: _Job) -> str:
        parts = [VERSION, *job, self.lint, asdict(self.limits), self._chain.version, self._chain.link]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def _judge(self, job: _Job) -> tuple[Verdict, bool]:
        """The verdict without its id, and whether it may be kept. An infrastructure error is tried once more."""
        for _ in range(2):
            started = time.monotonic()
            verdict = {"verdict": "infra_error", "passed": False, "compiles": False, "tests_passed": 0}
            verdict |= {"tests_total": _count_tests(job.tests), "clippy_warnings": 0, "errors": [], "flags": []}
            verdict |= {"cpu_ms": 0.0, "wall_ms": 0.0, "cached": False, "isolation": sandbox.ISOLATION}
            try:
                keep = self._attempt(job, verdict)
            except OSError as error:  # ours: a full disk, no more processes, a toolchain that went away
                verdict |= {"verdict": "infra_error", "errors": [_note("infra", f"{type(error).__name__}: {error}")]}
                keep = False
            verdict["passed"] = verdict["verdict"] == "pass"
            verdict["wall_ms"] = (time.monotonic() - started) * 1e3
            if verdict["verdict"] != "infra_error":
                break
        return verdict, keep and verdict["verdict"] != "infra_error"

    def _attempt(self, job: _Job, verdict: Verdict) -> bool:
        """Fill in `verdict`; False when it hung on the wall clock and is not to be remembered."""
        code = job.text if job.plain else extract(job.text, job.signature)
        if code is None or not code.strip():
            verdict["verdict"] = "no_code"
            return True
        screening = screen(code, self.limits.source_kb)
        # HumanEval-X has a task like that. It can pass, emptily: the flag is there, and reward.py pays for no tests.
        verdict["flags"] = screening.flags + ["no_tests"] * (verdict["tests_total"] == 0)
        if screening.refused:
            errors = [_note(flag, "refused before compiling") for flag in screening.refused]
            verdict |= {"verdict": "rejected", "errors": errors}
            return True
        with tempfile.TemporaryDirectory(prefix="nbcore-", ignore_cleanup_errors=True) as scratch:
            return self._build_and_run(job, code, Path(scratch), verdict)

    def _build_and_run(self, job: _Job, code: str, scratch: Path, verdict: Verdict) -> bool:
        limits, chain = self.limits, self._chain
        binary, build_dir, run_dir = scratch / "candidate", scratch / "build", scratch / "run"
        build_dir.mkdir()
        run_dir.mkdir()
        module = f"hidden_{secrets.token_hex(8)}"  # not to be guessed by the candidate
        source, ours = compiler.assemble(code, job.tests, module)
        for driver in ("clippy-driver", "rustc") if self.lint else ("rustc",):
            built = sandbox.run(
                chain.command(driver, job.edition, binary),
                cwd=build_dir,
                env=chain.compile_env(build_dir),
                stdin=source.encode(errors="surrogatepass"),  # a lone surrogate is the compiler's to refuse
                cpu_s=limits.compile_cpu_s,
                wall_s=limits.compile_wall_s,
                mem_mb=limits.compile_mem_mb,
                file_mb=64,
                output_kb=limits.output_kb,
            )
            report = compiler.read_report(built.stderr, ours, module)
            verdict["cpu_ms"] += built.cpu_ms
            verdict["clippy_warnings"] = max(verdict["clippy_warnings"], report.warnings)
            # A clippy lint that the sample denies itself is not a compile error: ask rustc proper.
            if not report.only_clippy:
                break
        verdict["flags"] = verdict["flags"] + report.flags + ["diagnostics_truncated"] * built.over
        if wrong := compiler.failure(built, report.errors):
            errors = report.errors or [_note(None, f"the compiler ended with {built.code or built.signal}")]
            verdict |= {"verdict": wrong, "errors": errors}
            return built.timeout != "wall"
        verdict["compiles"] = True
        ran = sandbox.run(
            [str(binary), "--test-threads=1", "--color=never", f"{module}::"],
            cwd=run_dir,
            env={"TMPDIR": str(run_dir)},
            cpu_s=limits.run_cpu_s,
            wall_s=limits.run_wall_s,
            mem_mb=limits.run_mem_mb,
            file_mb=1,
            output_kb=limits.output_kb,
            kill_over=True,
        )
        verdict["cpu_ms"] += ran.cpu_ms
        kind, verdict["tests_passed"] = read_tests(ran, module, verdict["tests_total"])
        verdict["verdict"] = kind
        return ran.timeout != "wall"


def read_tests(ran: sandbox.Outcome, module: str, total: int) -> tuple[str, int]:
    """Verdict of a test run and how many tests reported ok; a test without a line has failed."""
    text = ran.stdout.decode(errors="replace")
    lines, summary = _report(text, module)
    passed = min(sum(state == "ok" for state in lines.values()), total)
    complete = summary is not None and sum(summary) == total == len(lines)
    if ran.over or ran.signal == signal.SIGXFSZ:
        return "output_limit", passed
    if ran.timeout:
        return ("infra_error" if ran.starved else "run_timeout"), passed
    if ran.signal:
        out_of_memory = ran.signal == signal.SIGABRT and b"memory allocation of" in ran.stderr
        return ("run_oom" if out_of_memory else "run_crash"), passed
    if complete and ran.code == 0 and passed == total:
        return "pass", passed
    if complete and ran.code == 101 and passed < total:  # libtest's exit code for failed tests
        return "tests_failed", passed
    return "early_exit", passed


def _report(text: str, module: str) -> tuple[dict[str, str], tuple[int, ...] | None]:
    """libtest's state per test, and its (passed, failed, ignored) counts when the report is complete.

    The candidate may write to the real stdout between a test's name and its state, so the last state on the way to
    the next name counts.
    """
    body, *_ = re.split(r"^(?:failures:|test result: )", text, maxsplit=1, flags=re.MULTILINE)
    parts = re.split(rf"^test ({module}::\S+)(?: - should panic)? \.\.\. ", body, flags=re.MULTILINE)
    states = {}
    for name, said in zip(parts[1::2], parts[2::2], strict=True):
        found = re.findall(r"(ok|FAILED|ignored)(?:, .*)?$", said, re.MULTILINE)
        states[name] = found[-1] if found else "missing"
    end = re.findall(
        r"^test result: (?:ok|FAILED)\. (\d+) passed; (\d+) failed; (\d+) ignored; .*\n", text, re.MULTILINE
    )
    return states, tuple(map(int, end[-1])) if end else None


def _count_tests(tests: str) -> int:
    return len(re.findall(r"#\s*\[\s*test\s*\]", blank(tests)))


def _note(code: str | None, message: str) -> dict[str, Any]:
    return {"code": code, "message": message, "line": None}
