"""Tasks whose tests test nothing are refused by their ids, before a model is asked."""

import json

import pytest

from nbcore.grading.grader import RustGrader
from nbcore.tasks import checking, katas, sets

SIGNATURE = "pub fn double(x: u8) -> u8 {"
GOOD = "#[test] fn t() { assert_eq!(double(2), 4); }"


def task(identity="a", tests=GOOD, **more):
    return {"id": identity, "prompt": "Double it.", "signature": SIGNATURE, "tests": tests, **more}


def jsonl(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.mark.parametrize(
    ("tests", "words"),
    [
        ("", "its tests are empty"),
        (" \n\t", "its tests are empty"),
        ("// #[test] fn t() {}", "no #.test. function"),
        ("fn t() { assert_eq!(double(2), 4); }", "no #.test. function"),
        ("#[cfg(test)]\nmod tests { use super::*; }", "no #.test. function"),
        ("#[test]\n#[ignore]\nfn t() { assert!(true) }", "is ignored"),
        ('#[ignore = "slow"]\n#[test]\nfn t() {}\nmod m { #[test] #[ignore] fn u() {} }', "is ignored"),
        ("macro_rules! m { () => { #[test] fn t() {} } } m!();", "made by a macro"),
        (
            GOOD + "macro_rules! m { ($n:ident) => { #[test] fn $n() {} } } m!(u);",
            "made by a macro, `m!`, .*write them out",
        ),
        (
            GOOD
            + "mod m { macro_rules! a { () => { #[core::prelude::v1::test] fn u() {} } }"
            + " macro_rules! b { () => { a!(); } } b! {} }",
            "made by a macro, `b!`",
        ),
        (GOOD + "#[cfg_attr(all(), test)] fn u() {}", "made by a macro"),
        (GOOD + " fn u() { v(", "do not compile: { and } do not come in pairs"),
    ],
)
def test_tests_that_run_nothing_are_refused_when_the_file_is_read(tmp_path, tests, words):
    """Each of these counted as passed, whatever the answer: pass@1 was 0.83 for 0.50."""
    path = jsonl(tmp_path / "tasks.jsonl", task("fine"), task("bad", tests))
    with pytest.raises(
        ValueError, match=f"^tasks.source: {path}: 1 tasks .*'bad': .*{words}.*take them out$"
    ) as caught:
        sets.tasks(path, "train", None, 0)
    assert "\n" not in str(caught.value) and "'fine'" not in str(caught.value)


def test_the_first_few_are_named_and_the_others_counted():
    with pytest.raises(ValueError, match=r"5 tasks .*'0': .*'1': .*'2': .*; and 2 more"):
        checking.refuse_untested([task(str(number), "") for number in range(5)], "mine.jsonl")


@pytest.fixture(scope="module")
def grade():
    return RustGrader(lint=False).grade


@pytest.mark.parametrize(
    "good",
    [
        task(),
        task(solution="\n    x * 2\n}"),
        task(solution="pub fn double(x: u8) -> u8 { x * 2 }"),
        task(solution="fn help(x: u8) -> u8 { x }\npub fn double(x: u8) -> u8 { help(x) * 2 }", signature=None),
        task(signature="pub fn double(x: u8) -> u8"),
        task(signature=None),
        task(tests="#[test] fn t() { assert_eq!(plus(2)(2), 4); }", signature="fn plus(x: u8) -> impl Fn(u8) -> u8 {"),
        task(
            tests="#[test] fn t() { assert_eq!(P { x: 2 }.double(), 4); }",
            signature="pub struct P { pub x: u8 }\nimpl P {\n    pub fn double(&self) -> u8 {",
        ),
        task(
            tests="#[test] fn t() { assert_eq!(double(P { x: 2 }), 4); }",
            signature="pub struct P { pub x: u8 }\npub fn double(p: P) -> u8",
        ),
        task(tests="macro_rules! is { ($a:expr) => { assert_eq!(double($a), 4) } } #[test] fn t() { is!(2); }"),
        task(tests='#[test] #[should_panic(expected = "odd")] fn t() { half(3); }', signature="fn half(x: u8) -> u8 {"),
    ],
)  # fmt: skip
def test_a_sound_task_is_kept(grade, good):
    """A check that refuses what is right would be worse than none."""
    checking.refuse_failing([good], "mine.jsonl", grade)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (task(solution="\n    x + 2 + 1\n}"), "its solution ends in tests_failed"),
        (task(solution="\n    y\n}"), "its solution ends in compile_error: cannot find value `y`"),
        (task(tests="#[test] fn t() { assert_eq!(double(2), \"4\"); }"), "its tests do not compile: mismatched types"),
        (task(tests="#[test] fn t() { assert_eq!(double(2), ; }"), "its tests do not compile"),
        (task(tests="#[test] fn t() { assert_eq!(triple(2), 6); }"), "its tests do not compile: cannot find function"),
        (task(tests="#[test] fn t() { assert_eq!(double(2), ; }", signature=None), "its tests do not compile"),
        (task(tests="#[test] fn t() {}", signature=None), r"its tests pass with the body todo!\(\)"),
        (task(tests="#[test] fn t() {}"), r"its tests pass with the body todo!\(\)"),
        (task(tests="#[test] #[should_panic] fn t() { double(200); }"), r"its tests pass with the body todo!\(\)"),
        (task(tests="#[test] fn t() { std::process::exit(0) }"), "its tests end in early_exit even with"),
    ],
)  # fmt: skip
def test_tests_that_cannot_be_right_are_refused_when_they_are_run(grade, bad, words):
    """Tests that do not compile were the model's fault, and a wrong reference made a task that nobody passes."""
    with pytest.raises(ValueError, match=f"^tasks.source: mine.jsonl: 1 tasks .*'a': {words}") as caught:
        checking.refuse_failing([task("fine"), bad], "mine.jsonl", grade)
    assert "\n" not in str(caught.value)


def test_shipped_katas_would_pass_the_check(grade):
    """They are not checked, because it would find nothing."""
    tasks = katas.load("heldout")[:6]
    checking.refuse_untested(tasks, "katas")
    checking.refuse_failing(tasks, "katas", grade)
