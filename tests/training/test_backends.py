"""Backends: what a machine lacks is one line before anything is loaded, and what is asked of others they document."""

import dataclasses
import typing

import pytest
import torch
from transformers.training_args import OptimizerNames

from nbcore import config as configs
from nbcore import runs
from nbcore.config.schema import Optimizer
from nbcore.core import capabilities
from nbcore.phases import lang_adapter
from nbcore.training import backends, load, moments, plan
from tests.phases.short_runs import losses, short, walk

NOTHING = capabilities.Machine(None, frozenset(), False)
HOPPER = capabilities.Machine((9, 0), frozenset(("kernels", "unsloth", "vllm", "bitsandbytes")), True)
OPTIMIZERS = typing.get_args(Optimizer)
# unsloth 2026.10.9: FastLanguageModel.from_pretrained and get_peft_model, whose **kwargs go to PEFT.
LOADS = """model_name max_seq_length dtype load_in_4bit load_in_8bit load_in_16bit full_finetuning token device_map
rope_scaling fix_tokenizer trust_remote_code use_gradient_checkpointing resize_model_vocab revision
use_exact_model_name fast_inference gpu_memory_utilization float8_kv_cache random_state max_lora_rank load_in_fp8"""
ADAPTS = """r target_modules lora_alpha lora_dropout bias use_gradient_checkpointing random_state use_rslora
modules_to_save init_lora_weights target_parameters rank_pattern alpha_pattern"""
ASKED = {
    "flash_attention_2": {"model.attention": "flash_attention_2", "model.dtype": "bfloat16"},
    "model.backend": {"model.backend": "unsloth"},
    "model.quantization": {"model.quantization": "fp8"},
    "rollout_engine": {"rollout_engine": "vllm_colocate"},
    "optimizer": {"optimizer": "paged_adamw_8bit"},
    "'paged_lion_8bit'": {"optimizer": "paged_lion_8bit"},
    "'ademamix'": {"optimizer": "ademamix"},
    "trainer: optim": {"trainer": {"optim": "rmsprop_bnb"}},
    "'nf4'": {"model.quantization": "nf4"},
    "compile": {"compile": True},
}


@pytest.mark.parametrize("word", ASKED)
def test_what_a_machine_lacks_is_one_line_with_the_way_out(word):
    """Each ended in another library's ImportError, after the weights had been fetched."""
    config = short("grpo", **ASKED[word])
    with pytest.raises(ValueError, match=rf"{word}.*(set |or )\S+=\S+") as caught:
        capabilities.check(config, NOTHING)
    assert "\n" not in str(caught.value)
    if word != "model.quantization":
        capabilities.check(config, HOPPER)
    capabilities.check(short("grpo"), NOTHING)


def test_fp8_is_unsloths_alone_and_hoppers():
    both = short("grpo", **{"model.quantization": "fp8", "model.backend": "unsloth"})
    capabilities.check(both, HOPPER)
    with pytest.raises(ValueError, match="Hopper"):
        capabilities.check(both, HOPPER._replace(capability=(8, 0)))


def test_flash_attention_and_float32_is_refused():
    """It was found out by the first forward pass, after data and weights."""
    with pytest.raises(ValueError, match=r"model\.attention.*float32.*set model\.dtype=bfloat16"):
        capabilities.check(short("sft", **{"model.attention": "flash_attention_2"}), HOPPER)


def test_a_paged_optimizer_wants_a_gpu():
    """On a CPU small weights trained, and the first of a real model's ended the run: "cget_managed_ptr"."""
    here = capabilities.Machine(None, frozenset(("bitsandbytes",)), True)
    with pytest.raises(ValueError, match=r"optimizer is 'paged_adamw_8bit'.*set optimizer=adamw_8bit$"):
        capabilities.check(short("sft", optimizer="paged_adamw_8bit"), here)


def test_a_folder_is_no_package(tmp_path, monkeypatch):
    """A folder `vllm` beside the notebook passed for the package."""
    (tmp_path / "vllm").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    assert "vllm" not in capabilities.here().packages


