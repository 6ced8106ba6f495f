"""Hidden tests in the forms that they come in: each runs, passes a right program and fails a wrong one."""

# ruff: noqa: E501 (the forms are lines of Rust)

import re
import shutil

import pytest

from nbcore.grading.grader import RustGrader
from nbcore.grading.rust import vacuous

pytestmark = pytest.mark.skipif(shutil.which("rustc") is None, reason="rustc is not installed")

SIGNATURE = "pub fn add(a: i64, b: i64) -> i64 {"
RIGHT, WRONG = SIGNATURE + " a + b }", SIGNATURE + " let _ = (a, b); 7 }"


def module(text, head="#[cfg(test)]"):
    return f"{head} mod tests {{ use super::*; {text} }}"


ONE = "#[test] fn a() { assert_eq!(add(1, 2), 3); }"
FORMS = {
    "a main, as in MultiPL-E": "fn main() { let candidate = add; assert_eq!(candidate(1, 2), 3); assert!(add(4, 5) == 9); }",
    "tests by std's path": module(
        "#[::core::prelude::v1::test] fn a() { assert_eq!(add(1, 2), 3); }"
        "#[std::prelude::v1::test] fn b() { assert!(add(1, 2) == 3); }"
    ),
    "cfg(all(test))": module(ONE, "#[cfg(all(test))]"),
    "cfg(all(test, not(miri)))": module(ONE, "#[cfg(all(test, not(miri)))]"),
    "cfg(any(test, feature))": module(ONE, '#[cfg(any(test, feature = "x"))]'),
    "a condition inside of the module": "mod tests { #![cfg(test)] use super::*; " + ONE + " }",
    "another function but in tests": module(
        "#[cfg(not(test))] fn three() -> i64 { 4 } #[cfg(test)] fn three() -> i64 { 3 }"
        "#[cfg_attr(test, allow(unused))] #[test] fn a() { assert!(add(1, 2) == three()); }"
    ),
    "a module in a module": module("mod deep { use super::*; mod deeper { use super::*; " + ONE + " } }"),
    "some ignored": module(ONE + '#[test] #[ignore = "slow"] fn b() { assert_eq!(add(1, 2), 4); }'),
    "a panic in each spelling": module(
        '#[test] #[should_panic] fn a() { if add(1, 2) == 3 { panic!("yes") } }'
        '#[test] #[should_panic(expected = "sum \\"3\\"",)] fn b() { panic!("the sum \\"{}\\"", add(1, 2)) }'
        '#[test] #[should_panic(\n expected = "sum\\n3"\n)] fn c() { panic!("sum\\n{}", add(1, 2)) }'
        '#[should_panic(expected = r##"s"#3"##)] #[test] fn d() { panic!("s\\"#{}", add(1, 2)) }'
        "#[test] #[should_panic] fn e() { std::panic::panic_any(add(1, 2)) }"
    ),
    "no module": ONE,
    "docs and inner attributes on top": "//! Docs.\n#![allow(unused)]\n/*! more */\n"
    + module("#![allow(x)]" + ONE).replace("use super::*; #![allow(x)]", "#![allow(dead_code)] use super::*;"),
    "an exit code": module(
        "use std::process::ExitCode;"
        "#[test] fn a() -> ExitCode { if add(1, 2) == 3 { ExitCode::SUCCESS } else { ExitCode::FAILURE } }"
        "#[test] fn b() -> Result<(), String> { assert_eq!(add(2, 2), 4); Ok(()) }"
    ),
    "a panic, by its message": module('#[test] #[should_panic = "sum is 3"] fn a() { panic!("sum is {}", add(1, 2)) }'),
    "a panic, by a raw string": module(
        '#[test] #[should_panic(expected = r"sum is 3")] fn a() { panic!("sum is {}", add(1, 2)) }'
        '#[test] #[should_panic(expected = r#"s"3"#)] fn b() { panic!("s\\"{}", add(1, 2)) }'
    ),
    "use crate": "#[cfg(test)] mod tests { use crate::*; #[test] pub(crate) fn a() { assert_eq!(crate::add(1, 2), 3); } }",
    "helpers and loops": module(
        "fn check(a: i64, b: i64, c: i64) { assert_eq!(add(a, b), c); }"
        "#[test] fn a() { check(1, 2, 3); for i in 0..4 { assert_eq!(add(i, 1), i + 1); } }"
    ),
    "early returns": module(
        "#[test] fn a() { if add(1, 1) == 7 { panic!() } if add(1, 2) == 3 { return; } assert!(add(1, 2) == 3); }"
    ),
    "values of every kind": module(
        "#[test] fn a() { let v: Vec<(String, Option<f64>)> = vec![(add(1, 2).to_string(), Some(add(1, 1) as f64 / 4.0))];"
        ' assert_eq!(v, vec![("3".to_string(), Some(0.5))]); assert!(add(1, 2) as f32 * 0.1 == 0.3); assert_ne!(add(3, 4), 8);'
        " assert_eq!(char::from(add(90, 7) as u8), 'a'); assert_eq!(Ok::<i64, String>(add(1, 2)), Ok(3)); }"
    ),
}


