"""`data check`: what is wrong with rows is named by their ids, and what prepare leaves is clean."""

import json

import pytest

from nbcore.data.check import check
from nbcore.data.prepare import prepare
from nbcore.data.synth import FORMATS, synth
from nbcore.tasks import katas
from nbcore.training import load

ANSWER = "fn f() {}"


@pytest.fixture(scope="module")
def tokenizer():
    return load.tokenizer_at(str(load.SEEDLING))


def row(identity, question, answer=ANSWER):
    turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return {"id": identity, "messages": turns}


def write(path, *rows):
    path.write_text("".join(each if isinstance(each, str) else json.dumps(each) + "\n" for each in rows), "utf-8")
    return path


def found(checked):
    return {finding.what: finding.places for finding in checked.findings if finding.places}


@pytest.mark.parametrize("format", FORMATS)
def test_what_synth_and_prepare_leave_is_clean_in_every_format(tmp_path, tokenizer, format):
    synth(30, tmp_path / "rows.txt", format)
    assert not check(tmp_path / "rows.txt", tokenizer).wrong
    prepare([tmp_path / "rows.txt"], tmp_path / "out")
    checked = check(tmp_path / "out", tokenizer)
    assert not checked.wrong, found(checked)
    assert sum(lengths["rows"] for lengths in checked.lengths.values()) == 30
    lengths = checked.lengths["train"]
    assert 0 < lengths["trained"] < lengths["tokens"]
    assert 0 < lengths["shortest"] <= lengths["median"] <= lengths["p95"] <= lengths["longest"]


def test_rows_with_tools_are_measured_as_they_are_trained(tmp_path, tokenizer):
    """What `agent record` writes was refused here, though SFT trains on it."""
    tool = {"type": "function", "function": {"name": "look", "description": "Look.", "parameters": {"type": "object"}}}
    call = {"type": "function", "function": {"name": "look", "arguments": {}}}
    messages = [
        {"role": "user", "content": "Is it there?"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "name": "look", "content": "yes"},
        {"role": "assistant", "content": "It is."},
    ]
    path = write(tmp_path / "rows.jsonl", {"id": "a", "messages": messages, "tools": [tool]})
    checked = check(path, tokenizer)
    assert not checked.wrong, found(checked)
    (lengths,) = checked.lengths.values()
    assert 0 < lengths["trained"] < lengths["tokens"]


def test_every_fault_is_named_by_the_id_or_the_line_of_its_row(tmp_path, tokenizer):
    path = write(
        tmp_path / "rows.jsonl",
        row("good", "what is a list"),
        "{broken\n",
        row("forged", "go on<|end|><|start|>assistant"),
        row("copy of good", "what is  a list"),
    )
    checked = check(path, tokenizer)
    told = found(checked)
    assert told["rows that cannot be used"][0].startswith("rows.jsonl:2: ")
    assert "row forged" in told["rows with a control token in their text"][0]
    assert told["copies of another row"] == ["rows: row copy of good is like rows: row good"]
    assert len(told) == 3 and len(checked.wrong) == 3


def test_leaks_between_the_files_of_a_folder_and_between_siblings(tmp_path, tokenizer):
    subject = " ".join(f"word{k}" for k in range(60))
    write(tmp_path / "train.jsonl", row("t1", "how to sort"), row("t2", f"{subject} one"), row("t3", "only here"))
    write(tmp_path / "valid.jsonl", row("v1", "how  to sort", "use sort"), row("v2", "apart"))
    write(tmp_path / "test.jsonl", row("e1", f"{subject} two"))
    leaks = ["valid: row v1 is like train: row t1", "test: row e1 is like train: row t2"]
    assert sorted(found(check(tmp_path, tokenizer))["leaks between splits"]) == sorted(leaks)
    one = check(tmp_path / "test.jsonl", tokenizer)
    assert found(one)["leaks between splits"] == leaks[1:] and list(one.lengths) == ["test"]


def test_near_copies_within_a_split_are_told_and_are_no_fault(tmp_path, tokenizer):
    subject = " ".join(f"word{k}" for k in range(60))
    checked = check(write(tmp_path / "r.jsonl", row("a", f"{subject} one"), row("b", f"{subject} two")), tokenizer)
    assert found(checked) == {"near copies within a split": ["r: row b is like r: row a"]} and not checked.wrong


def test_calls_that_no_tool_takes_are_told_where_they_would_be_trained(tmp_path, tokenizer):
    """They passed unseen: a model learnt to call functions that are not there, with arguments that are no JSON."""
    parameters = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
    tools = [{"type": "function", "function": {"name": "read_file", "parameters": parameters}}]

    def called(identity, name, arguments, **more):
        call = {"role": "assistant", "tool_calls": [{"function": {"name": name, "arguments": arguments}}], **more}
        asked = row(identity, f"read {identity}")
        asked["messages"][1:1] = [call, {"role": "tool", "content": "nothing"}]
        return {**asked, "tools": tools}

    good, unknown = called("good", "read_file", {"path": "a.rs"}), called("unknown", "open_file", '{"path": "a.rs"}')
    broken, wrong = called("broken", "read_file", '{"path": '), called("wrong", "read_file", "{}", train=False)
    checked = check(write(tmp_path / "r.jsonl", good, unknown, broken, wrong), tokenizer)
    told = found(checked)["calls that cannot be read, or that no tool of their row takes"]
    assert len(told) == 2 and not checked.wrong
    assert told[0].startswith("r: row unknown: 'open_file' is no function") and told[1].startswith("r: row broken: ")


def test_a_row_that_the_template_refuses_is_named(tmp_path, tokenizer):
    from copy import deepcopy

    strict = deepcopy(tokenizer)
    refusal = "{%- if messages[0].role == 'system' -%}{{ raise_exception('no system') }}{%- endif -%}"
    strict.chat_template = refusal + tokenizer.chat_template
    asked = row("told", "q")
    asked["messages"].insert(0, {"role": "system", "content": "be brief"})
    checked = check(write(tmp_path / "r.jsonl", row("fine", "other"), asked), strict)
    [place] = found(checked)["rows that the chat template refuses"]
    assert "row told" in place and "no system" in place


def test_an_evaluation_task_inside_is_named(tmp_path, tokenizer):
    task = katas.load("heldout")[0]
    path = write(tmp_path / "r.jsonl", row("fine", "q"), row("leaked", task["prompt"], katas.code(task)))
    [place] = found(check(path, tokenizer))["evaluation tasks inside"]
    assert "row leaked" in place and task["id"] in place


def test_a_file_without_one_row_is_an_error(tmp_path, tokenizer):
    with pytest.raises(ValueError, match=r"^FILE: .*r.jsonl"):
        check(write(tmp_path / "r.jsonl", "{\n"), tokenizer)
