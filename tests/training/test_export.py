"""The model that leaves: merged whatever the adapter is, and every loss on the way noticed and named."""

import json
import shutil
import subprocess
import sys

import pytest
import torch
from peft import PeftModel, PromptTuningConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, Qwen3MoeConfig, Qwen3MoeForCausalLM

from nbcore import runs
from nbcore.cli import main
from nbcore.training.export import deltas, double, folder, gguf, merge, parity, tensors
from nbcore.training.export import logits as checked
from tests.training import small_adapters as small

ids = torch.arange(3, 43)[None]


def logits(model):
    with torch.inference_mode():
        return model.eval()(input_ids=ids).logits


def apart(base, adapter, out):
    """How far the merged folder's logits are from PEFT's, where the adapter stands beside the base."""
    beside = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), str(adapter))
    merged = AutoModelForCausalLM.from_pretrained(out, dtype=torch.float32)
    return (logits(beside) - logits(merged)).abs().max().item()


@pytest.fixture(scope="module")
def oss(tmp_path_factory):
    """A tiny gpt-oss with LoRA on attention and on every expert, exported in several shards."""
    place = tmp_path_factory.mktemp("oss")
    base = small.base(place / "base", "gpt_oss")
    adapter = small.adapter(place / "adapter", base, target_parameters=small.EXPERTS)
    folder.merged(adapter, str(base), place / "out", shard_gb=0.0001, prompts=4)
    return place


def test_experts_are_merged_into_shards_that_transformers_reads(oss):
    """Other tools lose the updates of experts without a word."""
    assert len(list((oss / "out").glob("model-*.safetensors"))) > 3
    assert apart(oss / "base", oss / "adapter", oss / "out") <= 1e-5
    report = json.loads((oss / "out" / parity.FILE).read_text())
    assert report["ok"] and report["streamed"] and all(abs(row["kept"] - 1) < 1e-6 for row in report["tensors"])
    assert any("experts.gate_up_proj" in row["name"] and row["experts"] == 4 for row in report["tensors"])
    logits_ = report["logits"]
    assert logits_["limit"] == 1e-5 * max(1, logits_["largest"]) and logits_["computed_in"] == "float64"
    assert logits_["adapter_reloaded"]["max"] <= 1e-7 and logits_["adapter_merged"]["top1"] == 1


def test_a_pass_in_double_is_the_same_in_all_its_parts(oss):
    """Norms, softmax and routing ask for float32 by name: done so, a pass would be no more exact than the usual one."""
    model = checked.adapted(oss / "base", oss / "adapter", "float32", False, "cpu")
    with torch.inference_mode():
        usual, wide = model(input_ids=ids).logits, double.forward(model, input_ids=ids).logits
        whole = double.forward(model.double(), input_ids=ids).logits
    assert wide.dtype == torch.float64 and 0 < (usual - wide).abs().max() < 1e-5
    assert (wide - whole).abs().max() < 1e-13


@pytest.mark.parametrize("kind", ["qwen3", "gpt_oss"])
def test_a_base_stored_in_sixteen_bits_is_proved_in_them(tmp_path, kind):
    """Widened to 32 bits for the proof, SmolLM2 took more memory than the merge may; one rounding would move logits."""
    base = small.base(tmp_path / "base", kind, dtype=torch.bfloat16)
    experts = {"target_parameters": small.EXPERTS} if kind == "gpt_oss" else {}
    adapter = small.adapter(tmp_path / "adapter", base, **experts)
    how = (base, adapter, "float32", False, "cpu")
    wide, narrow = checked.adapted(*how), checked.adapted(*how, narrow=True)
    held = {parameter.dtype for name, parameter in narrow.named_parameters() if "lora_" not in name}
    assert held == {torch.bfloat16}
    with torch.inference_mode():
        assert torch.equal(double.forward(wide, input_ids=ids).logits, double.forward(narrow, input_ids=ids).logits)
    said = folder.merged(adapter, str(base), tmp_path / "out", prompts=2)["logits"]
    assert {"adapter_merged", "adapter_reloaded", "merged_reloaded"} < set(said)
    assert max(said[pair]["max"] for pair in ("adapter_merged", "adapter_reloaded")) < 1e-6


