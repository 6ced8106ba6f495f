"""What tests are worth: strong tests accept no mutant, weak ones accept many, and the interval knows of doubt."""

import pytest

from nbcore.core import lines
from nbcore.evaluation import strength
from nbcore.grading.grader import RustGrader
from nbcore.tasks import katas

STRONG = """#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn t() { assert_eq!((big(3), big(4), big(5), big(-9)), (false, false, true, false)); }
}
"""
WEAK = STRONG.replace("(big(3), big(4), big(5), big(-9)), (false, false, true, false)", "big(900), true")
SOLUTION = "\n    x > 4\n}\n"


def task(id_, tests):
    signature = "pub fn big(x: i64) -> bool {"
    return {"id": id_, "family": "f", "prompt": "p", "signature": signature, "solution": SOLUTION, "tests": tests}


@pytest.mark.parametrize(("tests", "accepted"), [(STRONG, 0), (WEAK, 2)])
def test_mutants_are_killed_by_tests_that_look_at_the_edge(tests, accepted):
    """`x > 5` and `x >= 4` pass a test that only looks at 900."""
    tasks = [task("one", tests)]
    made = strength.samples(tasks, 10, 0)
    assert [each["code"].split("\n")[1].strip() for each in made] == ["x >= 4", "x > 5"]
    found = strength.report(tasks, RustGrader(jobs=1, lint=False).grade(made))
    assert found["mutants"] == 2 and found["accepted"] == accepted == len(found["survivors"])
    assert found["accepts_at_most"]["high"] > 0.5  # one task is hardly any evidence, in either direction


def test_a_task_without_a_solution_or_in_python_has_no_mutants():
    python = {**task("py", "def check(c): pass"), "meta": {"language": "python"}}
    assert strength.samples([{**task("none", STRONG), "solution": None}, python], 10, 0) == []
    with pytest.raises(ValueError, match="no mutant of a reference compiles"):
        strength.report([], [])


def test_the_shipped_record_is_of_the_shipped_katas():
    """A number about other tasks than those that are asked would be a wrong one."""
    record = strength.shipped(lines.digest(katas.load("heldout")))
    assert record["taskset"] == "katas_heldout" and record["accepted"] == len(record["survivors"])
    assert record["accepts_at_most"]["value"] == pytest.approx(record["accepted"] / record["mutants"])
    assert strength.shipped(None) is None


def test_the_same_seed_draws_the_same_mutants():
    tasks = [task("one", STRONG)]
    assert strength.samples(tasks, 1, 3) == strength.samples(tasks, 1, 3) and len(strength.samples(tasks, 1, 3)) == 1
