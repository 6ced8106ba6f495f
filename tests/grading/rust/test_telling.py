"""What the judged program tells, and what is expected of it: the expected values must not be in the program."""

import shutil
import subprocess
from pathlib import Path

import pytest

from nbcore.grading.grader import RustGrader
from nbcore.grading.rust import compiler, expected, harness, hidden, shapes, syntax

SIGNATURE = "pub fn f(a: i64) -> String {"
NEEDLE, NUMBER = "a needle in the binary", 8_237_645_123_987_123


@pytest.mark.parametrize(
    ("text", "told"),
    [
        *(
            ("3", "3"),
            ("-1_000i64", "-1000"),
            ("0xff", "255"),
            ("3 + 5 * (2 - 7)", "-22"),
            ("(0 - 7) % 4", "-3"),
            ("None::<u8>", "None"),
            ("i64::MAX", f"{2**63 - 1}"),
        ),
        *(("true", "true"), ("!true", "false"), ("'a'", "'a'"), ("'\\''", r"'\''"), ("()", "()"), ("b'a'", "97")),
        *(('"a\\n\\"b\\u{e9}"', r'"a\n\"bé"'), ('r#"a"b"#', r'"a\"b"'), ('"é".to_string()', '"é"')),
        *(('b"ab"', "[97, 98]"), ("String::new()", '""'), ('String::from("x")', '"x"'), ("vec![0; 3]", "[0, 0, 0]")),
        *(
            ("vec![(1, 'a'), (2, 'b')]", "[(1, 'a'), (2, 'b')]"),
            ("Vec::<u8>::new()", "[]"),
            ("&[1, /* 2 */ 3]", "[1, 3]"),
        ),
        *(("Some(vec![None, Some(1)])", "Some([None, Some(1)])"), ('Err("no")', 'Err("no")'), ("(7,)", "(7,)")),
        *(
            ("0.5", "0.5"),
            ("0.1", "0.1"),
            ("1.0f32", "1.0"),
            ("-2.5e3", "-2500.0"),
            ("0.0", "-0.0"),
            ("1e300", "1e300"),
        ),
        *(("3.14159265358979", "3.1415927"), ("3.14159265358979", "3.14159265358979"), ("Box::new(1)", "1")),
    ],
)
def test_a_value_is_known_from_its_text(text, told):
    found = expected.expected(text)
    assert found is not None and found.fits(told)
    assert not found.fits(told + "1") and not found.fits("")


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "f(1)",
        "1 / 0",
        "1 << 40",
        'format!("{:?}", 1)',
        "1 % 0",
        "0.1 + 0.2",
        "vec![1; n]",
        "Foo { a: 1 }",
        "[1, 2].len()",
        "1, 2",
        "|| 1",
        "S(1)",
        ")",
        "1; 2",
    ],
)
def test_what_only_a_program_can_say_is_not_guessed(text):
    assert expected.expected(text) is None


def test_a_number_near_by_is_another():
    """A literal stands for an f32 or an f64; a wrong f64 that would round to the same f32 is still wrong."""
    tenth = expected.expected("0.1")
    assert not tenth.fits("0.10000000149011612") and not tenth.fits("0.10000001")
    assert not expected.expected("0.1f32").fits("0.10000000149011612")
    assert expected.expected("16777217.0").fits("16777216.0") and not expected.expected("16777217.0f64").fits(
        "16777216.0"
    )


def one_test(body):
    return f"#[cfg(test)]\nmod tests {{\nuse super::*;\n#[test]\nfn c0() {{ {body} }}\n}}"


def told(body):
    """For each assertion of a test: the pattern, or None for a truth value."""
    return [said.value and said.value.pattern for said in hidden.functions(one_test(body)).cases[0].tells]