KINDS = {
    "rank-stabilised": {"use_rslora": True},
    "of several ranks": {"rank_pattern": {"v_proj": 2}, "alpha_pattern": {"q_proj": 3}},
    "with a layer trained whole": {"modules_to_save": ["lm_head"]},
    "on the embedding": {"target_modules": ["embed_tokens", "o_proj", "lm_head"]},
    "DoRA": {"use_dora": True},
    "with biases": {"bias": "lora_only"},
    "PiSSA": {"init_lora_weights": "pissa"},
    "OLoRA": {"init_lora_weights": "olora"},
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_an_adapter_that_somebody_brings_is_merged_as_peft_would(tmp_path, kind):
    """What is no plain sum of base and update is merged as a whole, and still proved."""
    base = small.base(tmp_path / "base", "qwen3")
    adapter = small.adapter(tmp_path / "adapter", base, **KINDS[kind])
    report = folder.merged(adapter, None, tmp_path / "out", prompts=2)
    assert report["ok"] and report["streamed"] == (kind not in ("DoRA", "with biases", "PiSSA", "OLoRA"))
    assert apart(base, adapter, tmp_path / "out") <= 2e-5


@pytest.mark.slow
@pytest.mark.parametrize("settings", [{"modules_to_save": ["lm_head"]}, {"target_modules": ["q_proj", "embed_tokens"]}])
def test_tied_embeddings_part_where_one_use_was_trained(tmp_path, settings):
    """Written as one weight, the other use would be changed as well, or the training lost."""
    base = small.base(tmp_path / "base", "qwen3", tied=True)
    adapter = small.adapter(tmp_path / "adapter", base, **settings)
    report = folder.merged(adapter, str(base), tmp_path / "out", prompts=2)
    assert report["untied"] and not json.loads((tmp_path / "out" / "config.json").read_text())["tie_word_embeddings"]
    assert apart(base, adapter, tmp_path / "out") <= 2e-5


@pytest.mark.slow
def test_tied_embeddings_that_nobody_trained_stay_tied(tmp_path):
    base = small.base(tmp_path / "base", "qwen3", tied=True)
    report = folder.merged(small.adapter(tmp_path / "adapter", base), str(base), tmp_path / "out", prompts=2)
    assert not report["untied"] and "lm_head.weight" not in tensors.Weights(tmp_path / "out").names


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_keeps_the_whole_update(tmp_path, dtype):
    """An update smaller than the rounding must still be found, in the sum over the tensor."""
    base = small.base(tmp_path / "base", "qwen3", torch.bfloat16)
    adapter = small.adapter(tmp_path / "adapter", base)
    report = folder.merged(adapter, str(base), tmp_path / "out", dtype=dtype, prompts=2)
    assert report["ok"] and tensors.Weights(tmp_path / "out").dtype("model.norm.weight") == getattr(torch, dtype)


@pytest.mark.slow
def test_a_base_in_four_bits_is_dequantised_first(tmp_path):
    """bitsandbytes stores packed bytes under the name of the weight: added to those, an update would be noise."""
    from transformers import BitsAndBytesConfig

    base = small.base(tmp_path / "base", "qwen3", hidden_size=64, intermediate_size=64, head_dim=32)
    nf4 = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True)
    AutoModelForCausalLM.from_pretrained(base, quantization_config=nf4, dtype=torch.float32).save_pretrained(
        tmp_path / "nf4"
    )
    for name in small.FILES:
        shutil.copy(base / name, tmp_path / "nf4")
    adapter = small.adapter(tmp_path / "adapter", base)
    stored = folder.merged(adapter, str(tmp_path / "nf4"), tmp_path / "stored", prompts=2)
    rounded = folder.merged(adapter, str(base), tmp_path / "rounded", prompts=2, trained_in_4_bits=True)
    assert stored["ok"] and rounded["ok"] and stored["logits"]["adapter_reloaded"]["top1"] == 1
    one, two = tensors.Weights(tmp_path / "stored"), tensors.Weights(tmp_path / "rounded")
    name = "model.layers.0.self_attn.q_proj.weight"
    assert (
        torch.allclose(one.read(name), two.read(name), atol=1e-5)
        and "quantization_config" not in (tmp_path / "stored" / "config.json").read_text()
    )


# --- planted faults: each is caught, and named ----------------------------------------------------------------

EXPERT = "model.layers.1.mlp.experts.down_proj"
QUERY = "model.layers.0.self_attn.q_proj.weight"


