"""Export: a run's model in a folder, proved, and in llama.cpp; what is missing on a machine is said in one line."""

import json
import os

import pytest
import torch
from transformers import AutoModelForCausalLM

from nbcore import config as configs
from nbcore import runs, view
from nbcore.phases import export
from nbcore.training import asking, load
from nbcore.training.export import gguf, gguf_parity, llama_cpp, ollama, parity, talking
from tests.training import small_adapters as small

FEW = {"gguf": [], "prompts": 1, "greedy": 3, "perplexity_documents": 2, "max_tokens": 24}


def opened(store, parent="sft", **more):
    return runs.open(configs.load("configs/export/tiny.yaml", {**FEW, **more}), store, parent)


@pytest.fixture(scope="module")
def run(chain):
    run = opened(chain)
    export.write(run)
    export.convert(run)
    return export.finish(run)


def test_the_exported_folder_is_the_trained_model(chain, run):
    """Loaded without its run, it must say what the run says."""
    merged = AutoModelForCausalLM.from_pretrained(run.path / "model", dtype=torch.float32)
    ids = torch.arange(7, 60)[None]
    with torch.inference_mode():
        difference = load.policy(run, run.parent)(input_ids=ids).logits - merged(input_ids=ids).logits
    assert difference.abs().max() <= 2e-5
    assert run.verify() == [] and export.known(run)["ok"] and (run.path / export.FIGURE).is_file()
    assert run.info["metrics"]["tensors"] == 35 and run.info["base"] == "seedling"
    assert (
        "35 tensors changed" in str(view.parity(export.known(run))) and "<svg" in view.parity(export.known(run)).markup
    )


def test_an_export_can_be_a_parent_and_no_adapter_is_added_twice(chain, run):
    """Its model holds what its parents trained: with their adapter beside it, another model would be measured."""
    evaluation = runs.open(configs.load("configs/evaluate/tiny.yaml", {"heldout": 2}), chain, run)
    assert load.adapter_of(run) is None and load.base_of(evaluation) == f"run:{run.id}"
    assert asking.form(evaluation) == asking.form(run), "merged, it is still asked as it was taught"
    ids = torch.arange(7, 60)[None]
    with torch.inference_mode():
        one = load.policy(evaluation, evaluation.parent)(input_ids=ids).logits
        two = load.policy(run, run.parent)(input_ids=ids).logits
    assert (one - two).abs().max() <= 2e-5


def test_what_was_made_is_not_made_again(chain, run):
    before = (run.path / "model" / "model.safetensors").stat().st_mtime_ns
    again = opened(chain)
    assert again == run and export.write(again)["ok"] and export.convert(again) == export.known(run)
    assert (run.path / "model" / "model.safetensors").stat().st_mtime_ns == before


def test_nothing_exported_is_nothing_to_finish(chain):
    """An empty run would be taken for an export."""
    with pytest.raises(ValueError, match="nothing has been exported yet"):
        export.finish(opened(chain, seed=7))


def test_the_adapter_alone(chain):
    run = opened(chain, form="adapter", seed=8)
    report = export.write(run)
    assert report["ok"] and len(report["tensors"]) == 35 and export.convert(run) == report
    saved = json.loads((run.path / "adapter" / "adapter_config.json").read_text())
    assert saved["base_model_name_or_path"] == "seedling" and (run.path / "adapter" / "tokenizer.json").is_file()
    assert export.finish(run).verify() == []
    with pytest.raises(ValueError, match="form: 'adapter', and the parent has none"):
        export.write(opened(chain, "base", form="adapter", seed=9))


def test_without_llama_cpp_one_line_says_how_to_get_it(chain, monkeypatch, tmp_path, capsys):
    """The folder is an export without it."""
    monkeypatch.setenv("LLAMA_CPP_DIR", str(tmp_path))
    run = opened(chain, gguf=["f16"], seed=10)
    export.write(run)
    report = export.convert(run)
    said = [line for line in capsys.readouterr().out.splitlines() if "LLAMA_CPP_DIR" in line]
    assert len(said) == 1 and "clone of llama.cpp" in said[0] and "skipped" in report["gguf"]["f16"]
    assert export.finish(run).verify() == []


def test_a_lost_update_ends_the_export_and_is_named(chain, monkeypatch):
    """The proof is made before the folder gets its name."""
    run = opened(chain, seed=11)
    made = export.folder.merge.Target.made

    def forgetful(target, name):
        return target.base(name) if "layers.2.mlp.up_proj" in name else made(target, name)

    monkeypatch.setattr(export.folder.merge.Target, "made", forgetful)
    with pytest.raises(parity.Lost, match=r"model\.layers\.2\.mlp\.up_proj\.weight: the adapter's update was lost"):
        export.write(run)
    assert not (run.path / "model").exists() and not export.known(run)


