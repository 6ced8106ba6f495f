"""`python -m nbcore data …`: exit codes, one line for a mistake, and the path of somebody who is new."""

import json

import pytest

from nbcore import runs
from nbcore.cli import main
from nbcore.core.output import shown
from tests.test_notebooks import papermill


@pytest.fixture(autouse=True)
def _at_home(repo, monkeypatch):
    monkeypatch.chdir(repo)
    monkeypatch.setenv("NBCORE_DEBUG", "")


def call(capsys, *words):
    """(exit code, stdout, stderr)"""
    code = main.main([str(word) for word in words])
    return (code, *capsys.readouterr())


@pytest.fixture
def prepared(tmp_path, capsys):
    assert call(capsys, "data", "synth", "--count", 60, "--out", tmp_path / "a.json", "--format", "alpaca")[0] == 0
    code, out, err = call(capsys, "data", "prepare", tmp_path / "a.json", "--out", tmp_path / "prepared")
    assert code == 0 and "alpaca" in out and "60" in out, err
    return tmp_path / "prepared"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("data",), "--help"),
        (("data", "prepar"), "did you mean 'prepare'"),
        (("data", "prepare"), "IN"),
        (("data", "prepare", "README.md"), "--out"),
        (("data", "prepare", "no.jsonl", "--out", "{tmp}/o"), "no.jsonl"),
        (("data", "prepare", "{rows}", "--out", "{tmp}/o", "--splits", "0.9,0.2"), "splits"),
        (("data", "prepare", "{rows}", "--out", "{tmp}/o", "--splits", "0.9,0.2,-0.1"), "negative"),
        (("data", "prepare", "{rows}", "--out", "{rows}"), "is a file"),
        (("data", "prepare", "{bad}", "--out", "{tmp}/o"), "not one usable row"),
        (("data", "check", "no.jsonl"), "no.jsonl"),
        (("data", "check", "{bad}"), "FILE"),
        (("data", "check", "{rows}", "--tokenizer", "nobody/nothing"), "--tokenizer"),
        (("data", "synth"), "--out"),
        (("data", "synth", "--out", "{tmp}/x", "--count", "0"), "count"),
        (("data", "synth", "--out", "{tmp}/x", "--format", "xml"), "format"),
    ],
)
def test_bad_usage_is_2_and_one_line(capsys, tmp_path, words, told):
    (tmp_path / "rows.jsonl").write_text('{"prompt": "add", "completion": "fn add() {}"}\n')
    (tmp_path / "bad.jsonl").write_text('{"x": 1}\n{\n')
    places = {"tmp": tmp_path, "rows": tmp_path / "rows.jsonl", "bad": tmp_path / "bad.jsonl"}
    code, out, err = call(capsys, *(word.format(**places) for word in words))
    assert code == 2 and out == "", (out, err)
    assert err.startswith("error: ") and err.count("\n") == 1 and told in err, err


@pytest.mark.parametrize("command", ["prepare", "check", "synth"])
def test_help_teaches_by_example(capsys, command):
    code, out, _ = call(capsys, "data", command, "--help")
    assert code == 0 and f"Example: python -m nbcore data {command}" in " ".join(out.split())


def test_check_is_0_for_what_prepare_leaves_and_1_with_the_id_for_a_fault(prepared, capsys):
    code, out, err = call(capsys, "data", "check", prepared)
    assert code == 0 and err == "" and "train" in out
    moved = json.loads((prepared / "train.jsonl").read_text().split("\n")[0])
    with (prepared / "test.jsonl").open("a") as file:
        file.write(json.dumps({**moved, "id": "\x1b[31mmoved"}) + "\n")
    code, out, err = call(capsys, "data", "check", prepared)
    assert code == 1 and err.count("\n") == 1 and "leaks between splits" in err
    assert "moved" in out and "\x1b" not in out + err


@pytest.mark.parametrize("text", ["\x1b[2J", "a\r\nb", "\u202egnp.exe", "\u2028", "\ud800", "\x9b31m"])
def test_a_strangers_text_is_one_line_that_steers_no_terminal(text):
    assert shown(text).isprintable() and "\n" not in shown(text)


@pytest.mark.slow
def test_from_an_alpaca_file_to_an_evaluated_model(prepared, tmp_path):
    """What README says in four lines, on two steps."""
    store, rows = tmp_path / "store", str(prepared / "train.jsonl")
    code, error, _ = papermill(
        tmp_path / "sft", "sft", store, parent="base", rows=rows, overrides={"max_steps": 2, "name": "mine"}
    )
    assert code == 0, error
    trained = runs.find(store, "sft")
    assert trained.config.rows == rows and trained.info["data"]["rows"] == len(
        [line for line in (prepared / "train.jsonl").read_text("utf-8").split("\n") if line]
    )
    quick = {"heldout": 8, "unseen": 2, "perplexity_documents": 8}
    code, error, _ = papermill(tmp_path / "evaluate", "evaluate", store, parent="sft", overrides=quick)
    assert code == 0, error
    evaluated = runs.find(store, "evaluate")
    assert evaluated.parent.id == trained.id and "heldout" in str(evaluated.info["metrics"])
