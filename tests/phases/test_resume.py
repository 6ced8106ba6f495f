"""Kill -9 during any phase and run again: it resumes, ends, and loses only the steps since its last checkpoint."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from phases.short_runs import losses, short, write_pairs

from nbcore import config as configs
from nbcore import runs

PROGRAM = """
import sys, importlib
from nbcore import runs
phase, store = sys.argv[1:]
run = runs.listing(store, phase)[-1]
module = importlib.import_module(f"nbcore.phases.{phase}")
module.train(run)
module.finish(run)
"""


def start(phase, store):
    return subprocess.Popen([sys.executable, "-c", PROGRAM, phase, str(store)], start_new_session=True)


def killed_at(step, run, process):
    """SIGKILL the process as soon as the run has logged `step`."""
    deadline = time.monotonic() + 240
    while not any(row.get("step", 0) >= step and "loss" in row for row in run.metrics()):
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline, "it never got so far"
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.mark.slow
@pytest.mark.parametrize("phase", ["pretrain", "lang_adapter", "sft", "ipo", "grpo"])
def test_killed_and_resumed(chain, tmp_path, phase):
    """A lost runtime must cost the steps since the last checkpoint and nothing else; and where rollouts play no part,
    the resumed run ends in the very bytes of the uninterrupted one."""
    config = short(phase, max_steps=8)
    weights = "model/model.safetensors" if phase == "pretrain" else "adapter/adapter_model.safetensors"
    ended = []
    for number, interrupt in enumerate((False, True)):
        store = tmp_path / str(number)
        store.mkdir()
        for parent in ("lang_adapter", "sft"):
            (store / parent).mkdir()
            for path in (chain / parent).iterdir():
                (store / parent / path.name).symlink_to(path)
        parent = configs.PARENTS[phase] if phase != "grpo" else "sft"
        run = runs.open(config, store, parent)
        if phase == "ipo":
            write_pairs(run)
        process = start(phase, store)
        if interrupt:
            killed_at(5, run, process)
            assert not run.finished
            half = run.path / "state" / "checkpoint-6"  # as a kill in the middle of a save would leave it
            if not half.exists():
                half.mkdir()
                (half / "trainer_state.json").write_text(json.dumps({"global_step": 6}))
            process = start(phase, store)
        assert process.wait(timeout=300) == 0
        assert run.finished and run.verify() == []
        assert len(losses(run)) == 8, "every step is there once"
        ended.append(run)
    if phase != "grpo":
        assert losses(ended[0]) == losses(ended[1])
        assert (ended[0].path / weights).read_bytes() == (ended[1].path / weights).read_bytes()
