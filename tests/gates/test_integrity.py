"""Checks of the run itself: each can fail by itself, and nothing else turns red with it."""

import copy
import hashlib
import json

import pytest

from nbcore import config as configs
from nbcore import gates, runs
from nbcore.core import environment, formats, lines
from nbcore.tasks import katas
from tests.gates import made


def findings(run, **changes):
    decision = gates.judge(run, gates.load({**copy.deepcopy(made.GATE), **changes}))
    return {each.name: each.verdict for each in decision.findings}, decision


def chain(store, tmp_path, rows=None, isolation="jailed", change=None):
    where = made.base(tmp_path / "base")
    first = made.trained(store, "lang_adapter", **{"model.base": str(where)})
    sft = made.trained(store, "sft", first, **({"rows": str(rows)} if rows else {}))
    return where, first, sft


def measured(store, first, sft, **values):
    made.evaluated(store, first, made.worse)
    made.evaluated(store, sft, made.better, **values)


def only(failing, found):
    return {name for name, verdict in found.items() if verdict == "FAIL"} == {failing}


def test_weights_that_are_not_finite(store, tmp_path):
    _, first, sft = chain(store, tmp_path)
    made.adapter(sft.path, {"q.lora_A": [float("nan")] * 8, "q.lora_B": [1.0], "v.lora_A": [1.0], "v.lora_B": [2.0]})
    made.recommit(sft)
    made.evaluated(store, first, made.worse)
    found, decision = findings(runs.Run(sft.path))
    assert only("weights_finite", found) and decision.verdict == "FAIL" and "NaN" in decision.why


def test_an_adapter_that_training_left_as_it_was(store, tmp_path):
    _, first, sft = chain(store, tmp_path)
    (sft.path / "adapter" / "adapter_model.safetensors").write_bytes(
        (first.path / "adapter" / "adapter_model.safetensors").read_bytes()
    )
    made.recommit(sft)
    measured(store, first, runs.Run(sft.path))
    found, decision = findings(runs.Run(sft.path))
    assert only("adapter_changed", found) and "4 of 4 tensors are those of the parent" in decision.why


def test_one_tensor_is_enough_and_a_lost_one_too(store, tmp_path):
    """Exports that dropped the experts' part of an adapter went unnoticed elsewhere for weeks."""
    _, first, sft = chain(store, tmp_path)
    made.adapter(sft.path, {"q.lora_A": [1.0], "q.lora_B": [1.0], "v.lora_A": [3.0]})
    made.recommit(sft)
    measured(store, first, runs.Run(sft.path))
    found, decision = findings(runs.Run(sft.path))
    assert only("adapter_changed", found) and "gone: v.lora_B" in decision.why


def test_a_fresh_adapter_of_zeros(store, tmp_path):
    _, first, _ = chain(store, tmp_path)
    made.adapter(first.path, {"q.lora_A": [1.0], "q.lora_B": [-0.0, 0.0]})
    made.recommit(first)
    first = runs.Run(first.path)
    made.evaluated(store, first, made.better)
    gate = {"phase": "lang_adapter", "baseline": "none", "checks": [{"metric": "pass@1", "value": {"min": 0.1}}]}
    found, decision = findings(first, **gate)
    assert only("adapter_changed", found) and "q.lora_B" in decision.why


def test_a_chat_template_that_changed(store, tmp_path):
    base, first, sft = chain(store, tmp_path)
    measured(store, first, sft)
    (base / "chat_template.jinja").write_text("{{ messages }} ")
    found, _ = findings(sft, integrity=["tokenizer_unchanged", "weights_finite", "infra_errors"])
    assert only("tokenizer_unchanged", found)
    found, _ = findings(sft)
    assert found["hashes_verified"] == "FAIL", "the base's file is a link of the chain as well"


def test_a_tokenizer_of_its_own_beside_the_adapter(store, tmp_path):
    _, first, sft = chain(store, tmp_path)
    (sft.path / "adapter" / "tokenizer.json").write_text("{}")
    made.recommit(sft)
    sft = runs.Run(sft.path)
    measured(store, first, sft)
    found, decision = findings(sft)
    assert only("tokenizer_unchanged", found) and "adapter/tokenizer.json" in decision.why


