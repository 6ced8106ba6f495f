"""Which run is opened, and with which settings it goes on."""

import shutil

from nbcore import config as configs
from nbcore import runs
from nbcore.runs import layout, lease, opening
from nbcore.training import fit
from tests.runs.helpers import SFT, opened, saved


def test_a_restart_keeps_the_smaller_micro_batch(tmp_path):
    """Three restarts undid three halvings, and the fourth lack of memory ended the run for ever."""
    config = configs.load(SFT, {"batch_size": 8})
    run = runs.open(config, tmp_path)
    for size in (4, 2):
        fit._halve(run, "CUDA out of memory")
        assert runs.open(config, tmp_path).config.batch_size == size
    assert run.halvings == 2
    asked = configs.load(config, {"batch_size": 4, "gradient_accumulation": 2})
    again = runs.open(asked, tmp_path)
    assert again == run and again.config.batch_size == 4 and again.halvings == 0, "another request begins anew"
    assert opening.changes(again.requested, asked) == {}


def test_the_furthest_run_goes_on_and_a_finished_one_wins(tmp_path):
    """The newest directory won: step 480 was orphaned by an attempt that had not begun."""
    far = opened(tmp_path)
    saved(far, 40)
    lease.release(far.path)
    near = runs.run.Run(far.path.with_name(far.path.name.replace(far.path.name[:4], "2999")))
    shutil.copytree(far.path, near.path, ignore=shutil.ignore_patterns("state"))
    assert runs.open(SFT, tmp_path) == far
    far.finish({"loss": 1.0})
    saved(near, 90)
    assert runs.matching(SFT, tmp_path, None) == far


def test_a_neighbour_without_its_config_does_not_keep_others_from_opening(store):
    """One deleted config.yaml, and no run of that name could be opened any more."""
    config = configs.load({"phase": "evaluate", "name": "tiny"})
    lost = runs.open(config, store)
    lost.finish({"n": 1}, base="seedling")
    (lost.path / layout.CONFIG).unlink()
    again = runs.open(config, store)
    assert again.id != lost.id and not again.finished
