"""`data mutants`, `data pairs`, `data best-of-n`: what they write, and the one line where they cannot."""

import json

import pytest

from nbcore.cli.main import main
from nbcore.core.records import Pair, Row
from nbcore.tasks import katas


def rollouts(folder, tasks, **more):
    told = {"compiles": True, "tests_passed": 1, "clippy_warnings": 0, "truncated": False, **more}
    rows = []
    for task in tasks:
        common = {"id": task["id"], "prompt": task["prompt"], **told}
        good = {"completion": katas.code(task), "verdict": "pass", "passed": True}
        rows += [common | good, common | {"completion": "fn x() {}", "verdict": "tests_failed", "passed": False}]
    path = folder / "rollouts.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_pairs_and_rows_of_a_runs_folder(tmp_path, capsys):
    tasks = katas.load("train")[:3]
    rollouts(tmp_path, tasks)
    assert main(["data", "pairs", str(tmp_path), "--out", str(tmp_path / "pairs.jsonl")]) == 0
    assert main(["data", "best-of-n", str(tmp_path), "--out", str(tmp_path / "rows.jsonl")]) == 0
    assert "mixed 3" in capsys.readouterr().out
    pairs, rows = read(tmp_path / "pairs.jsonl"), read(tmp_path / "rows.jsonl")
    assert [Pair.parse(pair)["chosen"] for pair in pairs] == [katas.code(task) for task in tasks]
    assert [Row.parse(row)["messages"][0]["content"] for row in rows] == [task["prompt"] for task in tasks]
    chat = ["--prompt-form", "chat"]
    assert main(["data", "best-of-n", str(tmp_path), "--out", str(tmp_path / "chat.jsonl"), *chat]) == 0
    asked = read(tmp_path / "chat.jsonl")[0]["messages"][0]["content"]
    assert tasks[0]["signature"].removesuffix(" {") in asked and "```rust" in asked


def test_answers_to_held_out_katas_are_never_trained_on(tmp_path, capsys):
    """An evaluation with several samples is such a file."""
    rollouts(tmp_path, katas.load("heldout")[:3])
    assert main(["data", "pairs", str(tmp_path), "--out", str(tmp_path / "pairs.jsonl")]) == 2
    assert "held-out katas" in capsys.readouterr().err and not (tmp_path / "pairs.jsonl").exists()


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]\n",
        "3\n",
        '{"verdict": "pass"}\n',
        '{"id": "a", "prompt": "p", "completion": null, "verdict": "pass", "passed": true}\n',
        '{"id": "a", "prompt": "p", "completion": "c", "verdict": "pass", "passed": 1}\n',
        '{"id": "a", "prompt": "p", "completion": "c", "verdict": "pass", "passed": true, "tests_passed": "3"}\n',
    ],
)
def test_a_file_that_holds_no_graded_answers_is_one_line(tmp_path, capsys, content):
    path = tmp_path / "mine.jsonl"
    path.write_text(content)
    for command in ("pairs", "best-of-n"):
        assert main(["data", command, str(path), "--out", str(tmp_path / "out.jsonl")]) == 2
        said = capsys.readouterr().err.strip()
        assert said.startswith("error: SAMPLES") and "\n" not in said


def test_mutants_says_what_it_made_and_what_is_wrong_in_one_line(tmp_path, capsys):
    out = tmp_path / "mutants.jsonl"
    assert main(["data", "mutants", "--out", str(out), "--count", "2", "--jobs", "1"]) == 0
    assert len(read(out)) >= 2 and "mutants in" in capsys.readouterr().out
    assert main(["data", "mutants", "no_such_crate", "--out", str(tmp_path / "x.jsonl")]) == 2
    assert "librust-no_such_crate-dev" in capsys.readouterr().err
    assert main(["data", "mutants", "--out", str(tmp_path / "no" / "x.jsonl")]) == 2
    assert main(["data", "mutants", "--out", str(out), "--seed", "5", "--count", "2"]) == 2
    assert "begun with another seed" in capsys.readouterr().err
