"""Experts: that they train is proved at the first step, and both forms of their names mean the same weights."""

import json
import shutil

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, Mxfp4Config

from nbcore import config as configs
from nbcore import runs, view
from nbcore.phases import lang_adapter
from nbcore.report import cards
from nbcore.training import experts, lora, split_experts
from nbcore.training.export import folder
from tests.phases.short_runs import short, walk
from tests.training import small_adapters as small

ATTENTION = ["q_proj", "v_proj"]
MIXTURE = {"model.attention": "eager", "lora.targets": ATTENTION, "lora.target_parameters": small.EXPERTS}


def mixture(folder):
    return AutoModelForCausalLM.from_pretrained(small.base(folder / "base", "gpt_oss"))


def test_a_run_proves_that_its_experts_train(tmp_path):
    """Most tools pass over fused experts without a word; here the first step's numbers are kept and shown."""
    base = small.base(tmp_path / "base", "gpt_oss")
    changes = {"model.base": str(base), "lora.rank": 4, "lora.expert_rank": 2, "max_steps": 2, **MIXTURE}
    run = walk(lang_adapter, runs.open(short("lang_adapter", **changes), tmp_path / "store"))
    (found,) = run.events("experts")
    per_layer = 4 * 2 * ((32 + 2 * 48) + (48 + 32))  # experts × rank × (in + out) of both weights
    assert (found["weights"], found["with_gradient"], found["changed"]) == (4, 4, 4)
    assert found["parameters"] == 2 * per_layer and found["gradient_norm"] > 0 and found["change"] > 0
    assert "in 4 of 4" in view.experts(run).text and "dense" not in view.experts(run).text
    assert f"Experts of {run.id}: expert weights with an adapter: 4," in cards.card(run).replace("\\", "")


def test_experts_that_get_no_gradient_stop_the_run(tmp_path, monkeypatch):
    """Their adapters were there, and attention alone trained: such a run ended like any other."""
    base = small.base(tmp_path / "base", "gpt_oss")
    build = lang_adapter.trainer

    def cut_off(run):
        trainer = build(run)
        for parts in experts.adapted(trainer.model).values():
            for part in parts:
                part.register_hook(torch.zeros_like)
        return trainer

    monkeypatch.setattr(lang_adapter, "trainer", cut_off)
    run = runs.open(short("lang_adapter", **{"model.base": str(base), **MIXTURE}), tmp_path / "store")
    with pytest.raises(ValueError, match=r"lora.target_parameters: 4 expert weights .* not one got a gradient"):
        lang_adapter.train(run)


@pytest.mark.parametrize("target", ["gate_proj", "gate_up_proj", "mlp.experts.down_proj", "experts"])
def test_an_expert_weight_named_as_a_layer_is_one_clear_line(tmp_path, target):
    """It "matches nothing", which says neither why nor what to write instead."""
    words = r"attention alone would train.*lora.target_parameters=\[mlp.experts.down_proj, mlp.experts.gate_up_proj\]"
    with pytest.raises(ValueError, match=words):
        lora.attach(mixture(tmp_path), configs.Lora(targets=[*ATTENTION, target]))


def test_unsloths_names_mean_the_fused_weights(tmp_path, capsys):
    """A config that was written for Unsloth's split experts named nothing here."""
    wanted = configs.Lora(targets=[*ATTENTION, "gate_up_projs", "down_projs.3"], rank=4, expert_rank=2)
    model = lora.attach(mixture(tmp_path), wanted)
    assert len(experts.adapted(model)) == 4
    assert "lora.target_parameters gets mlp.experts.down_proj, mlp.experts.gate_up_proj" in capsys.readouterr().out
    with pytest.raises(ValueError, match=r"^lora.dropout is 0.1: .*set lora.dropout=0$"):
        lora.attach(mixture(tmp_path), wanted.model_copy(update={"dropout": 0.1}))


class Split(torch.nn.Module):
    """The experts of one layer of gpt-oss as Unsloth's 4-bit form holds them: the forward pass is that of gpt-oss."""

    def __init__(self, fused):
        super().__init__()
        self.alpha, self.limit = fused.alpha, fused.limit
        self.gate_up_projs, self.down_projs = (
            torch.nn.ModuleList(self.layer(weight, bias) for weight, bias in zip(weights, biases, strict=True))
            for weights, biases in (
                (fused.gate_up_proj, fused.gate_up_proj_bias),
                (fused.down_proj, fused.down_proj_bias),
            )
        )

    @staticmethod
    def layer(weight, bias):
        made = torch.nn.Linear(*weight.shape)
        made.weight.data, made.bias.data = weight.data.t().contiguous(), bias.data.clone()
        return made

    def forward(self, hidden, indices, weights):
        together = torch.zeros_like(hidden)
        for number, (widen, narrow) in enumerate(zip(self.gate_up_projs, self.down_projs, strict=True)):
            row, slot = torch.where(indices == number)
            both = widen(hidden[row])
            gate, up = both[..., ::2].clamp(max=self.limit), both[..., 1::2].clamp(-self.limit, self.limit)
            out = narrow((up + 1) * gate * torch.sigmoid(gate * self.alpha))
            together = together.index_add(0, row, out * weights[row, slot, None])
        return together