@pytest.mark.parametrize(
    ("body", "values"),
    [
        ('assert_eq!(f(1), 3); assert_eq!(4, f(2), "why {}", 1);', ["3", "4"]),
        ('assert!(f(1) == 3); assert!(3 == f(1), "no");', ["3", "3"]),
        ("let a = 5; assert_eq!(f(1), a);", ["5"]),
        ("let mut a = 5; a += 1; assert_eq!(f(1), a);", [None]),
        ("const A: i64 = 5; assert_eq!(f(1), A % 3 + 1);", ["3"]),
        ("const A: i64 = 5; { const A: i64 = 6; } assert_eq!(f(1), A);", ["5"]),
        ("let a = 5; { let a = 6; } assert_eq!(f(1), a); { let (a, b) = (7, 8); assert_eq!(f(1), a); }", ["5", None]),
        ("let a = 5; if let Some(a) = f(1) { assert_eq!(f(2), a); } else { panic!() }", [None]),
        ("assert!(f(1) < 2); assert_eq!(f(1), f(2));", [None] * 2),
        ("assert!(f(1)); assert!(!f(1)); assert!(!(f(1) && f(2)));", ["true", "false", None]),
        ("for x in 0..3 { assert_eq!(f(x), 3 * x); }", ["0", "3", "6"]),
        ("for x in 0..3 { #[cfg(windows)] assert_eq!(f(x), 3); }", []),
        ("for x in 0..9000 { assert_eq!(f(x), 3); }", []),
        ("if f(1) > 2 { return; } assert_eq!(f(1), 3);", []),
        ("macro_rules! assert_eq { ($($t:tt)*) => {} } assert_eq!(f(1), 3);", []),
    ],
)
def test_assertions_that_a_test_is_sure_to_come_to_are_told(body, values):
    """One in a loop, or behind a return, might not be told however right the program is."""
    assert told(body) == values


@pytest.mark.skipif(shutil.which("rustc") is None, reason="rustc is not installed")
def test_the_program_does_not_hold_what_is_expected(tmp_path):
    """Else a candidate that reads its own memory, by whatever hole of the compiler, could answer with it."""
    code = f"{SIGNATURE} if a == {NUMBER - 1} {{ String::new() }} else {{ a.to_string() }} }}"
    tests = one_test(
        f'assert_eq!(f(1), "{NEEDLE}"); assert_eq!(f(2).parse(), Ok({NUMBER}i64)); assert!(f(3) == "{NEEDLE}");'
    )
    chain, held = compiler.find(), []
    for telling in (True, False):
        source = harness.build(code, tests, SIGNATURE, "2021", telling)
        command = [chain.driver(False), *chain.arguments("2021", tmp_path / "out")]
        done = subprocess.run(command, input=source.text.encode(), env=chain.env(tmp_path, tmp_path), cwd=tmp_path)
        assert done.returncode == 0
        built = Path(tmp_path, "out").read_bytes()
        held.append(NEEDLE.encode() in built or NUMBER.to_bytes(8, "little") in built)
    assert held == [False, True]


def test_a_forger_that_knows_both_secrets_must_still_know_the_answers():
    """It signs what it likes, but not the values; and a truth value is right in one sense of two."""
    prepared = hidden.functions(
        one_test("assert_eq!(f(1), 3); " + "".join(f"assert!(g({number}) < 2); " for number in range(4)))
    )
    senses = set()
    for _ in range(600):
        _, expects = prepared.drawn("k")
        senses.add(tuple(one.pattern for one in expects[0][1:]))
        lines = [" 7", *[" true"] * 4]
        report = ["N 2 ok", *lines, "N 0 ok", "N 1 ok"]
        assert hidden.read("".join(f"\nS{line}\n" for line in report).encode(), "S", "N", expects).passed == 0
    assert len(senses) == 16


TYPES = """
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
#[derive(Debug, Clone, PartialEq)]
pub enum Shape { Circle { r: i64, name: &'static str }, Square(i64), Pair(f64, Box<Shape>), Empty }
#[derive(std::fmt::Debug, std::cmp::PartialEq)] pub struct Point { pub x: i64, /* b */ pub y: Option<i64> }
#[derive(PartialEq, Debug, Eq, Hash)] pub struct Id(pub u32);
#[derive(Debug, PartialEq)] pub struct Unit;
#[derive(Debug, PartialEq)] pub struct Of<T> { inside: T }
pub mod flat { pub mod deep { #[derive(Debug, PartialEq)] pub enum Turn { Left(u8), Right } } }
#[derive(Debug)] pub struct NotCompared(i64);
#[derive(PartialEq)] pub struct NotShown(i64);
#[derive(Debug)] pub struct Near(f64);
impl PartialEq for Near { fn eq(&self, o: &Near) -> bool { (self.0 - o.0).abs() < 1.0 } }
"""
OWN = [
    'Shape::Circle { name: "a\\"b", r: 1 + 2 }',
    "Shape::Square(-3)",
    "Shape::Pair(0.1, Box::new(Shape::Empty))",
    "crate::Shape::Empty",
    "vec![Some(Shape::Square(1)), None]",
    "Point { y: None, x: 1 }",
    "Ok::<Point, Id>(Point { x: 7, y: Some(2) })",
    "Id(0xff)",
    "Unit",
    "Of { inside: Of::<i64> { inside: 1 } }",
    "(Id(1), Square(2))",
    "flat::deep::Turn::Left(1)",
    "(Turn::Left(2), Right)",
    'HashMap::from([("b", 1), ("a", 22), ("ab", 2)])',
    'BTreeMap::from([("b".to_string(), vec![1]), ("a{, ".to_string(), vec![]), ("Z".to_string(), vec![2])])',
    "BTreeMap::from([(-1, Id(1)), (10, Id(2)), (9, Id(3))])",
    "HashSet::from([3, 33, 333])",
    "HashSet::from([Id(1), Id(2)])",
    "BTreeSet::from(['b', 'a', 'é', '\\n'])",
    "VecDeque::from([1, 2])",
    "HashMap::<i64, i64>::new()",
    "BTreeSet::<i64>::new()",
    "HashMap::from([(1, 2); 0])",
]


