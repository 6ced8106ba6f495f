"""What tests are worth: strong ones accept no mutant, weak ones do, and inputs tell which of those are wrong."""

import json

import pytest

from nbcore.cli.main import main
from nbcore.core import lines
from nbcore.evaluation import strength, telling
from nbcore.grading.grader import RustGrader
from nbcore.tasks import inputs, katas, worth

STRONG = """#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn t() { assert_eq!((big(3), big(4), big(5), big(-9)), (false, false, true, false)); }
}
"""
WEAK = STRONG.replace("(big(3), big(4), big(5), big(-9)), (false, false, true, false)", "big(900), true")
SOLUTION = "\n    x > 4\n}\n"


def task(id_, tests, signature="pub fn big(x: i64) -> bool {", solution=SOLUTION):
    return {"id": id_, "family": "f", "prompt": "p", "signature": signature, "solution": solution, "tests": tests}


@pytest.fixture(scope="module")
def grader():
    made = RustGrader(jobs=1, lint=False)
    yield made
    made.close()


@pytest.mark.parametrize(("tests", "accepted"), [(STRONG, 0), (WEAK, 2)])
def test_mutants_are_killed_by_tests_that_look_at_the_edge(tests, accepted, grader):
    """`x > 5` and `x >= 4` pass a test that only looks at 900."""
    tasks = [task("one", tests)]
    made = strength.samples(tasks, 10, 0)
    assert [each["code"].split("\n")[1].strip() for each in made] == ["x >= 4", "x > 5"]
    found = strength.report(tasks, grader.grade(made))
    assert found["mutants"] == 2 and found["accepted"] == accepted == len(found["survivors"])
    assert found["accepts_at_most"]["high"] > 0.5  # one task is hardly any evidence, in either direction


def test_what_was_accepted_is_told_apart_and_the_stronger_tests_stop_it(tmp_path, capsys):
    """`x * x >= 13` and `x * x > 14` are what `x * x > 13` is, since no square is 13 or 14; `x + x > 13` is not."""
    tasks = [task("one", WEAK), task("two", WEAK, solution="\n    x * x > 13\n}\n")]
    lines.append(tmp_path / "mine.jsonl", *tasks)
    (tmp_path / "mine.yaml").write_text("source: mine.jsonl\n")
    record, sharper = tmp_path / "record.json", tmp_path / "sharp.jsonl"
    command = ["data", "strength", str(tmp_path / "mine.yaml"), "--out", str(record), "--jobs", "1"]
    assert main([*command, "--sharpen", str(sharper)]) == 0
    found = json.loads(record.read_text())
    assert len(found["wrong"]) == 3 and found["wrong"][:2] == ["one mutant 0", "one mutant 1"]
    assert found["accepted"] == 5 and found["same_on_all_inputs"] == 2
    assert found["accepts"]["n"] == 3 and found["accepts_at_most"]["n"] == 5 and found["policy"] is None
    assert (tmp_path / "mine.jsonl").read_text() == "".join(json.dumps(each) + "\n" for each in tasks), "as it was"

    (tmp_path / "mine.yaml").write_text("source: sharp.jsonl\n")
    assert main(command) == 0
    again = json.loads(record.read_text())
    assert again["wrong"] == [] and again["accepted"] == 2 and again["set_sha256"] != found["set_sha256"]
    assert "accept at most" in capsys.readouterr().out


def test_programs_are_told_apart_by_value_by_panic_and_not_by_words(grader):
    tasks = {"one": task("one", WEAK)}
    programs = {
        "same": ("one", "pub fn big(y: i64) -> bool { !(y <= 4) }"),
        "edge": ("one", "pub fn big(x: i64) -> bool { x > 5 }"),
        "panics": ("one", "pub fn big(x: i64) -> bool { x.checked_sub(5).filter(|d| *d >= -5).unwrap() >= 0 }"),
        "forger": ("one", 'pub fn big(x: i64) -> bool { println!("<<<true>>>"); panic!("<<<{}>>>", x > 4) }'),
    }
    told, differ = telling.apart(grader, tasks, programs, 0)
    assert {name: each.apart for name, each in told.items()} == {
        "same": False,
        "edge": True,
        "panics": True,
        "forger": False,  # which is why a verdict is the grader's alone
    }
    made, left_out = telling.sharpened(grader, list(tasks.values()), differ.tests({"edge", "panics"}))
    assert left_out == 0 and made[0]["tests"].startswith(WEAK.rstrip())
    samples = [
        {"id": name, "code": code, "tests": made[0]["tests"], "signature": tasks["one"]["signature"]}
        for name, (_, code) in programs.items()
    ]
    assert {each["id"]: each["passed"] for each in grader.grade(samples)} == {
        **{"same": True, "edge": False},
        **{"panics": False, "forger": False},
    }


