"""Export: a run's model in a folder, proved, and in llama.cpp; what is missing on a machine is said in one line."""

import json
import os
import shutil

import pytest
import torch
from transformers import AutoModelForCausalLM

from nbcore import config as configs
from nbcore import runs, view
from nbcore.phases import export
from nbcore.report import cards
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


@pytest.mark.parametrize("changed", ["model/model.safetensors", "gguf/model-f16.gguf"])
def test_what_changed_after_its_proof_is_not_vouched_for(chain, changed):
    """A file is proved once. The manifest took it as it was by then: one bit that turned meanwhile was an export."""
    run = opened(chain, prompts=0, seed=19)
    export.write(run)
    if changed.startswith("model"):
        held = bytearray((run.path / changed).read_bytes())
        held[-5] ^= 1
        (run.path / changed).write_bytes(held)
    else:
        export.parity.write(run.path, export.known(run) | {"gguf": {"f16": {"sha256": "0" * 64}}})
    with pytest.raises(parity.Lost, match=f"{changed}: has changed since it was proved; remove "):
        export.finish(run)
    assert not run.finished
    shutil.rmtree(run.path)


def test_the_adapter_alone(chain):
    run = opened(chain, form="adapter", seed=8)
    report = export.write(run)
    assert report["ok"] and len(report["tensors"]) == 35 and export.convert(run) == report
    saved = json.loads((run.path / "adapter" / "adapter_config.json").read_text())
    assert saved["base_model_name_or_path"] == "seedling" and (run.path / "adapter" / "tokenizer.json").is_file()
    assert export.finish(run).verify() == []
    card = cards.card(run)  # said "transformers" and "finetune", and who loads it so gets no model
    assert "library_name: peft" in card and "base_model_relation: adapter" in card
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


@pytest.mark.parametrize("settings", [{"form": "adapter"}, {"gguf": []}])
def test_a_gguf_file_of_the_adapter_alone_is_asked_for_beside_no_other(chain, monkeypatch, tmp_path, capsys, settings):
    """gguf_lora was passed over without a word where no file of a whole model was made."""
    monkeypatch.setenv("LLAMA_CPP_DIR", str(tmp_path))
    run = opened(chain, gguf_lora=True, **{"prompts": 0, "seed": 14, **settings})
    export.write(run)
    report = export.convert(run)
    assert "clone of llama.cpp" in capsys.readouterr().out and list(report["gguf"]) == ["lora"]
    export.finish(run)


def test_another_rounding_of_the_base_than_in_the_training_is_refused(chain):
    """An adapter trained on the whole base was merged into one rounded to 4 bits, and the proof compared with that."""
    run = opened(chain, prompts=0, seed=18, **{"model.quantization": "nf4"})
    with pytest.raises(ValueError, match=r"model\.quantization: 'nf4', and sft/\S+ was trained with 'none'; set"):
        export.write(run)
    assert not (run.path / "model").exists()


def test_a_gguf_file_that_was_wrong_is_made_anew(chain, monkeypatch, tmp_path):
    """It was kept, and each attempt found the same fault in the same file, whatever had been mended meanwhile."""
    monkeypatch.setenv("LLAMA_CPP_DIR", str(tmp_path))
    run = opened(chain, gguf=["f16"], prompts=0, seed=16)
    report = export.write(run)
    (run.path / "gguf").mkdir()
    (run.path / "gguf" / "model-f16.gguf").write_bytes(b"GGUF")
    parity.write(run.path, report | {"gguf": {"f16": {"problems": ["model-f16.gguf: other tokens"]}}})
    export.convert(run)
    assert not (run.path / "gguf" / "model-f16.gguf").exists()
    export.finish(run)


def test_a_full_disk_pauses_the_export_and_is_said_to_be_full(monkeypatch, tmp_path):
    """The converter says "16384 requested and 10464 written", and so it was said to have refused the model."""
    fails = "import sys; open(sys.argv[-3], 'wb').write(b'GGUF'); raise OSError('16384 requested and 10464 written')"
    (tmp_path / llama_cpp.SCRIPT).write_text(fails)
    monkeypatch.setenv("LLAMA_CPP_DIR", str(tmp_path))
    run = opened(tmp_path / "store", runs.BASE, gguf=["f16"])
    export.write(run)
    with pytest.raises(ValueError, match="refused the model: OSError: 16384 requested"):
        export.convert(run)
    monkeypatch.setattr(llama_cpp.disk, "free", lambda path: 0)
    with pytest.raises(runs.Paused, match=r"the disk is full.*give the same command again"):
        export.convert(run)
    assert list((run.path / "gguf").iterdir()) == []


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
def test_the_adapter_alone_says_the_same_beside_its_base(chain, run, tmp_path):
    """The base's GGUF file with the adapter's must answer as the merged one; alone it must not, or nothing is shown."""
    made = opened(chain, gguf=["f32"], gguf_lora=True, seed=13)
    export.write(made)
    export.convert(made)
    rows, base = export.data(made), tmp_path / "base.gguf"
    llama_cpp.convert(runs.SEEDLING, base, "f32", gguf.pre_tokenizer(runs.SEEDLING))
    merged = gguf_parity.Reference(made.path / "model", rows, made.config, "cpu")
    quiet, lora = export.folder.merge.quiet, made.path / "gguf" / export.LORA
    with llama_cpp.serving(base, 1024, lora=lora) as server:
        beside = gguf_parity.greedy_parity(server, rows["prompts"], merged, quiet, lora.name)
        change = gguf_parity.perplexity_change(server, merged, quiet, lora.name)["change"]
    with llama_cpp.serving(base, 1024) as server:
        alone = gguf_parity.perplexity_change(server, merged, quiet, base.name)["change"]
    assert beside["agreement"] == 1.0 and abs(change) < 1e-4 < abs(alone)


