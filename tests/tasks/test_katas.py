"""Katas: the splits keep apart, the references pass their own tests, and a seed makes the same bytes anywhere."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from nbcore.data import sources
from nbcore.tasks import katas
from nbcore.tasks.katas.families import FAMILIES
from nbcore.tasks.katas.ops import TABLES

needs_rust = pytest.mark.skipif(shutil.which("rustc") is None, reason="rustc is not on PATH")


@pytest.fixture(scope="module")
def shipped() -> list[dict]:
    return katas.load()


def program(tasks: list[dict], forbid: str = "#![forbid(unsafe_code)]\n") -> str:
    """All tasks in one crate, a module each, with their tests."""
    modules = (f"pub mod k{n} {{\n{katas.code(task)}\n\n{task['tests']}}}\n" for n, task in enumerate(tasks))
    return forbid + "".join(modules)


def run_tests(tasks: list[dict], folder: Path) -> str:
    """Compile and run every task's tests; the harness' report."""
    source, binary = folder / "katas.rs", folder / "katas"
    source.write_text(program(tasks), encoding="utf-8")
    flags = ["--test", "--edition=2021", "-Coverflow-checks=on", "-Cdebuginfo=0", "--cap-lints=warn", "-Awarnings"]
    built = subprocess.run(["rustc", *flags, "-o", str(binary), str(source)], capture_output=True, text=True)
    assert built.returncode == 0, built.stderr[:4000]
    ran = subprocess.run([str(binary), "--quiet"], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout[-4000:]
    return ran.stdout


def test_there_are_enough_families_areas_and_tasks(shipped):
    """A model that saw a handful of skeletons would be said to know Rust."""
    assert len(FAMILIES) >= 60
    assert len({family.area for family in FAMILIES.values()}) >= 12
    held_out = {family.area for family in FAMILIES.values() if family.held_out}
    assert 5 <= len(held_out) <= 8  # spread: one per area
    assert len({(task["prompt"], katas.code(task)) for task in shipped}) == len(shipped) >= 5600
    counts = Counter(task["meta"]["split"] for task in shipped)
    assert counts["heldout"] >= 400 and counts["unseen_family"] >= 150 and counts["validation"] >= 200
    assert sum(task["meta"]["demonstrated"] for task in shipped) >= 150
    assert katas.ASSET.stat().st_size < 1_500_000


def test_same_seed_same_bytes_in_another_process():
    """A run could not be repeated if the order of a set or builtin hash() got into the draws."""
    here = hashlib.sha256(json.dumps(katas.generate(5, 60)).encode()).hexdigest()
    script = (
        "import hashlib, json; from nbcore.tasks import katas; "
        "print(hashlib.sha256(json.dumps(katas.generate(5, 60)).encode()).hexdigest())"
    )
    root = Path(katas.__file__).parents[3]
    there = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True)
    assert there.stdout.strip() == here
    assert katas.generate(6, 60) != katas.generate(5, 60)


def test_splits_share_no_normalised_code(shipped):
    """Held-out accuracy would measure memory: the same code under other names would be in training."""
    seen: dict[str, set[str]] = {}
    compositions: dict[str, set[str]] = {}
    for task in shipped:
        normal = katas.normalised(katas.code(task))
        seen.setdefault(normal, set()).add(task["meta"]["split"])
        compositions.setdefault(normal, set()).add(task["meta"]["composition"])
    assert [code for code, splits in seen.items() if len(splits) > 1] == []
    assert [names for names in compositions.values() if len(names) > 1] == []


def test_normalised_takes_off_names_types_and_constants_only():
    """Too little taken off lets a renamed copy pass as new; too much makes different tasks equal."""
    code = "pub fn a(xs: &[i64]) -> i64 {\n    xs.iter().map(|&x| x * 7).sum()\n}"
    same = "pub fn b_c(values: &[u32]) -> u32 { values.iter().map(|&y| y * 12).sum() } // note"
    assert katas.normalised(code) == katas.normalised(same)
    for other in (code.replace("7", "2"), code.replace("sum", "max"), code.replace("*", "+")):
        assert katas.normalised(other) != katas.normalised(code)
    assert katas.normalised('fn f(s: &str) { format!("{s}!") }') == katas.normalised(
        'fn g(t: &str) { format!("{t}!") }'
    )


def test_demonstrated_means_train_and_only_shown_ops(shipped):
    """SFT would show what RL is meant to find out."""
    counted: Counter[tuple[bool, bool]] = Counter()
    for task in shipped:
        slots = FAMILIES[task["family"]].slots.split()
        shown = all(TABLES[slot][name].shown for slot, name in zip(slots, task["meta"]["ops"], strict=True))
        could = shown and task["meta"]["split"] == "train"
        assert could or not task["meta"]["demonstrated"]
        counted[could, task["meta"]["demonstrated"]] += 1
        assert (task["meta"]["split"] == "unseen_family") == FAMILIES[task["family"]].held_out
    assert all(task["meta"]["demonstrated"] for task in katas.load("train", demonstrated=True))
    assert 0.07 < counted[True, True] / (counted[True, True] + counted[True, False]) < 0.13, "about one in ten"


def test_every_op_of_every_slot_is_in_training():
    """An op that training never meets cannot be composed by any policy."""
    for name, family in FAMILIES.items():
        if family.held_out:
            continue
        rows = [ops for split, _, ops in katas.compositions(name) if split == "train"]
        for at, _ in enumerate(family.slots.split()):
            possible = {ops[at] for _, _, ops in katas.compositions(name)}
            missing = possible - {ops[at] for ops in rows}
            assert len(missing) <= max(1, len(possible) // 2), (name, missing)
    trained: Counter[str] = Counter()
    for name, family in FAMILIES.items():
        for split, _, ops in katas.compositions(name):
            if split == "train":
                trained.update(f"{id(TABLES[slot][op])}" for slot, op in zip(family.slots.split(), ops, strict=True))
    for table in TABLES.values():
        for op in table.values():
            assert trained[str(id(op))] >= 3, op.name


def test_tasks_are_short_and_whole(shipped):
    """A tiny model's context would not hold the task, or prompt and completion would not fit together."""
    for task in shipped:
        assert len(task["prompt"]) <= katas.MOST_PROMPT and len(katas.code(task)) <= katas.MOST_CODE
        assert task["signature"].endswith("{") and task["solution"].startswith("\n")
        assert task["prompt"].endswith("\n" + task["signature"].removesuffix(" {"))
        assert "$" not in task["prompt"] + katas.code(task) + task["meta"]["doc"]
        assert 5 <= task["tests"].count("#[test]") <= 6
        assert katas.document(task).startswith("/// ") and katas.document(task).endswith("}\n")


