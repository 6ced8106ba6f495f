"""Whether a saved adapter does anything once it is loaded: peft leaves out what it does not know, and says little."""

import math

import pytest
import torch
from safetensors.torch import load_file, save_file

from nbcore import config as configs
from nbcore import gates, runs
from nbcore.gates import integrity
from nbcore.training import adapter_effect, load, lora
from tests.gates import made

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A finished run with a real adapter on the seedling."""
    run = runs.open(configs.load({"phase": "lang_adapter", "name": "tiny"}), tmp_path_factory.mktemp("store"))
    model = lora.attach(load.base_model(run), configs.Lora(rank=2))
    torch.manual_seed(0)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(std=0.1)
    model.save_pretrained(run.path / "adapter", selected_adapters=["default"])
    return run.finish({"loss": 1.0}, base="seedling", data_hash="d" * 64)


def found(run):
    gate = gates.load({**made.GATE, "phase": run.phase, "integrity": ["adapter_loaded", "adapter_changed"]})
    quiet = integrity.SILENT
    return integrity.look(integrity.Subject(run, None, None, gate, quiet))


def test_an_adapter_moves_the_logits_of_its_base(trained):
    assert adapter_effect.largest_difference(trained) > 0.01
    assert [each.verdict for each in found(trained)] == ["PASS", "PASS"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda tensors: {name: value * ("lora_A" in name) for name, value in tensors.items()}, "same logits"),
        (lambda tensors: {name.replace("lora_", "lara_"): value for name, value in tensors.items()}, "not in the file"),
        (lambda tensors: {name.replace("s.3.", "s.9."): value for name, value in tensors.items()}, "14 tensors of it"),
        (lambda tensors: {name: value * math.nan for name, value in tensors.items()}, "not finite"),
        (lambda tensors: {name: value[:, :1].contiguous() for name, value in tensors.items()}, "does not load"),
    ],
    ids=["zeros", "unknown names", "one layer under another name", "not a number", "another shape"],
)
def test_an_adapter_that_does_nothing_or_harm_is_told(trained, change, words):
    path = trained.path / "adapter" / "adapter_model.safetensors"
    content = path.read_bytes()
    try:
        save_file(change(load_file(path)), path, {"format": "pt"})
        finding = found(runs.Run(trained.path))[0]
        assert finding.verdict == "FAIL" and words in finding.why
    finally:
        path.write_bytes(content)