@pytest.mark.slow
@needs_llama_cpp
@pytest.mark.parametrize("settings", [{"form": "adapter"}, {"gguf": []}])
def test_the_adapters_file_is_made_beside_no_other(chain, settings):
    run = opened(chain, gguf_lora=True, **{"prompts": 0, "seed": 15, **settings})
    export.write(run)
    export.convert(run)
    export.finish(run)
    assert f"gguf/{export.LORA}" in export.files(run) and gguf.metadata(run.path / "gguf" / export.LORA)["tensors"]


@pytest.mark.slow
@needs_llama_cpp
def test_the_adapters_file_holds_no_path_of_this_machine(tmp_path):
    """The converter takes the base's name out of the adapter's config, which is a path where the base is a folder."""
    base = small.base(tmp_path / "base", "qwen3")
    gguf.make_lora(small.adapter(tmp_path / "adapter", base), base, str(base), tmp_path / "lora.gguf")
    held = (tmp_path / "lora.gguf").read_bytes().lower()
    assert gguf.metadata(tmp_path / "lora.gguf")["tensors"] == 8 and tmp_path.name.lower().encode() not in held


def test_experts_that_llama_cpp_knows_no_lora_of_do_not_end_the_export(chain, monkeypatch, capsys):
    """The merge of a 20B was made and proved, and could not be finished for an option that cannot be."""
    run = opened(chain, gguf_lora=True, prompts=0, seed=17)
    export.write(run)

    def refused(*_):
        raise ValueError("gguf: llama.cpp's converter refused the model: Can not map tensor")

    monkeypatch.setattr(gguf, "make_lora", refused)
    assert "Can not map" in export.convert(run)["gguf"]["lora"]["skipped"] and export.finish(run).verify() == []
    assert f"{export.LORA} is left out" in capsys.readouterr().out


@pytest.mark.slow
@needs_llama_cpp
def test_a_tokenizer_on_bytes_with_a_fallback_is_no_sentencepiece(run, tmp_path):
    """SmolLM2's, as read back from a GGUF file, is such a one. The converter wrote it as SentencePiece's, without a
    merge, and llama.cpp could not tokenise one text with it."""
    model = shutil.copytree(run.path / "model", tmp_path / "model")
    path = model / "tokenizer.json"
    written = json.loads(path.read_text())
    written["model"]["byte_fallback"] = True
    written["decoder"] = {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, written["decoder"]]}
    path.write_text(json.dumps(written))
    gguf.make(model, tmp_path / "gguf", ["f32"])
    file = tmp_path / "gguf" / "model-f32.gguf"
    rows = export.data(run)
    with llama_cpp.serving(file, 512) as server:
        found = gguf_parity.tokens_parity(server, rows["tokenizer"], rows["chats"], file.name, gguf.metadata(file))
    assert found[1] == [] and found[0]["same"] == found[0]["of"] >= 200


@pytest.mark.slow
@needs_llama_cpp
def test_an_exact_server_tells_the_likelihoods_of_the_model(run, tmp_path):
    """llama.cpp remembers keys and values in float16 by itself: 0.001 of a log-likelihood here, and with that two of 50
    answers of SmolLM2 that an exact file gave otherwise than the model."""
    gguf.make(run.path / "model", tmp_path / "gguf", ["f32"])
    model = AutoModelForCausalLM.from_pretrained(run.path / "model", dtype="float32")
    ids = torch.randint(300, 1500, (200,), generator=torch.Generator().manual_seed(0)).tolist()
    expected = model(torch.tensor([ids])).logits[0, -1].log_softmax(-1)
    with llama_cpp.serving(tmp_path / "gguf" / "model-f32.gguf", 512, exact=True) as server:
        said = server.ask("/completion", prompt=ids, n_predict=1, temperature=0.0, n_probs=20)
    told = {one["id"]: one["logprob"] for one in said["completion_probabilities"][0]["top_logprobs"]}
    assert len(told) == 20
    assert max(abs(value - float(expected[token])) for token, value in told.items()) < 5e-5


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