@pytest.fixture
def unsloth(tmp_path):
    """(base, folder of an adapter on split experts, logits of the two together, ids)."""
    model = mixture(tmp_path).eval()
    for layer in model.model.layers:
        layer.mlp.experts = Split(layer.mlp.experts)
    kinds = ("gate_up_projs", "down_projs")
    targets = r".*\.(q_proj|v_proj|(gate_up|down)_projs\.\d+)"  # a regular expression, as Unsloth writes it
    named = lora.resolved(model, configs.Lora(targets=[*ATTENTION, *kinds]))
    assert sum(".experts." in name for name in named.targets) == 2 * 2 * 4, "on split experts they are layers"
    model = get_peft_model(model, LoraConfig(r=4, lora_alpha=8, target_modules=targets, task_type="CAUSAL_LM"))
    torch.manual_seed(5)
    for parameter in model.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.1)
    model.save_pretrained(tmp_path / "adapter")
    ids = torch.randint(10, 2000, (2, 12))
    with torch.no_grad():
        return tmp_path / "base", tmp_path / "adapter", model(input_ids=ids).logits, ids


@pytest.mark.slow
def test_an_adapter_of_unsloths_is_merged_whole(unsloth, tmp_path):
    """PEFT finds no place for its expert tensors and passes over them: the merge would be attention alone."""
    base, adapter, wanted, ids = unsloth
    assert ".experts.gate_up_projs.3.lora_A.weight" in " ".join(load_file(adapter / split_experts.FILE))
    report = folder.merged(adapter, str(base), tmp_path / "out", prompts=2)
    made = AutoModelForCausalLM.from_pretrained(tmp_path / "out").eval()
    with torch.no_grad():
        assert report["ok"] and (made(input_ids=ids).logits - wanted).abs().max() <= 2e-5
    assert load_file(adapter / split_experts.FILE), "the person's own folder stays as it was"


def test_a_lost_expert_of_unsloths_is_named(unsloth, tmp_path):
    base, adapter, *_ = unsloth
    held = load_file(adapter / split_experts.FILE)
    held.pop("base_model.model.model.layers.1.mlp.experts.down_projs.2.lora_B.weight")
    save_file(held, adapter / split_experts.FILE)
    with pytest.raises(ValueError, match=r"layers\.1\.mlp\.experts\.down_projs\.2\.lora_B; it was lost on the way"):
        folder.merged(adapter, str(base), tmp_path / "out", prompts=2)


def test_a_base_with_split_experts_is_refused_with_the_way_out(unsloth, tmp_path):
    """transformers would load it with random experts and warn."""
    base, adapter, *_ = unsloth
    split = tmp_path / "split"
    shutil.copytree(base, split)
    held = load_file(split / "model.safetensors")
    fused = held.pop("model.layers.0.mlp.experts.down_proj")
    held |= {f"model.layers.0.mlp.experts.down_projs.{n}.weight": w.t().contiguous() for n, w in enumerate(fused)}
    save_file(held, split / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match=r"base: .*down_projs\.0\.weight.*--base openai/gpt-oss-20b"):
        folder.merged(adapter, str(split), tmp_path / "out", prompts=2)


def test_an_adapter_without_split_experts_is_left_alone(tmp_path):
    base = small.base(tmp_path / "base", "qwen3")
    adapter = small.adapter(tmp_path / "adapter", base)
    with split_experts.as_fused(adapter) as same:
        assert same == adapter
    values = json.loads((adapter / split_experts.CONFIG).read_text("utf-8"))
    assert "target_parameters" in values


@pytest.mark.slow
def test_an_export_expands_packed_experts_as_transformers_does(tmp_path):
    """The experts that nobody trained must leave as the very numbers that the published model computes with."""
    base = small.pack(small.base(tmp_path / "base", "gpt_oss", torch.bfloat16, hidden_size=64, intermediate_size=32))
    adapter = small.adapter(tmp_path / "adapter", base)
    assert folder.merged(adapter, str(base), tmp_path / "out", dtype="bfloat16", prompts=1)["ok"]
    left = experts.parameters(AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype=torch.bfloat16))
    published = AutoModelForCausalLM.from_pretrained(base, quantization_config=Mxfp4Config(dequantize=True))
    for name, weight in experts.parameters(published).items():
        assert torch.equal(left[name], weight)
