"""Faults that a hostile reader found in the run store, each shown to fail before it was mended."""

import errno
import json
import os
import shutil
import threading
import time

import pytest

from nbcore import config as configs
from nbcore import pipeline as pipelines
from nbcore import runs
from nbcore.cli import main
from nbcore.pipeline import stages
from nbcore.runs import checkpoints, commit, health, lease, opening, pausing
from nbcore.runs.mirror import mirror, publisher, restore
from nbcore.training import fit
from tests.runs.helpers import SFT, Faulty, finished, opened, saved


@pytest.fixture
def mirrored(tmp_path, monkeypatch):
    """A mirror for everything; its folder."""
    monkeypatch.setenv("NBCORE_MIRROR", str(tmp_path / "mirror"))
    return tmp_path / "mirror"


def test_archive_reads_an_old_copy_again_before_the_original_goes(tmp_path, mirrored):
    """Every part was emptied since: the record alone said that all was there."""
    run = finished(tmp_path / "store")
    for part in mirrored.rglob("*.tar.*"):
        part.write_bytes(bytes(part.stat().st_size))
    assert main.main(["runs", "archive", run.id, "--store", str(tmp_path / "store")]) == 0
    assert not run.path.exists() and runs.find(tmp_path / "store", run.id).verify() == []


def test_archive_refuses_where_a_checkpoint_is_blessed(tmp_path, mirrored, capsys):
    """A bundle of a finished run leaves its checkpoints out; the blessed one would be gone."""
    run = opened(tmp_path / "store")
    saved(run, 10)
    checkpoints.bless(run.path, "in the paper", 10)
    run.finish({"loss": 1.0})
    assert main.main(["runs", "archive", run.id, "--store", str(tmp_path / "store")]) == 2
    assert "is blessed (in the paper)" in capsys.readouterr().err and run.path.is_dir()


@pytest.mark.parametrize("left", [".manifest.json.new", ".run.json.new", ".adapter.deadbeef/w"])
def test_what_a_kill_left_half_done_is_in_no_manifest(tmp_path, mirrored, left):
    """It vanished after the commit, or was in no bundle, and the run was damaged for good."""
    run = opened(tmp_path / "store")
    (run.path / left).parent.mkdir(exist_ok=True)
    (run.path / left).write_text("half")
    run.finish({"loss": 1.0})
    assert run.verify() == []
    assert runs.find(tmp_path / "fresh", run.id).verify() == []


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


def test_one_offer_leaves_one_bundle_whatever_fails_afterwards(tmp_path, monkeypatch):
    """A confirmation or a prune that failed had the whole bundle copied again, without end."""
    monkeypatch.setattr(publisher, "BACK_OFF", (0.01, 0.02))
    monkeypatch.setattr(publisher, "POLL", 0.02)
    run = opened(tmp_path / "store")
    copier = publisher.Publisher(mirror.Mirror(Faulty(tmp_path / "mirror")))
    copier.mirror.prune = lambda *_: (_ for _ in ()).throw(OSError(errno.EIO, "Input/output error"))
    copier.offer(publisher.Offer(run.path, 10, saved(run, 10).path, None, False))
    until = time.monotonic() + 10
    while not copier.mirror.records(run.id) and time.monotonic() < until:
        time.sleep(0.02)
    time.sleep(0.5)
    assert len(copier.mirror.records(run.id)) == 1


def test_one_unreadable_record_spoils_no_other(tmp_path):
    """A new machine began at step 0 beside a good copy of step 10."""
    run = opened(tmp_path / "store")
    medium = Faulty(tmp_path / "mirror")
    copies = mirror.Mirror(medium)
    for step in (10, 20):
        copies.publish(run.path, step, saved(run, step).path, None, False)
    bad = copies.records(run.id)[0].name
    medium.fails = lambda what, name: OSError(errno.EIO, "Input/output error") if (what, name) == ("get", bad) else None
    assert restore.restore(copies, tmp_path / "fresh", run.id).step == 10
    medium.fails = lambda what, name: OSError(errno.EIO, "x") if name.endswith(".json") and what == "get" else None
    with pytest.raises(OSError, match="x"):
        copies.records(run.id)


def test_a_notebook_that_cannot_be_read_does_not_keep_its_run_away(tmp_path):
    """It is there to be looked at; nothing depends on it."""
    run = finished(tmp_path / "store")
    medium = Faulty(tmp_path / "mirror")
    copies = mirror.Mirror(medium)
    copies.publish(run.path, 0, None, None, True)
    (run.path / "notebook.ipynb").write_text("{}")
    copies.put_notebook(run.path)
    medium.fails = lambda what, name: OSError(errno.EIO, "x") if "/notebook." in name and what == "get" else None
    assert restore.restore(copies, tmp_path / "fresh", run.id).finished


