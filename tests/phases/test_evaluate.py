"""Evaluation: numbers that can be recomputed by hand."""

import json
import math

import pytest
import torch

from nbcore import config as configs
from nbcore import runs
from nbcore.data import faults
from nbcore.grading import verdicts
from nbcore.grading.grader import RustGrader
from nbcore.phases import evaluate
from nbcore.training import load, rollout
from tests.phases.short_runs import short


@pytest.fixture(scope="module")
def run(chain):
    run = runs.open(short("evaluate"), chain, "sft")
    evaluate.run_tasks(run)
    return evaluate.finish(run)


def test_every_task_has_one_graded_sample(run):
    """Rates over fewer tasks than stated would be rates of something else."""
    samples = [row for row in run.samples() if row["split"] != "perplexity"]
    assert len(samples) == len({row["id"] for row in samples}) == 8
    assert run.info["metrics"]["heldout"]["n"] == 6 and run.info["metrics"]["unseen_family"]["n"] == 2
    assert sum(run.info["metrics"]["heldout"]["verdicts"].values()) == 6


def test_perplexity_is_exp_of_the_mean_loss_of_transformers(chain, run):
    """Padding or masking that leaks into the loss changes this number."""
    tokenizer = load.tokenizer(run)
    model = load.policy(run, run.parent).eval()
    documents = evaluate.data(run)["documents"]
    found = evaluate.perplexity(model, tokenizer, documents, 64, 0)
    losses, tokens = 0.0, 0
    for document in documents:
        ids = torch.tensor([[*tokenizer.encode(document["text"]), tokenizer.pad_token_id][:64]])
        with torch.inference_mode():
            losses += model(input_ids=ids, labels=ids).loss.item() * (ids.shape[1] - 1)
        tokens += ids.shape[1] - 1
    assert found["value"] == pytest.approx(math.exp(losses / tokens), rel=1e-4)
    assert found["low"] <= found["value"] <= found["high"]


def test_the_base_can_be_evaluated_without_a_parent(tmp_path):
    """The first bar of the picture is the base model itself."""
    run = runs.open(short("evaluate", heldout=2, unseen=0, perplexity_documents=2), tmp_path)
    evaluate.run_tasks(run)
    assert evaluate.finish(run).info["base"] == "seedling"


ROW = {
    **{"compiles": True, "passed": True, "clippy_warnings": 1, "lints": {"needless_return": 1}, "flags": []},
    **{"tests_passed": 6, "tests_total": 6, "truncated": False, "prompt": "Double the number x."},
    "code": "/// Doubles x.\npub fn double(x: i64) -> i64 { return 2 * x; }\n",
}


def test_a_perplexity_of_nothing_is_refused_before_anything_is_generated(tmp_path):
    """Of one token nothing is predicted: it ended in a division by zero, behind all of the grading."""
    with pytest.raises(ValueError, match=r"^max_tokens is 1: a perplexity takes at least 2 tokens; raise it"):
        evaluate.run_tasks(runs.open(short("evaluate", max_tokens=1), tmp_path))


def test_our_own_faults_are_left_out_and_counted():
    """An infra_error counted as a failure lowers pass@1 for a full disk."""
    solved = [{**ROW, "verdict": "pass"}, {**ROW, "verdict": "infra_error", "passed": False}]
    found = evaluate.summary(solved, 1, [1])
    assert found["pass@1"]["value"] == 1 and found["infra_errors"] == 1


def test_several_samples_give_unbiased_pass_at_k():
    """pass@2 of one right among two is 1, pass@1 is one half; averaging first would say otherwise."""
    solved = [{**ROW, "verdict": "pass"}, {**ROW, "verdict": "tests_failed", "passed": False}]
    found = evaluate.summary(solved, 2, [1, 2])
    assert found["pass@1"]["value"] == 0.5 and found["pass@2"]["value"] == 1


def test_quality_counts_lints_by_name_and_reads_the_code_that_was_judged():
    """A mean of warnings tells nobody which; and prose or fences must not count as code."""
    rows = [{**ROW, "verdict": "pass"}, {**ROW, "verdict": "early_exit", "lints": {}, "code": None}]
    found = evaluate.quality(rows)
    assert found["lints"] == {"needless_return": 0.5} and found["hack_rate"] == 0.5
    assert found["documented"] == 1.0 and found["lines"] == 1.0


def test_quality_measures_the_function_that_was_graded():
    """Extracted again without the signature, a helper in a block of its own was measured in place of the answer."""
    signature = "pub fn double(x: i64) -> i64 {"
    helper = "fn helper(x: i64) -> Option<i64> {\n    Some(x?)\n}\n"
    program = f"/// Doubles x.\n{signature}\n    2 * x\n}}\n"
    task = {"id": "double", "prompt": "Double the number x.", "signature": signature}
    task["tests"] = "#[test] fn t() { assert_eq!(double(2), 4) }"
    answer = {"text": f"First an idea:\n```rust\n{helper}```\nThe answer:\n```rust\n{program}```\n", "truncated": False}
    (verdict,) = rollout.graded([task], [answer], RustGrader(jobs=1, lint=False).grade)
    assert verdict["passed"] and verdict["code"] == program
    found = evaluate.quality([{**verdict, "prompt": task["prompt"]}])
    assert found["documented"] == 1.0 and found["lines"] == 4.0


