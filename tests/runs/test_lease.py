"""One process at a time in a run directory; a dead one holds nothing."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from nbcore import runs
from nbcore.runs import lease
from tests.runs.helpers import SFT, opened

HOLD = """
import sys, time
from pathlib import Path
from nbcore.runs import lease
assert lease.take(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def run(tmp_path):
    run = opened(tmp_path)
    lease.release(run.path)
    return run


@pytest.fixture
def other(run):
    """Another process that holds the run."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, run.path], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_the_second_gets_a_new_attempt_and_is_told(run, other, tmp_path, capsys):
    """Two kernels with one notebook would mix their losses in one log and overwrite each other's adapter."""
    assert lease.holder(run.path)["pid"] == other.pid
    second = runs.open(SFT, tmp_path)
    assert second != run and second.config == run.config
    assert f"{run.id} is in use by process {other.pid}" in capsys.readouterr().out
    assert runs.open(SFT, tmp_path) == second, "its own it goes on with"


def test_a_killed_process_holds_nothing(run, other, tmp_path):
    """A restarted kernel goes on at once: the heartbeat of a dead process is not waited for."""
    other.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)  # a zombie now, which nobody has taken away
    assert lease.holder(run.path) is None
    assert runs.open(SFT, tmp_path) == run


def test_a_number_used_again_is_another_process(run):
    """Process numbers come round; what was started at another time is somebody else."""
    assert lease.take(run.path)
    facts = json.loads((run.path / "lease.json").read_text())
    lease.release(run.path)
    (run.path / "lease.json").write_text(json.dumps(facts | {"pid": 1}))
    assert lease.holder(run.path) is None


def test_another_machine_counts_by_its_heartbeat(run):
    """A disk shared over a network: there the process cannot be asked."""
    facts = {"id": "x", "pid": 1, "started": 0, "host": "elsewhere", "since": 0}
    path = run.path / "lease.json"
    path.write_text(json.dumps(facts))
    assert lease.holder(run.path)["host"] == "elsewhere" and not lease.take(run.path)
    os.utime(path, (time.time() - 130,) * 2)
    assert lease.holder(run.path) is None and lease.take(run.path)
    lease.release(run.path)


def test_it_beats_and_ends_with_the_run(run, monkeypatch, tmp_path):
    """A lease that does not beat is lost to another machine after two minutes of training."""
    monkeypatch.setattr(lease, "BEAT", 0.05)
    again = runs.open(SFT, tmp_path)
    path = again.path / "lease.json"
    os.utime(path, (0, 0))
    until = time.monotonic() + 60
    while path.stat().st_mtime == 0:
        assert time.monotonic() < until
        time.sleep(0.02)
    again.finish({"loss": 1.0})
    assert not path.exists() and again.verify() == []


def test_a_torn_lease_is_nobodys(run):
    (run.path / "lease.json").write_text('{"id": ')
    assert lease.holder(run.path) is None and lease.take(run.path)


def test_of_many_that_start_at_once_one_gets_it(run):
    """The check and the taking are one: else two kernels started together both find it free."""
    code = "import sys; from pathlib import Path; from nbcore.runs import lease\n"
    code += "print(lease.take(Path(sys.argv[1])), flush=True); sys.stdin.read()"
    pipes = {"stdout": subprocess.PIPE, "stdin": subprocess.PIPE, "text": True}
    children = [subprocess.Popen([sys.executable, "-c", code, run.path], **pipes) for _ in range(6)]
    answers = [child.stdout.readline().strip() for child in children]
    for child in children:
        child.communicate()
    assert sorted(answers) == ["False"] * 5 + ["True"]
