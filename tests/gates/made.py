"""A small chain with evaluations, made in milliseconds: real run directories, small adapters, chosen answers."""

import json
import random
import struct
from pathlib import Path

from datasets.arrow_writer import ArrowWriter

from nbcore import config as configs
from nbcore import runs, stats
from nbcore.core import lines
from nbcore.runs import commit, layout

FAMILIES = 31


def base(folder: Path) -> Path:
    """A folder that stands for a base model."""
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "llama"}')
    (folder / "tokenizer.json").write_text('{"version": "1.0"}')
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    weights(folder / "model.safetensors", {"w": [1.0] * 50})
    return folder


def weights(path: Path, tensors: dict[str, list[float]]) -> None:
    """A safetensors file of float32 vectors."""
    header, data = {}, b""
    for name, numbers in tensors.items():
        begin, data = len(data), data + struct.pack(f"<{len(numbers)}f", *numbers)
        header[name] = {"dtype": "F32", "shape": [len(numbers)], "data_offsets": [begin, len(data)]}
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def trained(store: Path, phase: str, parent=None, seed: int = 1, config=None, **values) -> runs.Run:
    """A finished run with an adapter of its own numbers."""
    config = config or configs.load({"phase": phase, "name": "tiny", "max_steps": 500}, values)
    run = runs.open(config, store, parent)
    run.log(step=1, loss=2.0)
    (run.path / "adapter").mkdir()
    (run.path / "adapter" / "adapter_config.json").write_text("{}")
    draw = random.Random(f"{phase}{seed}")
    adapter(run.path, {f"{name}.lora_{side}": [draw.gauss(0, 1) for _ in range(8)] for name in "qv" for side in "AB"})
    return run.finish({"loss": 2.0}, base=values.get("model.base", "seedling"), device="CPU", data_hash="d" * 64)


def recommit(run: runs.Run) -> None:
    """As if the run had been finished with what stands there now."""
    info = {name: value for name, value in run.info.items() if name != "manifest"}
    commit.commit(run.path, layout.RUN, info, without=layout.OUTSIDE)


def prepared(store: Path, texts: list[str], config=None) -> runs.Run:
    """A finished run of prepared data."""
    run = runs.open(config or configs.load({"phase": "data", "name": "tiny"}), store)
    path = run.path / "data" / "train-00000.arrow"
    path.parent.mkdir()
    with ArrowWriter(path=str(path)) as writer:
        for number, text in enumerate(texts):
            writer.write({"id": f"own-{number}", "source": "mine", "text": text})
        writer.finalize()
    return run.finish({"train": len(texts)}, base=None, data_hash="c" * 64)


def exported(store: Path, parent: runs.Run, config=None, folder="model", **proof) -> runs.Run:
    """A finished export with the proof that it left; `folder`: model, or adapter where that leaves alone."""
    run = runs.open(config or configs.load({"phase": "export", "name": "tiny"}), store, parent)
    (run.path / folder).mkdir()
    weights(run.path / folder / f"{'adapter_' * (folder == 'adapter')}model.safetensors", {"w": [1.0] * 9})
    if proof:
        (run.path / "parity.json").write_text(json.dumps(proof))
    return run.finish({"tensors": 1}, base="seedling", data_hash="d" * 64)


def adapter(run: Path, tensors: dict[str, list[float]]) -> None:
    weights(run / "adapter" / "adapter_model.safetensors", tensors)


def evaluated(
    store: Path, parent, outcome, n: int = 300, isolation: str = "jailed", config=None, change=None, named="heldout"
):
    """A finished evaluation of n tasks: `outcome(number)` says pass, tests_failed, compile_error or infra_error.

    `change` may alter each row; `named` is what the set of tasks is called.
    """
    run = runs.open(config or configs.load({"phase": "evaluate", "name": "tiny"}), store, parent)
    rows = []
    for number in range(n):
        verdict = outcome(number)
        row = {
            **{
                "id": f"t{number}",
                "family": f"f{number % FAMILIES}",
                "prompt": f"Task {number} of the gate's own set.",
            },
            **{
                "completion": "",
                "code": "fn f() {}",
                "truncated": False,
                "split": named,
                "sample": 0,
                "flags": [],
                "errors": [],
            },
            **{"verdict": verdict, "passed": verdict == "pass", "clippy_warnings": 0, "tests_total": 6},
            **{"compiles": verdict in ("pass", "tests_failed"), "tests_passed": 6 * (verdict == "pass")},
        }
        rows.append(change(row) if change else row)
    documents = [{"split": "perplexity", "id": f"d{number}", "nll": 20.0, "tokens": 20} for number in range(100)]
    lines.append(run.path / "samples.jsonl", *rows, *documents)
    (run.path / "sandbox.json").write_text(json.dumps({"isolation": isolation}))
    passed, compiled = (sum(row[key] for row in rows) for key in ("passed", "compiles"))
    rates = {"pass@1": stats.wilson(passed, n)._asdict(), "compile_rate": stats.wilson(compiled, n)._asdict()}
    metrics = {
        named: {"n": n, "clippy_warnings": 0.0, **rates},
        "perplexity": stats.Interval(2.7, 2.6, 2.8, 100)._asdict(),
    }
    return run.finish(metrics, base=run.config.model.base or "seedling", device="CPU", data_hash="e" * 64)


def better(number: int) -> str:
    """70 of 100 pass."""
    return "pass" if number % 10 < 7 else "tests_failed"


def worse(number: int) -> str:
    """40 of 100 pass, all of them tasks that `better` passes."""
    return "pass" if number % 10 < 4 else "tests_failed"


def chain(store: Path, before=worse, after=better, **values):
    """(adapter run, SFT run), both evaluated."""
    first = trained(store, "lang_adapter", **values)
    second = trained(store, "sft", first)
    evaluated(store, first, before)
    evaluated(store, second, after)
    return first, second


GATE = {
    "schema": 1,
    "phase": "sft",
    "baseline": {"ref": "parent"},
    "eval_set": {"name": "heldout", "n_min": 300},
    "checks": [
        {"metric": "pass@1", "delta": {"superior_by": 0.0}},
        {"metric": "compile_rate", "delta": {"non_inferior": -0.08}},
    ],
    "integrity": [
        *("weights_finite", "adapter_changed", "tokenizer_unchanged", "hashes_verified", "no_contamination"),
        *("sandbox_not_degraded", "hack_rate", "infra_errors"),  # adapter_loaded takes a real adapter, and a second
    ],
}
