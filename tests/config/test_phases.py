"""The table of phases: one entry makes a phase known everywhere, and breaks nothing of what was there before."""

import json
from typing import Literal

import pytest

from nbcore import config as configs
from nbcore import report, runs
from nbcore.cli import main
from nbcore.report import chains
from tests import fake_store


class Distil(configs.Phase):
    """A phase that trains nothing and comes last, as one that writes a file for another program would."""

    phase: Literal["distil"] = "distil"


@pytest.fixture
def distil(monkeypatch):
    """The phase in the table, as its author would add it."""
    entry = configs.phases.Entry(Distil, "distil", parent="grpo", leaves="gguf", knobs={})
    monkeypatch.setitem(configs.TABLE, "distil", entry)
    monkeypatch.setitem(configs.PHASES, "distil", Distil)


@pytest.fixture
def store(tmp_path, monkeypatch, distil):
    """A whole chain, and after it an exported model: the newest run of the last phase."""
    store = fake_store.make(tmp_path / "store", heldout=10, unseen=5)
    run = runs.open(configs.load({"phase": "distil"}), store, "grpo")
    (run.path / "gguf").mkdir()
    (run.path / "gguf" / "model.gguf").write_text("weights")
    run.finish({"bytes": 7}, base="seedling")
    monkeypatch.setenv("NBCORE_STORE", str(store))
    return store


def test_a_phase_that_trains_nothing_is_no_link_of_the_reported_chain(store):
    """Listed last in the table, it was taken for the latest model, and the report was about a file."""
    assert [stage.label for stage in chains.chain(store)] == ["base", "adapter", "SFT", "IPO", "GRPO"]
    page = report.build(store).read_text("utf-8")
    assert "GRPO" in page and "distil" not in page


def test_every_command_knows_a_new_phase(store, capsys):
    for command in (
        ("runs", "list"),
        ("runs", "list", "--phase", "distil"),
        ("runs", "show", "distil"),
        ("runs", "verify"),
        ("runs", "usage"),
        ("runs", "prune", "--dry-run"),
        ("runs", "bless", "distil"),
        ("runs", "resume", "distil"),
        ("report", str(store)),
    ):
        assert main.main(list(command)) == 0, command
        assert "distil/2" in capsys.readouterr().out or command[0] == "report" or "prune" in command


def test_a_pipeline_may_end_in_a_new_phase(store, tmp_path):
    """Its parent is asked of the table, as that of every phase is."""
    from nbcore import pipeline as pipelines

    (tmp_path / "distil.yaml").write_text("phase: distil\n")
    path = tmp_path / "pipeline.yaml"
    stage = {"id": "distil", "phase": "distil", "config": str(tmp_path / "distil.yaml")}
    path.write_text(json.dumps({"name": "x", "stages": [stage]}))
    with pytest.raises(ValueError, match="parent is missing; distil starts from a grpo stage"):
        pipelines.load(path)


def test_every_config_knows_its_longest_row():
    """The estimate of memory asks each config, instead of knowing the classes of all phases."""
    assert configs.load({"phase": "sft", "max_length": 99}).longest_row == 99
    assert configs.load({"phase": "pretrain"}, {"corpus.max_tokens": 99}).longest_row == 99
    assert configs.load({"phase": "evaluate"}, {"generation.max_new_tokens": 44}).longest_row == 300