def change_tensor(out, name, change):
    """Overwrite one tensor of an export in its file."""
    file = tensors.Weights(out).stored[name]
    held = load_file(file)
    held[name] = change(held[name].clone())
    save_file(held, file, {"format": "pt"})


def drop_an_expert(out, base):
    def change(value):
        value[2] = tensors.Weights(base).read(EXPERT)[2]
        return value

    change_tensor(out, EXPERT, change)


def lose_half_of_an_update(out, base):
    change_tensor(out, QUERY, lambda value: (value + tensors.Weights(base).read(QUERY)) / 2)


def plant_nan(out, base):
    change_tensor(out, QUERY, lambda value: value.index_fill(0, torch.tensor([3]), float("nan")))


def touch_another_tensor(out, base):
    change_tensor(out, "model.norm.weight", lambda value: value * 1.01)


def take_another_tokenizer(out, base):
    values = json.loads((out / "tokenizer.json").read_text("utf-8"))
    values["model"]["merges"] = values["model"]["merges"][:-5]
    (out / "tokenizer.json").write_text(json.dumps(values), "utf-8")


def change_the_template(out, base):
    path = out / "chat_template.jinja"
    path.write_text(path.read_text("utf-8").replace("<|end|>", "<|end|>\n"), "utf-8")


def lose_the_template(out, base):
    (out / "chat_template.jinja").unlink()


def lose_a_stop(out, base):
    path = out / "generation_config.json"
    values = json.loads(path.read_text("utf-8"))
    values["eos_token_id"] = values["eos_token_id"][:1]
    path.write_text(json.dumps(values), "utf-8")


def cut_a_shard(out, base):
    file = sorted(out.glob("model-*.safetensors"))[1]
    file.write_bytes(file.read_bytes()[:-100])


def lose_a_shard(out, base):
    sorted(out.glob("model-*.safetensors"))[2].unlink()


def change_settings(out, name, **values):
    path = out / name
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def cut_the_context(out, base):
    change_settings(out, "config.json", max_position_embeddings=64)


def take_another_end(out, base):
    change_settings(out, "config.json", eos_token_id=1)


def heat_the_sampling(out, base):
    change_settings(out, "generation_config.json", temperature=9.0)


def break_the_config(out, base):
    (out / "config.json").write_text("{")


def turn_the_last_bit(out, base):
    def change(value):
        value.view(torch.int32)[0] ^= 1
        return value

    change_tensor(out, "model.norm.weight", change)


def put_a_pickle_beside(out, base):
    torch.save({}, out / "pytorch_model.bin")


def put_an_adapter_beside(out, base):
    shutil.copy(base.parent / "adapter" / "adapter_config.json", out)


def put_the_base_beside(out, base):
    shutil.copy(base / "model.safetensors", out)


def name_a_file_outside(out, base):
    index = json.loads((out / tensors.INDEX).read_text())
    shutil.copytree(base, out.parent / "base")
    index["weight_map"]["model.norm.weight"] = "../base/model.safetensors"
    (out / tensors.INDEX).write_text(json.dumps(index))


