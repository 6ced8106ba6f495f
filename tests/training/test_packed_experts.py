"""Experts that stay packed in MXFP4 while their adapter trains: the same model, in a fraction of the memory."""

import pytest
import torch
from peft import get_peft_model_state_dict, set_peft_model_state_dict
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, Mxfp4Config

from nbcore import config as configs
from nbcore import runs
from nbcore.core import capabilities, hardware
from nbcore.phases import ipo, lang_adapter
from nbcore.training import experts, load, lora, packed_experts, plan
from nbcore.training.counting import Counting
from nbcore.training.export import folder
from tests.phases.short_runs import losses, short, walk, write_pairs
from tests.training import small_adapters as small
from tests.training.test_footprint import measured_step

LORA = configs.Lora(rank=4, alpha=8, targets=["q_proj"], target_parameters=small.EXPERTS, expert_rank=2)
EAGER = {"dtype": torch.float32, "attn_implementation": "eager"}


@pytest.fixture
def base(tmp_path):
    return small.pack(small.base(tmp_path / "base", "gpt_oss", torch.bfloat16, hidden_size=64, intermediate_size=32))


def expanded(base, dtype=torch.float32):
    """The model as transformers reads it, every expert expanded."""
    model = AutoModelForCausalLM.from_pretrained(base, quantization_config=Mxfp4Config(dequantize=True), **EAGER)
    return model.to(dtype)


def test_every_expert_expands_to_the_very_bits_of_transformers(base):
    reference = experts.parameters(expanded(base, torch.bfloat16))
    packed = packed_experts.load(str(base), **EAGER).model.layers[1].mlp.experts
    for name in packed.sides:
        blocks, scales = getattr(packed, f"{name}_blocks"), getattr(packed, f"{name}_scales")
        for expert, wanted in enumerate(reference[f"model.layers.1.mlp.experts.{name}"]):
            assert torch.equal(packed_experts.expanded(blocks[expert], scales[expert], torch.bfloat16), wanted)


def same_adapters(base):
    """The model with packed experts and the one with expanded ones, each with one and the same adapter."""
    models = [lora.attach(packed_experts.load(str(base), **EAGER), LORA), lora.attach(expanded(base), LORA)]
    torch.manual_seed(0)
    for parameter in models[1].parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.1)
    assert not set_peft_model_state_dict(models[0], get_peft_model_state_dict(models[1])).unexpected_keys
    return models


