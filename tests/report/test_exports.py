"""The report shows the proof of what was exported of its chain, and of nothing else."""

import json

from nbcore import config as configs
from nbcore import report, runs
from nbcore.runs import layout
from tests import fake_store


def exported(store, parent, name, kept):
    run = runs.open(configs.load({"phase": "export", "name": name}), store, parent)
    tensor = {"name": "model.<b>layer</b>", "kept": kept, "max_delta": 0.01}
    pair = {"max": 1e-6, "mean": 1e-7, "top1": 1.0}
    proof = {"tensors": [tensor], "logits": {"adapter_reloaded": pair, "limit": 1e-4}, "problems": []}
    (run.path / layout.PARITY).write_text(json.dumps(proof))
    return run.finish({"tensors": 1}, base="seedling")


def test_the_export_of_the_latest_model_is_shown(tmp_path):
    store = fake_store.make(tmp_path / "store", heldout=10, unseen=5)
    assert "What was exported" not in report.build(store).read_text("utf-8")
    exported(store, "sft", "older", 0.25)
    assert "0.2500" in report.build(store).read_text("utf-8")
    run = exported(store, "grpo", "newest", 1.0)
    page = report.build(store).read_text("utf-8")
    assert run.id in page and "1.0000 to 1.0000" in page and "0.2500" not in page


def test_a_damaged_export_proves_nothing(tmp_path):
    store = fake_store.make(tmp_path / "store", heldout=10, unseen=5)
    run = exported(store, "grpo", "broken", 1.0)
    (run.path / layout.PARITY).write_text("{}")
    assert "What was exported" not in report.build(store).read_text("utf-8")
