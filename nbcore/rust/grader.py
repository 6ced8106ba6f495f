"""Samples in, verdicts out: hands the samples to worker processes, remembers verdicts, replaces workers that die.

    grader = RustGrader()
    grader.grade([{"id": "a", "code": "pub fn one() -> u8 { 1 }", "tests": "#[test] fn t() { assert_eq!(one(), 1) }"}])

Same sample, same verdict: in any batch, in any order, with any number of workers.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from multiprocessing import connection
from pathlib import Path
from typing import Any, NamedTuple

from nbcore.rust import compiler, jail
from nbcore.rust.canaries import PROMISES
from nbcore.rust.worker import Limits

__all__ = ["KINDS", "Limits", "RustGrader", "Unsafe"]

VERSION = 2
"""Part of every cache key: raise it when a verdict may change."""
KINDS = (
    *("pass", "tests_failed", "compile_error", "compile_timeout", "compile_resource", "rejected", "no_code"),
    *("run_timeout", "run_crash", "run_oom", "early_exit", "output_limit", "infra_error"),
)
_LIFE = 1000  # jobs of one worker: a new one costs little, and whatever grew in the old is gone
_TRIES = 3  # of a job whose worker died

Sample = Mapping[str, Any]
Verdict = dict[str, Any]


class Unsafe(RuntimeError):
    """This machine cannot keep a promise of the sandbox."""


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


class RustGrader:
    """Grades in parallel and remembers: the same code, tests and edition are compiled once per grader.

    jobs: worker processes, by default the processors we may use. tier: "check" type-checks, "lint" lints too, "test"
    runs the hidden tests too; on the first two `pass` means only that, with the flag `no_tests`. lint: count clippy's
    warnings, which costs a sixth. layers: of the jail, by default all that work here.
    Raises RuntimeError when the toolchain is missing, and Unsafe when the sandbox does not hold and `allow_degraded`
    does not say that it need not.
    """

    def __init__(
        self,
        jobs: int | None = None,
        lint: bool = True,
        limits: Limits | None = None,
        tier: str = "test",
        allow_degraded: bool = False,
        layers: Iterable[str] | None = None,
    ):
        if jobs is not None and jobs < 1:
            raise ValueError(f"jobs is {jobs}, but at least one sample must be graded at a time: give 1 or more")
        if tier not in compiler.TIERS:
            raise ValueError(f"tier is {tier!r}; use one of {', '.join(compiler.TIERS)}")
        self.jobs = jobs or len(os.sched_getaffinity(0))
        self.tier, self.lint, self.limits = tier, tier != "check" and lint, limits or Limits()
        self._allow_degraded = allow_degraded
        self._chain = compiler.find(self.lint)
        self._folder = tempfile.TemporaryDirectory(prefix="nbcore-")
        self._jail = jail.build(Path(self._folder.name), self._chain, layers)
        self._known: dict[str, Verdict] = {}
        self._workers = [_Worker(self._setup())]
        self._proved = self._workers[0].ready()
        weakref.finalize(self, _stop, self._workers, self._folder)
        if (lost := self.lost) and not allow_degraded:
            words = "; ".join(f"{name}: {PROMISES[name]}" for name in lost)
            raise Unsafe(
                f"the sandbox cannot promise here what untrusted code needs ({words}); run where it can, or say "
                "`sandbox: {allow_degraded: true}` in the config if you trust the model's code"
            )

    @property
    def lost(self) -> list[str]:
        """The promises that did not hold."""
        return [name for name, held in self._proved["promises"].items() if not held]

    @property
    def isolation(self) -> str:
        """One word for every verdict: "jailed", or which promises are lost."""
        return f"degraded ({', '.join(self.lost)})" if self.lost else "jailed"

    def capabilities(self) -> dict[str, Any]:
        """What was proved at the start: {"isolation", "promises", "layers", "fork_server", "jobs", "toolchain"}."""
        first = self._chain.version.splitlines()[0]
        return {"isolation": self.isolation, **self._proved, "jobs": self.jobs, "toolchain": first}

    def grade(self, samples: Sequence[Sample], progress: Callable[[int, int], None] | None = None) -> list[Verdict]:
        """One verdict per sample, in the order given; `progress(done, total)` after each distinct sample.

        A repeat of a sample is `cached`; infra errors and wall-clock timeouts are shared within a call, not kept.
        Raises ValueError naming the sample and the field when one is malformed.
        """
        jobs = [_Job.of(sample) for sample in samples]
        keys = [self._key(job) for job in jobs]
        fresh = {key: job for key, job in zip(keys, jobs, strict=True) if key not in self._known}
        answers = {key: self._known[key] for key in keys if key in self._known}
        for done, (key, verdict, keep) in enumerate(self._judge(fresh), 1):
            answers[key] = verdict
            if keep:
                self._known[key] = verdict
            if progress:
                progress(done, len(fresh))
        verdicts, first = [], set(fresh)
        for sample, key in zip(samples, keys, strict=True):
            repeat = {"cpu_ms": 0.0, "wall_ms": 0.0, "cached": True} if key not in first else {}
            first.discard(key)
            copy = {"errors": [dict(error) for error in answers[key]["errors"]], "flags": list(answers[key]["flags"])}
            verdicts.append({"id": sample["id"], **answers[key], **copy, **repeat})
        return verdicts

    def close(self) -> None:
        """End the workers and remove their files. A later call starts new ones only with a new grader."""
        _stop(self._workers, self._folder)

    def _judge(self, fresh: dict[str, _Job]):
        """Yield (key, verdict, whether it may be kept) as they come in."""
        waiting = deque((key, job, 1) for key, job in fresh.items())
        try:
            while waiting or any(worker.job for worker in self._workers):
                while waiting and (worker := self._idle()):
                    worker.give(waiting.popleft())
                for pipe in connection.wait([worker.answers for worker in self._workers if worker.job]):
                    worker = next(one for one in self._workers if one.answers is pipe)
                    key, job, tries = worker.job
                    verdict = worker.take()
                    if verdict is None:  # it died: nothing that it began is believed
                        self._workers.remove(worker)
                        if tries < _TRIES:
                            waiting.appendleft((key, job, tries + 1))
                            continue
                        verdict = self._lost_worker(job)
                    keep = verdict.pop("keep")
                    yield key, {**verdict, "cached": False, "isolation": self.isolation}, keep
        except BaseException:  # an interrupt: what is under way belongs to nobody any more
            for worker in [worker for worker in self._workers if worker.job]:
                worker.kill()
                self._workers.remove(worker)
            raise

    def _idle(self) -> _Worker | None:
        """A worker without a job; a new one while there may be more, or in place of one that has done its share."""
        for worker in [worker for worker in self._workers if not worker.job]:
            if worker.given < _LIFE:
                return worker
            worker.close()
            self._workers.remove(worker)
        if len(self._workers) == self.jobs:
            return None
        self._workers.append(worker := _Worker(self._setup()))
        return worker

    def _setup(self) -> dict[str, Any]:
        cell, chain = self._jail, self._chain
        return {
            "folder": str(cell.folder),
            "layers": cell.layers,
            "system": cell.system,
            "sysroot": str(chain.sysroot),
            "version": chain.version,
            "link": chain.link,
            "limits": asdict(self.limits),
            "tier": self.tier,
            "lint": self.lint,
        }

    def _lost_worker(self, job: _Job) -> Verdict:
        """The verdict on a sample that killed every worker it was given to, which no sample should be able to."""
        error = {"code": "infra", "message": f"{_TRIES} workers died of this sample", "line": None}
        return {
            **{"verdict": "infra_error", "passed": False, "compiles": False, "tests_passed": 0, "tests_total": 0},
            **{"clippy_warnings": 0, "errors": [error], "flags": [], "cpu_ms": 0.0, "wall_ms": 0.0, "keep": False},
        }

    def _key(self, job: _Job) -> str:
        """Of everything that a verdict depends on: another toolchain, flag, limit or layer is another key."""
        parts = [VERSION, *job, self.lint, self.tier, asdict(self.limits), self._chain.version, self._chain.link]
        return hashlib.sha256(json.dumps([*parts, self._jail.layers]).encode()).hexdigest()


class _Worker:
    """A worker process and the job that it has in hand."""

    def __init__(self, setup: dict[str, Any]):
        root = str(Path(__file__).parents[2])
        # A session of its own: Ctrl-C is for the grader to hear. Nothing of the environment: no token in its memory.
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-I",
                "-c",
                f"import sys; sys.path.insert(0, {root!r}); from nbcore.rust.worker import main; main()",
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            env={"PATH": os.environ.get("PATH", os.defpath), "TMPDIR": setup["folder"]},
        )
        self.pid, self.answers = self._process.pid, self._process.stdout
        self.job: tuple[str, _Job, int] | None = None
        self.given = 0
        self._hello: dict[str, Any] | None = None
        self._send(setup)

    def ready(self) -> dict[str, Any]:
        """What it proved. Raises RuntimeError when it could not start."""
        if self._hello is None:
            line = self.answers.readline()
            if not line:
                raise RuntimeError("a grading worker cannot start; its message stands above")
            self._hello = json.loads(line)
        return self._hello

    def give(self, job: tuple[str, _Job, int]) -> None:
        self.job, self.given = job, self.given + 1
        self._send({"job": self.given, **job[1]._asdict()})

    def take(self) -> Verdict | None:
        """The verdict on the job in hand, None when the worker died over it."""
        try:
            self.ready()
            verdict = json.loads(self.answers.readline())
        except (ValueError, RuntimeError):
            self.kill()
            return None
        if verdict.pop("job") != self.given:
            raise AssertionError("a worker answered another job than the one it has")
        self.job = None
        return verdict

    def _send(self, message: dict[str, Any]) -> None:
        try:
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:  # it is dead: `take` will see
            pass

    def kill(self) -> None:
        self.job = None
        self._process.kill()
        self.close()

    def close(self) -> None:
        with self._process as process:  # closes both pipes, at which a worker ends, and waits
            pass
        return process.returncode


def _stop(workers: list[_Worker], folder: tempfile.TemporaryDirectory) -> None:
    for worker in workers:
        worker.kill()
    workers.clear()
    folder.cleanup()
