"""What a gate makes of a run: the four verdicts, on equal terms, paired, corrected, and the same each time."""

import copy
import shutil

import pytest

from nbcore import config as configs
from nbcore import gates, runs
from nbcore.evaluation import measures
from nbcore.gates import chain
from tests.gates import made


def judged(run, **changes):
    return gates.judge(run, gates.load({**copy.deepcopy(made.GATE), **changes}))


def test_a_run_that_gained_passes_and_its_twin_of_lost_answers_fails(store):
    _, sft = made.chain(store)
    decision = judged(sft)
    assert decision.verdict == "PASS", decision.why
    row = decision.rows[0]
    assert row.delta.value == pytest.approx(0.3) and row.n == 300 and row.p < 1e-6
    assert row.discordance == pytest.approx(0.3) and 0 < row.detectable < 0.1
    assert decision.rows[1].verdict == "PASS" and len(decision.findings) == 8
    assert judged(sft)._replace(gate=None) == decision._replace(gate=None), "byte-identical input, identical verdict"


def test_a_run_that_lost_fails_with_the_sentence_why(store):
    _, sft = made.chain(store, made.better, made.worse)
    decision = judged(sft)
    assert decision.verdict == "FAIL" and decision.why.startswith("pass@1 on heldout: [-0.")


def test_an_interval_that_holds_the_margin_is_to_be_investigated(store):
    swapped = {0: "tests_failed", 8: "pass"}  # of each twenty tasks one is lost and one is won

    def after(number):
        return swapped.get(number % 20, made.better(number))

    _, sft = made.chain(store, made.better, after)
    decision = judged(sft, checks=[{"metric": "pass@1", "delta": {"superior_by": 0.0}}])
    assert decision.verdict == "INVESTIGATE" and "decide neither way" in decision.why
    assert decision.rows[0].discordance == pytest.approx(0.1)
    assert judged(sft, checks=[{"metric": "pass@1", "delta": {"non_inferior": -0.08}}]).verdict == "PASS"
    assert judged(sft, checks=[{"metric": "pass@1", "delta": {"superior_by": 0.2}}]).verdict == "FAIL"


def test_fewer_tasks_than_n_min_decide_nothing(store):
    first = made.trained(store, "lang_adapter")
    sft = made.trained(store, "sft", first)
    made.evaluated(store, first, made.worse, n=100)
    made.evaluated(store, sft, made.better, n=100)
    decision = judged(sft)
    assert decision.verdict == "INVESTIGATE" and "100 paired tasks are fewer than n_min 300" in decision.why
    assert judged(sft, on_underpowered="fail").verdict == "FAIL"
    value = judged(sft, checks=[{"metric": "pass@1", "value": {"min": 0.1}}])
    assert value.verdict == "INVESTIGATE"


def test_without_a_baseline_it_is_a_rubber_stamp_at_best(store):
    _, sft = made.chain(store)
    stamped = judged(sft, baseline="none", checks=[{"metric": "pass@1", "value": {"min": 0.5}}])
    assert stamped.verdict == "RUBBER_STAMP" and stamped.rows[0].verdict == "PASS"
    assert judged(sft, baseline="none", checks=[{"metric": "pass@1", "value": {"min": 0.9}}]).verdict == "FAIL"
    assert judged(sft, baseline="none", checks=[{"metric": "pass@1", "value": {"min": 0.7}}]).verdict == "INVESTIGATE"
    assert judged(sft, baseline="alias:sft@released").verdict == "RUBBER_STAMP", "nothing has been released yet"


def test_evaluations_on_other_terms_are_no_baseline(store):
    """Rates with another decoding, or on other tasks, differ for reasons that have nothing to do with the models."""
    first = made.trained(store, "lang_adapter")
    sft = made.trained(store, "sft", first)
    made.evaluated(store, sft, made.better)
    assert judged(sft).verdict == "RUBBER_STAMP"
    made.evaluated(store, first, made.worse)
    assert judged(sft).verdict == "PASS"
    pinned = judged(sft, eval_set={"name": "heldout", "sha256": "e" * 12, "n_min": 300})
    assert pinned.verdict == "PASS"
    with pytest.raises(ValueError, match="never evaluated on heldout ffff"):
        judged(sft, eval_set={"name": "heldout", "sha256": "f" * 12, "n_min": 300})


def test_another_seed_is_no_way_round_the_baseline(store):
    """A worse model, evaluated with settings of its own, was compared with nothing and let through."""
    _, sft = made.chain(store, made.better, made.worse)
    assert judged(sft).verdict == "FAIL"
    other = made.trained(store, "sft", sft.parent, seed=3, limit=9)
    made.evaluated(store, other, made.worse, config=configs.load({"phase": "evaluate", "name": "tiny", "seed": 7}))
    decision = judged(other)
    assert decision.verdict == "INVESTIGATE" and "of other terms than" in decision.why
    assert not gates.opens(gates.decide(other, gates.load(made.GATE))[1])