def test_what_a_policy_answered_counts_once_and_as_what_it_is():
    """Of four wrong programs one was accepted; a right one in other words, and what does not compile, are no fault."""
    tasks = [task("one", WEAK), task("two", WEAK)]
    row = {"id": "one", "compiles": True}
    reference = "pub fn big(x: i64) -> bool {" + SOLUTION
    rows = [{**row, "code": code} for code in (reference, "fn a() {}", "fn a() {} ", "fn b() {}", "fn c() {}")]
    made = strength.answers(tasks, [*rows, {**row, "id": "two", "code": "fn d() {}"}, {**row, "id": "other"}])
    assert [each["code"] for each in made] == ["fn a() {}", "fn b() {}", "fn c() {}", "fn d() {}"]
    passed = (True, True, False, False)
    verdicts = [
        {"id": each["id"], "verdict": "pass" if ok else "tests_failed", "compiles": True, "passed": ok}
        for each, ok in zip(made, passed, strict=True)
    ]
    told = {made[0]["id"]: telling.Told(True, 9), made[1]["id"]: telling.Told(False, 9)}
    found = strength.policy(verdicts, told)
    assert (found["programs"], found["wrong"], found["accepted"]) == (4, 3, 1)
    assert found["accepted_names"] == [made[0]["id"]] and strength.policy(verdicts[1:2], told) is None


def test_a_task_without_a_solution_or_in_python_has_no_mutants():
    python = {**task("py", "def check(c): pass"), "meta": {"language": "python"}}
    assert strength.samples([{**task("none", STRONG), "solution": None}, python], 10, 0) == []
    with pytest.raises(ValueError, match="no mutant of a reference compiles"):
        strength.report([], [])


@pytest.mark.parametrize("split", ["heldout", "train", "unseen_family"])
def test_the_shipped_records_are_of_the_shipped_katas(split):
    """A number about other tasks than those that are asked would be a wrong one."""
    record = worth.of_split("katas", split)
    assert record["taskset"] == f"katas_{split}" and record["accepted"] == len(record["survivors"])
    assert record["accepts_at_most"]["value"] == pytest.approx(record["accepted"] / record["mutants"])
    assert record["accepted"] == len(record["wrong"]) + record["same_on_all_inputs"] + record["not_tried"]
    assert "at most" in worth.sentence(record["accepts_at_most"])
    assert worth.of_split("mine.jsonl", split) is None and "not measured" in worth.sentence(None)


def test_the_shipped_stronger_katas_are_the_katas_with_more_tests():
    """Under another name, so that no number changes its meaning without a word."""
    from nbcore.config import tasksets
    from nbcore.tasks import sets

    known = {each["id"]: each for each in katas.load("heldout")}
    sharp = sets.of_set(tasksets.resolve("katas_heldout_sharp"), 0).tasks
    assert {each["id"] for each in sharp} == known.keys()
    longer = [each for each in sharp if each["tests"] != known[each["id"]]["tests"]]
    assert len(longer) > 50 and all(each["tests"].startswith(known[each["id"]]["tests"].rstrip()) for each in longer)
    assert all({**each, "tests": ""} == {**known[each["id"]], "tests": ""} for each in sharp)


def test_the_same_seed_draws_the_same_mutants():
    tasks = [task("one", STRONG)]
    assert strength.samples(tasks, 1, 3) == strength.samples(tasks, 1, 3) and len(strength.samples(tasks, 1, 3)) == 1


@pytest.mark.parametrize(
    ("signature", "part"),
    [
        ("fn f(a: &[u8], b: Option<(bool, i32)>) -> i64 {", "f(&["),
        ("pub fn f(a: &mut Vec<String>, n: [i64; 2]) -> bool {", "let mut v0: Vec<String> = vec!["),
        ("fn f<'a>(a: &'a str) -> &'a str {", None),
        ("fn f(m: HashMap<String, u32>, r: Result<i64, String>) {", "std::collections::HashMap::from(["),
        ("fn f<T: Ord>(a: T) -> T {", None),
        ("fn f(a: f64, g: impl Fn(i64) -> i64) -> f64 {", None),
    ],
)
def test_inputs_are_made_by_signature_or_not_at_all(signature, part):
    """Of a type that is not known there are none, rather than some that do not compile."""
    made = inputs.cases(task("one", "", signature, "\n    7\n}"), 30)
    assert bool(made) == bool(part) and (not part or any(part in case.setup + case.value for case in made))
    assert len({(case.setup, case.value) for case in made}) == len(made)


def test_numbers_stand_at_the_constants_of_the_reference_and_inside_their_type():
    made = inputs.cases(task("one", "", "pub fn f(x: u8) -> bool {", "\n    x > 200 && x < 1_000\n}"), 200)
    values = {int(case.value[2:-1]) for case in made}
    assert {199, 200, 201} <= values and min(values) == 0 and max(values) == 255
    ends = inputs.cases(task("one", "", "pub fn f(x: i8) -> i8 {", "\n    x.wrapping_add(1)\n}"), 90)
    assert any("i8::MAX" in case.value for case in ends) and not any("MAX" in case.value for case in made)