def drawn(*shape):
    """Token ids, the same whatever was drawn before."""
    return torch.randint(10, 2000, shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("checkpointing", [False, True])
def test_logits_and_gradients_are_those_of_expanded_experts(base, checkpointing):
    """A product that is computed anew in the backward pass must be the one of the forward pass."""
    models = same_adapters(base)
    ids = drawn(2, 16)
    found = []
    for model in models:
        if checkpointing:
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        out = model.train()(input_ids=ids, labels=ids)
        out.loss.backward()
        found.append((out.logits, {name: p.grad for name, p in model.named_parameters() if p.requires_grad}))
    (logits, gradients), (wanted, reference) = found
    assert (logits - wanted).abs().max() <= 1e-6 and gradients.keys() == reference.keys() and len(reference) == 12
    for name, gradient in reference.items():
        assert (gradients[name] - gradient).abs().max() <= 1e-5 * gradient.abs().max(), name


def test_five_steps_leave_the_same_adapter(base):
    """What a step is off by adds up in the steps after it."""
    rows, left = drawn(5, 2, 16), []
    for model in same_adapters(base):
        trained = {name: value for name, value in model.named_parameters() if value.requires_grad}
        optimizer = torch.optim.AdamW(trained.values(), lr=1e-3, eps=1e-4)  # smaller, it would enlarge rounding
        for ids in rows:
            model(input_ids=ids, labels=ids).loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        left.append(trained)
    for name, value in left[1].items():
        assert (left[0][name] - value).abs().max() <= 1e-6, name


def test_a_run_on_packed_experts_is_the_run_on_expanded_ones(base, tmp_path):
    """Same losses, and an adapter file that either of the two loads."""
    changes = {"model.base": str(base), "model.attention": "eager", "lora.target_parameters": small.EXPERTS}
    changes |= {"lora.targets": ["q_proj"], "lora.rank": 4, "lora.expert_rank": 2, "max_steps": 3, "batch_size": 2}
    changes["trainer"] = {"router_aux_loss_coef": 0.0}
    packed = walk(
        lang_adapter, runs.open(short("lang_adapter", **changes, **{"model.quantization": "mxfp4"}), tmp_path)
    )
    plain = runs.open(short("lang_adapter", **changes, **{"model.dequantize_mxfp4": True}), tmp_path / "other")
    plain = walk(lang_adapter, plain)
    assert losses(packed) == pytest.approx(losses(plain), rel=1e-5)
    assert packed.events("experts")[0]["changed"] == 4
    report = folder.merged(packed.path / "adapter", str(base), tmp_path / "out", prompts=1)
    assert report["ok"] and len([row for row in report["tensors"] if "experts" in row["name"]]) == 4


def test_pairs_are_compared_with_a_reference_on_packed_experts(base, tmp_path):
    """PEFT took the packed experts' adapter for a layer's as IPO added its reference, and the chain ended there."""
    changes = {"model.base": str(base), "model.attention": "eager", "model.quantization": "mxfp4", "max_steps": 2}
    changes |= {"batch_size": 2, "trainer": {"router_aux_loss_coef": 0.0}}
    fresh = {"lora.targets": ["q_proj"], "lora.target_parameters": small.EXPERTS, "lora.rank": 4}
    first = walk(lang_adapter, runs.open(short("lang_adapter", **changes, **fresh), tmp_path, "base"))
    run = runs.open(short("ipo", **changes), tmp_path, first)
    write_pairs(run, train=4)
    walk(ipo, run)
    assert losses(run)[0] == pytest.approx((1 / (2 * run.config.beta)) ** 2, rel=1e-4), "the reference is the parent"
    assert run.events("experts")[0]["changed"] == 4


@pytest.mark.parametrize("changes", [{}, {"quantization": "nf4"}, {"quantization": "nf4", "dequantize_mxfp4": True}])
def test_a_packed_base_is_not_read_as_anything_else(base, tmp_path, changes):
    """Without a word about MXFP4 transformers drew the experts at random, said so in a table, and the run trained on
    them; asked for NF4, its error named no field."""
    config = configs.load({"phase": "sft", "model": {"base": str(base), "attention": "eager", **changes}})
    with pytest.raises(ValueError, match=r"^model\.quantization is .* stored in MXFP4.*model\.dequantize_mxfp4=true"):
        load.base_model(runs.open(config, tmp_path, "base"))


def test_an_attention_that_gpt_oss_does_not_know_is_told_by_its_field(base, tmp_path):
    """sdpa is the default: the answer was a link to an issue of transformers'."""
    config = configs.load({"phase": "sft", "model": {"base": str(base), "quantization": "mxfp4"}})
    with pytest.raises(ValueError, match=r"^model\.attention is 'sdpa'.*gpt_oss.*set model\.attention=eager$"):
        load.base_model(runs.open(config, tmp_path, "base"))
    with pytest.raises(ValueError, match=r"^model\.attention is 'sdpa'"):
        plan.of(config, LORA)


def test_a_base_without_one_of_its_weights_is_not_trained(tmp_path):
    """A copy that lost one went on with random numbers in its place."""
    path = small.base(tmp_path / "base", "qwen3") / "model.safetensors"
    held = load_file(path)
    del held["model.layers.1.mlp.down_proj.weight"]
    save_file(held, path, {"format": "pt"})
    config = configs.load({"phase": "sft", "model": {"base": str(path.parent)}})
    with pytest.raises(ValueError, match=r"^model\.base: .* has no model\.layers\.1\.mlp\.down_proj\.weight \(1 of"):
        load.base_model(runs.open(config, tmp_path, "base"))


def test_a_step_takes_a_fraction_of_the_memory(tmp_path):
    """Expanded experts are most of the model, and PEFT adds the update to all of a layer's at once."""
    sizes = {"hidden_size": 128, "intermediate_size": 128, "num_local_experts": 16, "num_hidden_layers": 4}
    base = small.pack(small.base(tmp_path / "base", "gpt_oss", torch.bfloat16, **sizes))
    peaks = []
    for model in (packed_experts.load(str(base), **EAGER), expanded(base)):
        model, ids = lora.attach(model, LORA), drawn(1, 16)
        with Counting() as counting:
            counting.know([*model.parameters(), *model.buffers()])
            model(input_ids=ids, labels=ids).loss.backward()
        peaks.append(counting.peak)
    print(f"peak of a step in bytes: packed {peaks[0]:,}, expanded {peaks[1]:,}")
    assert peaks[0] < 0.4 * peaks[1]


@pytest.mark.parametrize(("checkpointing", "least"), [(True, 0.9), (False, 0.5)])
def test_a_step_takes_no_more_than_its_plan(tmp_path, checkpointing, least):
    """It counts a step as with expanded experts, whose update is one stack for a layer: the most that it can be."""
    sizes = {"hidden_size": 128, "intermediate_size": 128, "num_local_experts": 16, "num_hidden_layers": 4}
    base = small.pack(small.base(tmp_path / "base", "gpt_oss", torch.bfloat16, **sizes))
    model = lora.attach(packed_experts.load(str(base), **{**EAGER, "dtype": torch.bfloat16}), LORA)
    _, peak = measured_step("sft", model, 1, 128, checkpointing, "bfloat16", tmp_path / "out")
    settings = {"model.base": str(base), "model.dtype": "bfloat16", "model.attention": "eager", "lora": LORA}
    settings |= {"model.quantization": "mxfp4", "gradient_checkpointing": checkpointing, "batch_size": 1}
    config = short("sft", **settings, **{"max_length": 128})
    planned = plan.of(config, None)
    print(f"planned {planned.peak:,}, of it weights {planned.parts['weights']:,}; measured {peak:,}")
    assert least * planned.peak < peak + planned.parts["optimizer"] < 1.01 * planned.peak


def test_gpt_oss_that_does_not_fit_expanded_is_told_that_it_does_packed(repo):
    """44 GiB expanded; an L4 has 24."""
    path = repo / "configs/lang_adapter/gpt_oss_20b.yaml"
    changes, planned = plan.remedy(configs.load(path), plan.inherited(path), hardware.gpu("l4"))
    assert changes == {"model.quantization": "mxfp4", "model.dequantize_mxfp4": False}, "and no smaller micro-batch"
    assert planned.peak < 20 * 2**30
    capabilities.check(configs.load(path, changes), capabilities.NOTHING)


@pytest.mark.parametrize("other", [{"model.dequantize_mxfp4": True}, {"model.backend": "unsloth"}])
def test_packed_and_expanded_at_once_is_refused(other):
    config = short("sft", **{"model.quantization": "mxfp4", **other})
    everything = capabilities.Machine((9, 0), frozenset(("unsloth", "bitsandbytes")), True)
    with pytest.raises(ValueError, match=r"'mxfp4'.*set model\.backend=transformers and model\.dequantize_mxfp4=false"):
        capabilities.check(config, everything)


def test_a_base_without_packed_experts_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"model\.quantization is 'mxfp4'.*full precision.*none or nf4"):
        packed_experts.load(str(small.base(tmp_path / "base", "gpt_oss")))


def test_an_export_expands_experts_as_transformers_does(base, tmp_path):
    """The experts that nobody trained must leave as the very numbers that the published model computes with."""
    adapter = small.adapter(tmp_path / "adapter", base)
    assert folder.merged(adapter, str(base), tmp_path / "out", dtype="bfloat16", prompts=1)["ok"]
    left = experts.parameters(AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype=torch.bfloat16))
    for name, weight in experts.parameters(expanded(base, torch.bfloat16)).items():
        assert torch.equal(left[name], weight)
