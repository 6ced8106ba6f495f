"""nbcore.pipeline: which stages run, with which config and parent, and what a person reads when one fails."""

import errno
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
import yaml
from rich.console import Console

from nbcore import config as configs
from nbcore import pipeline as pipelines
from nbcore import runs
from nbcore.core.environment import REPO
from nbcore.pipeline import notebook, progress, stages
from nbcore.runs import activity, checkpoints
from nbcore.runs.mirror import backends, mirror

TINY = REPO / "configs" / "pipeline" / "tiny.yaml"


def write(path, stages):
    path.write_text(yaml.safe_dump({"name": "test", "stages": stages}))
    return path


def stage(id_, phase=None, parent=None, **overrides):
    phase = phase or id_
    return {
        "id": id_,
        "phase": phase,
        "config": f"configs/{phase}/tiny.yaml",
        "parent": parent,
        "overrides": overrides,
    }


CHAIN = [stage("lang_adapter"), stage("sft", parent="lang_adapter"), stage("sft_eval", "evaluate", parent="sft")]


@pytest.fixture
def chain(tmp_path):
    return write(tmp_path / "chain.yaml", CHAIN)


@pytest.fixture
def executed(monkeypatch):
    """Notebooks are not executed: each opens its run as a notebook would, and finishes it unless told to fail."""
    calls = []

    def execute(notebook, copy, parameters, cwd, tick):
        assert notebook.is_file() and cwd == REPO
        calls.append(parameters)
        copy.write_text(json.dumps({"cells": []}))
        if parameters["overrides"].get("seed") == 13:
            return "ValueError: it was the thirteenth"
        cfg = configs.load(REPO / parameters["config"], parameters["overrides"])
        run = runs.open(cfg, parameters["store"], parameters["parent"])
        run.log(step=1, loss=1.0)
        tick()
        if parameters["overrides"].get("seed") == 14:
            return "ValueError: it was the fourteenth"
        run.finish({"loss": 1.0})
        return None

    monkeypatch.setattr(notebook, "execute", execute)
    return calls


def go(path, store, only=None, set_=()):
    text = io.StringIO()
    show = progress.Show(Console(file=text, width=200))
    try:
        return stages.run(pipelines.load(path, only, set_), store, show), text.getvalue()
    finally:
        go.text = text.getvalue()


def test_a_switch_may_stand_in_the_overrides_of_a_stage(tmp_path):
    """Every boolean anywhere in a pipeline was refused as what YAML makes of `on`, which no field of it takes."""
    path = write(tmp_path / "chain.yaml", [stage("lang_adapter", gradient_checkpointing=True)])
    assert pipelines.load(path).stages[0].load().gradient_checkpointing is True


def test_the_shipped_pipeline_loads_and_goes_through_every_phase():
    loaded = pipelines.load(TINY)
    assert [s.id for s in loaded.stages if s.phase != "evaluate"] == [
        "data", "pretrain", "lang_adapter", "sft", "ipo", "grpo", "export",
    ]  # fmt: skip
    for each in loaded.stages:
        assert each.notebook.is_file() and each.load().phase == each.phase


@pytest.mark.parametrize(
    ("stages", "words"),
    [
        ([stage("sft")], ["parent", "lang_adapter"]),
        ([stage("sft", parent="lang_adapter")], ["'lang_adapter'", "earlier"]),
        ([stage("base", "pretrain")], ["base", "another id"]),
        ([stage("lang_adapter"), stage("lang_adapter")], ["taken"]),
        ([stage("x", "nope")], ["nope", "pretrain"]),
        ([stage("pretrain", max_step=1)], ["stage pretrain", "max_step"]),
        ([{**stage("pretrain"), "parents": None}], ["parents"]),
        ([{**stage("pretrain"), "config": "configs/sft/tiny.yaml"}], ["sft", "pretrain"]),
        ([{**stage("pretrain"), "config": "configs/none.yaml"}], ["configs/none.yaml"]),
        ([], ["stages"]),
        ("sft", ["stages"]),
    ],
)
def test_a_mistake_in_the_file_is_one_line(tmp_path, stages, words):
    with pytest.raises((ValueError, FileNotFoundError)) as caught:
        pipelines.load(write(tmp_path / "p.yaml", stages))
    assert "\n" not in str(caught.value) and all(word in str(caught.value) for word in words), str(caught.value)


