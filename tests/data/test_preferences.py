"""Pairs and best-of-n rows out of graded rollouts."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbcore.core.records import Pair, Row
from nbcore.data import preferences


def rollout(id_, completion, passed, **more):
    verdict = "pass" if passed else "tests_failed"
    told = {"verdict": verdict, "passed": passed, "compiles": True, "tests_passed": 3, "clippy_warnings": 0}
    return {"id": id_, "prompt": f"do {id_}", "completion": completion, "truncated": False, **told, **more}


def test_tasks_that_always_or_never_pass_are_left_out_and_counted():
    rows = [
        *(rollout("always", "a", True), rollout("always", "b", True)),
        *(rollout("never", "a", False), rollout("never", "b", False)),
        *(rollout("mixed", "a", True), rollout("mixed", "b", False)),
        *(rollout("cut", "a", True), rollout("cut", "b", False, truncated=True)),
        *(rollout("ours", "a", True), rollout("ours", "b", False, verdict="infra_error")),
        {"split": "perplexity", "id": "doc", "nll": 1.0, "tokens": 3},
    ]
    found = preferences.groups(rows)
    assert list(found.mixed) == ["mixed"]
    kinds = {"always": 3, "never": 1, "mixed": 1, "tasks": 5, "rollouts": 10, "ungraded": 1, "unfinished": 1}
    assert found.counts == kinds
    forged = preferences.groups([rollout("t", "ok", True), rollout("t", "<|end|>", False)], lambda text: "<|" in text)
    assert forged.mixed == {}


def test_the_rejected_answer_nearest_to_passing_comes_first_and_none_twice():
    group = [
        rollout("t", "good", True),
        rollout("t", "no", False, compiles=False, tests_passed=0),
        rollout("t", "near", False, tests_passed=5),
        rollout("t", "near", False, tests_passed=5),
        rollout("t", "far", False, tests_passed=1),
    ]
    pairs = [(chosen["completion"], rejected["completion"]) for chosen, rejected in preferences.paired(group, 5)]
    assert pairs == [("good", "near"), ("good", "far"), ("good", "no")]
    line = preferences.pair(*preferences.paired(group, 1)[0], "do it")
    assert Pair.parse(line) == line and line["because"] == "tests_failed"
    assert preferences.paired(group[1:], 5) == []


def test_the_best_answer_has_fewest_lints_and_then_is_shortest():
    group = [
        rollout("t", "linted", True, clippy_warnings=1),
        rollout("t", "a long one", True),
        rollout("t", "short", True),
        rollout("t", "x", False),
    ]
    (first, second) = preferences.best_of_n({"t": group}, lambda row: row["prompt"], 2)
    assert [first["id"], second["id"]] == ["t", "t-2"] and first["meta"] == {"passed": 3, "of": 4, "family": ""}
    assert [row["messages"][-1]["content"] for row in (first, second)] == ["short", "a long one"]
    assert all(Row.parse(json.loads(json.dumps(row))) for row in (first, second))


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xyz"), st.booleans()), max_size=30), st.integers(1, 4)
)
def test_whatever_the_rollouts_every_pair_is_one_task_and_passes_only_on_its_chosen_side(drawn, most):
    found = preferences.groups([rollout(*row) for row in drawn])
    counts = found.counts
    assert counts["always"] + counts["never"] + counts["mixed"] == counts["tasks"] == len({row[0] for row in drawn})
    for id_, group in found.mixed.items():
        pairs = preferences.paired(group, most)
        assert 1 <= len(pairs) <= most
        for chosen, rejected in pairs:
            assert chosen["id"] == rejected["id"] == id_ and chosen["passed"] and not rejected["passed"]
        assert all(row["passed"] for row in preferences.best(group, most))


@pytest.mark.parametrize("rows", [[], [{}], [{"id": "x"}]])
def test_no_rollouts_give_nothing(rows):
    assert preferences.groups(rows).mixed == {}
