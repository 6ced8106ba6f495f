"""A base that cannot be used is told in one line, by its field: folders as people and publishers leave them."""

import json
import shutil

import pytest
import safetensors.torch as safe

from nbcore import config as configs
from nbcore import runs
from nbcore.cli import main
from nbcore.phases import pretrain
from nbcore.training import fitting, load, plan

SEEDLING = json.loads((load.SEEDLING / "config.json").read_text("utf-8"))
FOREIGN = {"model_type": "zorgon", "auto_map": {"AutoConfig": "configuration_zorgon.Zorgon"}}


@pytest.fixture
def folder(tmp_path):
    """A copy of the seedling, to be spoilt."""
    return shutil.copytree(load.SEEDLING, tmp_path / "base")


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"model_type": "zorgon"}, "config.json cannot be used.*zorgon"),
        ({"hidden_size": 64}, "config.json cannot be used"),
        ("{not json", "config.json cannot be used"),
        (SEEDLING | {"hidden_size": "big"}, "config.json cannot be used.*hidden_size"),
        (SEEDLING | {"num_attention_heads": 7}, "config.json cannot be used"),
        (FOREIGN, "config.json cannot be used.*custom code"),
        ({"model_type": "t5"}, "of the kind 't5'"),
    ],
)
def test_an_architecture_that_cannot_be_used_is_one_line(folder, monkeypatch, config, told):
    """Some came as a traceback, and named no field. For a publisher's own code a person was asked on the terminal
    whether to run it."""
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("asked whether to run a stranger's code"))
    (folder / "config.json").write_text(config if isinstance(config, str) else json.dumps(config), "utf-8")
    with pytest.raises(ValueError, match=rf"^model\.base: '.*': .*{told}") as caught:
        plan.architecture(configs.load("configs/sft/tiny.yaml", {"model.base": str(folder)}))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"hidden_size": "big"}, "hidden_size"),
        ({"hidden_size": 64, "num_attention_heads": 7}, "architecture: {'hidden_size': 64, 'num_attention_heads': 7}"),
        ({"num_attention_heads": 0}, "architecture"),
        ({"num_hidden_layers": 0}, "num_hidden_layers is 0"),
        ({"hidden_size": 64, "num_attention_heads": 4, "num_key_value_heads": 3}, "num_key_value_heads, 3"),
        ({"vocab_size": 400}, "'vocab_size' follows from the tokenizer"),
        ({"eos_token_id": 1}, "'eos_token_id' follows from the tokenizer"),
        ({"layers": 2}, "LlamaConfig has no 'layers'"),
    ],
)
def test_an_architecture_that_is_none_names_its_field(fields, told):
    """transformers' own errors for these are no ValueErrors: `plan` ended in a traceback."""
    with pytest.raises(ValueError, match=rf"^architecture: .*{told}|^{told}"):
        plan.architecture(configs.load("configs/pretrain/tiny.yaml", {"architecture": fields}))


def test_what_cannot_be_counted_is_no_traceback(repo, monkeypatch, capsys):
    """A notebook trains such a base all the same; the command ended in the error of whatever its code stumbled over."""

    def breaks(*_):
        raise AttributeError("no such size\nmore")

    monkeypatch.setattr(plan.footprint, "beside_weights", breaks)
    code = main.main(["plan", str(repo / "configs/sft/tiny.yaml")])
    told = capsys.readouterr().err
    assert code == 1 and "cannot be planned (AttributeError: no such size)" in told and len(told.splitlines()) == 1


def test_a_folder_without_a_tokenizer_is_told_by_its_field(folder):
    """The error spoke of huggingface.co, and of a local folder of the same name that one should not have."""
    settings = json.loads((folder / "tokenizer_config.json").read_text("utf-8"))
    nameless = {name: value for name, value in settings.items() if name not in ("eos_token", "pad_token")}
    (folder / "tokenizer_config.json").write_text(json.dumps(nameless), "utf-8")
    (folder / "special_tokens_map.json").unlink(missing_ok=True)
    with pytest.raises(ValueError, match=r"^model\.base: .* names no eos_token"):
        load.tokenizer_at(str(folder))
    (folder / "tokenizer.json").write_text("{", "utf-8")
    with pytest.raises(ValueError, match=r"^model\.base: the tokenizer of .* cannot be read"):
        load.tokenizer_at(str(folder))


def _cut(folder):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:5000])


def _resized(folder):
    (folder / "config.json").write_text(json.dumps(SEEDLING | {"intermediate_size": 64}), "utf-8")


def _of_another(folder):
    tokenizer = load.tokenizer_at(str(folder))
    tokenizer.add_special_tokens({"pad_token": "<|of another|>"})
    tokenizer.save_pretrained(folder)


def _ends(ends):
    return lambda folder: (folder / "generation_config.json").write_text(ends, "utf-8")


def _lacking(folder):
    tensors = safe.load_file(folder / "model.safetensors")
    tensors.popitem()
    safe.save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def _no_index(folder):
    (folder / "model.safetensors").rename(folder / "model-00001-of-00001.safetensors")
    (folder / "model.safetensors.index.json").write_text("{")


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda folder: (folder / "model.safetensors").unlink(), "weights of .* cannot be read"),
        (_cut, "weights of .* cannot be read"),
        (_resized, "other sizes than its config.json says"),
        (_lacking, "1 of its weights are missing"),
        (_no_index, "weights of .* cannot be read"),
        (_of_another, r"has the id \d+ for '<\|of another\|>', and the model embeds \d+ tokens"),
        (_ends("{"), "generation_config.json cannot be read"),
        (_ends('{"eos_token_id": ["<|end|>"]}'), r"eos_token_id holds '<\|end\|>'"),
    ],
    ids=[
        "no weights",
        "cut",
        "other sizes",
        "one lacking",
        "index broken",
        "another tokenizer",
        "no generation config",
        "ends by name",
    ],
)
def test_weights_and_what_goes_with_them(folder, store, spoil, told):
    """A cut file ended in an error of another library, a tokenizer of another model in an IndexError in the middle of a
    run, and a broken generation config in nothing: every end that it named was lost."""
    spoil(folder)
    run = runs.open(configs.load("configs/evaluate/tiny.yaml", {"model.base": str(folder)}), store)
    with pytest.raises(ValueError, match=rf"^model\.base: .*{told}") as caught:
        load.base_model(run)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("spoil", "told"), [(_cut, "cannot be read"), (_lacking, "1 of its weights are missing")], ids=["cut", "lacking"]
)
def test_what_pretraining_starts_from_is_whole(folder, store, spoil, told):
    """Of a folder that lacked a tensor that tensor was drawn at random, and training went on without a word."""
    spoil(folder)
    run = runs.open(configs.load("configs/pretrain/tiny.yaml", {"start": str(folder), "architecture": {}}), store)
    with pytest.raises(ValueError, match=rf"^start: .*{told}") as caught:
        pretrain.model(run)
    assert "\n" not in str(caught.value)


def test_ids_that_no_conversation_needs_may_be_there(folder, store):
    """Gemma 3's tokenizer has one more than the model embeds, for images."""
    tokenizer = load.tokenizer_at(str(folder))
    tokenizer.add_tokens(["<|image|>"])
    fitting.refuse_small(tokenizer, load.base_model(runs.open(configs.load("configs/evaluate/tiny.yaml"), store)), "x")
