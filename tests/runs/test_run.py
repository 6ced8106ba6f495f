"""Run directories: what is not vouched for does not exist."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbcore import config as configs
from nbcore import runs
from nbcore.runs import commit

PRETRAIN = configs.load({"phase": "pretrain"})
SFT = configs.load({"phase": "sft"})


def finished(store, config=PRETRAIN, parent=None):
    run = runs.open(config, store, parent)
    run.log(step=1, loss=2.5)
    (run.path / "model").mkdir(exist_ok=True)
    (run.path / "model" / "weights").write_bytes(b"\x00\x01" * 500)
    return run.finish({"loss": 2.5}, base="seedling")


def test_open_log_finish_find(tmp_path):
    """The life of a run, as every phase lives it."""
    run = finished(tmp_path)
    assert run.finished and run.verify() == [] and run.info["metrics"] == {"loss": 2.5}
    assert runs.find(tmp_path, "pretrain") == runs.find(tmp_path, run.id) == runs.find(tmp_path, run.path)
    assert run.config == PRETRAIN
    child = runs.open(SFT, tmp_path, "pretrain")
    assert child.parent == run and child.ancestors() == [child, run]


def test_an_unfinished_run_is_resumed_and_a_finished_one_handed_back(tmp_path):
    """A lost runtime comes back to its own folder; a repeated notebook does not train again."""
    first = runs.open(SFT, tmp_path)
    assert runs.open(SFT, tmp_path) == first
    first.finish({})
    assert runs.open(SFT, tmp_path) == first
    assert runs.open(configs.load(SFT, {"seed": 1}), tmp_path) != first


def test_an_unfinished_run_is_nobodys_parent(tmp_path):
    """Half a model must not be built upon."""
    run = runs.open(PRETRAIN, tmp_path)
    with pytest.raises(ValueError, match="unfinished"):
        runs.open(SFT, tmp_path, run.id)
    with pytest.raises(FileNotFoundError, match="no finished pretrain run"):
        runs.open(SFT, tmp_path, "pretrain")
    assert runs.listing(tmp_path, "sft") == []


@pytest.mark.parametrize("name", ["model/weights", "metrics.jsonl", "config.yaml", "manifest.json"])
def test_one_flipped_bit_is_named_and_refused(tmp_path, name):
    """safetensors has no checksum: only the manifest notices a flipped bit."""
    run = finished(tmp_path)
    content = bytearray((run.path / name).read_bytes())
    content[len(content) // 2] ^= 4
    (run.path / name).write_bytes(content)
    assert any(name in problem for problem in run.verify())
    with pytest.raises(ValueError, match="damaged"):
        runs.open(SFT, tmp_path, run.id)
    assert runs.listing(tmp_path, "sft") == [], "a refused parent must leave no run behind"
    assert runs.open(PRETRAIN, tmp_path) != run, "a damaged run is not handed back as finished"


@pytest.mark.parametrize("size", [0, 1, 999])
def test_truncation_and_loss_are_noticed(tmp_path, size):
    """Drive shows files before their content has arrived."""
    run = finished(tmp_path)
    weights = run.path / "model" / "weights"
    weights.write_bytes(weights.read_bytes()[:size])
    assert "model/weights" in run.verify()[0]
    weights.unlink()
    assert run.verify() == ["model/weights: missing"]


def test_a_parent_replaced_after_the_fact_is_noticed(tmp_path):
    """The hash ties a run to the very parent it started from."""
    parent = finished(tmp_path)
    child = runs.open(SFT, tmp_path, parent)
    (parent.path / "model" / "weights").write_bytes(b"other")
    (parent.path / "run.json").unlink()
    parent.finish({})
    with pytest.raises(ValueError, match="not the run it was"):
        _ = child.parent


def test_a_cut_line_costs_only_itself(tmp_path):
    """SIGKILL in the middle of a write leaves half a line, and the next process appends after it."""
    run = runs.open(SFT, tmp_path)
    run.log(step=1, loss=1.0)
    with (run.path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 2, "lo')
    run.log(step=3, loss=0.5)
    assert [row["step"] for row in run.metrics()] == [1, 3]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text(), min_size=1, max_size=5))
def test_every_sample_comes_back_whatever_is_in_it(tmp_path_factory, texts):
    """A completion with U+2028 or U+0085 in it was cut in two: an evaluation said n = 40, and 20 rows read back."""
    run = runs.open(SFT, tmp_path_factory.mktemp("store"))
    rows = [{"id": str(number), "completion": f"{text}\u2028\x85\x0b\x1c{text}"} for number, text in enumerate(texts)]
    run.sample(*rows)
    assert run.samples() == rows


def test_a_step_logged_twice_counts_once(tmp_path):
    """A resumed run repeats the steps since its checkpoint; curves must not show them twice."""
    run = runs.open(SFT, tmp_path)
    run.log(step=1, loss=1.0)
    run.log(step=1, eval_loss=3.0)
    run.log(step=1, loss=0.9)
    assert [row.get("loss") for row in run.metrics()] == [0.9, None]


def test_the_marker_is_written_last(tmp_path, monkeypatch):
    """A crash between manifest and marker must leave an unfinished run, not a finished one without proof."""
    run = runs.open(PRETRAIN, tmp_path)
    real = commit.write_durably

    def crash(path, text):
        if path.name == "run.json":
            raise KeyboardInterrupt
        real(path, text)

    monkeypatch.setattr(commit, "write_durably", crash)
    with pytest.raises(KeyboardInterrupt):
        run.finish({})
    assert not run.finished and (run.path / "manifest.json").exists()


def test_names_are_confined_to_the_store():
    """A run name goes into a path."""
    for name in ("../x", "a/b", "", "A", "x" * 65):
        with pytest.raises(ValueError, match="name"):
            configs.load(SFT, {"name": name})


def test_manifest_names_every_file(tmp_path):
    """A file outside the manifest would be read on trust."""
    run = finished(tmp_path)
    listed = set(json.loads((run.path / "manifest.json").read_text())["files"])
    there = {p.relative_to(run.path).as_posix() for p in run.path.rglob("*") if p.is_file()}
    assert there - listed == {"manifest.json", "run.json"}


def test_a_parent_in_another_store_is_refused_before_anything_is_created(tmp_path):
    """The run could be opened, and then never find its parent again."""
    elsewhere = finished(tmp_path / "there")
    with pytest.raises(ValueError, match=r"is in another store than .*here; copy it to"):
        runs.open(SFT, tmp_path / "here", elsewhere)
    assert not (tmp_path / "here").exists()


def test_another_seedling_makes_another_run(tmp_path, monkeypatch):
    """After an update of the shipped weights, runs on the old ones must not be taken for done."""
    first = runs.open(SFT, tmp_path).finish({})
    assert runs.matching(SFT, tmp_path, None) == first
    monkeypatch.setattr(runs.run, "SEEDLING", tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"other weights")
    assert runs.matching(SFT, tmp_path, None) is None
