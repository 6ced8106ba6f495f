"""What a text holds of the evaluation sets, however it was disguised, and what only looks like it."""

from __future__ import annotations

import gzip
import json
import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbcore.data import decontaminate
from nbcore.tasks import katas
from tests.data.disguises import DISGUISES

TASK = {
    "id": "mine/1",
    "prompt": "Return the position of the lowest number of the list, the first one where there are several.",
    "signature": "pub fn position_of_lowest(numbers: &[i64]) -> Option<usize> {",
    "solution": "\n    let mut best = None;\n    for (i, &n) in numbers.iter().enumerate() {\n"
    "        if best.map_or(true, |b: usize| n < numbers[b]) {\n            best = Some(i);\n        }\n"
    "    }\n    best\n}",
    "tests": "#[cfg(test)] mod tests {}",
}


@pytest.fixture(scope="module")
def protected(tmp_path_factory):
    file = tmp_path_factory.mktemp("tasks") / "mine.jsonl"
    file.write_text(json.dumps(TASK) + "\n")
    return decontaminate.Protected.of_the_project([file])


def test_a_disguised_item_is_found(protected):
    """95 % of the held-out katas and every item of a person's file, under five disguises."""
    kata_items = random.Random(0).sample([item for item in protected.items if item.set.startswith("katas")], 50)
    assert all(protected.hits(disguise(TASK["signature"] + TASK["solution"])) for disguise in DISGUISES)
    caught = [bool(protected.hits(disguise(item.code))) for item in kata_items for disguise in DISGUISES]
    assert sum(caught) >= 0.95 * len(caught)


def test_a_hit_names_the_item_and_shows_it(protected):
    (hit,) = protected.hits(TASK["prompt"])
    assert (hit.id, hit.set, hit.rule) == ("mine/1", "mine.jsonl", "instruction") and "lowest" in hit.protected_text


def test_training_katas_are_no_contamination(protected):
    """They combine the same operations as the held-out ones; no composition is in both."""
    texts = [task["prompt"] + "\n" + katas.code(task) for task in katas.load("train")[:600]]
    assert sum(bool(protected.hits(text)) for text in texts) <= 3


def test_common_code_is_no_contamination(protected):
    code = "impl Point {\n    pub fn new(x: i64, y: i64) -> Self {\n        Self { x, y }\n    }\n}\nfn main() {}\n"
    assert protected.hits(code) == [] and protected.hits("") == []
    assert protected.hits("static DIGITS: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];") == []


def test_a_file_that_holds_no_task_is_named(tmp_path):
    file = tmp_path / "no.jsonl"
    file.write_text(json.dumps(TASK) + '\n{"id": "a", "prompt": null, "tests": ""}\n')
    with pytest.raises(ValueError, match=r"no\.jsonl:2"):
        decontaminate.Protected.of_the_project([file])
    for broken in (b"\xff\xfe\x00", gzip.compress(b"{}")[:-9]):
        file.write_bytes(broken)
        with pytest.raises(ValueError, match=r"protect: .*no\.jsonl"):
            decontaminate.task_items(file)


def test_humaneval_s_own_lines_are_tasks(tmp_path):
    line = {
        "task_id": "HumanEval/0",
        "prompt": "def f(x):\n    pass",
        "canonical_solution": "    return x",
        "entry_point": "f",
        "test": "check(f)",
    }
    file = tmp_path / "HumanEval.jsonl.gz"
    file.write_bytes(gzip.compress(json.dumps(line).encode()))
    assert [item.id for item in decontaminate.task_items(file)] == ["HumanEval/0"]


def test_the_public_sets_are_known_without_a_file(protected):
    """Whoever prepares data rarely has the evaluation sets beside it."""
    by_set = Counter(item.set for item in protected.items)
    assert by_set["humaneval.jsonl.gz"] == 164 and by_set["humaneval_x_rust.jsonl.gz"] == 80
    public = [item for item in protected.items if item.set == "humaneval_x_rust.jsonl.gz"]
    caught = [bool(protected.hits(disguise(item.code))) for item in public[::4] for disguise in DISGUISES]
    assert sum(caught) >= 0.95 * len(caught)
    words = next(item.prompt for item in protected.items if item.id == "HumanEval/163")
    assert protected.hits("/// " + words.split('"""')[1].strip().split("\n")[0] + "\nfn other() {}")


def test_the_hash_tells_protected_sets_apart(protected):
    assert decontaminate.Protected(protected.items).sha256 == protected.sha256
    assert decontaminate.Protected(protected.items[:-1]).sha256 != protected.sha256


@settings(max_examples=40, deadline=None)
@given(st.text(alphabet="fn ({})<>\"'\\/*`;:a1 \n\ud800é", max_size=120))
def test_any_text_is_judged(protected, text):
    assert isinstance(protected.hits(text), list)
