"""Samples in, verdicts out: checks the samples, has worker processes judge them, remembers the verdicts.

    grader = RustGrader()
    grader.grade([{"id": "a", "code": "pub fn one() -> u8 { 1 }", "tests": "#[test] fn t() { assert_eq!(one(), 1) }"}])

Same sample, same verdict: in any batch, in any order, with any number of workers.
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from nbcore.core.records import Sample, Verdict
from nbcore.grading import verdicts
from nbcore.grading.pool import Pool
from nbcore.grading.rust import compiler, crate
from nbcore.grading.sandbox import jail
from nbcore.grading.sandbox.canaries import PROMISES
from nbcore.grading.sandbox.supervisor import Limits
from nbcore.grading.verdicts import KINDS

__all__ = ["KINDS", "Limits", "RustGrader", "Unsafe"]

VERSION = 9
"""Part of every cache key: raise it when a verdict may change."""
MOST_TOLD = 4096  # jobs of `own_tests` whose verdicts are remembered; each is some kilobytes of text


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
    language: str

    @classmethod
    def of(cls, sample: Sample) -> _Job:
        """Raises ValueError naming the sample and the field where it is malformed."""
        numbered = isinstance(sample, dict) and isinstance(sample.get("id"), int)
        try:  # numbers do for ids here, where they are only handed back
            Sample.parse({**sample, "id": str(sample["id"])} if numbered else sample)
        except ValueError as error:
            name = sample.get("id") if isinstance(sample, dict) else None
            raise ValueError(f"sample {name!r}: {error}") from None
        plain = isinstance(sample.get("code"), str)
        edition, language = str(sample.get("edition") or "2021"), sample.get("language") or "rust"
        text = sample["code"] if plain else sample["completion"]
        return cls(text, plain, sample["tests"], sample.get("signature"), edition, language)


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
        self._known: dict[str, dict[str, Any]] = {}
        self._told: dict[str, dict[str, Any]] = {}
        setup = {"folder": str(self._jail.folder), "layers": self._jail.layers, "system": self._jail.system}
        setup["memory"] = self._jail.memory
        setup |= {"sysroot": str(self._chain.sysroot), "version": self._chain.version, "link": self._chain.link}
        self.pool = Pool(self.jobs, setup | {"limits": asdict(self.limits), "tier": tier, "lint": self.lint})
        if (lost := self.lost) and not allow_degraded:
            words = "; ".join(f"{name}: {PROMISES[name]}" for name in lost)
            raise Unsafe(
                f"the sandbox cannot promise here what untrusted code needs ({words}); run where it can, or say "
                "`sandbox: {allow_degraded: true}` in the config if you trust the model's code"
            )

    @property
    def lost(self) -> list[str]:
        """The promises that did not hold."""
        return [name for name, held in self.pool.proved["promises"].items() if not held]

    @property
    def isolation(self) -> str:
        """One word for every verdict: "jailed", or which promises are lost."""
        return f"degraded ({', '.join(self.lost)})" if self.lost else "jailed"

    def capabilities(self) -> dict[str, Any]:
        """What was proved at the start: {"isolation", "promises", "layers", "fork_server", "jobs", "toolchain"}."""
        first = self._chain.version.splitlines()[0]
        return {"isolation": self.isolation, **self.pool.proved, "jobs": self.jobs, "toolchain": first}

    def grade(self, samples: Sequence[Sample], progress: Callable[[int, int], None] | None = None) -> list[Verdict]:
        """One verdict per sample, in the order given; `progress(done, total)` after each distinct sample.

        A repeat of a sample is `cached`; infra errors and wall-clock timeouts are shared within a call, not kept.
        Raises ValueError naming the sample and the field when one is malformed.
        """
        jobs = [_Job.of(sample) for sample in samples]
        open_files = "landlock" not in self._jail.layers and not self._allow_degraded
        if open_files and any(job.language == "python" for job in jobs):
            raise Unsafe("only Landlock can keep Python from the host's files, and this kernel lacks it")
        keys = [self._key(*job) for job in jobs]
        fresh = {key: job for key, job in zip(keys, jobs, strict=True) if key not in self._known}
        answers = {key: self._known[key] for key in keys if key in self._known}
        asked = {key: job._asdict() for key, job in fresh.items()}
        for done, (key, said) in enumerate(self.pool.judge(asked), 1):
            answers[key], keep = self._verdict(said)
            if keep:
                self._known[key] = answers[key]
            if progress:
                progress(done, len(fresh))
        graded, first = [], set(fresh)
        for sample, key in zip(samples, keys, strict=True):
            repeat = {"cpu_ms": 0.0, "wall_ms": 0.0, "cached": True} if key not in first else {}
            first.discard(key)
            graded.append({"id": sample["id"], **copy.deepcopy(answers[key]), **repeat})
        return graded

    def own_tests(self, jobs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """What each crate's own unit tests say, in the order given; `jobs` are made by `rust.crate.job`.

        The fields of a verdict, without its id. The same job runs once, and its verdict is told again as it was, its
        processor time too: eight agents that begin with the same fault all ask for its tests. `forget` ends that.
        """
        keys = [self._key(job) for job in jobs]
        fresh = {key: job for key, job in zip(keys, jobs, strict=True) if key not in self._told}
        answers = {key: self._told[key] for key in keys if key in self._told}
        for key, said in self.pool.judge(fresh):
            verdict, keep = self._verdict(said)
            # A job that no worker came to has an infra_error without what is told.
            answers[key] = crate.nothing_told(fresh[key]) | verdict
            if keep:
                self._told[key] = answers[key]
        for key in list(self._told)[:-MOST_TOLD]:
            del self._told[key]
        return [copy.deepcopy(answers[key]) for key in keys]

    def forget(self) -> None:
        """Run every job of `own_tests` anew from here on: to see whether it gives the same answer again."""
        self._told.clear()

    def close(self) -> None:
        """End the workers and remove their files. A later call starts new ones only with a new grader."""
        self.pool.close()
        self._folder.cleanup()

    def _verdict(self, said: dict[str, Any] | None) -> tuple[dict[str, Any], bool]:
        """What a worker said as a verdict without its id, and whether it may be kept. None is a sample that killed
        every worker it was given to, which no sample should be able to."""
        if said is None:
            said = verdicts.unknown(0) | {"keep": False}
            said["errors"] = [verdicts.note("infra", "the workers died of this sample")]
        keep = said.pop("keep")
        return {**said, "cached": False, "isolation": self.isolation}, keep

    def _key(self, *job: Any) -> str:
        """Of everything that a verdict depends on: another toolchain, flag, limit or layer is another key."""
        parts = [VERSION, *job, self.lint, self.tier, asdict(self.limits), self._chain.version, self._chain.link]
        return hashlib.sha256(json.dumps([*parts, self._jail.layers, self._jail.memory]).encode()).hexdigest()