def test_a_parent_that_changed(store, tmp_path):
    _, first, sft = chain(store, tmp_path)
    measured(store, first, sft)
    (first.path / "metrics.jsonl").write_text("{}\n")
    found, decision = findings(sft)
    assert only("hashes_verified", found) and first.id in decision.why


def test_data_that_changed_and_data_that_are_gone(store, tmp_path):
    rows = tmp_path / "rows.jsonl"
    lines.append(rows, row(1))
    _, first, sft = chain(store, tmp_path, rows)
    measured(store, first, sft)
    assert findings(sft)[1].verdict == "PASS"
    lines.append(rows, row(2))
    found, decision = findings(sft)
    assert only("hashes_verified", found) and "rows.jsonl" in decision.why
    rows.unlink()
    found, decision = findings(sft)
    assert found["hashes_verified"] == found["no_contamination"] == "INVESTIGATE" == decision.verdict


def row(number, text="Add one to `x`.", code="fn add(x: i32) -> i32 { x + 1 }"):
    said = [{"role": "user", "content": text}, {"role": "assistant", "content": code}]
    return {"id": f"r{number}", "messages": said, "meta": {}}


@pytest.mark.parametrize("by", ["id", "instruction", "function"])
def test_rows_that_hold_a_task_of_the_gate(store, tmp_path, by):
    rows, tasks = tmp_path / "rows.jsonl", katas.load("heldout")[:300]
    task = tasks[7]
    leak = {
        "id": {**row(1), "id": task["id"]},
        "instruction": row(1, task["prompt"].split("\n")[0]),
        "function": row(1, code=katas.code(task).replace(task["meta"].get("name", "zzz"), "other")),
    }[by]
    lines.append(rows, row(0), leak, row(2))
    _, first, sft = chain(store, tmp_path, rows)

    def as_kata(answer):
        kata = tasks[int(answer["id"][1:])]
        return {**answer, "id": kata["id"], "prompt": kata["prompt"], "family": kata["family"]}

    made.evaluated(store, first, made.worse, change=as_kata)
    made.evaluated(store, sft, made.better, change=as_kata)
    found, decision = findings(sft)
    assert only("no_contamination", found) and task["id"] in decision.why and decision.verdict == "FAIL"


@pytest.mark.parametrize("by", ["function", "instruction", "nothing but the way all ask"])
def test_rows_that_hold_a_task_of_a_named_set(store, tmp_path, by):
    """Of a benchmark's file the gate knew the first line of each prompt alone, which HumanEval-X leaves empty: its
    published solutions could be trained on, and the gate passed."""
    published = environment.REPO / "nbcore/assets/protected/humaneval_x_rust.jsonl.gz"
    tasks = list(formats.read(published, "tasks", "tasks"))
    asked = "Answer with the function alone, without a main, without tests and without a word of explanation."
    for task in tasks:
        task["prompt"] += asked
    named = tmp_path / "named.jsonl"
    lines.append(named, *tasks)
    leak = {
        "function": row(1, code=tasks[20]["signature"] + tasks[20]["solution"]),
        "instruction": row(1, tasks[20]["prompt"]),
        "nothing but the way all ask": row(1, f"Add one to `x`. {asked}"),
    }[by]
    rows = tmp_path / "rows.jsonl"
    lines.append(rows, row(0), leak)
    where, first, sft = chain(store, tmp_path, rows)
    config = {"phase": "evaluate", "name": "tiny", "tasksets": [{"name": "public", "source": str(named)}]}
    config = configs.load(config, {"model.base": str(where)})

    def as_published(answer):
        return {**answer, **{key: tasks[int(answer["id"][1:])][key] for key in ("id", "prompt")}}

    for run, outcome in ((first, made.worse), (sft, made.better)):
        made.evaluated(store, run, outcome, n=len(tasks), config=config, change=as_published, named="public")
    changes = {"eval_set": {"name": "public", "n_min": 80}, "checks": made.GATE["checks"][:1]}
    found, decision = findings(sft, **changes)
    if by in ("function", "instruction"):
        assert only("no_contamination", found) and tasks[20]["id"] in decision.why
    else:
        assert found["no_contamination"] == "PASS", decision.why


