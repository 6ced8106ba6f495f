"""Bringing runs back: what is damaged, late, doubled or half there is never taken, the newest sound state always is."""

import errno
import random
import shutil
import threading

import pytest

from nbcore import runs
from nbcore.runs import checkpoints
from nbcore.runs.mirror import mirror, restore
from tests.runs.helpers import Faulty, finished, opened, saved
from tests.runs.mirror.helpers import brought, files


def test_there_and_back(two, copies, tmp_path):
    """The bytes of the run, its logs so far and its checkpoint, on a disk that had nothing."""
    run, _ = two
    restore.restore(copies, tmp_path / "fresh", run.id)
    (found,) = runs.listing(tmp_path / "fresh")
    for path in run.path.rglob("*"):
        if path.is_file() and path.name != "lease.json" and "checkpoint-10" not in str(path):
            assert (found.path / path.relative_to(run.path)).read_bytes() == path.read_bytes()
    assert not (found.path / "lease.json").exists()
    assert restore.restore(copies, tmp_path / "fresh", run.id) is None, "nothing further there: nothing is done"


def test_damage_to_any_file_falls_back_to_the_one_before(two, copies, tmp_path):
    """One flipped bit in any part or record, a cut, an empty placeholder, a missing part."""
    run, (_, newer) = two
    draw = random.Random(0)
    for path in files(copies, newer):
        content = path.read_bytes()
        at = draw.randrange(8 * len(content))
        flipped = content[: at // 8] + bytes([content[at // 8] ^ 1 << at % 8]) + content[at // 8 + 1 :]
        for damaged in (flipped, content[: len(content) // 2], content[:-1], bytes(len(content)), b"", None):
            if damaged == content:
                continue  # an archive ends in zeros
            path.unlink()
            if damaged is not None:
                path.write_bytes(damaged)
            assert brought(copies, tmp_path, run) == 10, path.name
            path.write_bytes(content)
    assert brought(copies, tmp_path, run) == 20


def test_what_was_damaged_here_before_it_was_copied_is_not_taken(two, copies, tmp_path):
    """A disk that fails under a copy: the parts are what was read, and what was read is no checkpoint."""
    run, _ = two
    torn = saved(run, 30)
    (torn.path / "optimizer.pt").write_bytes(b"x" * 6000)
    copies.publish(run.path, 30, torn.path, None, False)
    assert brought(copies, tmp_path, run) == 20


def test_whatever_order_files_arrive_in(two, copies, tmp_path):
    """Drive shows small files before large ones: the record comes first, its parts one by one."""
    run, (_, newer) = two
    arriving = files(copies, newer)
    held = {path: path.read_bytes() for path in arriving}
    for seed in range(8):
        for path in arriving:
            path.unlink(missing_ok=True)
        order = arriving if seed == 0 else random.Random(seed).sample(arriving, len(arriving))
        for path in order:
            assert brought(copies, tmp_path, run) == 10
            path.write_bytes(held[path])
        assert brought(copies, tmp_path, run) == 20


def test_names_doubled_by_a_synchronised_folder(two, copies, tmp_path):
    """'name (1)': the copy may be the good one, or the bad one; the hash says which."""
    run, (_, newer) = two
    for path in files(copies, newer):
        content = path.read_bytes()
        double = path.with_name(f"{path.stem} (1){path.suffix}")
        double.write_bytes(content)
        path.write_bytes(b"")  # the placeholder under the name itself
        assert brought(copies, tmp_path, run) == 20, path.name
        path.write_bytes(content)
        double.write_bytes(b"rubbish")
        assert brought(copies, tmp_path, run) == 20, path.name
        double.unlink()


def test_what_is_further_here_is_left_alone_and_what_is_behind_is_set_aside(two, copies, tmp_path, capsys):
    """Bringing back must not throw away what this disk alone has."""
    run, _ = two
    saved(run, 30)
    assert restore.restore(copies, run.store, run.id) is None
    shutil.rmtree(run.path / "state" / "attempt-00000001" / "checkpoint-30")
    (run.path / "state" / "attempt-00000001" / "checkpoint-20" / "optimizer.pt").write_bytes(b"")
    assert restore.restore(copies, run.store, run.id).step == 20
    assert checkpoints.newest(run.path)[0].step == 20
    (aside,) = (run.store / "aside" / "sft").iterdir()
    assert (aside / "state" / "attempt-00000001" / "checkpoint-10").is_dir()
    assert f"{run.id}: brought back from the mirror, step 20" in capsys.readouterr().out


def test_a_finished_run_comes_back_by_id_by_phase_and_by_config(tmp_path, monkeypatch):
    """The three ways in which a phase looks for runs, on a disk with nothing but the mirror."""
    monkeypatch.setenv("NBCORE_MIRROR", str(tmp_path / "mirror"))
    run = finished(tmp_path / "store")
    assert "last confirmed: step 100" in run.mirror_status()
    assert runs.find(tmp_path / "one", run.id).info == run.info
    assert runs.find(tmp_path / "two", "sft").verify() == []
    assert runs.open(run.config, tmp_path / "three").info["metrics"] == {"loss": 2.5}
    child = runs.open(run.config.model_copy(update={"name": "child"}), tmp_path / "one", run.id)
    assert child.parent.id == run.id


def test_an_unfinished_run_is_opened_where_another_machine_left_it(tmp_path, monkeypatch):
    """`run` on a new machine: same config, same command, the newest verified state."""
    monkeypatch.setenv("NBCORE_MIRROR", str(tmp_path / "mirror"))
    run = opened(tmp_path / "store")
    run.publish(saved(run, 40))
    run.wait_for_mirror()
    there = runs.open(run.config, tmp_path / "fresh")
    assert there.id == run.id and checkpoints.newest(there.path)[0].step == 40
    other = run.config.model_copy(update={"learning_rate": 0.1})
    shutil.rmtree(tmp_path / "fresh")
    with pytest.raises(ValueError, match=r"learning_rate: is 0.1, and sft/.*, unfinished at step 40"):
        runs.open(other, tmp_path / "fresh")


def test_a_mirror_that_cannot_be_read_stops_nobody(tmp_path, monkeypatch, capsys):
    """A dropped Drive at the start of a run: work goes on by this disk, and says so."""
    monkeypatch.setattr(mirror, "configured", lambda: mirror.Mirror(Faulty(tmp_path, lambda *_: OSError(107, "gone"))))
    run = opened(tmp_path / "store")
    assert run.config and "cannot be read" in capsys.readouterr().out


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


def test_a_mirror_that_does_not_answer_does_not_hold_anybody(tmp_path, monkeypatch, capsys):
    """A stat on a dead FUSE mount never returns."""
    hung, ended = threading.Event(), []
    monkeypatch.setattr(restore, "ANSWER", 0.2)
    medium = Faulty(tmp_path / "mirror", lambda *_: ended.append(hung.wait(60)))
    monkeypatch.setattr(mirror, "configured", lambda: mirror.Mirror(medium))
    opened(tmp_path / "store")
    assert ended == [] and medium.calls, "it asked, and went on before there was an answer"
    assert "cannot be read (no answer for 0 s)" in capsys.readouterr().out
    hung.set()
