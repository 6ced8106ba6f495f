"""Where vLLM draws the completions of GRPO: on a server, or in what the plan leaves free on the same GPU."""

import dataclasses

import pytest
from trl import GRPOConfig

from nbcore import config as configs
from nbcore import runs
from nbcore.chat import template
from nbcore.core import capabilities, hardware
from nbcore.phases import grpo
from nbcore.training import load, plan, vllm_room

A_SERVER = {"trainer": {"vllm_server_base_url": "http://127.0.0.1:8000"}}


@pytest.fixture
def opened(monkeypatch, tmp_path, repo):
    """A run that asks for an engine, opened as on a machine that has a GPU and vLLM."""
    machine = capabilities.Machine((9, 0), frozenset(("vllm",)), True)
    monkeypatch.setattr(capabilities, "here", lambda: machine)
    path = repo / "configs/grpo/tiny.yaml"
    return lambda engine, **more: runs.open(configs.load(path, {"rollout_engine": engine, **more}), tmp_path, "base")


def test_vllm_is_asked_for_in_the_words_of_trl(opened):
    fields = {field.name: field for field in dataclasses.fields(GRPOConfig)}
    for engine, more in (("vllm", {}), ("vllm", A_SERVER), ("vllm_colocate", {}), ("vllm_server", {})):
        asked = vllm_room.rollouts(opened(engine, **more))
        assert set(asked) <= set(fields) and f"'{asked['vllm_mode']}'" in fields["vllm_mode"].metadata["help"]
    assert set(vllm_room.SERVER) <= set(fields)
    assert vllm_room.rollouts(opened("transformers")) == {}


def test_a_server_that_is_named_is_taken_else_what_is_free_here(opened):
    assert vllm_room.rollouts(opened("vllm", **A_SERVER))["vllm_mode"] == "server"
    here = vllm_room.rollouts(opened("vllm"))
    assert here["vllm_mode"] == "colocate" and 0.5 < here["vllm_gpu_memory_utilization"] < 0.9


class Asked(Exception):
    """Ends the making of a trainer, which would go on to start vLLM."""


def test_vllm_stops_where_everything_else_does(opened, monkeypatch):
    """TRL tells it no ends: the rollouts of a base whose publisher does not name its template's end ran on to their
    limit, and each was masked as cut."""

    def refuse(args, **_):
        raise Asked(args)

    monkeypatch.setattr(grpo, "FoldedTrainer", refuse)
    run = opened("vllm_server", trainer={**A_SERVER["trainer"], "generation_kwargs": {"min_tokens": 2}})
    with pytest.raises(Asked) as made:
        grpo.trainer(run)
    (settings,) = made.value.args
    ends = template.turn_ends(load.tokenizer(run), load.base_model(run).generation_config)
    assert settings.generation_kwargs == {"stop_token_ids": ends, "min_tokens": 2}
    with pytest.raises(Asked) as made:
        grpo.trainer(opened("transformers", name="here"))
    assert made.value.args[0].generation_kwargs is None


@pytest.mark.parametrize(("profile", "gpu"), [("small", "a100-40"), ("medium", "h100")])
def test_both_fit_where_a_share_is_told(repo, profile, gpu):
    """A share that is too large ends the run as vLLM starts, after the weights were loaded; too small, at its cache."""
    path, device = repo / f"configs/grpo/{profile}.yaml", hardware.gpu(gpu)
    config, adapter = configs.load(path), plan.inherited(path)
    share = vllm_room.share_of(config, adapter, device)
    planned = plan.of(config, adapter)
    training = (sum(planned.parts.values()) + planned.step) / 2**30
    weights = {"small": 1.54, "medium": 7.62}[profile] * 2e9 / 2**30
    assert weights < share * device.memory_gb <= 0.9 * device.memory_gb - training


def test_no_room_is_one_line_with_both_ways_out(repo):
    path = repo / "configs/grpo/medium.yaml"
    with pytest.raises(ValueError, match=r"rollout_engine is 'vllm': .*vllm_server_base_url.*transformers") as told:
        vllm_room.share_of(configs.load(path), plan.inherited(path), hardware.gpu("t4"))
    assert "\n" not in str(told.value)
