"""Cards: every number from a record, and nothing that a run, a waiver or a task says is markup."""

import ast
import json
import re
from pathlib import Path

import pytest

from nbcore import gates, runs
from nbcore.cli.main import main
from nbcore.evaluation import written
from nbcore.report import cards
from nbcore.runs import commit, layout
from tests.gates import made


def test_no_number_is_typed_into_a_card():
    """A number in the template would stay when the record says another."""
    tree = ast.parse(Path(cards.__file__).read_text())
    formats = {id(node.format_spec) for node in ast.walk(tree) if isinstance(node, ast.FormattedValue)}
    inside = {id(part) for node in ast.walk(tree) if id(node) in formats for part in ast.walk(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
            assert not re.search(r"\d", node.value), node.value


def test_a_model_card_has_results_gates_waivers_data_limits_and_hours(store, capsys, tmp_path):
    _, sft = made.chain(store, made.better, made.worse)
    gates.decide(sft, gates.load({**made.GATE, "integrity": ["no_contamination"]}), waive="<b>tests</b> were | wrong")
    text = cards.card(sft)
    assert text.startswith("---\n") and "base_model: seedling" in text and "base_model_relation: adapter" in text
    for words in (
        "0.400",
        "n |",
        "WAIVED",
        "&lt;b&gt;tests&lt;/b&gt;",
        "FAIL",
        "## Limits",
        "hours",
        "seed",
        "fails 60 %",
    ):
        assert words in text, words
    assert sft.parent.id.split("/")[1][:15] in text and "would not have been seen" in text
    path = tmp_path / "card.md"
    assert main(["card", "sft", "--store", str(store), "--out", str(path)]) == 0 and path.read_text() == text
    capsys.readouterr()
    assert cards.card(sft) == text, "equal records, equal card"


def test_an_evaluation_card_says_how_it_was_measured(store):
    made.chain(store)
    text = cards.card(runs.listing(store, "evaluate")[-1])
    for words in ("pass@1", "temperature", "data hash", "The first task: Task 0", "0.700"):
        assert words.replace("@", "\\@") in text or words in text, words


def test_a_damaged_run_gets_no_card(store):
    _, sft = made.chain(store)
    (sft.path / "metrics.jsonl").write_text("{}\n")
    with pytest.raises(ValueError, match="damaged"):
        cards.card(sft)


def test_a_run_whose_evaluation_is_damaged_gets_no_card_either(store):
    """Its results were printed as if they had been verified."""
    _, sft = made.chain(store)
    evaluation = runs.listing(store, "evaluate")[-1]
    (evaluation.path / layout.SAMPLES).write_text("{}\n")
    with pytest.raises(ValueError, match=rf"RUN: {evaluation.id} is damaged"):
        cards.card(sft)


def test_a_card_says_what_the_tests_are_worth(store):
    """A rate of passes is worth what the tests are; where nobody measured that, the card says so."""
    made.chain(store)
    run = runs.listing(store, "evaluate")[-1]
    rate = {"value": 0.197, "low": 0.174, "high": 0.221, "n": 1647}
    parts = {"heldout": {"kind": "tasks", "tests_accept_at_most": rate}, "mine": {"kind": "tasks"}}
    path = run.path / layout.EVALUATED[0]
    path.write_text(json.dumps({"sets": parts}))
    info = {name: value for name, value in run.info.items() if name != "manifest"}
    commit.commit(run.path, layout.RUN, info, without=layout.OUTSIDE)
    text = cards.card(runs.Run(run.path))
    assert "at most 19.7 % wrong programs" in text and "1647 one-edit mutants" in text and "was not measured" in text


def test_a_reader_is_not_misled(store):
    """222 records of files beside the word contamination was read as 222 hits, and 299 of 300 failures as all."""
    first = made.trained(store, "lang_adapter")
    sft = made.trained(store, "sft", first)
    made.evaluated(store, first, made.better)
    made.evaluated(store, sft, lambda number: "pass" if number == 5 else "tests_failed")
    unjudged = cards.card(sft)
    assert "No gate has judged it" in unjudged and "nobody has looked for them" in unjudged
    gates.decide(sft, gates.load({**made.GATE, "integrity": ["no_contamination"]}))
    text = cards.card(sft)
    assert "PASS by its gate, which looked through: 0 records" in text
    assert "it fails 99.7 % of 300 tasks" in text and "Its gate said FAIL: pass\\@1 on heldout" in text
    assert "| pass\\@1 | heldout | better by 0 | 0.700 | 0.003 | -0.697" in text and "intervals at 95%" in text
    assert f"| in all |  | {sum(run.info['seconds'] for run in (first, sft)) / 3600:.3f} |  |" in text


def test_an_evaluation_card_says_where_programs_ran_and_what_the_model_saw(store):
    made.chain(store)
    run = runs.listing(store, "evaluate")[-1]
    part = {"kind": "tasks", "prompt_form": "{prompt}", "sha256": "ab" * 32, "infra_errors": 2}
    path = run.path / layout.EVALUATED[0]
    path.write_text(json.dumps({"sets": {"heldout": {**part, "prompt_example": "<|user|>Add\none.```"}}}))
    made.recommit(run)
    text = cards.card(runs.Run(run.path))
    assert "| programs were | jailed |" in text and "ab" * 32 in text and "| hours |" in text
    assert "````text\n<|user|>Add\none.```\n````" in text, "as it was, in a fence that it cannot leave"
    assert f"torch {run.info['versions']['torch']}" in text.replace("\\", "")


def test_the_card_of_data_is_the_one_that_they_left(store):
    """It ended in a traceback: data have no base model whose licence could be looked up."""
    run = made.prepared(store, ["fn main() {}"])
    with pytest.raises(ValueError, match=r"holds data and left no card\.md"):
        cards.card(run)
    (run.path / "data" / "card.md").write_text("# mine\n")
    made.recommit(run)
    assert cards.card(runs.Run(run.path)) == "# mine\n"


def test_a_card_has_the_intervals_of_the_report(store):
    """It had those over tasks, narrower than report.json's over families, for the same number."""
    sft = made.trained(store, "sft")
    run = made.evaluated(store, sft, made.better, change=lambda row: {**row, "lints": {}})
    part = {"kind": "tasks", "source": "katas", "prompt_form": "bare", "sha256": "e" * 64, "k": [1]}
    written.write(run, {"heldout": part}, run.info["metrics"])
    made.recommit(run)
    told = json.loads((run.path / layout.EVALUATED[0]).read_bytes())["sets"]["heldout"]["metrics"]["pass@1"]
    over_tasks = run.info["metrics"]["heldout"]["pass@1"]
    assert f"{told['low']:.3f}" != f"{over_tasks['low']:.3f}"
    for text in (cards.card(sft), cards.card(run)):
        assert f"{told['low']:.3f} to {told['high']:.3f}" in text and "over families" in text
