"""Whether the grader says what plain `rustc --test` says, on references, mutants and other answers to the same tasks.

    python tests/bench/agreement.py [TASKS.jsonl] [--n 200]      the katas, or tasks with signature, solution and tests

Every answer is graded with its signature and without. Plain rustc runs with no jail: the answers are ours.
"""

import argparse
import gzip
import json
import random
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from nbcore.grading.grader import RustGrader  # noqa: E402
from nbcore.grading.rust import vacuous  # noqa: E402
from nbcore.grading.rust.answer import target  # noqa: E402
from nbcore.grading.rust.mutants import mutants  # noqa: E402

KATAS = ROOT / "nbcore" / "assets" / "katas.jsonl.gz"
TIMEOUT_S = 10


def read(path=None):
    """Tasks of a file, or the katas."""
    raw = path.read_bytes() if path else gzip.decompress(KATAS.read_bytes())
    return [json.loads(line) for line in raw.decode().split("\n") if line]


def answers(tasks, count, seed=0):
    """`count` samples: of each task its reference, its mutants, and it dressed in ways that should change nothing."""
    rng, samples = random.Random(seed), []
    for task in rng.sample(tasks, len(tasks)):
        right, name = task["signature"] + task["solution"], target(task["signature"])
        forms = {
            "right": right,
            "documented": f'//! Solved.\n#![allow(dead_code)]\n{right}\nfn main() {{ println!("done"); }}',
            "tested": f"{right}\n#[cfg(test)] mod own {{ #[test] fn t() {{ assert_eq!(1 + 1, 2); }} }}",
            "unwritten": vacuous.unwritten(task["signature"]),
            "cut": right[: len(right) * 2 // 3],
        }
        forms |= {f"mutant {number}": text for number, text in enumerate(mutants(right, name, 4))}
        for form in ["right", *rng.sample(sorted(forms.keys() - {"right"}), 3)]:
            kept = {key: task[key] for key in ("tests", "signature", "edition")}
            samples.append({"id": f"{task['id']} {form}", "code": forms[form], **kept})
        if len(samples) >= count:
            break
    return samples[:count]


def plain(sample, folder):
    """ "pass", "fail" or "compile_error", as rustc and libtest say."""
    source, binary = folder / "lib.rs", folder / "tests"
    source.write_text(f"{sample['code']}\n{sample['tests']}")
    call = ["rustc", "--test", f"--edition={sample['edition']}", "-Awarnings", "-o", binary, source]
    if subprocess.run(call, capture_output=True).returncode:
        return "compile_error"
    try:
        return "fail" if subprocess.run([binary], capture_output=True, timeout=TIMEOUT_S).returncode else "pass"
    except subprocess.TimeoutExpired:
        return "fail"


def ours(verdict):
    """The same words for a verdict."""
    if verdict["passed"]:
        return "pass"
    return "fail" if verdict["compiles"] else "compile_error"


def compare(samples, grader):
    """What each said, counted, and the samples where they differ: (id, plain, ours, verdict)."""
    bare = [sample | {"signature": None} for sample in samples]
    with tempfile.TemporaryDirectory() as folder:
        said = [plain(sample, Path(folder)) for sample in samples]
    differ = []
    for verdicts in (grader.grade(samples), grader.grade(bare)):
        for expected, verdict in zip(said, verdicts, strict=True):
            if ours(verdict) != expected:
                differ.append((verdict["id"], expected, ours(verdict), verdict["verdict"], verdict["errors"][:1]))
    return Counter(said), differ


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("tasks", nargs="?", type=Path, help="HumanEval-X, say; by default the katas")
    arguments.add_argument("--n", type=int, default=200)
    arguments.add_argument("--seed", type=int, default=0)
    chosen = arguments.parse_args()
    samples = answers(read(chosen.tasks), chosen.n, chosen.seed)
    grader = RustGrader(lint=False)
    said, differ = compare(samples, grader)
    grader.close()
    print(f"{len(samples)} answers, plain rustc: {dict(said)}; with signature and without, {len(differ)} differ")
    for row in differ:
        print("  ", *row)


if __name__ == "__main__":
    main()
