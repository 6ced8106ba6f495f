"""A store that an older version left opens, verifies and goes on.

tests/runs/old_store was written by the code as it was before the rooms got their folders: a finished, blessed adapter
with an executed notebook, and an unfinished SFT run on it with two checkpoints, whose memory had run out once.
"""

import shutil
from pathlib import Path

import pytest

from nbcore import config as configs
from nbcore import runs
from nbcore.cli import main
from nbcore.runs import checkpoints, health, opening, pruning

ADAPTER, SFT = "lang_adapter/20261125T191054Z-tiny-471b9b22d120", "sft/20261125T191055Z-tiny-2ae44873233e"


@pytest.fixture
def old(tmp_path):
    """A copy of the old store: nothing may change the one in the repository."""
    return Path(shutil.copytree(Path(__file__).parent / "old_store", tmp_path / "store"))


def test_it_is_found_and_verifies(old, capsys):
    assert [run.id for run in runs.listing(old)] == [ADAPTER, SFT]
    adapter, sft = runs.listing(old)
    assert runs.find(old, ADAPTER) == adapter and adapter.finished and not sft.finished
    assert adapter.verify() == [] and health.look(adapter) == ([], ["the run"])
    assert health.look(sft) == ([], ["checkpoint of step 10", "checkpoint of step 20"])
    assert main.main(["runs", "verify", "--store", str(old)]) == 0
    said = capsys.readouterr().out
    assert f"{ADAPTER}  ok (notebook.ipynb apart: nothing vouches for it)" in said
    assert f"{SFT}  unfinished, ok" in said
    for command in (["list"], ["show", SFT], ["usage"], ["prune", "--dry-run"]):
        assert main.main(["runs", *command, "--store", str(old)]) == 0


def test_what_it_says_is_read_as_it_was_meant(old):
    adapter, sft = runs.listing(old)
    assert adapter.info["metrics"] == {"loss": 2.25} and [row["step"] for row in adapter.metrics()] == [1, 2, 2]
    assert checkpoints.blessed(adapter.path)["run"] == "in a paper"
    assert checkpoints.trained(adapter.path) == {"steps": 2, "loss": 2.25}
    assert sft.parent == adapter and sft.samples()[0]["completion"] == "x + 1"
    assert (sft.config.batch_size, sft.config.gradient_accumulation, sft.halvings) == (16, 2, 0)
    assert pruning.policy(sft.path).every == 10


def test_it_goes_on_where_it_stood(old):
    """The same config and parent lead to the same directory, whose newest checkpoint is resumed from."""
    _, sft = runs.listing(old)
    config = configs.load(sft.path / "config.yaml", {"keep_every": 10})
    again = runs.open(config, old, ADAPTER)
    assert again == sft and opening.changes(again.requested, config) == {}
    newest, refused = checkpoints.newest(again.path)
    assert newest.step == 20 and refused == {}
    assert again.finish({"loss": 1.0}).verify() == [] and runs.find(old, SFT) == again
    assert runs.open(config, old, ADAPTER) == again, "and is done after that"
