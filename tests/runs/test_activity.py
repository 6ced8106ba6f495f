"""What a run says that it is doing: read by another process, never part of the run, never in its way."""

import json
import time

import pytest

from nbcore.runs import activity, commit, layout
from tests.runs.helpers import finished, opened


def test_what_is_said_is_read_back_and_shown(store):
    """The process that trains and the one that shows progress are two."""
    run, shown = opened(store), []
    assert activity.read(run.path) is None
    doing = activity.Activity(run.path, shown.append)
    doing("answering 8 tasks", 0, 8)
    assert activity.read(run.path).line() == "answering 8 tasks: 0/8"
    before = time.time()
    doing("loading the model")
    assert activity.read(run.path).line() == "loading the model" == shown[-1].line() and len(shown) == 2
    assert before <= activity.read(run.path).begun <= time.time()


def test_it_is_written_once_a_second_however_often_something_moves(store, monkeypatch):
    """It is called after every token."""
    run = opened(store)
    assert activity.EVERY == 1
    monkeypatch.setattr(activity, "EVERY", 3600)  # on a busy machine the second may end in the middle of this
    doing, writes = activity.Activity(run.path), []
    monkeypatch.setattr(activity.os, "replace", lambda *paths: writes.append(paths))
    for token in range(500):
        doing("answering", token, 500)
    assert len(writes) == 1
    doing("grading")
    assert len(writes) == 2


@pytest.mark.parametrize("content", ["", "{", "[]", '{"words": "x"}', '{"other": 1}'])
def test_what_cannot_be_read_says_nothing(store, content):
    run = opened(store)
    (run.path / layout.ACTIVITY).write_text(content)
    assert activity.read(run.path) is None


def test_it_is_no_part_of_the_run_and_gone_at_its_end(store):
    """In the manifest it would make every run of today differ, and the next word a damaged one."""
    run = opened(store)
    activity.Activity(run.path)("loading the model")
    run.finish({"loss": 1.0})
    assert activity.read(run.path) is None
    activity.Activity(run.path)("waiting for the mirror")
    assert run.verify() == [] and layout.ACTIVITY not in json.loads((run.path / layout.MANIFEST).read_text())["files"]
    assert commit.is_hidden(layout.ACTIVITY)


def test_a_full_disk_does_not_end_a_run_for_it(store, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    run = finished(store)
    monkeypatch.setattr(activity.os, "replace", full)
    activity.Activity(run.path)("loading the model")
