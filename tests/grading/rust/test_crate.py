"""A crate's own tests in the jail."""

import shutil

import pytest

from nbcore.grading import verdicts
from nbcore.grading.grader import RustGrader
from nbcore.grading.rust import compiler, crate
from nbcore.grading.sandbox import jail
from nbcore.grading.sandbox.supervisor import Limits

pytestmark = pytest.mark.skipif(shutil.which("rustc") is None, reason="rustc is not installed")

CLOCK = '#[test]\nfn t() { panic!("{:?}", std::time::SystemTime::now()) }\n'
ENDLESS = "#[test]\nfn t() {\n    let mut n = 0u64;\n    loop { n = std::hint::black_box(n + 1) }\n}\n"


def test_the_clock_runs_slower_for_a_crate_on_a_busy_machine(tmp_path, monkeypatch):
    """It did for a function alone: tests that never end were, under load, "cargo could not run on this machine"."""
    monkeypatch.setattr(crate, "load", lambda: 1e3)
    chain, folders = compiler.find(False), (tmp_path / "build", tmp_path / "run")
    for folder in (*folders, tmp_path / "jail"):
        folder.mkdir()
    cell = jail.build(tmp_path / "jail", chain, ("landlock", "seccomp"))
    limits = Limits(compile_wall_s=0.1, run_wall_s=0.1, run_cpu_s=1)
    verdict = verdicts.unknown(0)
    crate.judge(cell, chain, limits, folders, None, crate.job({"lib.rs": ENDLESS}, "lib.rs", "2021"), verdict)
    assert verdict["verdict"] == "run_timeout" and verdict["keep"], "what the processor's time ended is known for good"


def test_the_same_job_runs_once_until_the_grader_forgets():
    """Eight episodes of one group began with eight runs of the same tests, most of what a step of GRPO cost; a replay
    that only remembers would prove nothing."""
    grader = RustGrader(jobs=2, lint=False)
    try:
        job = crate.job({"lib.rs": CLOCK}, "lib.rs", "2021")
        other = crate.job({"lib.rs": CLOCK}, "lib.rs", "2018")
        one, twin, apart = grader.own_tests([job, job, other])
        (later,) = grader.own_tests([job])
        assert one == twin == later, "the processor time as well: a budget counts it"
        assert one["errors"][0]["message"] != apart["errors"][0]["message"], "another edition is another job"
        twin["errors"].clear()
        assert grader.own_tests([job]) == [one], "what is remembered is not what was handed out"
        grader.forget()
        assert grader.own_tests([job])[0]["errors"] != one["errors"]
    finally:
        grader.close()