def test_a_child_of_contaminated_data_is_contaminated(store, tmp_path):
    rows = tmp_path / "rows.jsonl"
    lines.append(rows, {**row(1), "id": "t5"})
    _, _, sft = chain(store, tmp_path, rows)
    ipo = made.trained(store, "ipo", sft)
    made.evaluated(store, sft, made.worse)
    made.evaluated(store, ipo, made.better)
    assert only("no_contamination", findings(ipo, phase="ipo")[0])


def test_a_run_of_data_that_holds_a_task(store):
    task = katas.load("heldout")[3]
    clean, bad = "fn main() { println!(); }", katas.code(task)
    assert gates.judge(made.prepared(store, [clean]), gates.of_phase("data")).verdict == "RUBBER_STAMP"
    run = made.prepared(store / "other", [clean, bad])
    decision = gates.judge(run, gates.of_phase("data"))
    assert decision.verdict == "FAIL" and task["id"] in decision.why and "row 2" in decision.why


def test_who_trains_on_such_data_is_contaminated_too_and_a_flip_in_them_breaks_its_chain(store):
    task = katas.load("heldout")[3]
    data = made.prepared(store, [katas.code(task)])
    run = made.trained(store, "lang_adapter", data_run=data.id)

    def as_kata(answer):
        return {**answer, "id": task["id"], "prompt": task["prompt"]} if answer["id"] == "t0" else answer

    made.evaluated(store, run, made.better, change=as_kata)
    values = {"phase": "lang_adapter", "baseline": "none", "checks": [{"metric": "pass@1", "value": {"min": 0.1}}]}
    found, _ = findings(run, **values)
    assert only("no_contamination", found)
    path = data.path / "data" / "train-00000.arrow"
    content = path.read_bytes()
    path.write_bytes(content[:-9] + b"x" + content[-8:])
    bad = gates.broken(gates.verify_chain(run))
    assert {(link.kind, link.of) for link in bad} == {("data", data.id)}


def test_a_sandbox_that_was_degraded(store, tmp_path):
    _, first, sft = chain(store, tmp_path)
    measured(store, first, sft, isolation="degraded")
    found, decision = findings(sft)
    assert only("sandbox_not_degraded", found) and "degraded" in decision.why


def test_an_evaluation_without_proof_of_its_sandbox_decides_nothing(store, tmp_path):
    """It passed as "jailed in 0 runs"."""
    _, first, sft = chain(store, tmp_path)
    measured(store, first, sft)
    for run in runs.listing(store, "evaluate"):
        (run.path / "sandbox.json").unlink()
        made.recommit(run)
    found, decision = findings(sft)
    assert found["sandbox_not_degraded"] == "INVESTIGATE" == decision.verdict and "sandbox.json" in decision.why


@pytest.mark.parametrize(
    ("name", "change"),
    [("infra_errors", {"verdict": "infra_error"}), ("hack_rate", {"flags": ["forged_report"]})],
)
def test_a_set_that_a_check_is_about_is_looked_at_as_well(store, tmp_path, name, change):
    """Only eval_set was: of another set every second answer could go ungraded, or round its tests."""
    _, first, sft = chain(store, tmp_path)

    def half(answer):
        number = int(answer["id"][1:])
        return {**answer, "split": "other", **(change if number % 4 == 1 else {})} if number >= 150 else answer

    for run, outcome in ((first, made.worse), (sft, made.better)):
        made.evaluated(store, run, outcome, change=half)
    checks = [{"metric": "pass@1", "on": "other", "value": {"min": 0.1}}]
    found, decision = findings(sft, checks=checks, eval_set={"name": "heldout", "n_min": 50})
    assert only(name, found) and "on other" in decision.why


def test_answers_that_get_round_their_tests(store, tmp_path):
    _, first, sft = chain(store, tmp_path)

    def forged(answer):
        return {**answer, "flags": ["forged_report"]} if int(answer["id"][1:]) < 10 else answer

    measured(store, first, sft, change=forged)
    found, decision = findings(sft)
    assert only("hack_rate", found) and "3.3 %" in decision.why
    assert findings(sft, integrity=[{"hack_rate": 0.05}])[1].verdict == "PASS"