def shapes_of(types, tests):
    names = set(syntax.name_of(node) for node in syntax.walk(syntax.parse(types)))
    return {shape.path: shape for shape in shapes.shapes([syntax.parse(types)], syntax.parse(tests), names)}


@pytest.mark.skipif(shutil.which("rustc") is None, reason="rustc is not installed")
def test_values_of_a_tasks_own_types_are_known_as_rust_shows_them(tmp_path):
    """They were judged within the program, where a forger that reads memory finds what is expected."""
    imports = "use crate::Shape::{self, Square}; use crate::flat::deep::Turn::{self, Right};"
    prints = "".join(f'println!("{{:?}}", {text});' for text in OWN)
    source = f"{TYPES}{imports.replace('Shape::{self, ', 'Shape::{')} fn main() {{ {prints} }}"
    out = tmp_path / "out"
    subprocess.run(["rustc", "--edition=2021", "-A", "warnings", "-o", out, "-"], input=source.encode(), check=True)
    lines = subprocess.run([out], capture_output=True, check=True).stdout.decode().splitlines()
    known = shapes_of(TYPES, imports)
    for text, line in zip(OWN, lines, strict=True):
        found = expected.expected(text, None, known)
        if text.endswith("; 0])"):
            assert found is None  # a count in an array of pairs: left to the program
            continue
        assert found is not None and found.fits(line), (text, line)
        assert not found.fits(line + ")") and not found.fits(line[:-1])


@pytest.mark.parametrize(
    "text",
    [
        *("NotCompared(1)", "NotShown(1)", "Near(1.0)", "Shape::Square(x)", "Shape::Round(1)", "Shape::Square"),
        *("Point { x: 1, ..base }", "Point { x: 1 }", "Id(1, 2)", "Point::new(1)", "HashMap::from([(1, 2), (1, 3)])"),
        *("HashMap::from(pairs)", "BTreeMap::from([(Id(1), 2)])", "HashMap::from([(1, 0.5)])", "other::Shape::Empty"),
    ],
)
def test_values_that_their_text_does_not_tell_are_not_guessed(text):
    assert expected.expected(text, None, shapes_of(TYPES, "")) is None


def test_a_hashed_collection_is_told_in_any_order_and_each_entry_once():
    found = expected.expected("HashMap::from([(1, 2), (11, 2), (3, 4)])")
    assert all(map(found.fits, ("{1: 2, 11: 2, 3: 4}", "{3: 4, 11: 2, 1: 2}")))
    wrong = (
        "{11: 2, 11: 2, 3: 4}",
        "{1: 2, 11: 2}",
        "{1: 2, 11: 2, 3: 4, 3: 4}",
        "{1: 2, 11: 2, 3: 4, }",
        "{1: 2 11: 2 3: 4}",
    )
    assert not any(map(found.fits, wrong))


def test_of_two_types_with_one_name_none_is_read():
    """The tests' own type of the name stands in the way of the task's, and its text is another."""
    own = "mod tests { #[derive(Debug, PartialEq)] enum Shape { Square(u8) } }"
    assert not any(path.startswith("Shape") for path in shapes_of(TYPES, own))
    twice = (
        "mod a { #[derive(Debug, PartialEq)] pub struct P(u8); } mod b { #[derive(Debug, PartialEq)] pub struct P; }"
    )
    assert shapes_of(twice, "") == {}
    assert "Mine" in shapes_of(TYPES, "mod tests { #[derive(Debug, PartialEq)] struct Mine { a: u8 } }")


