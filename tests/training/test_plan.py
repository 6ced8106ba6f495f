"""The plan of memory: the shipped configs fit the device they are for, and what does not fit is told how it would."""

from pathlib import Path

import pytest

from nbcore import config as configs
from nbcore import runs
from nbcore.core import capabilities, hardware
from nbcore.training import plan

DEVICES = {"small": "t4", "medium": "l4", "gpt_oss_20b": "a100-80"}  # by the end of a config's name
PHASES = [name for name, entry in configs.TABLE.items() if not entry.makes_data]
SHIPPED = sorted(path for phase in PHASES for path in Path("configs", phase).glob("*.yaml"))
A_CPU = hardware.Device("cpu", "a CPU with 8 GiB", 8.0, False, "cpu")  # tiny, seedling and smollm2 ask for no more


def planned(path, **changes):
    return plan.of(configs.load(path, changes), plan.inherited(path))


@pytest.mark.slow
@pytest.mark.parametrize("path", SHIPPED, ids=str)
def test_a_shipped_config_fits_its_device(repo, path):
    """The larger profiles were never held against any device; whoever pays for the GPU would be the first to know."""
    named = [device for profile, device in DEVICES.items() if path.stem.endswith(profile)]
    device = hardware.gpu(named[0]) if named else A_CPU
    found = planned(repo / path)
    assert found.fits(device), found


def test_weights_are_those_that_the_publishers_name(repo):
    """1.54, 7.62 and 20.9 billion parameters: of the last, half precision alone takes 39 GiB."""
    assert planned(repo / "configs/evaluate/small.yaml", **{"model.quantization": "none"}).parts["weights"] == (
        pytest.approx(2 * 1.54e9, rel=0.01)
    )
    assert planned(repo / "configs/evaluate/medium.yaml", **{"model.quantization": "none"}).parts["weights"] == (
        pytest.approx(2 * 7.62e9, rel=0.01)
    )
    assert planned(repo / "configs/evaluate/gpt_oss_20b.yaml").parts["weights"] == pytest.approx(2 * 20.9e9, rel=0.01)


def test_eight_bits_are_counted_as_eight(repo):
    """fp8 was planned as 16 bits, and a base that fits was said not to."""
    changes = {"model.quantization": "fp8", "model.backend": "unsloth"}
    embeddings, others = 2 * 152064 * 3584, 7.62e9 - 2 * 152064 * 3584
    weights = planned(repo / "configs/evaluate/medium.yaml", **changes).parts["weights"]
    assert weights == pytest.approx(2 * embeddings + others, rel=0.01)


def test_a_loss_that_holds_all_logits_is_planned_with_them(repo):
    """SFT with an adapter on the output layer, or with TRL's plain loss, was planned as if its logits came in chunks:
    for 150,000 tokens of vocabulary some GiB are missing."""
    path = repo / "configs/sft/tiny.yaml"
    assert planned(path, trainer={"loss_type": "nll"}).step > 1.02 * planned(path).step


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


def test_where_no_micro_batch_helps_a_shorter_row_is_told(repo):
    """One long row does not fit however few there are: "take shorter rows" was all that was said."""
    long = {"max_length": 1024, "batch_size": 1, "gradient_accumulation": 16, "gradient_checkpointing": True}
    config = configs.load(repo / "configs/sft/tiny.yaml", long)
    peak = plan.of(configs.load(config, {"max_length": 256}), configs.Lora()).peak
    card = hardware.Device("cpu", "a small machine", 1.01 * peak / (1 - plan.FREE) / 2**30, False, "cpu")
    assert plan.remedy(config, configs.Lora(), card) is None, "auto trains no other rows than its profile says"
    changes, then = plan.remedy(config, configs.Lora(), card, shorter=True)
    assert changes["max_length"] == 256 and then.fits(card)
    assert plan.of(configs.load(config, changes), configs.Lora()) == then


