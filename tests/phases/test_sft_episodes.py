"""SFT on recorded repairs: only the agent's own actions are trained, in the context that a small model has."""

import json

import pytest

from nbcore import config as configs
from nbcore import runs
from nbcore.chat import template
from nbcore.phases import sft
from nbcore.training import lessons

FEW = {"episodes.played": 4, "episodes.practice": 24, "validation_share": 0.2, "episodes.jobs": 1}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return runs.open(configs.load("configs/sft/agent_tiny.yaml", FEW), tmp_path_factory.mktemp("store"))


def test_rows_are_made_by_the_config_and_only_actions_are_trained(run):
    """A result that is trained teaches the model to make up what the compiler says; a wrong attempt that is trained
    teaches the attempt."""
    rows = sft.data(run)
    report, tokenizer = rows["report"], rows["tokenizer"]
    assert report["variants"]["practice"] == 24 and report["played_repeated"] == 6
    assert report["tools_rendered_by"] == ["Harmony (without its system message)"] and report["too_long"] == 0
    trained = [
        "".join(tokenizer.decode([id_]) for id_ in row["labels"] if id_ != template.IGNORED)
        for row in rows["train"][:40]
    ]
    for text in trained:
        assert "<|start|>" not in text and "visible tests" not in text and "written" not in text
        assert text.count("to=functions.write_file") == 1 and text.endswith(
            "<|channel|>final<|message|>Done.<|return|>"
        )
    assert any("cargo_test" in text for text in trained) and not all("cargo_test" in text for text in trained)


def test_what_was_recorded_is_read_back_and_not_what_was_changed(run):
    tokenizer = sft.data(run)["tokenizer"]
    first = lessons.rows(run, tokenizer)
    assert lessons.rows(run, tokenizer) == first
    path = run.path / lessons.EPISODES
    kept = path.read_text()
    row = json.loads(kept.splitlines()[0])
    path.write_text(kept.replace(row["id"], "another"))
    with pytest.raises(ValueError, match="not what was written"):
        lessons.rows(run, tokenizer)
    path.write_text(kept)


def test_two_sources_of_rows_are_refused():
    with pytest.raises(ValueError, match="episodes is set: it makes the rows"):
        configs.load("configs/sft/agent_tiny.yaml", {"rows": "mine.jsonl"})


@pytest.mark.parametrize("profile", ["agent_small", "agent_gpt_oss_20b"])
def test_the_larger_profiles_load(profile):
    config = configs.load(f"configs/sft/{profile}.yaml")
    assert config.episodes.brief is False
    assert profile == "agent_small" or config.lora.rank == 128