FAULTS = {
    drop_an_expert: [EXPERT, "expert 2", "lost"],
    lose_half_of_an_update: [QUERY, "50.0%"],
    plant_nan: [QUERY, "NaN"],
    touch_another_tensor: ["model.norm.weight", "no adapter targets it"],
    take_another_tokenizer: ["tokenizer.json", "another tokenizer"],
    change_the_template: ["chat_template.jinja", "another chat template"],
    lose_the_template: ["chat_template.jinja", "missing"],
    lose_a_stop: ["generation_config.json", "eos_token_id lacks"],
    cut_a_shard: ["model-00002-of-", "cut short"],
    lose_a_shard: ["model-00003-of-", "missing"],
    cut_the_context: ["config.json: max_position_embeddings is 64, the base's is "],
    take_another_end: ["config.json: eos_token_id is 1, the base's is 6"],
    heat_the_sampling: ["generation_config.json: temperature is 9.0, the base's is None"],
    break_the_config: ["config.json: missing or damaged"],
    turn_the_last_bit: ["model.norm.weight", "no adapter targets it"],
    put_a_pickle_beside: ["pytorch_model.bin: holds other weights"],
    put_an_adapter_beside: ["adapter_config.json: stands beside a merged model"],
    put_the_base_beside: ["model.safetensors: stands in", "beside the shards"],
    name_a_file_outside: ["names", "base/model.safetensors, a file outside"],
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_planted_fault_is_named_by_the_command(oss, tmp_path, capsys, fault):
    """`merge` on a folder that is there looks at it again: exit 1, with the name of what is wrong."""
    out = shutil.copytree(oss / "out", tmp_path / "out")
    fault(out, oss / "base")
    options = ["--base", str(oss / "base"), "--out", str(out), "--prompts", "0"]
    assert main.main(["merge", str(oss / "adapter"), *options]) == 1
    said = capsys.readouterr().err
    assert all(word in said for word in FAULTS[fault]), said
    assert not json.loads((out / parity.FILE).read_text())["ok"]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_a_hundredth_of_an_update_is_missed_in_half_precision(tmp_path, dtype):
    """Rounding to bfloat16 may move the share of an update by as much, and so 1 % and 10 % less passed."""
    base = small.base(tmp_path / "base", "qwen3", torch.bfloat16)
    adapter, out = small.adapter(tmp_path / "adapter", base), tmp_path / "out"
    assert folder.merged(adapter, str(base), out, dtype=dtype, prompts=0)["ok"]
    own = tensors.Weights(base).read(QUERY).float()
    change_tensor(out, QUERY, lambda value: ((value.float() - own) * 0.99 + own).to(value.dtype))
    said = folder.merged(adapter, str(base), out, prompts=0)["problems"]
    assert len(said) == 1 and said[0].startswith(f"{QUERY}: 99.0% of the adapter's update"), said


def lose_a_layer(out, base):
    change_tensor(out, QUERY, lambda value: tensors.Weights(base).read(QUERY))


def lose_the_output(out, base):
    held = load_file(out / "model.safetensors")
    del held["lm_head.weight"]
    save_file(held, out / "model.safetensors", {"format": "pt"})


def touch_a_neighbour(out, base):
    change_tensor(out, "model.layers.0.mlp.up_proj.weight", lambda value: value + 1)


LOST = {
    lose_a_layer: "model.layers.0.self_attn.q_proj: the adapter's update was lost",
    lose_the_output: "lm_head.weight: missing from the export",
    touch_a_neighbour: "model.layers.0.mlp.up_proj.weight: is not the base's, and no adapter targets it",
}


def test_what_a_merge_in_memory_lost_is_named(tmp_path):
    """Of an adapter that is no sum of base and update, one changed tensor was proof enough."""
    base = small.base(tmp_path / "base", "qwen3")
    adapter = small.adapter(tmp_path / "adapter", base, use_dora=True)
    assert folder.merged(adapter, str(base), tmp_path / "out", prompts=0)["problems"] == []
    for fault, words in LOST.items():
        out = shutil.copytree(tmp_path / "out", tmp_path / fault.__name__)
        fault(out, base)
        said = folder.merged(adapter, str(base), out, prompts=0)["problems"]
        assert len(said) == 1 and said[0].startswith(words), said


def spoil(tensor):
    return tensor.index_fill(0, torch.tensor([1]), float("nan"))


@pytest.mark.parametrize(
    ("part", "change", "words"),
    [
        ("layers.1.self_attn.v_proj.", None, "it has no model.layers.1.self_attn.v_proj.lora_A.weight; it was lost"),
        ("v_proj.lora_magnitude", None, "it has no model.layers.0.self_attn.v_proj.lora_magnitude_vector; it was lost"),
        ("layers.1.self_attn.q_proj.lora_A", spoil, "its model.layers.1.self_attn.q_proj.lora_A.weight holds NaN"),
    ],
)
def test_a_broken_adapter_is_not_merged_in_memory(tmp_path, part, change, words):
    """PEFT takes fresh numbers for what is missing: DoRA's magnitudes, or all of a layer, were lost without a word."""
    base = small.base(tmp_path / "base", "qwen3")
    adapter = small.adapter(tmp_path / "adapter", base, use_dora=True)
    held = load_file(adapter / deltas.FILE)
    held = {name: change(value) if change and part in name else value for name, value in held.items()}
    save_file({name: held[name] for name in held if change or part not in name}, adapter / deltas.FILE)
    with pytest.raises(ValueError, match=f"adapter: PEFT cannot merge .*: {words}"):
        folder.merged(adapter, str(base), tmp_path / "out", prompts=0)


@pytest.mark.slow
def test_experts_that_are_stored_apart_are_merged_and_proved(tmp_path):
    """transformers holds Qwen3-MoE's experts together: their merge was sound, and refused as a change nobody asked."""
    base = tmp_path / "base"
    sizes = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16, "tie_word_embeddings": False}
    made = Qwen3MoeForCausalLM(Qwen3MoeConfig(**small.SIZE, **sizes))
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    made.save_pretrained(base)
    for name in small.FILES:
        shutil.copy(runs.SEEDLING / name, base)
    assert "model.layers.0.mlp.experts.3.up_proj.weight" in tensors.Weights(base).names
    adapter = small.adapter(tmp_path / "adapter", base, target_parameters=small.EXPERTS)
    report = folder.merged(adapter, str(base), tmp_path / "out", prompts=2)
    assert report["ok"] and len(report["tensors"]) == 28 and apart(base, adapter, tmp_path / "out") <= 1e-5