def test_a_wrong_choice_says_what_to_do():
    """A misspelt split would silently train on everything."""
    with pytest.raises(ValueError, match="split 'test': choose one of"):
        katas.generate(0, 1, split="test")
    with pytest.raises(ValueError, match="not one of the"):
        katas.generate(0, 1, family="nothing")
    with pytest.raises(ValueError, match="ask for fewer"):
        katas.generate(0, 1, family="iter_map_reduce", split="unseen_family")


@needs_rust
def test_one_task_of_each_family_passes_its_own_tests(shipped, tmp_path):
    """A skeleton that does not compile, or a test that its reference fails, would teach nonsense."""
    one = {task["family"]: task for task in shipped}
    assert set(one) == set(FAMILIES)
    assert "test result: ok" in run_tests(list(one.values()), tmp_path)


@needs_rust
def test_tests_can_be_made_again(shipped):
    """The code that makes tests would have moved on from the tests that are shipped."""
    tasks = random.Random(2).sample(shipped, 8)
    assert katas.add_tests([task | {"tests": ""} for task in tasks]) == tasks


@needs_rust
def test_a_panicking_reference_is_named(monkeypatch):
    """A wrong expected value, or a lost task, would stand for a reference that panics."""
    task = katas.generate(0, 1, family="iter_map_reduce")[0]
    monkeypatch.setattr(katas, "code", lambda task: task["signature"] + '\n    panic!("no")\n}')
    monkeypatch.setattr(katas, "solution_of", lambda draw: '\n    panic!("no")\n}')
    with pytest.raises(AssertionError, match="panicked"):
        katas.add_tests([task])


@pytest.mark.slow
@needs_rust
def test_shipped_references_pass_and_are_clean(shipped, tmp_path):
    """RL would chase tests that nothing passes, and the lint reward would punish the reference itself."""
    tasks = random.Random(1).sample(shipped, 300)
    assert "test result: ok" in run_tests(tasks, tmp_path)
    (tmp_path / "lint.rs").write_text(program(tasks), encoding="utf-8")
    clippy = shutil.which("clippy-driver")
    if clippy is None:
        pytest.skip("clippy-driver is not on PATH")
    flags = ["--crate-type=lib", "--edition=2021", "--emit=metadata", "-Wclippy::all", "-Dwarnings"]
    out = ["--out-dir", str(tmp_path), str(tmp_path / "lint.rs")]
    linted = subprocess.run([clippy, *flags, *out], capture_output=True, text=True)
    assert linted.returncode == 0, linted.stderr[:4000]


@pytest.mark.slow
@needs_rust
def test_the_asset_can_be_made_again(tmp_path, monkeypatch):
    """The shipped file would not be what its command makes."""
    lines = {task["id"]: task for task in katas.load("unseen_family")}
    monkeypatch.setattr(katas, "SHIPPED", {"unseen_family": len(lines)})
    assert {task["id"]: task for task in katas.ship(0, tmp_path / "katas.jsonl.gz")} == lines


def test_no_corpus_reads_the_tasks_themselves(shipped):
    """Drawn with the same seed, corpora held the very functions, with their doc comments, that GRPO is asked for."""
    asked = {katas.code(task) for task in shipped}
    for seed in (0, 1, 100):
        drawn = [katas.code(task) for task in katas.generate(seed, 500, split="train")]
        assert len(asked & set(drawn)) <= 5, "chance alone may meet a function twice"


def test_files_hold_two_functions_of_one_split():
    """The language adapter learns what follows a function; a held-out one among them would be a leak."""
    rows = sources.documents({"files": 20}, "train", 0)
    assert len(rows) == 20 and all(row["text"].count("\n/// ") == 1 for row in rows)
    assert rows == sources.documents({"files": 20}, "train", 0)
    heldout = {katas.document(task) for task in katas.generate(2, 40, split="heldout")}
    assert not any(document in row["text"] for row in rows for document in heldout)
