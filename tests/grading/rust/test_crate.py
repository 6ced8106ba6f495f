"""A crate's own tests in the jail."""

from nbcore.grading import verdicts
from nbcore.grading.rust import compiler, crate
from nbcore.grading.sandbox import jail
from nbcore.grading.sandbox.supervisor import Limits

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
