"""A watch beside training: each checkpoint once, whatever dies when."""

import shutil
import signal
import subprocess
import sys
import time

import pytest

from nbcore import config as configs
from nbcore import runs
from nbcore.cli import main as cli
from nbcore.cli.watch import interval
from nbcore.core import lines
from nbcore.evaluation import harness, watch
from nbcore.phases import lang_adapter
from nbcore.runs import checkpoints, layout, lease
from nbcore.tasks import katas
from tests.phases.short_runs import short

PATIENCE = 600  # seconds for what must come about: a process that imports torch takes its time on a busy machine
FEW = {"heldout": 2, "unseen": 0, "perplexity_documents": 0, "generation.max_new_tokens": 8, "generation.batch_size": 2}
TRAIN = """
import sys
from nbcore import runs
from nbcore.phases import lang_adapter
from tests.phases.short_runs import short
run = runs.open(short("lang_adapter", max_steps=12, save_steps=3, keep_every=3), sys.argv[1])
lang_adapter.train(run)
lang_adapter.finish(run)
"""


@pytest.mark.parametrize(("text", "seconds"), [("45s", 45), ("30m", 1800), ("2h", 7200), ("90", 90), (" 1.5m ", 90)])
def test_an_interval_is_read(text, seconds):
    assert interval(text) == seconds


@pytest.mark.parametrize("text", ["", "0s", "-5m", "5 minutes", "1d", "99999h", "nan", "m"])
def test_another_interval_is_refused_with_the_remedy(text):
    with pytest.raises(ValueError, match=r"every is .*as in 45s, 30m or 2h"):
        interval(text)


def test_a_run_that_trains_nothing_is_refused(store, capsys, monkeypatch):
    monkeypatch.setattr("os.nice", lambda by: None)  # it would hold for every test that comes after
    runs.open(short("evaluate"), store)
    assert cli.main(["watch", "evaluate", "--once", "--store", str(store)]) == 2
    assert "trains nothing" in capsys.readouterr().err


def test_a_harness_that_is_absent_is_told_before_anything_is_watched(store, monkeypatch):
    """The watch left the harness's tasks out without a word, so that what training made a model forget was not seen."""
    monkeypatch.setattr(harness.importlib.util, "find_spec", lambda name: None)
    run = runs.open(short("lang_adapter"), store)
    with pytest.raises(ValueError, match=r"harness: .*not installed"):
        watch.watch(run, 1, True, configs.load(few(), {"harness": {"tasks": ["mmlu"]}}))


def few():
    return configs.load("configs/evaluate/tiny.yaml", FEW)


@pytest.mark.slow
def test_each_checkpoint_is_evaluated_once_and_a_bad_one_is_told(store):
    run = runs.open(short("lang_adapter"), store)
    said = []
    assert watch.watch(run, 1, True, few(), said.append) == [] and "no checkpoint" in said[-1]
    lang_adapter.train(run)
    assert watch.watch(run, 1, True, few(), said.append) == []
    folder = layout.watch_folder(run.path)
    rows = lines.read(folder / layout.CURVE)
    assert [row["step"] for row in rows] == [2, 4] and rows[0]["heldout"]["pass@1"]["n"] == 2
    assert (folder / layout.CURVE_PICTURE).read_bytes().startswith(b"\x89PNG")

    count = len(said)
    assert watch.watch(run, 1, True, few(), said.append) == [] and len(said) == count  # nothing is done twice

    whole = (folder / layout.CURVE).read_bytes()
    (folder / layout.CURVE).write_bytes(whole[:-40])  # killed while it wrote the last line
    damaged = checkpoints.listing(run.path)[-1].path
    weights = next(damaged.glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x00")
    told = watch.watch(run, 1, True, few(), said.append)
    assert len(told) == 1 and damaged.name in told[0] and "sha256" in told[0]

    shutil.rmtree(damaged)
    lang_adapter.train(run)
    lang_adapter.finish(run)
    watch.watch(run, 1, False, few(), said.append)  # ends by itself, since the run has finished
    assert lines.read(folder / layout.CURVE)[-1]["checkpoint"] == "final" and runs.run.get(store, run.id).verify() == []


@pytest.mark.slow
def test_tasks_that_no_answer_can_pass_are_set_aside_before_anything_is_asked(store, tmp_path):
    """An evaluation set them aside and the watch did not, so that a checkpoint scored less in the curve than after."""
    task = {**katas.load("validation")[0], "id": "good"}
    wrong = {**task, "id": "wrong", "solution": "todo!()"}
    lines.append(tmp_path / "mine.jsonl", task, wrong)
    run = runs.open(short("lang_adapter"), store)
    lang_adapter.train(run)
    sets = {"heldout": 0, "tasksets": [{"name": "mine", "source": str(tmp_path / "mine.jsonl")}]}
    said = []
    assert watch.watch(run, 1, True, configs.load(few(), sets), said.append) == []
    told = [words for words in said if "set aside" in words]
    assert told == ["mine: 1 set aside, whose tests can tell no right answer: wrong"], "once, not for each checkpoint"
    folder = layout.watch_folder(run.path)
    assert [(row["mine"]["n"], row["mine"]["broken_tests"]) for row in lines.read(folder / layout.CURVE)] == [
        (1, 1)
    ] * 2
    assert {row["id"] for row in lines.read(folder / layout.SAMPLES)} == {"good"}
    with pytest.raises(ValueError, match=r"1 tasks whose tests cannot tell a right answer \('wrong'"):
        watch.watch(run, 1, True, configs.load(few(), {"source": str(tmp_path / "mine.jsonl")}), said.append)


@pytest.mark.slow
def test_a_second_watch_is_refused(store):
    run = runs.open(short("lang_adapter"), store)
    other = subprocess.Popen(
        [sys.executable, "-m", "nbcore", "watch", run.id, "--every", "60s", "--store", str(store)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        folder = layout.watch_folder(run.path)
        until(lambda: folder.is_dir() and lease.holder(folder))
        with pytest.raises(ValueError, match="is watched by process"):
            watch.watch(run, 1, True, few())
    finally:
        other.kill()
        other.wait()
    assert watch.watch(run, 1, True, few()) == []  # a watch that was killed holds nothing


@pytest.mark.slow
def test_the_watch_survives_the_death_of_training_and_its_own(store):
    """Both are killed without warning, both go on, and in the end each checkpoint has one row."""
    train = [sys.executable, "-c", TRAIN, str(store)]
    sets = [word for name, value in FEW.items() for word in ("--set", f"{name}={value}")]
    look = [sys.executable, "-m", "nbcore", "watch", "lang_adapter", "--every", "1s", "--store", str(store), *sets]
    training = subprocess.Popen(train)
    until(lambda: any(run.events() or checkpoints.listing(run.path) for run in runs.listing(store)))
    watching = subprocess.Popen(look)
    run = runs.listing(store)[0]
    until(lambda: any(each.committed for each in checkpoints.listing(run.path)))
    training.send_signal(signal.SIGKILL)
    training.wait()
    until(lambda: watch.evaluated(run, few()))
    watching.send_signal(signal.SIGKILL)
    watching.wait()
    assert subprocess.run(train, timeout=PATIENCE).returncode == 0
    assert subprocess.run(look, timeout=PATIENCE).returncode == 0
    rows = watch.evaluated(run, few())
    assert len({row["marker"] for row in rows}) == len(rows) >= 2 and rows[-1]["checkpoint"] == "final"
    assert run.verify() == []


def until(true):
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.2)
