"""The plan of memory: the shipped configs fit the device they are for, and what does not fit is told how it would."""

import pytest

from nbcore import config as configs
from nbcore.core import hardware
from nbcore.training import load, plan

DEVICES = {"tiny": "t4", "small": "t4", "medium": "l4", "gpt_oss_20b": "a100-80"}
PHASES = [name for name, entry in configs.TABLE.items() if not entry.makes_data]


def planned(path, **changes):
    return plan.of(configs.load(path, changes), plan.inherited(path))


@pytest.mark.slow
@pytest.mark.parametrize("profile", DEVICES)
@pytest.mark.parametrize("phase", PHASES)
def test_a_shipped_config_fits_its_device(repo, phase, profile):
    """The larger profiles were never held against any device; whoever pays for the GPU would be the first to know."""
    found = planned(repo / "configs" / phase / f"{profile}.yaml")
    assert found.fits(hardware.gpu(DEVICES[profile])), found


def test_weights_are_those_that_the_publishers_name(repo):
    """1.54, 7.62 and 20.9 billion parameters: of the last, half precision alone takes 39 GiB."""
    assert planned(repo / "configs/evaluate/small.yaml", **{"model.quantization": "none"}).parts["weights"] == (
        pytest.approx(2 * 1.54e9, rel=0.01)
    )
    assert planned(repo / "configs/evaluate/medium.yaml", **{"model.quantization": "none"}).parts["weights"] == (
        pytest.approx(2 * 7.62e9, rel=0.01)
    )
    assert planned(repo / "configs/evaluate/gpt_oss_20b.yaml").parts["weights"] == pytest.approx(2 * 20.9e9, rel=0.01)


def test_four_bits_save_what_they_save_and_no_more(repo):
    """bitsandbytes leaves embeddings and output layer alone, and a fresh adapter turns them to float32: 4 GiB of a
    7B model that a flat half byte a weight knows nothing of."""
    parts = planned(repo / "configs/lang_adapter/medium.yaml").parts
    embeddings, others = 2 * 152064 * 3584, 7.62e9 - 2 * 152064 * 3584
    assert parts["weights"] == pytest.approx(4 * embeddings + plan.NF4 * others, rel=0.01)


@pytest.mark.slow
def test_what_does_not_fit_is_told_the_first_change_with_which_it_does(repo):
    path = repo / "configs/pretrain/medium.yaml"
    config, small = configs.load(path), hardware.Device("cuda", "a small GPU", 6.0, True, "t4")
    assert not plan.of(config, None).fits(small)
    changes, then = plan.remedy(config, None, small)
    assert then.fits(small) and changes["gradient_checkpointing"] is True
    changed = configs.load(path, changes)
    assert changed.effective_batch == config.effective_batch
    assert plan.remedy(config, None, hardware.Device("cuda", "a tiny GPU", 0.5, True, "t4")) is None


def test_an_optimizer_is_counted_by_its_name(repo):
    path = repo / "configs/pretrain/tiny.yaml"
    usual, eight = planned(path), planned(path, trainer={"optim": "paged_adamw_8bit"})
    assert usual.parts["optimizer"] == 4 * eight.parts["optimizer"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"model.base": "nobody/nothing"}, r"model\.base.*'nobody/nothing'.*config\.json"),
        ({"model.base": "./no/such/folder"}, r"model\.base"),
        ({"lora": {"targets": ["c_attn"]}}, r"lora.*c_attn.*matches nothing"),
        ({"lora": {"targets": ["q_proj"], "target_parameters": ["mlp.experts.gate_up_proj"]}}, r"experts.*nothing"),
    ],
)
def test_what_cannot_be_planned_is_one_line_that_names_the_field(repo, changes, told):
    with pytest.raises(ValueError, match=told):
        planned(repo / "configs/sft/tiny.yaml", **changes)


def test_a_kernel_that_is_not_here_is_refused_by_its_field():
    """transformers ends in an ImportError about the package, after the weights were downloaded."""
    if load.is_flash_attn_2_available():
        pytest.skip("flash-attn is here")
    with pytest.raises(ValueError, match=r"model\.attention.*sdpa"):
        load.check_attention(configs.Model(attention="flash_attention_2"))
