"""Sets of tasks from a person's file."""

import json

from nbcore.core.records import Sample
from nbcore.tasks import sets

ODD = "a\u2028b\u2029c\x85d\x0be\x0cf\x1cg"  # str.splitlines ends a line at each of these
TASK = {
    "id": "one",
    "prompt": f"Write one. {ODD}",
    "signature": "pub fn one() -> u8 {",
    "tests": f"// {ODD}\n#[test] fn t() {{ assert_eq!(one(), 1); }}",
}


def jsonl(path, *rows):
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def test_odd_line_ends_are_content(tmp_path):
    """A task whose prompt held U+2028 was cut in two, and the file refused."""
    assert sets.tasks(jsonl(tmp_path / "tasks.jsonl", TASK), "train", None, 0) == [TASK]


def test_a_task_and_a_completion_make_a_sample():
    sample = sets.sample(TASK, "fn one() -> u8 { 1 }")
    assert Sample.parse(sample) is sample and sample["edition"] == "2021"