def test_a_run_is_no_baseline_of_itself(store):
    """Against itself every run is not worse: such a gate passes anything."""
    _, sft = made.chain(store, made.better, made.worse)
    for ref in (sft.id, runs.listing(store, "evaluate")[-1].id):
        with pytest.raises(ValueError, match=r"baseline\.ref: \S+ is the run itself"):
            judged(sft, baseline={"ref": ref})


def test_a_base_model_that_was_replaced_is_another_baseline(store, tmp_path):
    where = made.base(tmp_path / "base")
    made.evaluated(store, None, made.worse, config=configs.load({"phase": "evaluate", "model": {"base": str(where)}}))
    made.weights(where / "model.safetensors", {"w": [2.0] * 50})
    sft = made.trained(store, "sft", None, **{"model.base": str(where)})
    evaluation = configs.load({"phase": "evaluate", "model": {"base": str(where)}})
    made.evaluated(store, sft, made.better, config=evaluation)
    assert judged(sft, baseline="base").baseline is None, "what was measured then is not what it was trained on"
    again = made.evaluated(store, None, made.worse, config=evaluation)
    assert judged(sft, baseline="base").baseline == again


def test_a_run_without_its_parent_is_not_compared_with_the_base_instead(store, tmp_path):
    """Moved alone to another store, it was judged as if the base were its parent, and failed for want of that."""
    made.evaluated(store, None, made.worse)
    _, sft = made.chain(store)
    shutil.rmtree(store / sft.parent.id)
    decision = judged(sft)
    found = {each.name: each.verdict for each in decision.findings}
    assert decision.baseline is None and decision.verdict == "INVESTIGATE"
    assert found["adapter_changed"] == found["no_contamination"] == found["hashes_verified"] == "INVESTIGATE"


def test_perplexities_over_other_tokens_are_not_compared(store):
    """Nats a token fall when a tokenizer cuts finer, whatever the model knows."""
    first = made.trained(store, "lang_adapter")
    sft = made.trained(store, "sft", first)
    made.evaluated(store, first, made.worse)
    evaluation = made.evaluated(store, sft, made.better)
    check = [{"metric": "perplexity", "delta": {"non_inferior": -0.25}}]
    assert judged(sft, checks=check).rows[0].verdict == "PASS"
    path = evaluation.path / "samples.jsonl"
    path.write_text(path.read_text().replace('"tokens": 20}', '"tokens": 40}'))
    made.recommit(evaluation)
    row = judged(sft, checks=check).rows[0]
    assert row.verdict == "INVESTIGATE" and "other tokens" in row.why


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None, "many"])
def test_a_number_that_is_none_decides_nothing(store, value):
    """cannot convert float NaN to integer was all that a person read."""
    _, sft = made.chain(store)
    sft = made.trained(store, "sft", sft.parent, seed=3, limit=9)
    made.evaluated(store, sft, made.better, change=lambda row: {**row, "clippy_warnings": value})
    checks = [{"metric": "clippy_warnings", "delta": {"non_inferior": -0.5}}]
    decision = judged(sft, checks=checks)
    assert decision.verdict == "INVESTIGATE" and "recorded no number for clippy_warnings of t0" in decision.why


def test_a_model_of_which_nothing_could_be_graded_fails_for_that(store):
    _, sft = made.chain(store)
    sft = made.trained(store, "sft", sft.parent, seed=3, limit=9)
    made.evaluated(store, sft, lambda number: "infra_error")
    decision = judged(sft)
    assert decision.verdict == "FAIL" and decision.why.startswith("infra_errors: infra errors 100.0 %")
    assert "no answer to heldout could be graded" in decision.rows[0].why


def test_a_run_without_an_evaluation_is_answered_with_the_notebook_that_makes_one(store):
    sft = made.trained(store, "sft", made.trained(store, "lang_adapter"))
    with pytest.raises(ValueError, match="07_evaluate"):
        judged(sft)
    with pytest.raises(ValueError, match="is for ipo"):
        judged(sft, phase="ipo")


def test_an_evaluation_stands_for_what_it_measured(store):
    first, sft = made.chain(store)
    evaluation = runs.listing(store, "evaluate")[-1]
    assert judged(evaluation).run == sft
    lone = made.evaluated(store, None, made.worse)
    with pytest.raises(ValueError, match="measures a base model"):
        judged(lone)
    assert judged(first, phase="lang_adapter", baseline="base", checks=made.GATE["checks"][1:]).verdict == "PASS"


def test_claims_of_superiority_are_corrected_for_their_number(store):
    """Twenty claims at 5 % each are one false discovery on average."""
    lucky = set(range(40, 46))  # six tasks better, none worse: p 0.031
    _, sft = made.chain(store, made.worse, lambda n: "pass" if n in lucky else made.worse(n))
    one = {"metric": "pass@1", "delta": {"superior_by": 0.0}}
    alone = judged(sft, checks=[one]).rows[0]
    many = judged(sft, checks=[one, {"metric": "tests_passed", "delta": {"superior_by": 0.0}}]).rows
    assert alone.p < many[0].p == pytest.approx(min(1, 2 * alone.p))
    assert many[0].delta.low <= alone.delta.low