@pytest.mark.parametrize(
    ("tests", "says"),
    [
        ("", "are empty"),
        ("fn a() { assert_eq!(add(1, 2), 3); }", "no #.test. function"),
        (module("#[test] #[ignore] fn a() { assert_eq!(add(1, 2), 3); }"), "is ignored"),
        (module(ONE + "macro_rules! m { ($n:ident) => { #[test] fn $n() {} } } m!(b);"), "made by a macro, `m!`"),
        (module(ONE + "macro_rules! m { () => { mod x { #[test] fn b() {} } } } m! {}"), "made by a macro, `m!`"),
        (module(ONE + "fn b() { ("), "do not compile"),
        (module("#[test] async fn a() { assert_eq!(add(1, 2), 3); }"), "`a` is async"),
        (module("#[test] fn a(x: i64) { assert_eq!(add(x, 2), 3); }"), "`a` takes arguments"),
    ],
)
def test_what_would_not_run_is_said(tests, says):
    """What stands beside tests that run was left out in silence: a wrong program passed the rest."""
    assert re.search(says, vacuous.problem(tests))
    assert all(vacuous.problem(text) is None for text in FORMS.values())


TRIED = {
    "do not run here": [
        module(ONE).replace("cfg(test)", "cfg(not(test))"),
        module(ONE).replace("cfg(test)", 'cfg(all(test, feature = "slow"))'),
        module("#[cfg(windows)] mod inner { use super::*; " + ONE + "}"),
        module("#[cfg(windows)] " + ONE),
        "#[cfg(windows)] fn main() { assert_eq!(add(1, 2), 3); }",
    ],
    "do not compile: unresolved import": [module("use rand::Rng; " + ONE), "use my_crate::add; " + ONE],
    "end in early_exit": [module("#[test] fn a() { std::process::exit(0); }")],
    "end in compile_resource": [module(f"#[test] fn a() {{ assert_eq!(add(1, 2), {'(' * 20000}3{')' * 20000}); }}")],
    None: [
        module("use super::dice::Roll; " + ONE),
        module("use helper::three; #[test] fn a() { assert_eq!(add(1, 2), three()); }"),
        module("#[test] fn value() { assert_eq!(add(1, 2), super::value()); }"),
        module("#[test] fn a() { assert_eq!(add(1, 2), a_const); }"),
    ],
}


def test_what_a_function_not_written_yet_shows_of_tests():
    """Every answer to them was graded as what it could not help, an error of its own; names that it may have are not."""
    answer = "pub mod helper { pub fn three() -> i64 { 3 } } pub mod dice { pub struct Roll; }" + RIGHT
    samples = [
        {"id": str(says), "code": answer, "tests": tests, "signature": signature}
        for says, texts in TRIED.items()
        for tests in texts
        for signature in (SIGNATURE, None)
    ]
    grader = RustGrader(jobs=2)
    verdicts = grader.grade([vacuous.trial(sample, "t") for sample in samples])
    grader.close()
    for sample, verdict in zip(samples, verdicts, strict=True):
        said = vacuous.found(verdict, sample)
        assert str(said).startswith(sample["id"]), (sample["tests"][:200], said, verdict["errors"])


def test_every_form_runs_and_tells_right_from_wrong():
    """A form that ran nothing passed every program, one that never compiled failed every program."""
    grader, batch = RustGrader(jobs=1), []
    for name, text in FORMS.items():
        for code, signature in ((RIGHT, None), (RIGHT, SIGNATURE), (WRONG, SIGNATURE)):
            batch.append({"id": f"{name}: {code}", "code": code, "tests": text, "signature": signature})
    for verdict in grader.grade(batch):
        assert verdict["verdict"] == ("pass" if RIGHT in verdict["id"] else "tests_failed"), verdict
        assert verdict["tests_total"] > 0
    grader.close()
