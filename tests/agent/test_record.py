"""Recorded demonstrations: rows that readers of chat rows take, repaired, and the same when played again."""

import json
import random

import pytest

from nbcore.agent import compile_faults, problems, scripted
from nbcore.agent import record as recording
from nbcore.agent.tools import schemas
from nbcore.chat import renderer
from nbcore.core import formats
from nbcore.grading.grader import RustGrader
from nbcore.training import load
from tests.agent.test_episode import TASK

BRIEFLY = ("read_file", "write_file", "cargo_test", "reset")


@pytest.mark.slow
def test_rows_are_repairs_and_the_same_after_an_interruption(tmp_path):
    out, calls = tmp_path / "rows.jsonl", []
    report = recording.record(out, count=6, jobs=1, progress=lambda *said: calls.append(said))
    rows = list(formats.read(out, "rows"))
    assert report["rows"] == len(rows) == 6 and not any(isinstance(row, formats.SetAside) for row in rows)
    assert set(report["variants"]) == set(scripted.VARIANTS)
    for row in rows:
        roles = [message["role"] for message in row["messages"]]
        assert roles[:3] == ["system", "user", "assistant"] and roles[-2:] == ["tool", "assistant"]
        assert "visible tests pass" in row["messages"][-2]["content"]
        text = json.dumps(row)
        assert "assert_eq!" not in text and "visible_tests" not in text and "/tmp/" not in text
    once = out.read_bytes()
    out.unlink()
    recording.record(out, count=6, jobs=1)
    assert out.read_bytes() == once
    with pytest.raises(ValueError, match="begun with another seed"):
        recording.record(out, count=6, seed=1)


@pytest.mark.parametrize("raw", [True, False])
def test_a_retry_shows_a_wrong_attempt_that_is_not_trained(raw, tmp_path):
    problem = problems.of_task(TASK, "double-1", "constant", TASK["solution"].replace("2", "3"))
    grader = RustGrader(jobs=1, lint=False)
    try:
        [row] = scripted.demonstrate([(problem, "retry")], grader, tmp_path, raw=raw)
    finally:
        grader.close()
    wrong = [message for message in row["messages"] if message.get("train") is False]
    assert len(wrong) == len(row["meta"]["wrong_calls"]) == 1
    assert (wrong[0]["tool_calls"][0]["function"]["arguments"][0] == "{") is not raw
    names = [m["tool_calls"][0]["function"]["name"] for m in row["messages"] if m.get("tool_calls")]
    assert "reset" in names and names[-1] == "cargo_test"


def test_compile_faults_change_the_text_and_every_kind_is_made():
    text = (
        "use std::collections::HashMap;\npub fn f(xs: Vec<i64>) -> i64 {\n    let mut sum = 0;\n"
        "    for x in xs { sum += x; }\n    sum + HashMap::<u8, u8>::new().len() as i64\n}\n"
    )
    found = compile_faults.find(text)
    assert {fault.kind for fault in found} == set(compile_faults.KINDS)
    assert all(fault.code != text for fault in found)


def test_half_of_the_tests_are_visible():
    visible = problems.half(TASK["tests"])
    assert "case_1" in visible and "case_2" not in visible and "case_3" in visible
    one = "#[test]\nfn all() {\n    assert_eq!(f(1), 1);\n    assert_eq!(f(2), 2);\n}\n"
    assert "f(1)" in problems.half(one) and "f(2)" not in problems.half(one)


def test_a_brief_retry_restores_the_file_and_ends_with_what_failed(tmp_path):
    """On a small context a second reading and a test far from the edit cost what the model copies from: the answer to
    `reset` is the file as it was, with the failing assertion as its last lines, right before the right edit."""
    problem = problems.of_task(TASK, "double-1", "constant", TASK["solution"].replace("2", "3"))
    grader = RustGrader(jobs=1, lint=False)
    try:
        [row] = scripted.demonstrate([(problem, "retry")], grader, tmp_path, names=BRIEFLY, brief=True, shown=200)
    finally:
        grader.close()
    assert [m["role"] for m in row["messages"]][:2] == ["user", "assistant"]
    names = [m["tool_calls"][0]["function"]["name"] for m in row["messages"] if m.get("tool_calls")]
    assert names == ["read_file", "write_file", "cargo_test", "reset", "write_file", "cargo_test"]
    [failed, after] = [m["content"] for m in row["messages"] if m.get("name") in ("cargo_test", "reset")][:2]
    assert after == f"{problem.files[problem.root]}\n{failed}" and "assertion" in failed
    assert [m.get("train", True) for m in row["messages"] if m.get("tool_calls")].index(False) == 1


def test_a_brief_repair_is_shown_with_a_test_before_the_edit_and_without():
    """Where only the first was shown, a policy edited at once in 0.3 % of its episodes: whether a hundred steps of GRPO
    found out that this repairs more was luck (one seed of three)."""
    problem = problems.of_task(TASK, "double-1", "constant", TASK["solution"].replace("2", "3"))
    shown = {variant: scripted.brief_plan(problem, variant, random.Random(0))[0] for variant in scripted.BRIEF}
    names = {variant: [name for name, _ in calls] for variant, calls in shown.items()}
    assert names["direct"] == ["read_file", "cargo_test", "write_file", "cargo_test"]
    assert names["at_once"] == ["read_file", "write_file", "cargo_test"] and names["retry"][:2] == names["at_once"][:2]


def test_practice_is_reading_and_writing_the_working_code(tmp_path):
    problem = problems.of_task(TASK, "double-1", "constant", TASK["solution"].replace("2", "3"))
    [row] = scripted.practice([problem], tmp_path)
    assert row["messages"][2]["content"] == problem.files[problem.root].rstrip()
    assert row["messages"][3]["tool_calls"][0]["function"]["arguments"] == problem.working[problem.root]
    assert [tool["function"]["name"] for tool in row["tools"]] == ["read_file", "write_file"]


def test_the_seedling_is_not_told_what_openai_tells_its_models(tmp_path):
    """That message took 127 of a context of some hundred tokens; gpt-oss, whose template writes it, still has it."""
    tokenizer = load.tokenizer_at(str(load.SEEDLING))
    row = {"messages": [{"role": "user", "content": "go"}], "tools": schemas(True, BRIEFLY, True)}
    text = tokenizer.decode(renderer.chosen(tokenizer, row).prompt(row))
    assert text.startswith("<|start|>developer") and "ChatGPT" not in text
    tokenizer.chat_template = None
    assert "ChatGPT" in tokenizer.decode(renderer.chosen(tokenizer, row).prompt(row))