def test_a_notebook_takes_nobodys_place_in_the_queue(tmp_path):
    """Of a run the newest offer counts: the notebook was newer than the run itself, which was never copied."""
    run = finished(tmp_path / "store")
    (run.path / "notebook.ipynb").write_text("{}")
    medium = Faulty(tmp_path / "mirror")
    gate = threading.Event()
    medium.fails = lambda *_: gate.wait(10) and None
    copier = publisher.Publisher(mirror.Mirror(medium))
    other = opened(tmp_path / "store", name="other")
    copier.offer(publisher.Offer(other.path, 1, None, None, False))
    copier.offer(publisher.Offer(run.path, 0, None, None, True))
    copier.offer(publisher.Offer(run.path, 0, None, None, True, notebook=True))
    gate.set()
    assert copier.flush()
    assert copier.mirror.finished(run.id) and list((tmp_path / "mirror" / run.id).glob("notebook.*"))


def test_a_mirror_that_does_not_answer_does_not_hold_anybody(tmp_path, monkeypatch, capsys):
    """A stat on a dead FUSE mount never returns."""
    hung = threading.Event()
    monkeypatch.setattr(restore, "ANSWER", 0.2)
    medium = Faulty(tmp_path / "mirror", lambda *_: hung.wait(20) and None)
    monkeypatch.setattr(mirror, "configured", lambda: mirror.Mirror(medium))
    began = time.monotonic()
    opened(tmp_path / "store")
    assert time.monotonic() - began < 5
    assert "cannot be read (no answer for 0 s)" in capsys.readouterr().out
    hung.set()


def test_a_drive_that_drops_is_told_and_not_forgotten(tmp_path, monkeypatch):
    """`mirror: none` after a drop reads as if there had never been one."""
    monkeypatch.delenv("NBCORE_MIRROR", raising=False)
    monkeypatch.setattr(publisher, "_publishers", {})
    medium = mirror.Mirror(Faulty(tmp_path / "drive"))
    monkeypatch.setattr(mirror, "configured", lambda: medium)
    copier = publisher.current()
    monkeypatch.setattr(mirror, "configured", lambda: None)
    assert publisher.current() is copier


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


def test_a_disk_that_fails_to_read_one_checkpoint_still_has_the_other(tmp_path, monkeypatch):
    """EIO in the newest ended everything, `verify` of all the other runs too."""
    run = opened(tmp_path)
    saved(run, 10)
    bad = saved(run, 20).path / "optimizer.pt"
    real = commit.sha256

    def failing(path):
        if path == bad:
            raise OSError(errno.EIO, "Input/output error")
        return real(path)

    monkeypatch.setattr(commit, "sha256", failing)
    assert checkpoints.newest(run.path)[0].step == 10
    assert health.look(run)[0] == ["attempt-00000001/checkpoint-20/optimizer.pt: cannot be read (Input/output error)"]


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


def test_resume_takes_the_unfinished_one(tmp_path, monkeypatch, capsys):
    """`runs resume sft` said that the newest finished one had finished."""
    finished(tmp_path, name="done")
    run = opened(tmp_path, name="going")
    called = []
    monkeypatch.setattr(stages, "resume", lambda found, overrides: called.append((found, overrides)) or found)
    arguments = ["runs", "resume", "sft", "--set", "batch_size=4", "--store", str(tmp_path)]
    assert main.main(arguments) == 0 and called == [(run, {"batch_size": 4})]
    assert main.main(["runs", "show", "sft", "--store", str(tmp_path)]) == 0
    assert run.id in capsys.readouterr().out


def test_a_full_disk_is_told_as_a_pause_whatever_else_it_breaks(tmp_path, monkeypatch):
    """The executed copy could not be kept either, and that error hid the first."""

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(stages, "_keep", full)
    monkeypatch.setattr(stages.notebook, "execute", lambda *_: "Paused: sft/x is paused: the disk is full")
    chain = pipelines.load("configs/pipeline/tiny.yaml", "pretrain")
    with pytest.raises(runs.Paused, match="sft/x is paused"):
        stages.run(chain, tmp_path)
    monkeypatch.setattr(commit, "write_durably", full)
    with pytest.raises(runs.Paused, match="no sft run can be opened: the disk of"):
        runs.open(SFT, tmp_path)


def test_an_executed_copy_that_was_cut_short_hides_no_cause(tmp_path):
    """papermill writes it in place, so a kill leaves half a JSON."""
    (tmp_path / "copy.ipynb").write_text('{"cells": [{"outp')
    (tmp_path / "copy.log").write_text("")
    cause = stages.notebook._cause(tmp_path / "copy.ipynb", tmp_path / "copy.log", 138)
    assert "its kernel died (exit 138)" in cause


def test_one_damaged_run_does_not_stop_the_table_or_the_prune(tmp_path, capsys):
    """A flipped byte in one open.json, and no command worked any more."""
    run = opened(tmp_path, name="bad")
    (run.path / "open.json").write_text(json.dumps({"id": "?"}))
    fine = opened(tmp_path, name="fine")
    for step in (10, 20, 30):
        saved(fine, step)
    for command in ("list", "prune", "usage"):
        assert main.main(["runs", command, "--store", str(tmp_path)]) == 0, command
    assert "damaged: see verify" in capsys.readouterr().out
    assert [each.step for each in checkpoints.listing(fine.path)] == [20, 30]
    assert main.main(["runs", "verify", "--store", str(tmp_path)]) == 1