def test_a_pipeline_in_another_encoding_is_one_line(tmp_path):
    path = tmp_path / "p.yaml"
    path.write_bytes("# für mich\nname: x\n".encode("latin-1"))
    with pytest.raises(ValueError, match=rf"^{path}: not UTF-8 \(byte 0xfc at 3\); save the file as UTF-8$"):
        pipelines.load(path)


def test_set_reaches_the_stages_it_names(chain):
    loaded = pipelines.load(chain, None, ["sft.max_steps=2", "seed=3", "sft_eval.heldout=5", "lora.rank=4"])
    adapter, sft, evaluation = (each.load() for each in loaded.stages)
    assert sft.max_steps == 2 and adapter.max_steps != 2
    assert {adapter.seed, sft.seed, evaluation.seed} == {3}
    assert evaluation.heldout == 5
    assert adapter.lora.rank == sft.lora.rank == 4  # evaluate has no lora, and is left alone


def test_a_doubled_key_and_a_number_are_read_as_in_a_config(tmp_path, chain):
    """Of `parent` given twice the last one counted; --set sft.max_steps=010 meant 8."""
    (tmp_path / "p.yaml").write_text("name: a\nstages:\n- id: x\n  phase: pretrain\n  id: y\n")
    with pytest.raises(ValueError, match=r"p\.yaml: key 'id' stands twice, on lines 3 and 5"):
        pipelines.load(tmp_path / "p.yaml")
    assert pipelines.load(chain, None, ["sft.max_steps=010"]).stages[1].load().max_steps == 10
    nested = write(tmp_path / "n.yaml", [stage("lang_adapter", lora={"rank": 4, "alpha": 8})])
    lora = pipelines.load(nested, None, ["lora.rank=2"]).stages[0].load().lora
    assert (lora.rank, lora.alpha) == (2, 8), "a setting wins over an override of the file"


@pytest.mark.parametrize("bad", ["sft.max_steps", "nothing=1", "sft.max_stepz=1", "grpo.seed=1", "sft.max_steps=many"])
def test_set_refuses_what_nobody_has(chain, bad):
    with pytest.raises(ValueError, match=bad.partition("=")[0].rpartition(".")[2] if "grpo" not in bad else "grpo"):
        pipelines.load(chain, None, [bad])


def test_a_bad_setting_is_blamed_on_the_setting(chain):
    """The YAML file was named, and nobody found the error in it."""
    with pytest.raises(ValueError, match=r"^set: 'sft\.max_stepz=1': unknown field .*did you mean 'max_steps'"):
        pipelines.load(chain, None, ["sft.max_stepz=1", "lang_adapter.seed=2"])
    with pytest.raises(ValueError, match=r"^set: 'sft\.max_steps=many': 'max_steps' is 'many'"):
        pipelines.load(chain, None, ["sft.max_steps=many"])
    with pytest.raises(ValueError, match=r"'stf' \(did you mean 'sft'\?\) is no phase"):
        pipelines.load(chain, None, ["stf.max_steps=2"])
    with pytest.raises(ValueError, match=r"no stage 'sft_evl'.*did you mean 'sft_eval'"):
        pipelines.load(chain, "sft_evl")


def test_settings_that_fit_together_only_are_taken_together(tmp_path):
    """Each was checked by itself, so the first of two that belong together was refused."""
    path = write(tmp_path / "p.yaml", [stage("ipo", parent="base"), stage("grpo", parent="ipo")])
    loaded = pipelines.load(path, None, ["grpo.group_size=7", "grpo.batch_size=21"])
    assert loaded.stages[1].load().effective_batch == 21


