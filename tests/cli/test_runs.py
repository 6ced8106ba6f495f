"""`python -m nbcore runs …` where something is missing, damaged or in the way."""

import json

import pytest

from nbcore import runs
from nbcore.cli import main
from nbcore.pipeline import stages
from nbcore.runs import checkpoints
from tests.runs.helpers import finished, opened, saved


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
