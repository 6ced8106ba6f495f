"""gpt-oss in small through every phase: its architecture, its packed experts, its real tokenizer and Harmony."""

import copy
import json

import pytest
import torch
from safetensors.torch import load_file

from nbcore import config as configs
from nbcore import runs
from nbcore.chat import template
from nbcore.phases import evaluate, export, grpo, ipo, lang_adapter, sft
from nbcore.training import load
from tests.chat import gptoss, templates
from tests.phases.short_runs import short, walk, write_pairs
from tests.training import small_adapters as small

LORA = {
    "lora.rank": 4,
    "lora.alpha": 8,
    "lora.expert_rank": 2,
    "lora.targets": ["q_proj", "k_proj", "v_proj", "o_proj"],
}
COMMON = {"model.attention": "eager", "model.dequantize_mxfp4": True, "max_steps": 2, "batch_size": 2, "save_steps": 2}
STEPS = {**COMMON, "trainer": {"router_aux_loss_coef": 0.0}}  # which the published config has, turned on


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A random gpt-oss with 2 layers and 4 experts in MXFP4, the vocabulary of the real one, and its template."""
    tokenizer = copy.deepcopy(gptoss.tokenizer())
    tokenizer.chat_template = templates.FILES["gptoss"].read_text("utf-8")
    ids = {"vocab_size": 201088, "eos_token_id": 200002, "pad_token_id": 199999}
    folder = tmp_path_factory.mktemp("base") / "gpt-oss"
    sizes = {"hidden_size": 32, "intermediate_size": 32, "router_aux_loss_coef": 0.9}
    small.pack(small.base(folder, "gpt_oss", torch.bfloat16, **sizes, **ids))
    for name in small.FILES:
        (folder / name).unlink()
    tokenizer.save_pretrained(folder)
    published = {"bos_token_id": 199998, "eos_token_id": [200002, 199999, 200012], "pad_token_id": 199999}
    (folder / "generation_config.json").write_text(json.dumps(published), "utf-8")
    return folder


def trained(phase, name, store, parent, proof=True, **more):
    """A finished run of two steps; the experts of its adapter have moved."""
    run = runs.open(short(name, **STEPS, **more), store, parent)
    if name == "ipo":
        write_pairs(run, 8)
    walk(phase, run)
    weights = load_file(run.path / "adapter/adapter_model.safetensors")
    moved = [key for key, value in weights.items() if ".experts." in key and "lora_B" in key and value.abs().sum() > 0]
    assert len(moved) == 4, f"{name}: two weights in each of two layers"
    if proof:
        (found,) = run.events("experts")
        assert found["weights"] == found["with_gradient"] == found["changed"] == 4
    return run


@pytest.mark.slow
def test_every_phase_takes_gpt_oss(base, tmp_path):
    """The profile for the large model had never held a weight: its first run would have been the first test."""
    store = tmp_path / "store"
    on = {**LORA, "lora.target_parameters": small.EXPERTS, "model.base": str(base)}
    adapter = trained(lang_adapter, "lang_adapter", store, None, **on)
    tuned = trained(sft, "sft", store, "lang_adapter", max_length=512, limit=24)
    paired = trained(ipo, "ipo", store, "sft", max_length=512)
    # random answers earn nothing, so GRPO's gradients may all be zero: nothing is claimed of its step
    sampled = {"group_size": 2, "tasks.limit": 4, "generation.max_new_tokens": 8}
    rewarded = trained(grpo, "grpo", store, "ipo", proof=False, **sampled)
    assert [load.base_of(run) for run in (adapter, tuned, paired, rewarded)] == [str(base)] * 4

    few = {"heldout": 2, "unseen": 1, "perplexity_documents": 2, "generation.max_new_tokens": 8}
    few |= {key: COMMON[key] for key in ("model.attention", "model.dequantize_mxfp4")}
    measured = runs.open(configs.load("configs/evaluate/tiny.yaml", few), store, rewarded)
    evaluate.run_tasks(measured)
    assert evaluate.finish(measured).info["metrics"]["heldout"]["n"] == 2

    out = {"gguf": [], "greedy": 1, "generation.max_new_tokens": 4, "perplexity_documents": 2}
    out |= {key: few[key] for key in ("model.attention", "model.dequantize_mxfp4")}
    left = runs.open(configs.load("configs/export/tiny.yaml", out), store, rewarded)
    report = export.write(left)
    assert report["ok"] and len([row for row in report["tensors"] if ".experts." in row["name"]]) == 4
    assert export.finish(left).verify() == []
    whole, kept = load.tokenizer_at(str(left.path / "model")), load.tokenizer_at(str(base))
    rows = [{"role": "user", "content": "fn f()"}, {"role": "assistant", "content": "fn f() {}"}]
    assert template.render(whole, rows) == template.render(kept, rows)
