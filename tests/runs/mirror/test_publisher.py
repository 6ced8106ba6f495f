"""The thread that copies: the newest wins, failures wait and try again, and nobody who trains ever notices."""

import errno
import threading
import time

import pytest

from nbcore.runs import checkpoints
from nbcore.runs.mirror import mirror, publisher
from tests.runs.helpers import Faulty, finished, opened, saved


@pytest.fixture
def run(tmp_path):
    return opened(tmp_path / "store")


@pytest.fixture
def medium(tmp_path):
    return Faulty(tmp_path / "mirror")


@pytest.fixture
def copier(medium, monkeypatch):
    monkeypatch.setattr(publisher, "BACK_OFF", (0.02, 0.1))
    monkeypatch.setattr(publisher, "POLL", 0.05)
    return publisher.Publisher(mirror.Mirror(medium))


def offer(run, checkpoint):
    return publisher.Offer(run.path, checkpoint.step, checkpoint.path, None, False)


def until(true, seconds=60):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_local_copied_confirmed(run, copier):
    """What the three words mean, and what a person reads."""
    copier.mirror.confirmed = lambda record: None
    copier.offer(offer(run, saved(run, 10)))
    assert copier.status[run.path].local[0] == 10
    assert copier.flush()
    found = copier.status[run.path]
    assert (found.copied[0], found.confirmed) == (10, None) and "last copied: step 10" in found.words()
    del copier.mirror.confirmed
    until(lambda: copier.status[run.path].confirmed)
    words = copier.status[run.path]._replace(local=(20, time.time())).words(time.time() + 180)
    assert words == "mirror: last confirmed: step 10, 3 minutes ago · last local: step 20, 3 minutes ago"


def test_the_newest_wins_and_only_one_waits(run, copier, medium):
    """A slow Drive must not be sent every checkpoint of the last hour, one after the other."""
    gate = threading.Event()
    medium.fails = lambda operation, name: gate.wait(60) and None if operation == "put" else None
    first = saved(run, 10)
    copier.offer(offer(run, first))
    until(lambda: copier.current)
    for step in (20, 30, 40):
        copier.offer(offer(run, saved(run, step)))
    assert [found.step for found in copier.waiting.values()] == [40]
    assert copier.busy_with(run.path) == first.path
    gate.set()
    assert copier.flush()
    assert [record.step for record in copier.mirror.records(run.id)] == [40, 10]


def test_a_failing_mirror_never_raises_and_is_tried_again(run, copier, medium):
    """EIO for a while, then it works: one offer, one bundle, and the error told while it lasts."""
    failing, tried = {"now": True}, []

    def fails(operation, name):
        tried.append(threading.current_thread())
        return OSError(5, "Input/output error") if failing["now"] else None

    medium.fails = fails
    copier.offer(offer(run, saved(run, 10)))
    until(lambda: copier.status[run.path].error)
    assert copier.status[run.path].words().endswith("OSError: [Errno 5] Input/output error; trying again")
    failing["now"] = False
    assert copier.flush()
    assert copier.status[run.path].error is None and threading.current_thread() not in tried
    assert [record.step for record in copier.mirror.records(run.id)] == [10]


def test_a_wait_ends_where_a_mirror_stands_still(run, copier, medium, monkeypatch):
    """`finish` must not hang for ever on a dropped mount."""
    monkeypatch.setattr(publisher, "FAILING", 0.2)
    medium.fails = lambda *_: OSError(107, "Transport endpoint is not connected")
    copier.offer(offer(run, saved(run, 10)))
    until(lambda: copier.failing)
    assert copier.flush() is False
    hung = threading.Event()
    medium.fails = lambda *_: hung.wait(20) and None
    assert copier.flush(patience=0.3) is False
    hung.set()


