"""One-edit mutants, what they say of a program's own tests, and whether the grader sees them as cargo does."""

import json
import shutil
import subprocess
from concurrent import futures
from itertools import zip_longest
from pathlib import Path

import pytest

from nbcore.grading.grader import RustGrader
from nbcore.grading.rust.mutants import kills, mutants, split

DATA = Path(__file__).resolve().parents[3].parent / "shared" / "data"
SIGNATURE = "pub fn add(a: i64, b: i64) -> i64 {"
CODE = "pub fn add(a: i64, b: i64) -> i64 { if a == 0 { return b; } a + b }\n"


def test_mutants_differ_by_one_edit():
    made = mutants("fn f(n: u8) -> bool { (1..n).any(|x| x * 2 > 3 && true) } fn g() -> u8 { 5 }", "f")
    assert len(made) == len(set(made)) == 8 and all("{ 5 }" in code for code in made)
    assert any("(1..=n)" in code for code in made) and any("x + 2" in code for code in made)
    assert len(mutants(CODE, "add", most=2)) == 2


def test_split_takes_the_tests_out_whole():
    code, tests = split(
        CODE + "/// Kept.\nfn helper() {}\n#[cfg(test)]\nmod tests { #[test] fn t() {} }\nfn last() {}\n"
    )
    assert code == CODE + "/// Kept.\nfn helper() {}\n\nfn last() {}\n"
    assert tests == "#[cfg(test)]\nmod tests { #[test] fn t() {} }"


@pytest.mark.parametrize(
    ("tests", "worth", "flags"),
    [
        ("assert_eq!(add(1, 2), 3); assert_eq!(add(0, 5), 5); assert_eq!(add(2, 0), 2);", True, []),
        ("let _ = add(1, 2);", False, ["own_tests_survive_mutation"]),
        ("assert_eq!(add(1, 2), 4);", False, ["own_tests_survive_mutation"]),  # wrong about its own code
        ("assert!(true);", False, ["own_tests_do_not_call_target"]),
    ],
)
def test_own_tests_are_worth_the_mutants_they_kill(tests, worth, flags):
    """Presence is free, and tautologies pass: only what fails on a wrong program is a test."""
    code = CODE + f"#[cfg(test)] mod tests {{ use super::*; #[test] fn t() {{ {tests} }} }}"
    grader = RustGrader(jobs=1)
    row = kills(grader, [{"code": code, "signature": SIGNATURE}])[0]
    grader.close()
    assert row["flags"] == flags and (2 * row["killed"] >= row["mutants"] > 0) == worth


def cargo_passes(folder, code, tests):
    (folder / "src").mkdir(parents=True, exist_ok=True)
    (folder / "Cargo.toml").write_text('[package]\nname = "candidate"\nversion = "0.1.0"\nedition = "2021"\n')
    (folder / "src" / "lib.rs").write_text(code + tests)
    shutil.rmtree(folder / "target" / "debug" / ".fingerprint", ignore_errors=True)  # never an older answer
    # A mutant may well run for ever: the limit is the grader's.
    command = ["sh", "-c", "ulimit -t 10; exec cargo test --offline -q --lib"]
    done = subprocess.run(command, cwd=folder, capture_output=True, timeout=600)
    return done.returncode == 0


def cargos_of(folder, samples):
    return [cargo_passes(folder, sample["code"], sample["tests"]) for sample in samples]


@pytest.mark.slow
def test_verdicts_are_those_of_cargo_test(tmp_path):
    """80 references and 250 and more one-edit mutants of them: pass or not, in every case as plain `cargo test` says.

    A reference that its own tests cannot tell from a mutant passes in both, which is right.
    """
    path = DATA / "humaneval_x_rust_dev.jsonl"
    if not path.exists():
        pytest.skip(f"{path} is not here; it is not part of the repository")
    rows = []
    for task in map(json.loads, path.read_text().splitlines()):
        code = task["signature"] + task["solution"]
        rows += [(task, version) for version in [code, *mutants(code, most=4)]]
    sample = {"edition": "2021"}
    samples = [
        sample | {"id": f"{i}", "code": code, "tests": task["tests"], "signature": task["signature"]}
        for i, (task, code) in enumerate(rows)
    ]
    grader = RustGrader(lint=False)
    ours = [verdict["passed"] for verdict in grader.grade(samples)]
    grader.close()
    halves = [samples[::2], samples[1::2]]  # each in a folder of its own, on a core of its own
    with futures.ThreadPoolExecutor(2) as pool:
        even, odd = pool.map(lambda at: cargos_of(tmp_path / str(at), halves[at]), range(2))
    cargos = [verdict for pair in zip_longest(even, odd) for verdict in pair][: len(samples)]
    differ = [(rows[i][0]["id"], rows[i][1]) for i in range(len(rows)) if ours[i] != cargos[i]]
    assert len(rows) >= 80 + 250 and sum(ours) >= 80
    assert differ == []
