"""The model that leaves: merged whatever the adapter is, and every loss on the way noticed and named."""

import json
import shutil
import subprocess
import sys

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from nbcore import runs
from nbcore.cli import main
from nbcore.training.export import deltas, folder, merge, parity, tensors
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
    assert report["logits"]["adapter_reloaded"]["max"] <= 1e-5 and report["logits"]["adapter_merged"]["top1"] == 1


KINDS = {
    "rank-stabilised": {"use_rslora": True},
    "of several ranks": {"rank_pattern": {"v_proj": 2}, "alpha_pattern": {"q_proj": 3}},
    "with a layer trained whole": {"modules_to_save": ["lm_head"]},
    "on the embedding": {"target_modules": ["embed_tokens", "o_proj", "lm_head"]},
    "DoRA": {"use_dora": True},
    "with biases": {"bias": "lora_only"},
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_an_adapter_that_somebody_brings_is_merged_as_peft_would(tmp_path, kind):
    """What is no plain sum of base and update is merged as a whole, and still proved."""
    base = small.base(tmp_path / "base", "qwen3")
    adapter = small.adapter(tmp_path / "adapter", base, **KINDS[kind])
    report = folder.merged(adapter, None, tmp_path / "out", prompts=2)
    assert report["ok"] and report["streamed"] == (kind not in ("DoRA", "with biases"))
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


def test_an_adapter_of_another_model_is_refused(oss, tmp_path):
    other = small.base(tmp_path / "other", "qwen3")
    with pytest.raises(ValueError, match="adapter: "):
        folder.merged(oss / "adapter", str(other), tmp_path / "out", prompts=0)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere", "--base", "seedling", "--out", "x"], ["adapter: ", "adapter_config.json"]),
        (["ADAPTER", "--base", "no/such/folder", "--out", "x"], ["no/such"]),
        (["ADAPTER", "--base", "BASE", "--out", "x", "--dtype", "int3"], ["dtype: 'int3'", "bfloat16"]),
        (["ADAPTER", "--base", "BASE", "--out", "x", "--device", "tpu"], ["device: 'tpu'"]),
        (["ADAPTER", "--base", "BASE", "--out", "x", "--shard-gb", "0"], ["shard-gb: 0"]),
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
    done = subprocess.run([sys.executable, "-c", KILLED, *arguments], capture_output=True, timeout=120)
    assert done.returncode == -9 and not out.exists() and [path.name[0] for path in tmp_path.iterdir()] == ["."]
    assert main.main(["chat", str(out), "--store", str(tmp_path)]) == 2
    assert folder.merged(oss / "adapter", str(oss / "base"), out, prompts=0)["ok"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_every_stop_is_carried(oss):
    values = json.loads((oss / "out" / "generation_config.json").read_text())
    own = json.loads((runs.SEEDLING / "generation_config.json").read_text())["eos_token_id"]
    assert set(own) < set(values["eos_token_id"]) and "_from_model_config" not in values
