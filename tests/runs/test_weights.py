"""Weights and metrics that are not finite: such a run never finishes, and what exists of one is never built on."""

import json
import math
import struct

import pytest

from nbcore import runs
from nbcore.cli.main import main
from nbcore.core.finite import NotFinite
from nbcore.runs import checkpoints, commit, health, layout, weights
from tests.runs.helpers import SFT, finished, opened, saved

BITS = {  # one finite number, and NaN, infinity and minus infinity where the format has them, as their bytes
    "F64": ("<d", [1.5, math.nan, math.inf, -math.inf]),
    "F32": ("<f", [1.5, math.nan, math.inf, -math.inf]),
    "F16": ("<e", [1.5, math.nan, math.inf, -math.inf]),
    "BF16": ("<H", [0x7F7F, 0x7FC0, 0x7F80, 0xFF80]),
    "F8_E5M2": ("<B", [0x7B, 0x7D, 0x7C, 0xFC]),
    "F8_E4M3": ("<B", [0x7E, 0x7F, 0xFF, 0xFF]),
}


def write(path, dtype, number, count=5, fine=None):
    """Two tensors of `count` numbers, of which the last of the second is `number` and all others `fine`."""
    code, examples = BITS[dtype]
    fine = struct.pack(code, examples[0] if fine is None else fine)
    data = fine * (2 * count - 1) + struct.pack(code, number)
    half = len(fine) * count
    entry = {"dtype": dtype, "shape": [count]}
    header = json.dumps({"a": entry | {"data_offsets": [0, half]}, "b": entry | {"data_offsets": [half, 2 * half]}})
    path.write_bytes(struct.pack("<Q", len(header)) + header.encode() + data)
    return path


@pytest.mark.parametrize("dtype", BITS)
def test_nan_and_infinity_are_seen_in_every_format(tmp_path, dtype):
    """numpy knows no bfloat16 and no 8-bit floats: their bits are looked at."""
    fine, *wrong = BITS[dtype][1]
    assert weights.not_finite(write(tmp_path / "w", dtype, fine)) is None
    for number in wrong:
        assert weights.not_finite(write(tmp_path / "w", dtype, number)).startswith("b holds NaN or infinite")


def test_integers_have_no_nan_and_large_tensors_are_read_in_parts(tmp_path, monkeypatch):
    """All bits set is a valid integer; a NaN behind the first part of a tensor is still one."""
    path = write(tmp_path / "w", "F32", math.nan, count=11)
    monkeypatch.setattr(weights, "CHUNK", 4)
    assert "b holds" in weights.not_finite(path)
    path.write_bytes(path.read_bytes().replace(b'"F32"', b'"I32"'))
    assert weights.not_finite(path) is None


def diverged(store):
    """A finished run as older versions left it: whole by its hashes, its weights NaN."""
    run = finished(store)
    write(run.path / "adapter/adapter_model.safetensors", "F32", math.nan)
    commit.commit(run.path, layout.RUN, run.info, without=layout.OUTSIDE)
    return run


def test_a_run_with_nan_weights_is_damaged_and_nobodys_parent(store, capsys):
    """Every hash fits, so `verify` said ok, and SFT trained from it to an eval_loss of nan."""
    run = diverged(store)
    assert commit.problems(run.path, layout.RUN) == [] and "NaN" in run.verify()[0] and "NaN" in health.look(run)[0][0]
    for parent in (run.id, run.path, "sft", run):
        with pytest.raises(ValueError, match=r"parent: .*adapter_model\.safetensors: b holds NaN or infinite"):
            runs.open(SFT.model_copy(update={"name": "child"}), store, parent)
    assert [found.id for found in runs.listing(store)] == [run.id], "nothing was opened"
    assert main(["runs", "verify", "--store", str(store)]) == 1 and "NaN" in capsys.readouterr().out
    assert main(["runs", "bless", run.id, "--store", str(store)]) != 0 and not checkpoints.blessed(run.path)["run"]
    assert runs.open(SFT, store).id != run.id, "the same command trains anew instead of handing it back"


def test_such_a_run_is_not_finished(store):
    """run.json is what makes a parent of a run."""
    run = opened(store)
    (run.path / "adapter").mkdir()
    write(run.path / "adapter/adapter_model.safetensors", "BF16", 0x7FC0)
    with pytest.raises(NotFinite, match=r"adapter_model\.safetensors: b holds NaN"):
        run.finish({"loss": 1.0})
    write(run.path / "adapter/adapter_model.safetensors", "BF16", 0)
    with pytest.raises(NotFinite, match="eval_loss is nan"):
        run.finish({"loss": 1.0, "eval_loss": math.nan})
    assert not run.finished
    assert run.finish({"loss": 1.0, "eval_loss": None}).verify() == []


def test_a_metric_that_is_not_finite_is_not_logged(store):
    """JSON has no NaN: half of all readers stop at it, and the other half show it as a number."""
    run = opened(store)
    for bad in ({"eval_loss": math.nan}, {"perplexity": {"value": math.inf, "n": 3}}):
        with pytest.raises(NotFinite, match=f"{run.id}: (eval_loss|perplexity.value) is (nan|inf)"):
            run.log(step=2, **bad)
    assert len(run.metrics()) == 1


def test_a_checkpoint_that_is_not_finite_is_not_committed_and_never_chosen(store):
    """Resumed from it, or kept as the best, the last good state would be thrown away for it."""
    run = opened(store)
    good = saved(run, 10)
    bad = saved(run, 20)
    file = write(bad.path / "adapter_model.safetensors", "F16", math.inf)
    with pytest.raises(NotFinite, match=r"adapter_model\.safetensors: b holds"):
        checkpoints.save(bad.path, bad.facts)
    commit.commit(bad.path, layout.CHECKPOINT, bad.facts | {"metric": 0.0})  # as an older version did
    newest, wrong = checkpoints.newest(run.path)
    assert newest.path == good.path and "NaN" in wrong[bad.name][0]
    with pytest.raises(ValueError, match="no checkpoint of step 20; there are 10"):
        checkpoints.bless(run.path, "the best", 20)
    items = checkpoints.items(run.path)
    assert [item.verified for item in items] == [True, False] and items[1].metric is None
    write(file, "F16", 1.0)
    commit.commit(bad.path, layout.CHECKPOINT, bad.facts)
    assert checkpoints.newest(run.path)[0].path == bad.path, "what is looked at is the content, not the name"
