"""`parent = "base"`: a phase that usually goes on with an adapter starts from the base model, with a fresh one."""

import json

import pytest

from nbcore import config as configs
from nbcore import runs
from nbcore.phases import grpo, ipo, pretrain, sft
from nbcore.training import load, memory
from tests.phases.short_runs import losses, short, walk, write_pairs

PHASES = {"sft": sft, "ipo": ipo, "grpo": grpo}


@pytest.mark.parametrize("phase", PHASES)
def test_a_fresh_adapter_on_the_base(tmp_path, phase):
    """A notebook opened alone ended at "no finished lang_adapter run", whatever a person had set up before."""
    run = runs.open(short(phase, max_steps=2, **{"lora.rank": 4}), tmp_path, "base")
    assert run.parent is None and load.base_of(run) == "seedling"
    assert not memory.sizes(run)["adapter"].startswith("0 ")
    if phase == "ipo":
        write_pairs(run, train=8)
    walk(PHASES[phase], run)
    assert len(losses(run)) == 2 and run.verify() == []
    assert json.loads((run.path / "adapter" / "adapter_config.json").read_text())["r"] == 4
    assert runs.open(run.config, tmp_path, "base") == run, "the same command finds it again"


def test_what_to_expect_is_said_before_anything_is_generated(tmp_path, capsys):
    """Few pairs and no rewards look like a fault where nobody said that they are to be expected."""
    wanted = {"tasks.limit": 2, "rollouts": 2, "generation.max_new_tokens": 4}
    with pytest.raises(ValueError, match="raise rollouts"):
        ipo.data(runs.open(short("ipo", **wanted), tmp_path, "base"))
    assert "bare base" in capsys.readouterr().out
    grpo.data(runs.open(short("grpo"), tmp_path, "base"))
    assert "bare base" in capsys.readouterr().out


@pytest.mark.parametrize("phase", PHASES)
def test_where_no_parent_is_the_error_offers_the_base(tmp_path, phase):
    """Who opens one notebook alone needs the word to type, not the advice to run three others first."""
    with pytest.raises(FileNotFoundError, match=r'no finished \w+ run in .*parent = "base"$'):
        runs.open(short(phase), tmp_path, configs.TABLE[phase].parent)


@pytest.mark.parametrize("phase", ["ipo", "grpo"])
def test_ones_own_pretrained_model_is_a_base_too(tmp_path, phase):
    """A parent without an adapter was refused by all phases but sft, after the run had been opened."""
    own = walk(pretrain, runs.open(short("pretrain", max_steps=1), tmp_path))
    run = runs.open(short(phase, max_steps=1), tmp_path, own.id)
    assert load.base_of(run) == f"run:{own.id}"
    assert PHASES[phase].model(run).peft_config["default"].r == configs.Lora().rank


def test_a_parents_adapter_keeps_its_shape(chain):
    """A second adapter beside the parent's would leave what the chain has learnt so far behind."""
    run = runs.open(short("grpo", **{"lora.rank": 4}), chain, "sft")
    with pytest.raises(ValueError, match=r"lora: sft/.* brings its adapter"):
        grpo.model(run)