def test_slices_are_judged_one_by_one(store):
    _, sft = made.chain(store)
    check = {"metric": "pass@1", "delta": {"non_inferior": -0.08}, "slices": ["f1", "f2"]}
    rows = judged(sft, checks=[check]).rows
    assert [row.taskset for row in rows] == ["heldout/f1", "heldout/f2"] and all(row.n == 10 for row in rows)
    assert all(row.verdict == "INVESTIGATE" and "at best" in row.why for row in rows), "ten tasks detect nothing"
    every = judged(sft, checks=[{"metric": "pass@1", "value": {"min": 0.0}, "slices": ["*"]}]).rows
    assert len(every) == made.FAMILIES
    with pytest.raises(ValueError, match="did you mean 'f1"):
        judged(sft, checks=[{**check, "slices": ["f1x"]}])


@pytest.mark.parametrize(
    "check",
    [
        {"metric": "tests_passed", "value": {"min": 0.4}},
        {"metric": "clippy_warnings", "value": {"max": 1.5}},
        {"metric": "clippy_warnings", "delta": {"non_inferior": -0.1}},
        {"metric": "tests_passed", "delta": {"superior_by": 0.0, "test": "paired_bootstrap"}},
    ],
)
def test_a_slice_of_one_task_decides_nothing(store, check):
    """Drawn anew, one task is itself for ever: its interval had no width, and passed any bound."""
    first = made.trained(store, "lang_adapter")
    sft = made.trained(store, "sft", first)
    for run, passed, warnings in ((first, 2, 3), (sft, 3, 1)):

        def alone(row, passed=passed, warnings=warnings):
            family = "rare" if row["id"] == "t0" else row["family"]
            return {**row, "family": family, "tests_passed": passed, "clippy_warnings": warnings}

        made.evaluated(store, run, made.better, change=alone)
    decision = judged(sft, checks=[{**check, "slices": ["rare"]}])
    assert decision.verdict == "INVESTIGATE" and "too few" in decision.why
    assert judged(sft, checks=[check]).verdict == "PASS"


def test_a_gate_states_the_intervals_that_the_report_states(store):
    """The gate drew tasks for a number beside a difference, and families for the same number beside a bound."""
    _, sft = made.chain(store)
    row = judged(sft).rows[0]
    rows = [each for each in chain.evaluations(sft)[-1].samples() if "verdict" in each]
    assert row.candidate._asdict() == measures.over_tasks(rows, lambda each: float(each["passed"]))


def test_one_family_for_all_tasks_is_no_certainty(store):
    """Drawn as a whole, one family gives an interval without width: every difference was 'significant'."""

    def one_family(row):
        return {**row, "family": "mine"}

    first = made.trained(store, "lang_adapter")
    sft = made.trained(store, "sft", first)
    made.evaluated(store, first, made.worse, change=one_family)
    made.evaluated(store, sft, made.better, change=one_family)
    delta = judged(sft).rows[0].delta
    assert delta.high - delta.low > 0.05


def test_a_number_that_was_not_recorded_is_to_be_investigated(store):
    _, sft = made.chain(store)
    for metric in ("heldout.qualitty", "pass@10"):
        decision = judged(sft, checks=[{"metric": metric, "value": {"min": 0.1}}])
        assert decision.verdict == "INVESTIGATE", metric
    assert judged(sft, checks=[{"metric": "run.loss", "value": {"max": 3}}]).rows[0].verdict == "PASS"
    assert judged(sft, checks=[{"metric": "heldout.n", "value": {"min": 301}}]).verdict == "FAIL"
    assert judged(sft, checks=[{"metric": "perplexity", "value": {"max": 3}}]).rows[0].verdict == "PASS"
    assert judged(sft, checks=[{"metric": "perplexity", "delta": {"non_inferior": 0.1}}]).verdict == "PASS"


def test_lower_is_better_where_it_is(store):
    def warned(row):
        return {**row, "clippy_warnings": 1}

    first = made.trained(store, "lang_adapter")
    sft = made.trained(store, "sft", first)
    made.evaluated(store, first, made.worse)
    made.evaluated(store, sft, made.worse, change=warned)
    row = judged(sft, checks=[{"metric": "clippy_warnings", "delta": {"non_inferior": 0.1}}]).rows[0]
    assert row.verdict == "FAIL" and row.delta.value == 1.0 and row.margin == pytest.approx(0.1)


@pytest.mark.parametrize("text", ["{}", "[]", "", None])
def test_a_damaged_manifest_is_a_verdict_and_no_traceback(store, text):
    _, sft = made.chain(store)
    path = sft.path / "manifest.json"
    path.unlink() if text is None else path.write_text(text)
    decision, record = gates.decide(sft, gates.load(made.GATE))
    assert decision.verdict == record["verdict"] == "FAIL" and "manifest.json" in decision.why