def test_answers_that_could_not_be_graded(store, tmp_path):
    _, first, sft = chain(store, tmp_path)

    def ungraded(answer):
        return {**answer, "verdict": "infra_error"} if int(answer["id"][1:]) < 20 else answer

    made.evaluated(store, first, made.worse, n=320)
    made.evaluated(store, sft, made.better, n=320, change=ungraded)
    found, _ = findings(sft)
    assert only("infra_errors", found)


def test_a_reward_that_was_gamed_in_training(store, tmp_path):
    _, _, sft = chain(store, tmp_path)
    run = runs.open(configs.load({"phase": "grpo", "name": "tiny", "max_steps": 500}), store, sft)
    for step in range(1, 9):
        run.log(step=step, hack_rate=0.0 if step < 7 else 0.2)
    (run.path / "adapter").mkdir()
    made.adapter(run.path, {f"{name}.lora_{side}": [9.0] for name in "qv" for side in "AB"})
    run.finish({"loss": 1.0}, base="seedling", data_hash="d" * 64)
    made.evaluated(store, sft, made.worse)
    made.evaluated(store, run, made.better)
    found, decision = findings(run, phase="grpo")
    assert only("hack_rate", found) and "last quarter of training" in decision.why


@pytest.mark.parametrize(
    ("proof", "verdict", "words"),
    [
        ({"ok": True, "problems": [], "tensors": [{}] * 3}, "PASS", "3 tensors"),
        ({"ok": True, "problems": [], "tensors": [], "gguf": {"Q8_0": {"skipped": "no"}}}, "PASS", "made here: Q8_0"),
        ({"ok": False, "problems": ["q: kept 0.2"], "tensors": []}, "FAIL", "kept 0.2"),
        ({"ok": True, "problems": [], "tensors": [], "gguf": {"Q8_0": {"problems": ["a token"]}}}, "FAIL", "a token"),
        ({"problems": []}, "FAIL", "nothing proves"),
        ({}, "FAIL", "nothing proves"),
    ],
)
def test_an_export_has_to_be_what_was_trained(store, tmp_path, proof, verdict, words):
    """An exporter that drops an adapter writes a model that loads and answers, as the base did."""
    _, _, sft = chain(store, tmp_path)
    decision = gates.judge(made.exported(store, sft, **proof), gates.of_phase("export"))
    found = {each.name: each for each in decision.findings}
    assert found["parity"].verdict == verdict and words in found["parity"].why, found["parity"]
    assert decision.verdict == ("RUBBER_STAMP" if verdict == "PASS" else "FAIL"), decision.why


def test_an_adapter_that_was_exported_alone_is_judged_by_its_own_weights(store, tmp_path):
    """Its gate looked into model/, found no weights and failed it, and a record of it would have vouched for none."""
    _, _, sft = chain(store, tmp_path)
    run = made.exported(store, sft, folder="adapter", ok=True, problems=[], tensors=[{}])
    decision = gates.judge(run, gates.of_phase("export"))
    found = {each.name: each for each in decision.findings}
    assert found["weights_finite"].verdict == "PASS" and decision.verdict == "RUBBER_STAMP", decision.why
    kinds = {link.kind for link in gates.verify_chain(run) if link.of == run.id}
    _, record = gates.decide(run, gates.of_phase("export"))
    assert "adapter" in kinds and record["chain"]["adapter"] != hashlib.sha256(b"{}").hexdigest()


def test_what_a_check_finds_is_in_the_record(store, tmp_path):
    _, first, sft = chain(store, tmp_path)
    measured(store, first, sft, isolation="degraded")
    _, record = gates.decide(sft, gates.load(made.GATE))
    assert record["integrity"]["sandbox_not_degraded"]["verdict"] == "FAIL"
    assert json.dumps(record)


def test_an_adapter_whose_config_says_nothing_does_not_load(store):
    """The gate ended in a traceback, and recorded no decision."""
    _, sft = made.chain(store)
    found, decision = findings(sft, integrity=["adapter_loaded"])
    assert only("adapter_loaded", found) and "adapter_loaded: does not load" in decision.why
