"""Pretraining: the curriculum walks as told, and the model it leaves is a base for the next phase."""

import pytest

from nbcore import config as configs
from nbcore import runs
from nbcore.phases import lang_adapter, pretrain
from nbcore.training import load, order
from tests.phases.short_runs import same_losses, short, walk


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return walk(pretrain, runs.open(short("pretrain"), tmp_path_factory.mktemp("store")))


def test_first_losses(run, golden):
    """A change in architecture, initialisation, data or schedule shows in the first steps."""
    same_losses(run, golden)


def test_stages_cut_and_add_up():
    """max_steps: 2 must be a short walk through the same stages, not an error."""
    config = configs.load("configs/pretrain/tiny.yaml", {"stages": [[16, 3], [32, 5]]})
    assert pretrain.stages(config) == [(16, 3), (32, 57)]
    assert pretrain.stages(configs.load(config, {"max_steps": 2})) == [(16, 2)]
    assert pretrain.stages(configs.load(config, {"stages": [], "max_steps": 7})) == [(128, 7)]


def test_rows_of_a_stage_are_no_longer_than_it_says(tmp_path):
    """The curriculum saves time only if short stages are short."""
    run = runs.open(short("pretrain", stages=[[16, 2], [64, 2]]), tmp_path)
    lengths = [len(row["input_ids"]) for row in pretrain.data(run)["train"]]
    assert max(lengths[:8]) <= 16 < max(lengths[8:])


def test_what_it_leaves_is_a_base(run):
    """A model that the next phase cannot load, or loads with other weights, breaks the chain."""
    child = runs.open(short("lang_adapter"), run.store, run)
    assert load.base_of(child) == f"run:{run.id}"
    assert lang_adapter.model(child).base_model.model.config.vocab_size == len(load.tokenizer(child))


def test_every_epoch_holds_every_row_once():
    """A sampler that repeats rows within an epoch trains some data twice and some never."""
    rows = [{"input_ids": list(range(n % 7 + 1)), "n": n} for n in range(40)]
    found = order.in_order(rows, steps=20, batch=4, seed=1)
    assert sorted(row["n"] for row in found[:40]) == sorted(row["n"] for row in found[40:]) == list(range(40))
    assert found == order.in_order(rows, steps=20, batch=4, seed=1) != order.in_order(rows, 20, 4, seed=2)
