"""What the policy does not keep leaves the disk, and nothing else does."""

import shutil

import pytest

from nbcore import runs
from nbcore.runs import checkpoints, pausing, pruning
from nbcore.runs.mirror import publisher
from tests.runs.helpers import opened, saved


def test_on_disk(tmp_path, monkeypatch):
    """The pure function and the folders agree: damaged ones go once there is something newer, blessed ones stay."""
    run = opened(tmp_path)
    for step, metric in ((10, 0.5), (20, 0.1), (30, 0.4), (40, 0.3), (50, None)):
        saved(run, step, metric)
    (run.path / "state" / "attempt-00000001" / "checkpoint-40" / "optimizer.pt").write_bytes(b"")
    checkpoints.bless(run.path, "seen in the paper", 10)
    pruning.prune(run.path)
    assert [each.step for each in checkpoints.listing(run.path)] == [10, 20, 30, 50]
    checkpoints.bless(run.path, None, 10)
    copier = type("Copier", (), {"busy_with": lambda _, path: checkpoints.listing(run.path)[0].path})()
    monkeypatch.setattr(publisher, "current", lambda: copier)
    pruning.prune(run.path)
    assert [each.step for each in checkpoints.listing(run.path)] == [10, 20, 30, 50], "it is on its way to the mirror"
    monkeypatch.setattr(publisher, "current", lambda: None)
    run.finish({"loss": 1.0})
    pruning.prune(run.path)
    assert checkpoints.listing(run.path) == [], "what a finished run left is enough"
    with pytest.raises(ValueError, match=r"step: .* has no checkpoint of step 10; there are none"):
        checkpoints.bless(run.path, "gone", 10)


def test_milestones_stay_when_the_disk_runs_low(tmp_path, monkeypatch):
    """Making room forgot the run's own policy."""
    run = opened(tmp_path, keep_every=20)
    for step in (10, 20, 30, 40, 50):
        saved(run, step)
    free = type("Usage", (), {"free": 10**6})
    monkeypatch.setattr(shutil, "disk_usage", lambda _: free)
    with pytest.raises(runs.Paused):
        pausing.require(run.path, 10**9, "training")
    assert [each.step for each in checkpoints.listing(run.path)] == [20, 40, 50]