def ungradable(self, samples, progress=None):
    note = verdicts.note("infra", "OSError: [Errno 28] No space left on device")
    rest = {"cached": False, "isolation": "jailed", "errors": [note]}
    return [{**verdicts.unknown(6), "id": sample["id"], **rest} for sample in samples]


def test_an_evaluation_of_which_nothing_was_graded_says_why_and_is_done_again(chain, monkeypatch):
    """It ended in "wilson: k=0 of n=0", which names neither the fault nor what to do about it."""
    run = runs.open(short("evaluate", seed=6, heldout=2, unseen=1), chain, "sft")
    monkeypatch.setattr(RustGrader, "grade", ungradable)
    with pytest.raises(verdicts.Ungraded, match=r"none of 2 answers could be graded .*No space left.*nbcore doctor"):
        evaluate.run_tasks(run)
    assert evaluate.results(run) == {} and run.samples() == []
    monkeypatch.undo()
    assert evaluate.run_tasks(run)["heldout"]["infra_errors"] == 0


def test_pass_at_k_of_too_few_graded_answers_says_why():
    """With several samples the bootstrap's own error came up, about values that nobody had heard of."""
    broken = {**ROW, "verdict": "infra_error", "errors": [verdicts.note("infra", "no disk")]}
    with pytest.raises(verdicts.Ungraded, match=r"pass@2.*no disk"):
        evaluate.summary([{**ROW, "verdict": "pass"}, broken], 2, [1, 2])


def test_an_interrupted_evaluation_keeps_its_finished_parts(chain, monkeypatch):
    """Minutes of grading must not be lost to a runtime that dies before the perplexity."""
    run = runs.open(short("evaluate", seed=5), chain, "sft")
    monkeypatch.setattr(evaluate, "perplexity", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        evaluate.run_tasks(run)
    monkeypatch.undo()
    before = run.samples()
    evaluate.run_tasks(run)
    assert run.samples()[: len(before)] == before and "perplexity" in evaluate.results(run)


TWICE = {
    **{
        "name": "twice",
        "language": "rs",
        "stop_tokens": ["\n}"],
        "prompt": "/// Doubles it.\nfn twice(x: i64) -> i64 {\n",
    },
    "tests": "}\n\nfn main() {\n    let candidate = twice;\n    assert_eq!(candidate(2), 4);\n}\n",
}
BROKEN = {**TWICE, "name": "broken", "tests": "}\n\nfn main() {\n    assert_eq!(1, 1);\n}\n"}


@pytest.mark.slow
def test_named_sets_stand_beside_the_heldout_tasks(chain, tmp_path):
    """Each under its name, with its own form and samples; a task that any answer passes is set aside and counted; and
    what was measured before stays what it was."""
    path = tmp_path / "multipl_e.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in (TWICE, BROKEN)))
    sets = [{"name": "mine", "source": str(path), "prompt_form": "complete"}, "refusals"]
    config = short("evaluate", seed=7, heldout=2, unseen=0, perplexity_documents=0)
    plain = evaluate.run_tasks(runs.open(config, chain, "sft"))
    run = runs.open(
        config.model_copy(update={"tasksets": configs.load(config, {"tasksets": sets}).tasksets}), chain, "sft"
    )
    found = evaluate.run_tasks(run)
    without = {name: value for name, value in found["heldout"].items() if name != "seconds"}
    assert without == {name: value for name, value in plain["heldout"].items() if name != "seconds"}
    assert found["mine"]["n"] == 1 and found["mine"]["broken_tests"] == 1
    assert found["refusals"]["refusal_rate"]["n"] == 16 and found["refusals"]["over_refusal_rate"]["n"] == 8
    run = evaluate.finish(run)
    report = json.loads((run.path / "report.json").read_text())
    assert set(report["sets"]) == {"heldout", "mine", "refusals"} and report["decoding"]["temperature"] == 0
    assert report["sets"]["mine"]["prompt_example"].endswith(TWICE["prompt"])
    assert len(report["sets"]["mine"]["set_sha256"]) == 64 and run.verify() == []
    assert "## mine" in (run.path / "samples.md").read_text()


def test_the_same_set_and_seed_give_the_same_numbers(chain, tmp_path):
    """Sampled, graded beside generation and under another name: what is not the clock's is equal to the last digit."""
    repair = {"name": "repair", "source": "nbcore/assets/katas_repair.jsonl", "limit": 3}
    made = []
    for name in ("once", "again"):
        more = {"name": name, "samples": 2, "k": [1, 2], "generation.temperature": 0.8, "perplexity_documents": 2}
        run = runs.open(short("evaluate", heldout=4, unseen=0, **more, tasksets=[repair]), chain, "sft")
        evaluate.run_tasks(run)
        report = json.loads((evaluate.finish(run).path / "report.json").read_text())
        made.append(report)
    for report in made:
        found = report["sets"]["repair"]
        assert found["metrics"]["seconds"]["n"] == found["n"] == 3 and set(found["by_family"]) <= set(faults.KINDS)
        assert "has one fault" in found["prompt_example"] and found["sha256"]
        assert report["decoding"]["temperature"] == 0.8
        for each in report["sets"].values():
            timed = [each.pop("seconds"), each.pop("seconds_per_answer"), each["metrics"].pop("seconds")["value"]]
            assert min(timed) > 0
    same = [{key: value for key, value in report.items() if key not in ("run", "config")} for report in made]
    assert same[0] == same[1]