MODELFILE = (
    "FROM ./model-q8_0.gguf\n"
    'TEMPLATE """{{ if .System }}<|start|>system<|message|>{{ .System }}<|end|><|start|>user<|message|>{{ else }}'
    '<|start|>user<|message|>{{ end }}{{ range .Messages }}{{ if eq .Role "user" }}{{ .Content }}'
    '{{ else if eq .Role "assistant" }}<|end|><|start|>assistant<|channel|>final<|message|>{{ .Content }}'
    '<|end|><|start|>user<|message|>{{ end }}{{ end }}<|end|><|start|>assistant"""\n'
    'PARAMETER stop "<|endoftext|>"\nPARAMETER stop "<|return|>"\nPARAMETER stop "<|call|>"\nPARAMETER num_ctx 1024\n'
)


def test_the_modelfile_says_template_stops_and_context():
    """Ollama guesses none of them for a model that it does not know."""
    tokenizer = load.tokenizer_at(str(runs.SEEDLING))
    assert ollama.modelfile("model-q8_0.gguf", tokenizer, [0, 6, 7], 1024) == MODELFILE


def test_more_than_two_hundred_texts_with_control_tokens():
    texts = gguf_parity.strings(load.tokenizer_at(str(runs.SEEDLING)))
    assert len(set(texts)) >= 200 and sum("<|" in text for text in texts) > 40


# --- with llama.cpp ------------------------------------------------------------------------------------------


def there():
    try:
        llama_cpp.converter()
        llama_cpp.runner()
    except llama_cpp.Missing as error:
        return str(error)
    return ""


needs_llama_cpp = pytest.mark.skipif(bool(there()), reason=there() or "there")


@pytest.mark.slow
@needs_llama_cpp
def test_llama_cpp_says_what_the_model_says(chain):
    run = opened(chain, gguf=["f32"], seed=12)
    export.write(run)
    report = export.convert(run)
    made = report["gguf"]["f32"]
    assert made["tokenizer"]["same"] == made["tokenizer"]["of"] >= 200 and made["greedy"]["agreement"] == 1.0
    assert abs(made["perplexity"]["change"]) < 1e-4 and (run.path / "gguf" / "Modelfile").is_file()
    talker = talking.of_run(run)
    assert talker.engine == "llama.cpp"
    rows = export.see(run)
    assert rows[0]["answered_by"] == "llama.cpp" and "<|" not in rows[0]["completion"]
    assert export.finish(run).verify() == []


@pytest.mark.slow
@needs_llama_cpp
@pytest.mark.parametrize("kind", ["qwen3", "gpt_oss"])
def test_other_architectures_say_the_same_in_llama_cpp(chain, run, tmp_path, kind):
    """The experts of gpt-oss are stored interleaved; converted otherwise, every number would differ."""
    base = small.base(tmp_path / "base", kind, hidden_size=64, intermediate_size=64, head_dim=32)
    experts = {"target_parameters": small.EXPERTS} if kind == "gpt_oss" else {}
    adapter = small.adapter(tmp_path / "adapter", base, **experts)
    export.folder.merged(adapter, str(base), tmp_path / "out", prompts=1)
    gguf.make(tmp_path / "out", tmp_path / "gguf", ["f32"])
    rows = export.data(run)
    reference = gguf_parity.Reference(tmp_path / "out", rows, run.config, "cpu")
    shown = (rows["tokenizer"], rows["chats"], rows["prompts"], reference)
    numbers, problems = gguf_parity.check(tmp_path / "gguf" / "model-f32.gguf", "f32", *shown)
    assert problems == [] and numbers["greedy"]["agreement"] == 1.0 and numbers["within"]


@pytest.mark.slow
@needs_llama_cpp
def test_a_wrong_pre_tokenizer_is_named(chain, run, tmp_path):
    """The file loads and answers, and splits indented lines otherwise: nothing but the comparison tells."""
    path = tmp_path / "model-f32.gguf"
    llama_cpp.convert(run.path / "model", path, "f32", "qwen2")
    rows = export.data(run)
    reference = gguf_parity.Reference(run.path / "model", rows, run.config, "cpu")
    _, problems = gguf_parity.check(path, "f32", rows["tokenizer"], rows["chats"], rows["prompts"], reference)
    assert "model-f32.gguf" in problems[0] and "'qwen2'" in problems[0] and "tokenised otherwise" in problems[0]


def test_a_gguf_file_that_was_cut_short_is_named(tmp_path):
    path = tmp_path / "model-f16.gguf"
    path.write_bytes(b"GGUF" + os.urandom(100))
    with pytest.raises(ValueError, match=r"model-f16\.gguf: no whole GGUF file"):
        gguf.metadata(path)
