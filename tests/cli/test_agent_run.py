"""agent run: a crate is repaired in a copy, and nothing is written to it without a yes."""

from types import SimpleNamespace

import pytest

from nbcore.agent import tools
from nbcore.cli import agent
from nbcore.cli.main import main
from nbcore.core import lines
from nbcore.training import load
from tests.agent.test_own_crate import UNIT, WRONG, crate

ASKED = '"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}'


@pytest.fixture
def folder(tmp_path):
    return crate(tmp_path / "sums")


def played(monkeypatch, text):
    """Have the agent leave this in src/lib.rs, where the tests are not."""
    game = SimpleNamespace(files={"src/lib.rs": text}, steps=[{}], episode=SimpleNamespace(done="finish"))
    monkeypatch.setattr(agent, "_played", lambda *_: game)


@pytest.mark.parametrize(
    ("right", "options", "code", "written"),
    [
        (True, [], 0, False),
        (True, ["--yes"], 0, True),
        (True, ["--yes", "--dry-run"], 0, False),
        (False, ["--yes"], 1, False),
    ],
)
def test_nothing_is_written_without_a_yes(right, options, code, written, folder, monkeypatch, capsys):
    """Nobody sits at the terminal here; and --yes is a yes to a repair, not to whatever a model has left."""
    played(monkeypatch, WRONG.replace("3", "2" if right else "4"))
    assert main(["agent", "run", "sft", str(folder), *options]) == code
    said = capsys.readouterr()
    assert (
        f"-    value * 3\n+    value * {2 if right else 4}" in said.out and "src/lib.rs: 0 of 1 tests pass" in said.out
    )
    assert ("written: src/lib.rs" in said.out) is written
    now = (folder / "src" / "lib.rs").read_text()
    assert now == (f"{WRONG}\n{UNIT}".replace("* 3", "* 2") if written else f"{WRONG}\n{UNIT}")


def test_a_long_line_of_the_change_is_shown_to_its_end(folder, monkeypatch, capsys):
    """Cut after 300 characters, what stood behind them was written by a yes to what nobody had seen."""
    played(monkeypatch, WRONG.replace("3", f"2{' ' * 400}/* and this */"))
    assert main(["agent", "run", "sft", str(folder)]) == 0
    assert f"+    value * 2{' ' * 400}/* and this */" in capsys.readouterr().out


def test_ctrl_c_leaves_the_crate_alone(folder, monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(agent, "_played", interrupted)
    assert main(["agent", "run", "sft", str(folder), "--yes"]) == 130
    assert "stopped: nothing was written" in capsys.readouterr().err
    assert (folder / "src" / "lib.rs").read_text() == f"{WRONG}\n{UNIT}"


def test_a_model_that_knows_nothing_is_shown_and_changes_nothing(folder, capsys):
    """The whole way with real weights: an untaught model's actions are answered, and the end is one line."""
    options = ["--steps", "2", "--tokens", "6", "--jobs", "1"]
    assert main(["agent", "run", str(load.SEEDLING), str(folder), *options]) == 1
    said = capsys.readouterr()
    assert said.out.count("(not valid)") == 2 and "error: " in said.out
    assert "the agent changed nothing in 2 actions (ended by steps)" in said.err


@pytest.mark.slow
def test_brief_rows_are_recorded_from_the_command_line(tmp_path, capsys):
    """The form that a short context is trained in: without it, a person could record rows for long ones alone."""
    out = tmp_path / "rows.jsonl"
    assert main(["agent", "record", "--out", str(out), "--count", "2", "--brief", "--jobs", "1"]) == 0
    assert "2 rows of" in capsys.readouterr().out
    for row in lines.read(out):
        assert row["messages"][0]["role"] == "user" and not any(
            tool["function"]["description"] for tool in row["tools"]
        )
        assert [tool["function"]["name"] for tool in row["tools"]] == list(tools.FEW)
    assert main(["agent", "replay", str(out), "--jobs", "1"]) == 0
    assert "2 of 2 rows give the same answers, and are repaired" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (None, "there is no file"),
        (f'{{"id": "a", {ASKED}]}}\n', "is about no problem recorded beside it"),
        (f'{{"id": "a", {ASKED}]}}\n{{"id": "b", ', "rows.jsonl:2: not JSON"),
        ('{"id": "a", "messages": [{"role": "user"}]}\n', "rows.jsonl:1: "),
        (f'{{"id": "a", {ASKED[:-1]}, "tool_calls": [{{}}]}}]}}\n', "rows.jsonl:1: "),
        (f'{{"id": "a", "meta": 5, {ASKED}]}}\n', "rows.jsonl:1: "),
        ("[1]\n", "rows.jsonl:1: "),
        ("\n", "has no row"),
    ],
)
def test_replay_says_in_a_line_what_is_not_there(rows, says, tmp_path, capsys):
    """Of a file that is not there, or empty, or cut short, it said that no row differs; of other rows, "'messages'"."""
    out = tmp_path / "rows.jsonl"
    if rows is not None:
        out.write_text(rows)
        (tmp_path / "rows.jsonl.part.jsonl").write_text('{"raw": true, "tools": []}\n')
    assert main(["agent", "replay", str(out)]) == 2
    assert says in capsys.readouterr().err.replace("\n", " ")


def test_a_run_is_asked_on_the_day_that_it_was_trained_for(tmp_path):
    """The prompts of agent run named no day, whatever model.date of the run was."""
    from nbcore import config, runs
    from nbcore.training.export import talking

    run = runs.open(config.load({"phase": "sft", "model": {"date": "2025-01-31"}}), tmp_path).finish({})
    with talking.in_process(run.id, tmp_path).opened() as speaker:
        assert speaker.date == "2025-01-31"
