"""Copies and their records: published whole or not at all, pruned once a newer one is confirmed."""

import json
import os
import shutil

import pytest

from nbcore import runs
from nbcore.runs import layout, retention
from nbcore.runs.mirror import backends, mirror
from tests.runs.helpers import Faulty, opened, saved
from tests.runs.mirror.helpers import brought


def test_a_bundle_under_another_runs_name_is_not_taken(two, copies, tmp_path):
    """Somebody tidies up the Drive and drags a folder."""
    run, _ = two
    other = opened(tmp_path / "store", name="other")
    shutil.copytree(copies.backend.root / run.id, copies.backend.root / other.id)
    assert copies.records(other.id) == []


def test_a_mirror_inside_the_store_is_refused(tmp_path, monkeypatch):
    """Each copy would be part of the run that is copied next."""
    for mirror_, store in (
        (tmp_path / "s", tmp_path / "s"),
        (tmp_path / "s" / "m", tmp_path / "s"),
        (tmp_path, tmp_path),
    ):
        monkeypatch.setenv("NBCORE_MIRROR", str(mirror_))
        with pytest.raises(ValueError, match=r"mirror: NBCORE_MIRROR is .* give the copies another folder"):
            opened(store)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [28, 30, 5, 107, 122])  # ENOSPC, EROFS, EIO, ENOTCONN, EDQUOT
def test_a_medium_that_fails_anywhere_leaves_no_bundle_that_is_taken(two, copies, tmp_path, number):
    """Each operation of a publication fails once; what is there before and after is what is trusted."""
    run, _ = two
    newest = saved(run, 30).path
    for at in range(100):
        copies.backend.calls = []
        copies.backend.fails = lambda *_: (
            OSError(number, os.strerror(number)) if len(copies.backend.calls) == at + 1 else None  # noqa: B023
        )
        try:
            copies.publish(run.path, 30, newest, None, False)
            break
        except OSError as error:
            assert error.errno == number
        copies.backend.fails = lambda *_: None
        assert brought(copies, tmp_path, run) == 20
    copies.backend.fails = lambda *_: None
    assert at > 6 and brought(copies, tmp_path, run) == 30


def test_a_medium_that_loses_what_it_took_is_noticed_at_once(two, copies, tmp_path):
    """A write that returned and is not there: that is why every part is read back."""
    run, _ = two
    real = backends.Folder.put
    losing = type("Losing", (Faulty,), {"put": lambda self, name, path: (real(self, name, path), self.lose(name))})
    losing.lose = lambda self, name: (self.root / name).write_bytes(b"") if "tar.001" in name else None
    bad = mirror.Mirror(losing(copies.backend.root), part=5000)
    with pytest.raises(OSError, match="read back other bytes than were written"):
        bad.publish(run.path, 30, saved(run, 30).path, None, False)
    assert brought(copies, tmp_path, run) == 20


def test_old_bundles_go_once_a_newer_one_is_confirmed(two, copies, tmp_path):
    """Emptied, then removed, the record first; blessed ones stay, and so does everything while nothing is confirmed."""
    run, _ = two
    for step in (30, 40):
        copies.publish(run.path, step, saved(run, step).path, None, False)
    orphan = copies.backend.root / run.id / "step-000015.0badcafe.tar.000"
    orphan.write_bytes(b"half of a part")
    keep = {"run": None, "steps": {"10": "seen in a paper"}}
    unsure = copies.confirmed
    copies.confirmed = lambda record: None
    assert copies.prune(run.id, keep, retention.USUAL) == [] and orphan.exists()
    copies.confirmed = unsure
    assert [record.step for record in copies.prune(run.id, keep, retention.USUAL, dry_run=True)] == [20]
    assert len(copies.records(run.id)) == 4
    copies.backend.calls = []
    copies.prune(run.id, keep, retention.USUAL)
    deleted = [name for operation, name in copies.backend.calls if operation == "delete"]
    assert deleted[0].endswith(".commit.json") and not orphan.exists()
    assert [record.step for record in copies.records(run.id)] == [40, 30, 10]
    run.finish({"loss": 1.0})
    for _ in range(2):  # twice: the second with the notebook
        copies.publish(run.path, 100, None, None, True)
    copies.prune(run.id, keep, retention.USUAL)
    assert [(record.finished, record.step) for record in copies.records(run.id)] == [(True, 100), (False, 10)]


def test_names_on_the_mirror_that_are_no_runs_are_not_looked_at(copies, tmp_path):
    """A folder's name becomes a path on this disk."""
    for name in ("sft/../../x", "sft/notes", "sft/20261124T000000Z-UPPER-0123456789ab"):
        assert not layout.is_run_id(name)
    (copies.backend.root / "sft" / "notes").mkdir(parents=True)
    assert copies.runs("sft") == []
    for bad in ("sft/../sft", "..", "sft/" + "x" * 300):
        with pytest.raises((FileNotFoundError, ValueError)):
            runs.find(tmp_path, bad)


def test_records_are_sealed(two, copies):
    """A record that was edited vouches for nothing."""
    run, (_, newer) = two
    path = copies.backend.root / newer.name
    path.write_text(json.dumps(json.loads(path.read_text()) | {"step": 9999}))
    assert [record.step for record in copies.records(run.id)] == [10]