def test_licence_and_policy_travel_with_the_model(oss, tmp_path):
    """LICENCE.txt states the licence and stayed behind; a folder of licences ended the merge with a traceback."""
    base = shutil.copytree(oss / "base", tmp_path / "base")
    (base / "LICENSES").mkdir()
    for name in ("LICENCE.txt", "NOTICE", "USE_POLICY.md"):
        (base / name).write_text("MIT License\n")
    folder.merged(oss / "adapter", str(base), tmp_path / "out", prompts=0)
    left = {path.name for path in (tmp_path / "out").iterdir()}
    assert left > {"LICENCE.txt", "NOTICE", "USE_POLICY.md"} and "LICENSES" not in left
    assert json.loads((tmp_path / "out" / parity.FILE).read_text())["licence"]["licence"] == "MIT"


def test_an_adapter_with_a_zeroed_factor_is_not_exported(oss, tmp_path):
    """B of zeros is a layer that nothing trained, or whose training was lost."""
    broken = shutil.copytree(oss / "adapter", tmp_path / "adapter")
    held = load_file(broken / deltas.FILE)
    name = next(key for key in held if "q_proj.lora_B" in key)
    held[name] = torch.zeros_like(held[name])
    save_file(held, broken / deltas.FILE)
    with pytest.raises(parity.Lost, match=f"{QUERY}: the adapter's update is zero"):
        folder.merged(broken, str(oss / "base"), tmp_path / "out", prompts=0)
    assert list(tmp_path.iterdir()) == [broken], "nothing is left that looks like an export"


def test_a_factor_missing_from_the_adapter_is_named(oss, tmp_path):
    """PEFT takes a fresh factor in its place, and only warns."""
    broken = shutil.copytree(oss / "adapter", tmp_path / "adapter")
    held = load_file(broken / deltas.FILE)
    lost = next(key for key in held if "layers.1.mlp.experts.lora_B" in key)
    del held[lost]
    save_file(held, broken / deltas.FILE)
    with pytest.raises(ValueError, match=r"adapter: .*layers\.1\.mlp\.experts.*lost on the way"):
        folder.merged(broken, str(oss / "base"), tmp_path / "out", prompts=0)


def spoil_the_adapter(left):
    held = load_file(left / "adapter_model.safetensors")
    held[next(name for name in held if "lora_B" in name)][0, 0] = float("nan")
    save_file(held, left / "adapter_model.safetensors")


def change_its_scale(left):
    values = json.loads((left / "adapter_config.json").read_text())
    (left / "adapter_config.json").write_text(json.dumps(values | {"lora_alpha": 7}))


ALONE = {
    spoil_the_adapter: ("is not the adapter that was trained", "update holds NaN"),
    change_its_scale: ("adapter_config.json: lora_alpha is 7, trained with 8",),
}


@pytest.mark.parametrize("fault", ALONE, ids=lambda fault: fault.__name__)
def test_an_adapter_that_leaves_alone_is_proved(oss, tmp_path, fault):
    """Its proof looked at the tokenizer alone, and said of each tensor its name."""
    base, adapter = oss / "base", oss / "adapter"
    folder.adapter_only(adapter, base, "me/base", tmp_path / "alone")
    sound = folder.check_adapter(adapter, base, tmp_path / "alone")
    assert sound["ok"] and all(row["max_delta"] > 0 for row in sound["tensors"])
    fault(tmp_path / "alone")
    said = folder.check_adapter(adapter, base, tmp_path / "alone")
    assert not said["ok"] and all(any(words in line for line in said["problems"]) for words in ALONE[fault])
    parity.write(tmp_path, said)