def test_the_flag_says_which_values_are_judged_inside():
    signature = TYPES + "pub fn f(a: i64) -> Shape {"
    code = signature + " Shape::Square(a) }"

    def flags(body, code=code, signature=signature):
        return harness.build(code, one_test(body), signature, "2021").flags

    assert flags("assert_eq!(f(1), Shape::Square(1));") == ()
    assert flags("let want = Shape::Square(1); assert!(f(1) == want);") == ()
    assert flags("assert_eq!(f(1), Shape::Square(1));", signature=None) == ()  # the candidate derives both
    assert flags("assert_eq!(Near(f(1) as f64), Near(1.0));") == ("judged_inside",)


NEAR = {
    "(f(1) - 0.5).abs() < 1e-9": (["0.5, 8", "0.5000000001, 8", "0.5, 4"], ["0.6, 8", "NaN, 8", "inf, 4", "1e300, 4"]),
    "f64::abs(0.5 - f(1)) <= 0.25": (["-0.25, 8", "-0.75, 8"], ["-0.76, 8", "0.5, 8"]),
    "1e-6 > (f(1) - 0.1).abs()": (["0.1, 4", "0.1, 8", "1.0000001e-1, 8"], ["0.10001, 8", "0.1", "0.1, 16"]),
    "(f(1) - 1.0).abs() < f64::EPSILON": (["1.0, 8"], ["1.0000000000000002, 8"]),
}


@pytest.mark.parametrize("condition", NEAR)
def test_a_number_that_must_be_near_another_is_told(condition):
    """Such a test told no more than that it held, which a forger that knows it to be wrong can turn over."""
    near, far = NEAR[condition]
    (case,) = hidden.functions(one_test(f'assert!({condition}, "of {{}}", 1);')).cases
    assert [[told.value.fits(f"({text})") for text in texts] for told in case.tells for texts in (near, far)] == [
        [True] * len(near),
        [False] * len(far),
    ]


@pytest.mark.parametrize(
    "condition",
    ["(f(1) - f(2)).abs() < 1e-9", "(f(1) - 3).abs() < 1", "f(1) - 0.5 < 1e-9", "(f(1) + 0.5).abs() < 1e-9"],
)
def test_other_comparisons_tell_whether_they_held(condition):
    assert told(f"assert!({condition});") == [None]


@pytest.mark.skipif(shutil.which("rustc") is None, reason="rustc is not installed")
def test_near_numbers_are_judged_as_rust_judges_them(tmp_path):
    """At the very edge too, in both precisions, by reference, and where the answer is no number but differs by one."""
    own = "pub struct M(f64); impl std::ops::Sub<f64> for M { type Output = f64; "
    own += "fn sub(self, other: f64) -> f64 { self.0 - other } } "
    answers = {
        "pub fn f(a: f64) -> f64 {": "a }",
        "pub fn f(a: f32) -> f32 {": "a }",
        "pub fn f(a: f64) -> &'static f64 {": "Box::leak(Box::new(a)) }",
        own + "pub fn f(a: f64) -> M {": "M(a) }",
    }
    values = ("0.1", "0.15", "0.3", "0.30000001", "-0.1", "0.7")
    conditions = [f"(f({value}) - 0.2).abs() {sign} 0.1" for value in values for sign in ("<", "<=")]
    cases = "".join(f"#[test] fn c{number}() {{ assert!({text}); }}\n" for number, text in enumerate(conditions))
    tests, out = f"mod tests {{ use super::*; {cases} }}", tmp_path / "out"
    prints = "".join(f'println!("{{}}", {text});' for text in conditions)
    grader = RustGrader(jobs=1, lint=False)
    for number, (signature, rest) in enumerate(answers.items()):
        plain = f"{signature} {rest} fn main() {{ {prints} }}"
        subprocess.run(["rustc", "--edition=2021", "-A", "warnings", "-o", out, "-"], input=plain.encode(), check=True)
        held = subprocess.run([out], capture_output=True, check=True).stdout.decode().split().count("true")
        sample = {"id": str(number), "code": signature + rest, "tests": tests, "signature": signature}
        verdict = grader.grade([sample])[0]
        assert (verdict["tests_passed"], verdict["tests_total"], verdict["flags"]) == (held, 12, []), verdict
    grader.close()