def test_a_run_that_this_machine_cannot_do_is_not_opened(tmp_path):
    """Its folder would be there, and its data would have been prepared, before anybody heard of it."""
    config = short("sft", **{"model.backend": "unsloth"})
    with pytest.raises(ValueError, match=r"model\.backend.*--with unsloth"):
        runs.open(config, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("dtype", "machine", "kernel"),
    [("float32", HOPPER, "sdpa"), ("bfloat16", HOPPER, "flash_attention_2"), ("bfloat16", NOTHING, "sdpa")],
)
def test_auto_takes_the_best_attention_that_can_run(dtype, machine, kernel, monkeypatch):
    monkeypatch.setattr(capabilities, "here", lambda: machine)
    assert load.attention(configs.Model(attention="auto", dtype=dtype), str(load.SEEDLING)) == kernel


def test_unsloth_is_asked_for_what_it_documents():
    """A renamed argument would go into its **kwargs and mean nothing."""
    config = short("lang_adapter", **{"model.quantization": "nf4", "model.dtype": "float16"})
    asked = backends.base_arguments("folder", config)
    assert set(asked) <= set(LOADS.split()) and asked["load_in_4bit"] and not asked["load_in_fp8"]
    assert asked["use_exact_model_name"] and not asked["trust_remote_code"]
    experts = configs.Lora(target_parameters=["mlp.experts.down_proj"], expert_rank=4, rank=16, alpha=32)
    asked = backends.adapter_arguments(experts, True, 3)
    assert set(asked) <= set(ADAPTS.split()) and asked["use_gradient_checkpointing"] == "unsloth"
    assert asked["rank_pattern"] == {"mlp.experts.down_proj": 4} and asked["alpha_pattern"] == {
        "mlp.experts.down_proj": 8
    }


def test_every_optimizer_that_is_offered_is_known(tmp_path):
    """An unknown name is refused by its field, and each that is offered can be made here, as docs/backends.md says. Its
    state takes what the plan of memory counts: ademamix was counted as AdamW, and takes half as much again."""
    assert set(OPTIMIZERS) <= {name.value for name in OptimizerNames}
    trainer = lang_adapter.trainer(runs.open(short("lang_adapter"), tmp_path))
    for name in OPTIMIZERS:
        kind, settings = trainer.get_optimizer_cls_and_kwargs(dataclasses.replace(trainer.args, optim=name))
        weight = torch.nn.Parameter(torch.ones(512, 128))  # what is larger, paged ones page, on a GPU alone
        weight.grad, made = torch.ones_like(weight), kind([weight], **settings)
        made.step()
        state = [value for value in made.state[weight].values() if isinstance(value, torch.Tensor)]
        taken = sum(value.numel() * value.element_size() for value in state) / weight.numel()
        assert taken == pytest.approx(moments.BYTES.get(name, moments.ADAMW), abs=0.1), name
    with pytest.raises(ValueError, match="optimizer"):
        short("sft", optimizer="adamw_9bit")


@pytest.mark.parametrize(
    ("phase", "field", "told"),
    [
        ("sft", "max_grad_nrm", r"SFTConfig has no 'max_grad_nrm' \(did you mean 'max_grad_norm'\?\)"),
        ("ipo", "num_generations", "DPOConfig has no 'num_generations'"),
        ("grpo", "bogus", "GRPOConfig has no 'bogus'"),
        ("sft", "per_device_train_batch_size", "'per_device_train_batch_size' is what .* own batch_size says"),
        ("ipo", "learning_rate", "'learning_rate' is what the config's own learning_rate says"),
        ("grpo", "num_generations", "'num_generations' is what the config's own group_size says"),
    ],
)
def test_a_field_that_trl_does_not_have_is_told_by_the_plan(phase, field, told):
    """It was told when the trainer was made: after the minutes in which an agent's repairs are recorded. A field that
    the config has itself was taken from here, and the plan of memory knew nothing of it."""
    with pytest.raises(ValueError, match=rf"^trainer: {told}"):
        plan.of(configs.load(f"configs/{phase}/tiny.yaml", {"trainer": {field: 1}}), configs.Lora())


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if "bit" in name and "paged" not in name])
def test_optimizers_of_bitsandbytes_train_here(name, tmp_path):
    """The 8-bit ones run on a CPU: what a GPU profile asks for is tried for real, on weights large enough to be
    quantised."""
    run = runs.open(short("lang_adapter", optimizer=name, max_steps=3, **{"lora.rank": 64}), tmp_path)
    walk(lang_adapter, run)
    assert len(losses(run)) == 3 and losses(run)[-1] != losses(run)[0]
