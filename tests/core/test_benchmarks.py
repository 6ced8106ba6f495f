"""Benchmarks' own lines, and folders of crates, as tasks."""

import json

import pytest

from nbcore.core import formats
from nbcore.core.conversation import BadRecord
from nbcore.core.formats import benchmarks, crates, loading

MULTIPL_E = {
    **{"name": "HumanEval_0_twice", "language": "rs", "stop_tokens": ["\n}"], "doctests": "transform"},
    "prompt": "/// Doubles it.\n/// >>> twice(2)\n/// 4\nfn twice(x: i64) -> i64 {\n",
    "tests": "}\n\nfn main() {\n    let candidate = twice;\n    assert_eq!(candidate(2), 4);\n}\n",
}
HUMANEVAL_X = {
    **{"task_id": "Rust/0", "canonical_solution": "    x * 2\n}\n"},
    "prompt": "\n/*\n Doubles it.\n*/\nuse std::cmp::max;\nuse rand::Rng;\nfn twice(x: i64) -> i64{\n",
    "declaration": "\nuse std::cmp::max;\nuse rand::Rng;\nfn twice(x: i64) -> i64{\n",
    "test": "#[cfg(test)]\nmod tests {\n    use super::*;\n    #[test]\n    fn t() { assert_eq!(twice(2), 4); }\n}\n",
}
HUMANEVAL = {
    **{"task_id": "HumanEval/0", "entry_point": "twice", "canonical_solution": "    return 2 * x\n"},
    "prompt": 'def twice(x):\n    """Doubles it."""\n',
    "test": "def check(candidate):\n    assert candidate(2) == 4\n",
}


MUTANT = {
    **{
        "id": "mutant-1",
        "source": "kata-1",
        "fault": "boundary",
        "edition": "2021",
        "signature": "fn big(x: i64) -> bool",
    },
    **{"prompt": "Whether x is above 4.\nfn big(x: i64) -> bool", "tests": "#[test]\nfn t() { assert!(big(5)); }"},
    **{
        "working": "fn big(x: i64) -> bool { x > 4 }",
        "code": "fn big(x: i64) -> bool { x >= 4 }",
        "verdict": "tests_failed",
    },
}


def test_a_verified_mutant_is_a_fault_to_repair():
    """The kind of the fault is the family, so that the tables tell them apart; what works is never shown."""
    task = benchmarks.task(MUTANT)
    assert task["family"] == "boundary" and task["solution"] == MUTANT["working"]
    assert MUTANT["code"] in task["prompt"] and MUTANT["prompt"] in task["prompt"] and "Repair" in task["prompt"]
    assert MUTANT["working"] not in task["prompt"] and task["meta"]["of"] == "kata-1"


def test_multipl_e_closes_the_function_that_its_tests_begin_with():
    task = benchmarks.task(MULTIPL_E)
    assert task["id"] == "HumanEval_0_twice" and task["signature"] == "fn twice(x: i64) -> i64 {\n"
    assert task["tests"].startswith("fn main()") and task["meta"]["closing"] == "\n}\n"
    assert task["prompt"] == "/// Doubles it.\n/// >>> twice(2)\n/// 4"


def test_humaneval_x_loses_the_crates_that_it_names_and_does_not_use():
    """With `use rand::Rng` in front, no answer compiled."""
    task = benchmarks.task(HUMANEVAL_X)
    assert "rand" not in task["signature"] + task["meta"]["raw"] and "use std::cmp::max;" in task["signature"]
    assert task["prompt"].strip() == "/*\n Doubles it.\n*/"
    with pytest.raises(BadRecord, match="needs the crate rand"):
        benchmarks.task({**HUMANEVAL_X, "canonical_solution": "rand::random()\n}\n"})


def test_humaneval_is_python():
    task = benchmarks.task(HUMANEVAL)
    assert task["meta"]["language"] == "python" and task["signature"] == HUMANEVAL["prompt"]
    with pytest.raises(BadRecord, match="last function is twice"):
        benchmarks.task({**HUMANEVAL, "entry_point": "other"})


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({**MULTIPL_E, "language": "cpp"}, "other_language"),
        ({**MULTIPL_E, "stop_tokens": "}"}, "content_not_text"),
        ({**MULTIPL_E, "prompt": None}, "content_not_text"),
        ({**HUMANEVAL_X, "task_id": "CPP/0"}, "other_language"),
        ({**MUTANT, "code": ""}, "content_not_text"),
        ({**HUMANEVAL, "test": " "}, "content_not_text"),
        ({**HUMANEVAL, "prompt": "nothing"}, "unknown_shape"),
    ],
)
def test_a_line_that_cannot_be_graded_says_why(record, reason):
    with pytest.raises(BadRecord) as error:
        benchmarks.task(record)
    assert error.value.reason == reason and "\n" not in str(error.value)


def test_a_file_of_any_of_them_is_read_as_tasks(tmp_path):
    path = tmp_path / "mixed.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in (MULTIPL_E, HUMANEVAL_X, HUMANEVAL)))
    assert [task["family"] for task in formats.read(path, "tasks")] == ["multipl_e", "humaneval_x", "humaneval"]


def exercise(folder, stub="pub fn twice(x: i64) -> i64 {\n    todo!()\n}\n", needs=""):
    for name, text in {
        "Cargo.toml": f'[package]\nname = "two-fer"\nedition = "2021"\n\n[dependencies]\n{needs}',
        ".docs/instructions.md": "# Instructions\n\nDouble it.",
        "src/lib.rs": stub,
        "tests/two-fer.rs": "use two_fer::*;\n\n#[test]\nfn a() { assert_eq!(twice(2), 4); }\n\n"
        "#[test]\n#[ignore]\nfn b() { assert_eq!(two_fer::twice(3), 6); }\n",
        ".meta/example.rs": "pub fn twice(x: i64) -> i64 { 2 * x }\n",
    }.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_a_folder_of_exercises_is_a_set_of_tasks(tmp_path):
    """Exercism ignores all tests but the first, and calls the crate from outside."""
    exercise(tmp_path / "practice" / "two-fer")
    exercise(tmp_path / "practice" / "needy", needs='rand = "0.8"\n')
    exercise(
        tmp_path / "practice" / "typed", "pub struct Clock;\nimpl Clock {\n    pub fn new() -> Self { todo!() }\n}"
    )
    loaded = loading.load(tmp_path, "tasks", "tasks.source")
    assert loaded.set_aside == {"needs_crate": 1}
    plain, typed = sorted(loaded.records, key=lambda task: task["id"])
    assert plain["signature"].startswith("pub fn twice(x: i64) -> i64") and "Double it." in plain["prompt"]
    assert "#[ignore]" not in plain["tests"] and "super::twice(3)" in plain["tests"]
    assert typed["signature"] is None and "pub struct Clock;" in typed["prompt"]
    assert all(".docs" in str(path) or path.is_file() for path in crates.files(tmp_path))
