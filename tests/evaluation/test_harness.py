"""lm-evaluation-harness: its own result becomes rates with n and interval; without it one line says how to get it."""

import json

import pytest
import torch
from transformers import AutoModelForCausalLM

from nbcore import config as configs
from nbcore import gates, runs, view
from nbcore.core import lines
from nbcore.core.finite import NotFinite
from nbcore.evaluation import harness, watch
from nbcore.phases import evaluate, lang_adapter
from nbcore.report import audit
from nbcore.runs import layout
from nbcore.training import load
from nbcore.training.export import talking
from tests.gates import made
from tests.phases.short_runs import short


def sample(doc, acc, filtered="none", **more):
    return {"doc_id": doc, "filter": filtered, "metrics": ["acc", *more], "acc": acc, **more}


RESULT = {  # as lm_eval 0.4.13 writes it
    "samples": {
        "law": [sample(doc, float(doc < 3)) for doc in range(4)],
        "art": [sample(doc, float(doc < 10)) for doc in range(40)],
    },
    "results": {
        "exam": {"alias": "exam", "acc,none": 13 / 44, "acc_stderr,none": 0.07},
        "law": {"alias": "law", "acc,none": 0.75, "acc_stderr,none": 0.25},
    },
    "group_subtasks": {"exam": ["letters", "law"], "letters": ["art"], "law": [], "art": []},
}


def test_a_group_is_every_document_of_its_tasks_with_an_interval():
    own = harness.rows(RESULT, "exam")
    assert (
        len(own) == 44
        and own[0]["id"] == "art/0"
        and own[-1] == {**{"id": "law/3", "family": "law", "doc_hash": None, "acc": 0.0}}
    )
    found = harness.numbers(RESULT, "exam", own)
    assert found["n"] == 44 and found["acc"]["value"] == pytest.approx(13 / 44) and found["acc"]["n"] == 44
    assert found["acc"]["low"] == pytest.approx(0.1816, abs=1e-4), "Wilson's of 13 in 44"
    assert harness.numbers(RESULT, "law", harness.rows(RESULT, "law"))["acc"]["value"] == 0.75


def test_what_is_no_mean_over_documents_keeps_the_value_and_the_error_of_the_harness():
    """A group that weighs its tasks alike has another value than its documents have: theirs is the one people quote."""
    result = {**RESULT, "results": {"exam": {"acc,none": 0.5, "acc_stderr,none": 0.1, "f1,none": 0.4, "sum,none": 1}}}
    result["results"]["exam"] |= {"f1_stderr,none": "N/A", "sum_stderr,none": None}
    found = harness.numbers(result, "exam", harness.rows(result, "exam"))
    assert found["acc"] == {"value": 0.5, "low": pytest.approx(0.304), "high": pytest.approx(0.696), "n": 44}
    assert found["alone"] == {"f1": 0.4, "sum": 1}, "a number without an interval is none of the table"


def test_filters_are_numbers_of_their_own():
    rows = [sample(0, 1.0, "strict-match"), sample(0, 0.0, "flexible-extract")]
    result = {"samples": {"sums": rows}, "group_subtasks": {}}
    result["results"] = {"sums": {"acc,strict-match": 1.0, "acc,flexible-extract": 0.0}}
    own = harness.rows(result, "sums")
    assert own == [
        {"id": "sums/0", "family": "sums", "doc_hash": None, "acc_strict-match": 1.0, "acc_flexible-extract": 0.0}
    ]
    assert harness.numbers(result, "sums", own)["acc_strict-match"]["high"] == 1.0


def test_where_it_is_absent_one_line_says_how_to_get_it(store, monkeypatch):
    """It must be known before a model has answered for an hour."""
    monkeypatch.setattr(harness.importlib.util, "find_spec", lambda name: None)
    run = runs.open(short("evaluate", harness={"tasks": ["mmlu"]}), store)
    with pytest.raises(ValueError, match=r"harness: .*not installed.*colab_setup\.sh --with lm-eval") as error:
        evaluate.data(run)
    assert "\n" not in str(error.value)


def test_a_model_whose_logits_are_no_numbers_is_not_measured(store, monkeypatch):
    """Of choices that are all NaN the first is taken: a diverged model was worth what guessing is, and its evaluation
    was finished."""
    run = runs.open(short("evaluate", harness={"tasks": ["mmlu"]}), store)
    model = AutoModelForCausalLM.from_pretrained(str(runs.SEEDLING))
    asked = torch.tensor([[5, 6]])
    monkeypatch.setattr(
        harness, "measure", lambda model, *_: {"results": {"mmlu": {}}, "samples": {"mmlu": model(asked)}}
    )
    model.get_output_embeddings().weight.data[7] = torch.nan
    with pytest.raises(NotFinite, match="the logits are NaN or infinite"):
        list(harness.each(run, model, None, ["mmlu"], lambda *_: None))
    assert harness.kept(run) == {}
    with pytest.raises(NotFinite, match="the logits are NaN or infinite"):
        tokenizer = load.tokenizer_at(str(runs.SEEDLING))
        talking.InTransformers(model, tokenizer).complete([{"role": "user", "content": "hi"}], 4)


