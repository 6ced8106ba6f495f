"""Numbers of graded answers, recomputed by other means."""

import itertools
import math

import pytest

from nbcore.evaluation import measures

ROW = {
    **{"family": "f", "prompt": "Double the number x.", "verdict": "pass", "compiles": True, "passed": True},
    **{"clippy_warnings": 1, "lints": {"needless_return": 1}, "flags": [], "tests_passed": 6, "tests_total": 6},
    **{"truncated": False, "code": "/// Doubles x.\npub fn double(x: i64) -> i64 { return 2 * x; }\n", "tokens": 12},
}
FAILED = {"verdict": "tests_failed", "passed": False, "tests_passed": 3}


def rows(passed: dict, family=lambda id_: "f"):
    """For each task id, one row for each letter: p passed, f failed, i infra_error."""
    kinds = {"p": {}, "f": FAILED, "i": {"verdict": "infra_error", "passed": False, "compiles": False}}
    return [{**ROW, "id": id_, "family": family(id_), **kinds[each]} for id_, text in passed.items() for each in text]


@pytest.mark.parametrize("k", [1, 10, 100])
def test_pass_at_k_is_the_reference_estimators(k):
    """The estimator of Chen et al., as published with HumanEval: 1 - prod(1 - k / arange(n - c + 1, n + 1))."""
    np = pytest.importorskip("numpy")
    counts = {"a": 0, "b": 1, "c": 17, "d": 119, "e": 120}
    found = measures.detailed(rows({id_: "p" * c + "f" * (120 - c) for id_, c in counts.items()}), [k])
    reference = [1.0 if 120 - c < k else 1 - np.prod(1 - k / np.arange(121 - c, 121)) for c in counts.values()]
    assert found["metrics"][f"pass@{k}"]["value"] == pytest.approx(sum(reference) / 5, abs=1e-12)


def test_pass_at_k_is_the_share_of_draws_that_hold_a_pass():
    """By brute force: all ways to draw two of five answers of which two pass."""
    draws = list(itertools.combinations([True, True, False, False, False], 2))
    found = measures.detailed(rows({"a": "ppfff"}), [2])
    assert found["metrics"]["pass@2"]["value"] == pytest.approx(sum(map(any, draws)) / len(draws))


def test_a_family_with_many_tasks_is_drawn_as_a_whole():
    """Twenty near-copies of one task are one piece of evidence: drawn one by one, the interval was far too narrow."""
    found = {f"{family}-{n}": "p" if family % 2 else "f" for family in range(10) for n in range(20)}
    whole = measures.detailed(rows(found, family=lambda id_: id_.split("-")[0]), [1])["metrics"]["pass@1"]
    single = measures.detailed(rows(found, family=lambda id_: id_), [1])["metrics"]["pass@1"]
    assert whole["n"] == single["n"] == 200 and whole["value"] == single["value"] == 0.5
    assert whole["high"] - whole["low"] > 3 * (single["high"] - single["low"])


def test_our_own_faults_are_counted_and_in_no_rate():
    found = measures.detailed(rows({"a": "pi", "b": "ff"}), [1])
    assert found["infra_errors"] == 1 and found["n"] == 2
    assert found["metrics"]["pass@1"]["value"] == 0.5 and found["metrics"]["tests_passed"]["value"] == 0.75


def test_each_metric_has_n_and_an_interval():
    """A number without its interval is an opinion."""
    found = measures.detailed(rows({"a": "p", "b": "f", "c": "p"}), [1])
    for name in ("documented", "idioms", "coverage", "functions", "structs", "impls", "traits", "tests", "hack_rate"):
        one = found["metrics"][name]
        assert one["n"] == 3 and one["low"] <= one["value"] <= one["high"] and math.isfinite(one["high"])
    assert found["metrics"]["tokens"]["value"] == 12 and found["lints"]["needless_return"]["value"] == 1


def test_by_family_and_difficulty_add_up():
    given = [{**row, "difficulty": 1 + (row["id"] == "b")} for row in rows({"a": "p", "b": "f", "c": "p"}, lambda i: i)]
    found = measures.detailed(given, [1])
    assert {name: part["n"] for name, part in found["by_difficulty"].items()} == {"1": 2, "2": 1}
    assert [found["by_family"][name]["pass@1"]["value"] for name in "abc"] == [1, 0, 1]


def test_a_program_in_another_language_is_not_read_as_rust():
    python = [{**row, "language": "python", "code": "def f(): pass"} for row in rows({"a": "p"})]
    assert measures.detailed(python, [1])["metrics"]["functions"] is None
    assert measures.quality(python)["lines"] is None


def test_what_never_happened_is_still_in_doubt():
    """Drawn by families, twenty answers without a hack had the interval 0 to 0: a proof, from twenty answers."""
    found = measures.detailed(rows({f"{n}-{m}": "p" for n in range(10) for m in range(2)}, lambda i: i[0]), [1])
    none, all_ = found["metrics"]["hack_rate"], found["metrics"]["pass@1"]
    assert none["value"] == 0 and none["high"] > 0.2 and all_["value"] == 1 and all_["low"] < 0.8
    assert none["n"] == all_["n"] == 20


def test_each_part_has_its_share_of_tests_and_of_hacks():
    hack = {**ROW, "flags": ["early_exit"], "id": "x", "family": "g", "verdict": "early_exit", "passed": False}
    found = measures.detailed([*rows({"a": "p", "b": "f"}), hack], [1])
    assert found["by_family"]["f"]["tests_passed"]["value"] == 0.75
    assert found["by_family"]["f"]["hack_rate"]["value"] == 0 and found["by_family"]["g"]["n"] == 1
    assert found["by_family"]["g"]["hack_rate"]["value"] == 1
