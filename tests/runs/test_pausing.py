"""A full disk: room is made, then the run pauses with all it had, and goes on when there is some."""

import errno
import os
import shutil

import pytest

from nbcore import runs
from nbcore.core import lines
from nbcore.runs import checkpoints, commit, disk, health, pausing
from tests.runs.helpers import SFT, opened, saved


@pytest.fixture
def run(tmp_path):
    run = opened(tmp_path)
    for step in (10, 20, 30):
        saved(run, step)
    return run


def test_an_append_that_meets_a_full_disk_prunes_and_goes_on(run, monkeypatch):
    """The log line of step 31 needs the room of checkpoint 10, and gets it."""
    real = lines.append

    def full(path, *rows):
        if len(checkpoints.listing(run.path)) > 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(path, *rows)

    monkeypatch.setattr(lines, "append", full)
    run.log(step=31, loss=1.0)
    assert [each.step for each in checkpoints.listing(run.path)] == [20, 30]
    assert run.metrics()[-1]["loss"] == 1.0


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ENOTCONN])
def test_a_disk_that_takes_nothing_pauses_the_run_and_loses_nothing(run, monkeypatch, number):
    """Never a lost run: the message says what is safe and what to do."""

    def fails(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(lines, "append", fails)
    with pytest.raises(runs.Paused, match=r"is paused: .* Everything committed is safe. Make room in .* same command"):
        run.log(step=31, loss=1.0)
    assert health.look(run)[0] == [] and checkpoints.newest(run.path)[0].step == 30


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("[enforce fail at inline_container.cc:778] . PytorchStreamWriter failed writing file data/0: "
                     "file write failed"),
        Exception("Error while serializing: I/O error: No space left on device (os error 28)"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
    ],
)  # fmt: skip
def test_what_a_full_disk_looks_like_from_torch_and_safetensors(run, error):
    """Neither raises an OSError with a number: their words are all there is."""
    assert disk.is_full(error)
    wrapped = ValueError("could not save")
    wrapped.__cause__ = error
    assert disk.is_full(wrapped) and not disk.is_full(ValueError("no such file"))
    tries = []

    def action():
        tries.append(1)
        raise error

    with pytest.raises(runs.Paused):
        pausing.write(run.path, action)
    assert len(tries) == 2, "room was made and it was tried once more"


def test_other_errors_are_not_taken_for_a_full_disk(run):
    """A bug must not be reported as a full disk, nor tried twice."""
    with pytest.raises(ZeroDivisionError):
        pausing.write(run.path, lambda: 1 / 0)


def test_room_is_asked_for_before_it_is_needed(run, monkeypatch):
    """Finding out in the middle of a save is too late to be gentle."""
    free = {"bytes": 10**9}
    monkeypatch.setattr(shutil, "disk_usage", lambda _: type("Usage", (), {"free": free["bytes"]}))
    pausing.require(run.path, 10**8, "training")
    free["bytes"] = 10**8
    with pytest.raises(runs.Paused, match="training needs 162 MB, 95 MB are free"):
        pausing.require(run.path, 98 * 2**20, "training")
    assert [each.step for each in checkpoints.listing(run.path)] == [20, 30], "what could go went first"


def test_a_run_that_cannot_be_opened_for_want_of_room_is_a_pause_too(tmp_path, monkeypatch):
    """A traceback of the first write of a run says nothing of what to do."""

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(commit, "write_durably", full)
    with pytest.raises(runs.Paused, match="no sft run can be opened: the disk of"):
        runs.open(SFT, tmp_path)
