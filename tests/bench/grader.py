"""CPU and wall per sample of the grader, beside `cargo test` in one reused template project, in the same run.

    python tests/bench/grader.py [TASKS.jsonl] [--n 20] [--jobs 1]

Ratios are what to trust: times drift with the machine. Cargo neither lints nor limits anything here.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from nbcore.rust.grader import Grader  # noqa: E402


def variants(tasks):
    """Three sets of samples: references, references whose body panics, and ones that do not type-check."""

    def make(task, code):
        return {"id": task["id"], "code": code, "tests": task["tests"], "edition": task["edition"]}

    good = [task["signature"] + task["solution"] for task in tasks]
    return {
        "passing": [make(task, code) for task, code in zip(tasks, good, strict=True)],
        "failing": [make(t, t["signature"] + 'if true { panic!("no") }\n' + t["solution"]) for t in tasks],
        "not compiling": [
            make(t, code + "\nfn broken() -> u8 { true }\n") for t, code in zip(tasks, good, strict=True)
        ],
    }


def by_grader(samples, jobs):
    """Mean (CPU ms, wall ms) per sample; wall is throughput, the batch's time over its size."""
    grader = Grader(jobs=jobs)
    started, mine = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    verdicts = grader.grade(samples)
    wall = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_SELF)
    own = after.ru_utime + after.ru_stime - mine.ru_utime - mine.ru_stime
    cpu = statistics.fmean(verdict["cpu_ms"] for verdict in verdicts) + own * 1e3 / len(samples)
    return cpu, wall * 1e3 / len(samples), sorted({verdict["verdict"] for verdict in verdicts})


def by_cargo(samples):
    """The same through `cargo test --offline` in one project whose target directory is reused."""
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        (project / "src").mkdir()
        (project / "Cargo.toml").write_text('[package]\nname = "candidate"\nversion = "0.1.0"\nedition = "2021"\n')
        cpu, wall = [], []
        for number, sample in enumerate(samples[:1] + samples):  # the first fills the target directory
            source = project / "src" / "lib.rs"
            source.write_text(sample["code"] + sample["tests"])
            # Cargo rebuilds by whole seconds of mtime on some file systems: never let two samples share one.
            os.utime(source, (time.time() + number, time.time() + number))
            before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
            subprocess.run(["cargo", "test", "--offline", "-q"], cwd=project, capture_output=True, check=False)
            wall.append(time.perf_counter() - started)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            cpu.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        return statistics.fmean(cpu[1:]) * 1e3, statistics.fmean(wall[1:]) * 1e3


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = ROOT.parent / "shared" / "data" / "humaneval_x_rust_dev.jsonl"
    arguments.add_argument("tasks", nargs="?", type=Path, default=default)
    arguments.add_argument("--n", type=int, default=20)
    arguments.add_argument("--jobs", type=int, default=1)
    chosen = arguments.parse_args()
    tasks = [json.loads(line) for line in chosen.tasks.read_text().splitlines()][: chosen.n]
    print(f"{'set':15}{'grader cpu':>12}{'wall':>8}{'cargo cpu':>12}{'wall':>8}{'cpu ratio':>11}   verdicts")
    for name, samples in variants(tasks).items():
        cpu, wall, kinds = by_grader(samples, chosen.jobs)
        cargo_cpu, cargo_wall = by_cargo(samples)
        numbers = f"{cpu:12.1f}{wall:8.1f}{cargo_cpu:12.1f}{cargo_wall:8.1f}{cargo_cpu / cpu:10.1f}x"
        print(f"{name:15}{numbers}   {', '.join(kinds)}")


if __name__ == "__main__":
    main()
