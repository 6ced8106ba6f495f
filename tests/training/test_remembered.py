"""A phase's data in one kernel: the rows of the file as it is, or a refusal; never the rows of yesterday."""

import json

import pytest

from nbcore import runs
from nbcore.phases import evaluate, sft
from tests.phases.short_runs import short


def write(path, word):
    answer = {"role": "assistant", "content": f"fn {word}() {{}}"}
    rows = [{"id": f"r{i}", "messages": [{"role": "user", "content": "write"}, answer]} for i in range(40)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_changed_rows_are_a_new_run_in_the_same_kernel(tmp_path):
    """The cache knew a run by its path: the old rows were trained, and the report said so of the new ones."""
    path = tmp_path / "rows.jsonl"
    write(path, "one")
    first = runs.open(short("sft", rows=str(path)), tmp_path)
    before = sft.data(first)
    assert sft.data(first) is before, "made once"
    write(path, "two")
    with pytest.raises(ValueError, match=f"^rows: {path} has changed since {first.id} was opened"):
        sft.data(first)
    with pytest.raises(ValueError, match=f"^rows: {path} has changed since {first.id} was opened"):
        sft.train(first)
    second = runs.open(short("sft", rows=str(path)), tmp_path)
    assert second != first and sft.data(second)["report"]["sha256"] != before["report"]["sha256"]


def test_what_a_run_has_begun_with_it_ends_with(tmp_path):
    """A person goes on writing rows while it trains: what was trained can still be committed."""
    path = tmp_path / "rows.jsonl"
    write(path, "one")
    run = runs.open(short("sft", rows=str(path)), tmp_path)
    before = sft.data(run)
    run.log(step=1, loss=2.0)
    write(path, "two")
    assert sft.data(run) is before


def test_changed_tasks_are_a_new_evaluation(tmp_path):
    path = tmp_path / "tasks.jsonl"
    task = {"id": "a", "prompt": "Write one.", "tests": "#[test] fn t() { assert_eq!(one(), 1); }"}
    path.write_text(json.dumps(task))
    run = runs.open(short("evaluate", source=str(path)), tmp_path)
    assert [task["prompt"] for task in evaluate.data(run)["tasks"]["heldout"]] == ["Write one."]
    path.write_text(json.dumps(task | {"prompt": "Write two."}))
    with pytest.raises(ValueError, match=f"^source: {path} has changed since {run.id} was opened"):
        evaluate.run_tasks(run)