def test_an_adapter_that_was_never_trained_does_not_leave_alone(oss, tmp_path):
    base = oss / "base"
    fresh = small.adapter(tmp_path / "fresh", base)
    held = load_file(fresh / "adapter_model.safetensors")
    save_file(
        {name: value * ("lora_B" not in name) for name, value in held.items()}, fresh / "adapter_model.safetensors"
    )
    folder.adapter_only(fresh, base, "me/base", tmp_path / "alone")
    said = folder.check_adapter(fresh, base, tmp_path / "alone")["problems"]
    assert len(said) == 4 and "q_proj.weight: the adapter's update is zero" in said[0]


def test_half_of_an_adapters_gguf_file_is_not_taken_for_it(oss, tmp_path, monkeypatch):
    """It was written under its own name: after a kill the next attempt found it, and went on."""

    def cut_short(adapter, base, out):
        out.write_bytes(b"GGUF")
        raise KeyboardInterrupt

    monkeypatch.setattr(gguf.llama_cpp, "convert_adapter", cut_short)
    with pytest.raises(KeyboardInterrupt):
        gguf.make_lora(oss / "adapter", oss / "base", "me/base", tmp_path / "adapter-lora.gguf")
    assert [path.name for path in tmp_path.iterdir()] == [".adapter-lora.gguf"]


def test_a_base_that_is_gone_is_said_to_be_what_the_adapter_names(oss, tmp_path):
    """The line spoke of model.base, a field that `merge` does not have."""
    adapter = shutil.copytree(oss / "adapter", tmp_path / "adapter")
    values = json.loads((adapter / deltas.CONFIG).read_text())
    values["base_model_name_or_path"] = str(tmp_path / "gone")
    (adapter / deltas.CONFIG).write_text(json.dumps(values))
    with pytest.raises(ValueError, match=r"^base: .*'gone'.*; the adapter names it, --base another$"):
        folder.merged(adapter, None, tmp_path / "out", prompts=0)


def test_a_publishers_own_code_is_never_asked_for(oss, tmp_path, monkeypatch):
    """transformers asked on the terminal whether to run it, in the middle of an export."""
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("asked whether to run a stranger's code"))
    strange = shutil.copytree(oss / "base", tmp_path / "strange")
    code = {"AutoConfig": "configuration_zorgon.Zorgon"}
    (strange / "config.json").write_text(json.dumps({"model_type": "zorgon", "auto_map": code}))
    with pytest.raises(ValueError, match=r"^base: .*its config.json cannot be used.*custom code"):
        folder.merged(oss / "adapter", str(strange), tmp_path / "out", prompts=0)


def test_an_adapter_of_another_model_is_refused(oss, tmp_path):
    other = small.base(tmp_path / "other", "qwen3")
    with pytest.raises(ValueError, match="adapter: "):
        folder.merged(oss / "adapter", str(other), tmp_path / "out", prompts=0)


def test_an_adapter_of_a_resized_vocabulary_is_refused_with_both_sizes(oss, tmp_path):
    """PEFT saves the resized embeddings beside the adapter, and its own words name a tensor but no way out."""
    model = AutoModelForCausalLM.from_pretrained(oss / "base")
    model.resize_token_embeddings(2056)
    model.save_pretrained(tmp_path / "resized")
    place = small.adapter(tmp_path / "adapter", tmp_path / "resized")
    PeftModel.from_pretrained(model, place).save_pretrained(tmp_path / "other", save_embedding_layers=True)
    with pytest.raises(ValueError, match=r"adapter: .* 2056 tokens, and .* has 2048; resize"):
        folder.merged(tmp_path / "other", str(oss / "base"), tmp_path / "out", prompts=0)