@pytest.mark.parametrize("path", sorted(TINY.parent.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_pipeline_loads_and_is_called_as_its_file(path):
    assert pipelines.load(path).name == path.stem


def test_a_phase_config_given_as_a_pipeline_is_answered_with_what_to_type():
    """It said "'stages': Field required"."""
    with pytest.raises(ValueError) as caught:
        pipelines.load("configs/sft/small.yaml")
    assert "\n" not in str(caught.value)
    for words in (
        "notebooks/04_sft.ipynb",
        "{config: configs/sft/small.yaml}",
        "configs/pipeline/small.yaml --only sft",
    ):
        assert words in str(caught.value)


def test_stages_run_in_order_each_from_its_parent(chain, store, executed):
    finished, text = go(chain, store)
    assert [run.phase for run in finished] == ["lang_adapter", "sft", "evaluate"]
    assert [run.parent and run.parent.id for run in finished] == [None, finished[0].id, finished[1].id]
    assert "[2/3] sft finished · loss 1" in text
    assert all((run.path / "notebook.ipynb").is_file() and run.verify() == [] for run in finished)


def test_what_the_machine_lacks_for_a_late_stage_is_told_before_the_first(tmp_path, store, executed):
    """A chain trained for hours, and ended at the stage that asks for a package which was never there."""
    path = write(
        tmp_path / "chain.yaml", [*CHAIN[:1], stage("sft", parent="lang_adapter", model={"backend": "unsloth"})]
    )
    with pytest.raises(ValueError, match=r"^stage sft: model\.backend is 'unsloth'.*--with unsloth"):
        pipelines.run(pipelines.load(path), store)
    assert not executed
    assert len(pipelines.run(pipelines.load(path, only="lang_adapter"), store)) == 1


def test_finished_stages_are_skipped_and_a_changed_one_takes_its_children_along(chain, store, executed):
    first, _ = go(chain, store)
    again, text = go(chain, store)
    assert again == first and len(executed) == 3 and text.count("done already") == 3
    changed, _ = go(chain, store, set_=["sft.seed=1"])
    assert len(executed) == 5
    assert changed[0] == first[0] and changed[1] != first[1] and changed[2].parent == changed[1]


def test_a_stage_may_start_from_the_base(tmp_path, store, executed):
    """`parent: base` reaches the notebook as that word: None there means the phase's usual parent."""
    path = write(tmp_path / "p.yaml", [stage("sft", parent="base"), stage("sft_eval", "evaluate", parent="sft")])
    (sft, _), _ = go(path, store)
    assert sft.parent is None and [call["parent"] for call in executed] == ["base", sft.id]
    assert go(path, store)[0][0] == sft and len(executed) == 2


def test_a_damaged_run_is_run_again(chain, store, executed):
    first, _ = go(chain, store)
    (first[1].path / "metrics.jsonl").write_text("{}")
    again, _ = go(chain, store)
    assert [run == old for run, old in zip(again, first, strict=True)] == [True, False, False]


def test_only_takes_parents_from_what_finished_before(chain, store, executed):
    with pytest.raises(FileNotFoundError, match="lang_adapter"):
        go(chain, store, only="sft")
    assert executed == []
    (adapter,), _ = go(chain, store, only="lang_adapter")
    (sft,), text = go(chain, store, only="sft", set_=["seed=2"])  # the parent has another seed: it is the newest there
    assert sft.parent == adapter and "[1/1] sft" in text
    with pytest.raises(ValueError, match="no stage 'sfd'"):
        pipelines.load(chain, "sfd")


def test_only_prefers_a_whole_parent_to_a_newer_toy_and_says_so(chain, store, executed):
    """`--only sft` after somebody had tried the adapter for two steps trained on what they had tried."""
    (whole,), _ = go(chain, store, only="lang_adapter", set_=["lang_adapter.seed=1"])
    (toy,), _ = go(chain, store, only="lang_adapter", set_=["lang_adapter.max_steps=2"])
    (sft,), text = go(chain, store, only="sft", set_=["seed=2"])
    assert sft.parent == whole and f"{toy.id} is newer, but cut short (max_steps 2 instead of " in text


def test_a_failure_is_one_line_and_keeps_the_executed_copy(chain, store, executed):
    with pytest.raises(stages.StageFailed) as caught:
        go(chain, store, set_=["sft.seed=13"])
    line = str(caught.value)
    assert "\n" not in line and line.startswith("stage sft: ValueError: it was the thirteenth; executed copy: ")
    assert Path(line.rpartition(" ")[2]).parent == store / "failed" and Path(line.rpartition(" ")[2]).is_file()
    assert "failed" in go.text
    with pytest.raises(stages.StageFailed) as caught:  # this one had opened its run already
        go(chain, store, set_=["sft.seed=14"])
    kept = Path(str(caught.value).rpartition(" ")[2])
    assert kept.name == "notebook.ipynb" and kept.parent.parent == store / "sft"
    assert not runs.Run(kept.parent).finished


def test_a_full_disk_is_told_as_a_pause_whatever_else_it_breaks(tmp_path, monkeypatch):
    """The executed copy could not be kept either, and that error hid the first."""

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(stages, "_keep", full)
    monkeypatch.setattr(notebook, "execute", lambda *_: "Paused: sft/x is paused: the disk is full")
    with pytest.raises(runs.Paused, match="sft/x is paused"):
        stages.run(pipelines.load(TINY, "pretrain"), tmp_path)


def test_an_executed_copy_that_was_cut_short_hides_no_cause(tmp_path):
    """papermill writes it in place, so a kill leaves half a JSON."""
    (tmp_path / "copy.ipynb").write_text('{"cells": [{"outp')
    (tmp_path / "copy.log").write_text("")
    cause = notebook._cause(tmp_path / "copy.ipynb", tmp_path / "copy.log", 138)
    assert "its kernel died (exit 138)" in cause


def test_tail_reads_whole_lines_only_and_tells_the_pace(tmp_path):
    path = tmp_path / "metrics.jsonl"
    tail = progress.Tail(path)
    tail.read()
    now = tail.since
    path.write_text(
        json.dumps({"time": now - 9, "step": 1, "loss": 9.0}) + "\n"  # before this stage: no pace in it
        + json.dumps({"time": now + 1, "step": 10, "loss": 2.0}) + "\n"
        + json.dumps({"time": now + 3, "step": 20, "loss": 1.5, "note": "\u2028\x85"}, ensure_ascii=False) + "\n"
        + '{"time": 1, "st'
    )  # fmt: skip
    tail.read()
    assert tail.last[0] == 20 and tail.numbers == {"loss": 1.5}
    assert tail.seconds_left(40) == pytest.approx(4)
    assert progress.words_of(progress.flat({"heldout": {"n": 3, "pass@1": {"value": 0.5, "low": 0}}})) == [
        "heldout pass@1 0.5"
    ]


def test_what_is_done_after_the_last_step_is_said(tmp_path, monkeypatch):
    """A cell that generated for minutes stood there as "step 12/12 · about 0:00 left"."""
    text, run = io.StringIO(), tmp_path / "sft" / "run"
    run.mkdir(parents=True)
    show = progress.Show(Console(file=text, width=200))
    monkeypatch.setattr(progress, "EVERY", 0.0)
    activity.Activity(run)("of a process that was killed")
    show.start(1, 1, "sft")
    metrics = run / "metrics.jsonl"

    def line(*rows):
        with metrics.open("a") as file:
            file.writelines(json.dumps({"time": time.time(), "step": step, "loss": 1.0}) + "\n" for step in rows)
        show.update(metrics, 12)
        return text.getvalue().splitlines()[-1]

    assert "step 10/12" in (words := line(1, 10)) and "left" in words and "killed" not in words
    doing = activity.Activity(run)
    doing("evaluating after step 10", 5, 16)
    assert (words := line()).endswith("elapsed · evaluating after step 10: 5/16 · loss 1") and "left" not in words
    assert "evaluating" not in (words := line(11)) and "left" in words, "a newer step says more"
    assert line(12).endswith("elapsed · loss 1"), "there is no step left, and it is not known what comes"
    doing("answering 8 tasks, before training", 3, 8)
    assert line().endswith("elapsed · answering 8 tasks, before training: 3/8 · loss 1")


def book_of(path, *sources):
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    nbformat.write(nb, path)
    return path


@pytest.mark.slow
def test_a_real_notebook_tells_its_error_and_a_dead_kernel(tmp_path):
    def execute(source):
        book = book_of(tmp_path / "in.ipynb", source)
        return notebook.execute(book, tmp_path / "out.ipynb", {"x": {"a.b": 1}}, tmp_path, lambda: None)

    assert execute("assert x == {'a.b': 1}") is None
    assert execute("raise ValueError('rows: is 3;\\n say 4')") == "ValueError: rows: is 3; say 4"
    assert "kernel died" in execute("import os; os.kill(os.getpid(), 9)")


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_notebook_prints_what_it_wants_whatever_the_encoding_of_the_output(tmp_path, monkeypatch, encoding):
    """papermill and its kernel inherit the encoding of a narrow terminal, and would end at a character of their own."""
    monkeypatch.setenv("PYTHONIOENCODING", encoding)
    source = "import sys; print('41 % → 71 % · done'); print('→', file=sys.__stdout__); raise ValueError('rows → none')"
    book = book_of(tmp_path / "in.ipynb", source)
    said = notebook.execute(book, tmp_path / "out.ipynb", {}, tmp_path, lambda: None)
    assert said == "ValueError: rows → none"


@pytest.mark.slow
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_whatever_ends_the_pipeline_ends_the_notebook_too(tmp_path, end):
    book = book_of(
        tmp_path / "in.ipynb",
        "import os, pathlib, time; pathlib.Path('pid').write_text(str(os.getpid())); time.sleep(3600)",
    )
    code = (
        "from pathlib import Path; from nbcore.pipeline import notebook;"
        f"notebook.execute(Path({str(book)!r}), Path('out.ipynb').resolve(), {{}}, Path.cwd(), lambda: None)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPO)},
        stderr=subprocess.DEVNULL,
        # A shell that starts the tests in its background has them ignore SIGINT, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    pid = wait_for(lambda: (tmp_path / "pid").is_file() and (tmp_path / "pid").read_text())
    parent.send_signal(end)
    parent.wait(timeout=300)
    assert wait_for(lambda: not alive(int(pid))), "the kernel outlived the pipeline"


def alive(pid):
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_for(found, seconds=300):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if value := found():
            return value
        time.sleep(0.2)
    return None


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_pipeline_loses_no_step(tmp_path, number):
    """Ctrl-C, or a batch system that wants its machine back: the kernel ends its step and saves before it goes."""
    path = write(tmp_path / "one.yaml", [stage("lang_adapter", max_steps=3000, save_steps=2000)])
    process = subprocess.Popen(
        [sys.executable, "-m", "nbcore", "run", str(path), "--store", str(tmp_path / "store")],
        cwd=REPO,
        env={**os.environ, "NBCORE_MIRROR": str(tmp_path / "mirror")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )

    def steps():
        found = runs.listing(tmp_path / "store")
        return [row["step"] for row in found[0].metrics() if "loss" in row] if found else []

    assert wait_for(lambda: len(steps()) >= 3)
    process.send_signal(number)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 130 and "the same command goes on from here" in output, output
    (run,) = runs.listing(tmp_path / "store")
    saved, _ = checkpoints.newest(run.path)
    assert saved.step == max(steps()) < 2000
    copies = mirror.Mirror(backends.Folder(tmp_path / "mirror"))
    assert copies.records(run.id)[0].step == saved.step, "and the mirror has it"
