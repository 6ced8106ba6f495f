"""`python -m nbcore plan`: what it prints, and its exit codes."""

import pytest

from nbcore.cli import main


def call(capsys, *words):
    code = main.main([str(word) for word in words])
    return (code, *capsys.readouterr())


def test_a_config_that_fits(repo, capsys):
    code, out, _ = call(capsys, "plan", repo / "configs/sft/tiny.yaml", "--gpu", "t4")
    assert code == 0 and "weights" in out and "optimizer" in out and "Tesla T4" in out and "it fits" in out


def test_one_that_does_not_fit_names_the_change_that_helps(repo, capsys):
    words = ("plan", repo / "configs/pretrain/small.yaml", "--gpu", "T4", "--set", "batch_size=256")
    code, out, told = call(capsys, *words)
    assert code == 1 and "GiB" in out and "--set gradient_checkpointing=True" in told and len(told.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("plan",), "CONFIG"),
        (("plan", "no.yaml"), "no.yaml"),
        (("plan", "configs/sft/tiny.yaml", "--gpu", "a100"), "a100-40"),
        (("plan", "configs/sft/tiny.yaml", "--gpu", ""), "gpu"),
        (("plan", "configs/sft/tiny.yaml", "--set", "batch=2"), "batch"),
        (("plan", "configs/pipeline/tiny.yaml"), "phase"),
    ],
)
def test_what_is_wrong_is_one_line(repo, monkeypatch, capsys, words, told):
    monkeypatch.chdir(repo)
    code, _, error = call(capsys, *words)
    assert code == 2 and told in error and len(error.splitlines()) == 1


def test_a_phase_without_a_model_has_nothing_to_plan(repo, capsys):
    code, out, _ = call(capsys, "plan", repo / "configs/data/tiny.yaml")
    assert code == 0 and "no model" in out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--gpu", "t4", "--set", "model.attention=flash_attention_2", "--set", "model.dtype=float16"), "Ampere"),
        (("--gpu", "a100-80", "--set", "model.quantization=fp8", "--set", "model.backend=unsloth"), "Hopper"),
        (("--set", "model.backend=unsloth"), "--with unsloth"),
        (("--set", "model.dtype=float16"), "model.dtype=float32"),
    ],
)
def test_what_a_device_cannot_do_does_not_fit_it(repo, capsys, words, told):
    """ "it fits" was said of runs that are refused as they are opened."""
    code, _, error = call(capsys, "plan", repo / "configs/sft/tiny.yaml", *words)
    assert code == 1 and told in error and len(error.splitlines()) == 1


@pytest.mark.slow
def test_vllm_beside_the_training_has_to_fit_too(repo, capsys):
    """GRPO of a 7B model fits an L4, and vLLM's own copy of its weights does not: the run was refused, not the plan."""
    words = ("plan", repo / "configs/grpo/medium.yaml", "--gpu", "l4", "--set", "rollout_engine=vllm")
    code, _, error = call(capsys, *words)
    assert code == 1 and "vllm_server_base_url" in error and len(error.splitlines()) == 1


def test_bfloat16_is_refused_on_a_card_without_it(repo, capsys):
    code, _, told = call(capsys, "plan", repo / "configs/pretrain/medium.yaml", "--gpu", "t4")
    assert code == 1 and "model.dtype=float16" in told