@pytest.mark.slow
def test_auto_takes_what_fits_by_the_plan(repo, monkeypatch, capsys):
    """It went by the size of the card alone: what a phase needs on it was found out once the weights were there."""
    monkeypatch.chdir(repo)
    assert plan.chosen("configs/sft/small.yaml", "sft", hardware.gpu("t4")) == "configs/sft/small.yaml"
    cpu = hardware.Device("cpu", "a CPU", 8.0, False, "cpu")
    assert plan.chosen("auto", "sft", cpu) == "configs/sft/tiny.yaml" and "a CPU" in capsys.readouterr().out
    assert plan.chosen("auto", "sft", hardware.gpu("t4")) == "configs/sft/small.yaml"
    with pytest.raises(ValueError, match=r"config: 'auto': no profile fits a speck"):
        plan.chosen("auto", "sft", hardware.Device("cpu", "a speck", 0.01, False, "cpu"))


@pytest.mark.slow
def test_auto_takes_the_first_change_that_makes_a_profile_fit(repo, monkeypatch, capsys):
    """IPO holds two adapters and all logits of a pair: the medium profile fits 22 GiB, and 20 with less at once."""
    monkeypatch.chdir(repo)
    card = hardware.Device("cuda", "a card of 20 GB", 20.0, True, "l4")
    taken, shipped = plan.chosen("auto", "ipo", card), configs.load(repo / "configs/ipo/medium.yaml")
    assert taken.name == "medium" and taken != shipped and taken.effective_batch == shipped.effective_batch
    assert plan.of(taken, plan.inherited(repo / "configs/ipo/medium.yaml")).fits(card)
    told = capsys.readouterr().out
    assert "configs/ipo/medium.yaml is planned to take" in told and "a card of 20 GB" in told
    assert plan.chosen("auto", "sft", card) == "configs/sft/medium.yaml"


@pytest.mark.slow
def test_auto_takes_a_smaller_profile_where_no_change_helps(repo, monkeypatch, capsys):
    """The 7.6 billion weights alone take 9 GiB."""
    monkeypatch.chdir(repo)
    for name in ("small", "medium"):
        monkeypatch.setitem(hardware.PROFILES, name, hardware.PROFILES[name]._replace(gpu_gb=5))
    card = hardware.Device("cuda", "a card of 6 GB", 6.0, True, "t4")
    assert plan.chosen("auto", "sft", card) == "configs/sft/small.yaml"
    assert "configs/sft/medium.yaml is planned to take" in capsys.readouterr().out


@pytest.mark.slow
def test_a_run_is_planned_against_the_device_that_is_here(store):
    """What a notebook shows before anything is loaded: each part, the sum, and whether that is there."""
    run = runs.open(configs.load("configs/sft/tiny.yaml"), store, "base")
    told = plan.shown(run)
    assert told["base"] == "seedling" and told["weights"] == "4.8 MiB" and "it fits" in told
    assert hardware.device().name in told[plan.MOST]
    unit = {"MiB": 1, "GiB": 1024}
    sizes = {name: value.split()[:2] for name, value in told.items() if value.split(",")[0].endswith(tuple(unit))}
    mebibytes = {name: float(size) * unit[of.strip(",")] for name, (size, of) in sizes.items()}
    assert mebibytes.pop(plan.MOST) == pytest.approx(sum(mebibytes.values()), rel=0.05)
    small = plan.shown(run, hardware.Device("cpu", "a small machine", 0.15, False, "cpu"))
    assert "overrides = {'gradient_checkpointing': True" in small["it does not fit"]
    assert "smaller base" in plan.shown(run, hardware.Device("cpu", "a speck", 0.005, False, "cpu"))["it does not fit"]


