"""CPU and wall per sample: cargo from nothing, cargo in a reused template, and this grader, interleaved in one run.

    python tests/bench/grader.py [TASKS.jsonl] [--n 20]      the katas, or tasks with signature, solution and tests
    python tests/bench/grader.py --run runs/grpo/RUN

All three lint, check and run the hidden tests; only ours is jailed. Ratios are what to trust: times drift with the
machine. Then the grader alone, on a mixed set, with one worker and with two.
"""

import argparse
import gzip
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

from nbcore.grading.grader import RustGrader  # noqa: E402

KATAS = ROOT / "nbcore" / "assets" / "katas.jsonl.gz"
STEPS = (["cargo", "check"], ["cargo", "clippy"], ["cargo", "test"])


def sets(tasks):
    """References, references whose body panics, and ones that do not type-check."""

    def make(task, code, kind):
        return {"id": f"{task['id']}/{kind}", "code": code, "tests": task["tests"], "edition": task["edition"]}

    good = [task["signature"] + task["solution"] for task in tasks]
    panics = [task["signature"] + 'if true { panic!("no") }\n' + task["solution"] for task in tasks]
    return {
        "passing": [make(task, code, "p") for task, code in zip(tasks, good, strict=True)],
        "failing": [make(task, code, "f") for task, code in zip(tasks, panics, strict=True)],
        "not compiling": [
            make(task, code + "\nfn broken() -> u8 { true }\n", "c") for task, code in zip(tasks, good, strict=True)
        ],
    }


def project(folder, sample):
    """Write the sample as a library with its tests."""
    (folder / "src").mkdir(exist_ok=True)
    manifest = f'[package]\nname = "candidate"\nversion = "0.1.0"\nedition = "{sample["edition"]}"\n'
    (folder / "Cargo.toml").write_text(manifest)
    (folder / "src" / "lib.rs").write_text(sample["code"] + sample["tests"])


def cargo(folder):
    """(CPU ms, wall ms) of check, clippy and test, each of which the templates do whatever became of the others."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    for step in STEPS:
        subprocess.run([*step, "--offline", "-q"], cwd=folder, capture_output=True)
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu * 1e3, wall * 1e3


class Template:
    """One project whose target directory is reused."""

    def __init__(self, folder):
        self.folder, self.clock = folder, time.time()

    def __call__(self, sample):
        project(self.folder, sample)
        self.clock += 10  # cargo compares modification times: never let two samples share one
        os.utime(self.folder / "src" / "lib.rs", (self.clock, self.clock))
        return cargo(self.folder)


def fresh(sample):
    """A new project for each sample."""
    with tempfile.TemporaryDirectory() as folder:
        project(Path(folder), sample)
        return cargo(Path(folder))


def own_cpu(grader):
    """CPU ms of this process and of the workers themselves, without the programs they started."""
    ticks = 0
    for worker in grader.pool.workers:
        ticks += sum(int(n) for n in Path(f"/proc/{worker.pid}/stat").read_text().rpartition(")")[2].split()[11:13])
    return time.process_time() * 1e3 + ticks * 1e3 / os.sysconf("SC_CLK_TCK")


def throughput(samples, jobs):
    """Samples a second, with the workers started."""
    grader = RustGrader(jobs=jobs)
    grader.grade(samples[:jobs])
    started = time.perf_counter()
    grader.grade(samples[jobs:])
    wall = time.perf_counter() - started
    grader.close()
    return (len(samples) - jobs) / wall


def share(run):
    """What a GRPO step waits for grading, from the run's own metrics. What is graded while answers are still being
    written costs processors and not this time."""
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    rows = [row for row in rows if "grading_seconds" in row]
    keys = ("step_time", "grading_seconds", "graded")
    step, waited, graded = (statistics.median(row[key] for row in rows) for key in keys)
    print(f"{run.name}: {len(rows)} steps, medians: {step:.2f} s, {waited:.2f} of them waiting: {waited / step:.0%}")
    print(f"{graded:.0f} distinct answers a step, {waited / graded:.3f} s waited for each; {os.cpu_count()} processors")
    if waited > 0.15 * step:
        print(f"15 % would take {waited / (0.15 * step):.1f} times the processors, each as fast as one of these")


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("tasks", nargs="?", type=Path, help="HumanEval-X, say; by default the katas")
    arguments.add_argument("--n", type=int, default=20)
    arguments.add_argument("--run", type=Path, help="a GRPO run directory: what grading takes of a step, and no more")
    chosen = arguments.parse_args()
    if chosen.run:
        share(chosen.run)
        return
    raw = chosen.tasks.read_bytes() if chosen.tasks else gzip.decompress(KATAS.read_bytes())
    tasks = [json.loads(line) for line in raw.decode().split("\n") if line]
    tasks = tasks[:: max(1, len(tasks) // chosen.n)][: chosen.n]  # of every family
    everything = sets(tasks)
    print(f"medians of {len(tasks)}, ms per sample        cpu    wall   cpu ratio to ours")
    grader = RustGrader(jobs=1)
    with tempfile.TemporaryDirectory() as folder:
        template = Template(Path(folder))
        template(everything["passing"][0])  # fills the target directory
        for name, samples in everything.items():
            times = {"cargo, new project": [], "cargo, template": [], "this grader": []}
            python = 0.0
            for sample in samples:
                times["cargo, new project"].append(fresh(sample))
                times["cargo, template"].append(template(sample))
                before, started = own_cpu(grader), time.perf_counter()
                verdict = grader.grade([sample])[0]
                times["this grader"].append((verdict["cpu_ms"], (time.perf_counter() - started) * 1e3))
                python += (own_cpu(grader) - before) / len(samples)
            middle = {
                who: [statistics.median(column) for column in zip(*rows, strict=True)] for who, rows in times.items()
            }
            middle["this grader"][0] += python
            print(f"{name} ({verdict['verdict']})")
            for who, (cpu, wall) in middle.items():
                print(f"  {who:25}{cpu:16.1f}{wall:8.1f}{cpu / middle['this grader'][0]:11.1f}x")
            print(f"  {'of it Python':25}{python:16.1f}")
    grader.close()
    mixed = [sample for group in zip(*everything.values(), strict=True) for sample in group]
    one, two = throughput(mixed, 1), throughput(mixed, 2)
    print(f"mixed, one worker {one:.1f} samples/s, two {two:.1f}: {two / one:.2f} times")


if __name__ == "__main__":
    main()