def test_a_full_mirror_is_pruned_and_tried_again(run, copier, medium):
    """Quota: what the policy does not keep makes room for what is newer."""
    for step in (10, 20, 30, 40):
        copier.mirror.publish(run.path, step, saved(run, step).path, None, False)
    full = {"for": 2}

    def fails(operation, name):
        there = [name for _, name in medium.calls if name.endswith(".commit.json") and _ == "delete"]
        return OSError(122, "Disk quota exceeded") if operation == "put" and len(there) < full["for"] else None

    medium.fails = fails
    copier.offer(offer(run, saved(run, 50)))
    assert copier.flush()
    assert copier.mirror.records(run.id)[0].step == 50


def test_what_was_pruned_here_while_it_waited_is_let_go(run, copier, medium):
    """A checkpoint that is gone cannot be copied, ever; trying for the rest of the session would block the next."""
    gate = threading.Event()
    medium.fails = lambda operation, name: gate.wait(60) and None if operation == "put" else None
    copier.offer(offer(run, saved(run, 10)))
    until(lambda: copier.current)
    gone = saved(run, 20)
    copier.offer(offer(run, gone))
    checkpoints.drop(gone)
    gate.set()
    assert copier.flush()
    assert [record.step for record in copier.mirror.records(run.id)] == [10]


def test_offering_costs_nothing_however_slow_the_mirror(run, copier, medium):
    """The caller goes on at once: five offers are made before the first operation on the mirror has ended."""
    answers, ended = threading.Event(), []
    medium.fails = lambda *_: ended.append(answers.wait(60))
    for step in range(10, 60, 10):
        copier.offer(offer(run, saved(run, step)))
    assert ended == []
    answers.set()
    assert copier.flush()
    assert copier.mirror.records(run.id)[0].step == 50


def test_one_offer_leaves_one_bundle_whatever_fails_afterwards(tmp_path, monkeypatch):
    """A confirmation or a prune that failed had the whole bundle copied again, without end."""
    monkeypatch.setattr(publisher, "BACK_OFF", (0.01, 0.02))
    monkeypatch.setattr(publisher, "POLL", 0.02)
    run = opened(tmp_path / "store")
    copier = publisher.Publisher(mirror.Mirror(Faulty(tmp_path / "mirror")))
    copier.mirror.prune = lambda *_: (_ for _ in ()).throw(OSError(errno.EIO, "Input/output error"))
    copier.offer(publisher.Offer(run.path, 10, saved(run, 10).path, None, False))
    until(lambda: copier.mirror.records(run.id))
    time.sleep(0.5)
    assert len(copier.mirror.records(run.id)) == 1


def test_a_notebook_takes_nobodys_place_in_the_queue(tmp_path):
    """Of a run the newest offer counts: the notebook was newer than the run itself, which was never copied."""
    run = finished(tmp_path / "store")
    (run.path / "notebook.ipynb").write_text("{}")
    medium = Faulty(tmp_path / "mirror")
    gate = threading.Event()
    medium.fails = lambda *_: gate.wait(60) and None
    copier = publisher.Publisher(mirror.Mirror(medium))
    other = opened(tmp_path / "store", name="other")
    copier.offer(publisher.Offer(other.path, 1, None, None, False))
    copier.offer(publisher.Offer(run.path, 0, None, None, True))
    copier.offer(publisher.Offer(run.path, 0, None, None, True, notebook=True))
    gate.set()
    assert copier.flush()
    assert copier.mirror.finished(run.id) and list((tmp_path / "mirror" / run.id).glob("notebook.*"))


def test_a_drive_that_drops_is_told_and_not_forgotten(tmp_path, monkeypatch):
    """`mirror: none` after a drop reads as if there had never been one."""
    monkeypatch.delenv("NBCORE_MIRROR", raising=False)
    monkeypatch.setattr(publisher, "_publishers", {})
    medium = mirror.Mirror(Faulty(tmp_path / "drive"))
    monkeypatch.setattr(mirror, "configured", lambda: medium)
    copier = publisher.current()
    monkeypatch.setattr(mirror, "configured", lambda: None)
    assert publisher.current() is copier