@pytest.mark.slow
def test_a_row_of_millions_of_tokens_is_planned_at_once(repo, monkeypatch):
    """Its loss was counted chunk by chunk, 625,000 of them, for hours."""
    path = repo / "configs/sft/tiny.yaml"
    assert planned(path, max_length=10**7).step > 1000 * planned(path, max_length=2048).step
    exact = planned(path, max_length=2048).step
    monkeypatch.setattr(plan.footprint, "MOST_CHUNKS", 8)
    assert planned(path, max_length=2048).step == pytest.approx(exact, rel=0.1)


def test_what_a_model_does_not_bear_is_no_plan_and_no_error(store, monkeypatch):
    """A base whose code does not run on tensors without memory can be trained all the same."""
    run = runs.open(configs.load("configs/pretrain/tiny.yaml"), store)

    def breaks(*_):
        raise NotImplementedError("no such kernel\nmore")

    monkeypatch.setattr(plan.footprint, "beside_weights", breaks)
    assert plan.shown(run) == {"no plan": "NotImplementedError: no such kernel"}


def test_a_pretraining_that_goes_on_is_planned_for_the_model_that_it_starts_from(repo):
    """Its config names no architecture: the plan was that of transformers' default, 7 billion parameters."""
    found = planned(repo / "configs/pretrain/seedling_calls.yaml", **{"corpus.max_tokens": 64, "batch_size": 2})
    assert found.parts["weights"] == 4 * 1_246_592


def test_an_optimizer_is_counted_by_its_name(repo):
    """Of 8 bits, embeddings have 32 all the same."""
    path = repo / "configs/pretrain/tiny.yaml"
    usual, eight = planned(path), planned(path, trainer={"optim": "paged_adamw_8bit"})
    shape = plan.architecture(configs.load(path))
    embedding = 8 * shape.vocab_size * shape.hidden_size
    assert eight.parts["optimizer"] == pytest.approx(embedding + (usual.parts["optimizer"] - embedding) / 4, rel=0.01)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"model.base": "nobody/nothing"}, r"model\.base.*'nobody/nothing'.*config\.json"),
        ({"model.base": "seedlng"}, r"model\.base.*did you mean 'seedling'"),
        ({"model.base": "Qwen/Qwen2.5-coder-1.5B-instruct"}, r"did you mean 'Qwen/Qwen2\.5-Coder-1\.5B-Instruct'"),
        ({"max_length": 10**12}, r"batch_size × length: .* tokens in one forward pass"),
        ({"model.base": "openai/gpt-oss-20b"}, r"model\.attention is 'sdpa'.*set model\.attention=eager"),
        (
            {"model.base": "openai/gpt-oss-20b", "model.attention": "eager", "model.quantization": "nf4"},
            r"model\.quantization is 'nf4'.*MXFP4.*model\.quantization=mxfp4",
        ),
        ({"trainer": {"optim": "adam_torch"}}, r"trainer: optim is 'adam_torch'.*did you mean"),
        ({"lora": {"targets": []}}, "targets and target_parameters are both empty"),
        ({"model.base": "./no/such/folder"}, r"model\.base"),
        ({"model.quantization": "mxfp4"}, r"model\.quantization is 'mxfp4'.*seedling is llama.*none or nf4"),
        ({"lora": {"targets": ["c_attn"]}}, r"lora.*c_attn.*matches nothing"),
        ({"lora": {"targets": ["q_proj"], "target_parameters": ["mlp.experts.gate_up_proj"]}}, r"experts.*nothing"),
    ],
)
def test_what_cannot_be_planned_is_one_line_that_names_the_field(repo, changes, told):
    with pytest.raises(ValueError, match=told):
        planned(repo / "configs/sft/tiny.yaml", **changes)


def test_a_kernel_that_is_not_here_is_refused_by_its_field():
    """transformers ends in an ImportError about the package, after the weights were downloaded."""
    without = capabilities.Machine((9, 0), frozenset(), True)
    with pytest.raises(ValueError, match=r"model\.attention.*sdpa"):
        capabilities.check(configs.load({"phase": "sft", "model": {"attention": "flash_attention_2"}}), without)