def test_what_peft_itself_cannot_merge_is_one_line(oss, tmp_path):
    """A bias that LoRA trained has no place in a layer without one: PEFT raises RuntimeError, which was a traceback."""
    base = small.base(tmp_path / "base", "qwen3")
    biased = small.adapter(tmp_path / "adapter", base, lora_bias=True)
    with pytest.raises(ValueError, match=r"adapter: PEFT cannot merge .*lora_bias"):
        folder.merged(biased, str(base), tmp_path / "out", prompts=0)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"layer_replication": [[0, 2], [1, 2]]}, "adapter: layer_replication uses layers of the base more than once"),
        ({"init_lora_weights": "pissa_niter_2"}, "adapter: init_lora_weights 'pissa_niter_2' has changed the base"),
        (None, "has no merge for PROMPT_TUNING; use it with PEFT"),
    ],
)
def test_an_adapter_that_nothing_can_merge_is_refused_in_a_line(tmp_path, settings, words):
    """Virtual tokens were a traceback, repeated layers "lost on the way", and a changed base was said not to fit."""
    base = small.base(tmp_path / "base", "qwen3")
    if settings:
        adapter = small.adapter(tmp_path / "adapter", base, **settings)
    else:
        config = PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=4)
        get_peft_model(AutoModelForCausalLM.from_pretrained(base), config).save_pretrained(tmp_path / "adapter")
        adapter = tmp_path / "adapter"
    with pytest.raises(ValueError, match=words):
        folder.merged(adapter, str(base), tmp_path / "out", prompts=0)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere", "--base", "seedling", "--out", "x"], ["adapter: ", "adapter_config.json"]),
        (["ADAPTER", "--base", "no/such/folder", "--out", "x"], ["no/such"]),
        (["ADAPTER", "--base", "BASE", "--out", "x", "--dtype", "int3"], ["dtype: 'int3'", "bfloat16"]),
        (["ADAPTER", "--base", "BASE", "--out", "x", "--device", "tpu"], ["device: 'tpu'"]),
        (["ADAPTER", "--base", "BASE", "--out", "x", "--shard-gb", "0"], ["shard-gb: 0"]),
        (["ADAPTER", "--base", "BASE", "--out", "x", "--shard-gb", "inf"], ["shard-gb: inf"]),
        (["ADAPTER", "--base", "BASE", "--out", "BASE/config.json"], ["out: ", "there already"]),
    ],
)
def test_a_mistake_is_one_line(oss, tmp_path, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(tmp_path)
    places = {"ADAPTER": str(oss / "adapter"), "BASE": str(oss / "base")}
    given = [
        next((text.replace(key, place) for key, place in places.items() if key in text), text) for text in arguments
    ]
    assert main.main(["merge", *given]) == 2
    said = capsys.readouterr().err
    assert all(word in said for word in words) and len(said.strip().splitlines()) == 1, said


def test_an_interrupted_merge_leaves_no_folder(oss, tmp_path):
    """A kill leaves a hidden folder at most, which the next merge to the same place removes."""

    def stop(words, done=0, total=0):
        if done > 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        folder.merged(oss / "adapter", str(oss / "base"), tmp_path / "out", prompts=0, doing=stop)
    assert not list(tmp_path.iterdir())
    (tmp_path / ".out.deadbeef.part").mkdir()
    with merge.whole(tmp_path / "out") as made:
        (made / "file").write_text("x")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


KILLED = """
import os, signal, sys
from pathlib import Path
from nbcore.training.export import folder
def die(words, done=0, total=0):
    if done == 6:
        os.kill(os.getpid(), signal.SIGKILL)
folder.merged(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), prompts=0, doing=die)
"""


@pytest.mark.slow
def test_a_kill_leaves_nothing_that_is_taken_for_an_export(oss, tmp_path):
    """Half of the shards under the export's name would load, with random weights for the rest."""
    out = tmp_path / "out"
    arguments = [str(oss / "adapter"), str(oss / "base"), str(out)]
    done = subprocess.run([sys.executable, "-c", KILLED, *arguments], capture_output=True, timeout=600)
    assert done.returncode == -9 and not out.exists() and [path.name[0] for path in tmp_path.iterdir()] == ["."]
    assert main.main(["chat", str(out), "--store", str(tmp_path)]) == 2
    assert folder.merged(oss / "adapter", str(oss / "base"), out, prompts=0)["ok"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_every_stop_is_carried(oss):
    values = json.loads((oss / "out" / "generation_config.json").read_text())
    own = json.loads((runs.SEEDLING / "generation_config.json").read_text())["eos_token_id"]
    assert set(own) < set(values["eos_token_id"]) and "_from_model_config" not in values