@pytest.mark.parametrize("tasks", [["heldout"], ["mmlu", "mmlu"], [], ["../x y"]])
def test_names_that_mean_two_things_are_refused(tasks):
    with pytest.raises(ValueError, match=r"harness\.tasks"):
        short("evaluate", harness={"tasks": tasks})


def test_a_config_without_it_keeps_its_digest():
    """A new field gave every evaluation of an old store another name, and it was made again."""
    plain = short("evaluate")
    assert "harness" not in configs.dump(plain) or configs.digest(plain) == configs.digest(short("evaluate"))
    assert configs.digest(plain) != configs.digest(short("evaluate", harness={"tasks": ["mmlu"]}))


def test_gates_and_comparisons_pair_it_document_by_document(store):
    """Two standard errors side by side do not see what pairing sees."""
    first = made.trained(store, "lang_adapter")
    second = made.trained(store, "sft", first)
    made.evaluated(store, first, made.better, change=lambda row: {**row, "acc": float(row["passed"])})
    made.evaluated(store, second, made.worse, change=lambda row: {**row, "acc": float(row["passed"])})
    check = {"metric": "acc", "on": "heldout", "delta": {"non_inferior": -0.08}}
    row = gates.judge(second, gates.load({**made.GATE, "checks": [check]})).rows[0]
    assert row.verdict == "FAIL" and row.n == 300 and row.delta.value == pytest.approx(-0.3)
    with pytest.raises(ValueError, match="minimum detectable effect"):
        gates.load({**made.GATE, "checks": [{**check, "delta": {"non_inferior": -0.01}}]})
    absent = gates.judge(second, gates.load({**made.GATE, "checks": [{**check, "on": "mmlu"}]})).rows[0]
    assert absent.verdict == "INVESTIGATE" and "mmlu" in absent.why
    before, after = (run for run in runs.listing(store, "evaluate"))
    assert {each.measure for each in view.compared(before, after)} == {"pass@1", "compile rate", "acc"}


TASK = """
dataset_path: json
dataset_kwargs: {data_files: {test: DATA}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{question}}"
doc_to_choice: choices
doc_to_target: answer
metric_list: [{metric: acc}, {metric: acc_norm}]
metadata: {version: 1.0}
"""


@pytest.mark.slow
def test_the_real_harness_measures_the_seedling(store, tmp_path):
    """The seedling knows how a function ends, and the harness has to see that it does."""
    pytest.importorskip("lm_eval", reason="lm-evaluation-harness is not installed: bash colab_setup.sh --with lm-eval")
    documents = [
        {"question": f"pub fn add_{n}(x: i32) -> i32 {{\n    x +", "choices": [f"{n}\n}}", "}{)"], "answer": 0}
        for n in range(24)
    ]
    lines.append(tmp_path / "data.jsonl", *documents)
    for name in ("ends", "ends_too"):
        text = TASK.replace("DATA", str(tmp_path / "data.jsonl"))
        (tmp_path / f"{name}.yaml").write_text(f"task: {name}{text}")
    group = {"group": "both", "task": ["ends", "ends_too"], "aggregate_metric_list": [{"metric": "acc"}]}
    (tmp_path / "both.yaml").write_text(json.dumps({**group, "metadata": {"version": 1.0}}))
    wanted = {"tasks": ["both", "ends"], "include_path": str(tmp_path), "limit": 20}
    run = runs.open(short("evaluate", harness=wanted, perplexity_documents=0), store, "base")
    measured = evaluate.run_tasks(run)
    assert measured["both"]["n"] == 40 and measured["ends"]["n"] == 20
    assert measured["ends"]["acc"]["value"] > 0.9 and 0.8 < measured["ends"]["acc"]["low"] < 1
    told = json.loads((run.path / "lm_eval.json").read_text())
    assert told["both"]["results"]["both"]["acc,none"] == pytest.approx(measured["both"]["acc"]["value"])
    count = len(run.samples())
    assert evaluate.run_tasks(run) == measured and len(run.samples()) == count, "what is done is not done again"
    run = evaluate.finish(run)
    assert json.loads((run.path / "report.json").read_text())["harness"]["both"] == measured["both"]
    assert "both" in str(view.rates(run.info["metrics"])) and run.verify() == []
    states = {stamp.state for stamp in audit.store(store) if stamp.number.startswith(("both ", "ends "))}
    assert states == {audit.VERIFIED}, "what the table says comes out of the documents again"
    trained = runs.open(short("lang_adapter"), store)
    lang_adapter.train(trained)
    watch.watch(trained, 1, True, run.config)
    curve = lines.read(layout.watch_folder(trained.path) / layout.CURVE)
    assert [row["ends"]["acc"]["n"] for row in curve] == [20] * len(curve) and curve
    unknown = runs.open(short("evaluate", name="x", harness={**wanted, "tasks": ["end"]}), store, "base")
    with pytest.raises(ValueError, match=r"harness\.tasks: 'end' is no task .*did you mean 'ends'"):
        evaluate.run_tasks(unknown)
