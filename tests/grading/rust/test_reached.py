"""Hidden tests in the forms that people write: the program tells values, and what is expected is not in it."""

# ruff: noqa: E501 (the forms are lines of Rust)

import itertools
import shutil
import subprocess
import time

import pytest

from nbcore.grading.grader import RustGrader
from nbcore.grading.rust import compiler, harness, hidden
from tests.grading.hostile_kinds import TRUTH

pytestmark = pytest.mark.skipif(shutil.which("rustc") is None, reason="rustc is not installed")

NUMBER = 8_237_645_123_987_123
TYPES = "#[derive(Debug, PartialEq, Clone)] pub enum E { Odd(i64), Empty, Both { a: i64, b: String } }\n"
SIGNATURE = TYPES + "pub fn f(a: i64) -> Result<i64, E> {"
RIGHT = (
    SIGNATURE + " if a % 2 == 1 { Err(E::Odd(a)) } else if a == 0 { Err(E::Empty) } else { Ok(a + 8237645123987121) } }"
)
RIGHT += "\npub fn g(a: &str) -> String { a.repeat(2) }\npub fn h(a: &[i64]) -> Option<Vec<i64>> {"
RIGHT += " if a.is_empty() { None } else { Some(a.iter().map(|x| x * 2).collect()) } }"
WRONG = (
    RIGHT.replace("Ok(a +", "Ok(a - 1 +")
    .replace("Err(E::Odd(a))", "Err(E::Odd(a + 1))")
    .replace("E::Empty)", "E::Odd(2))")
)
WRONG = WRONG.replace("repeat(2)", "repeat(3)").replace("x * 2", "x * 3").replace("{ None }", "{ Some(vec![]) }")
ASKS = SIGNATURE + "}\npub fn g(a: &str) -> String {}\npub fn h(a: &[i64]) -> Option<Vec<i64>> {"

FORMS = {
    "a table": "for (a, want) in [(2, 8237645123987123), (4, 8237645123987125)] { assert_eq!(f(a), Ok(want)); }",
    "a table with a name": "let cases = vec![(2, Ok(8237645123987123i64)), (1, Err(E::Odd(1)))];"
    ' for (a, want) in cases { assert_eq!(f(a), want, "f({}) is not {:?}", a, want); }',
    "a table by reference": 'let cases = [("a", "aa"), ("", ""), ("bc", "bcbc")];'
    ' for (a, want) in cases.iter() { assert_eq!(&g(a), want, "{a} {want}"); }',
    "a table that is typed": 'let cases: Vec<(&str, &str)> = vec![("a", "aa"), ("bc", "bcbc")];'
    " for &(a, want) in &cases { let told = g(a); assert_eq!(told, want); }",
    "a table of slices": "let cases: [(&[i64], Option<Vec<i64>>); 3] = [(&[1, 2], Some(vec![2, 4])), (&[], None), (&[5], Some(vec![10]))];"
    ' for (number, (a, want)) in cases.into_iter().enumerate() { assert_eq!(h(a), want, "case {number}"); }',
    "a table of references": "let cases: &[(&[i64], &[i64])] = &[(&[1, 2], &[2, 4]), (&[7], &[14])];"
    " for (a, want) in cases { assert_eq!(h(a).unwrap(), *want); } for &a in &[2, 4] { assert_eq!(f(a), Ok(a + 8237645123987121)); }",
    "a table as a constant": "const CASES: &[(i64, i64)] = &[(2, 8237645123987123), (6, 8237645123987127)];"
    " for &(a, want) in CASES { assert_eq!(f(a), Ok(want)); assert_ne!(f(a), Err(E::Empty)); }",
    "a range": "for i in 1..=5 { assert_eq!(h(&[i]), Some(vec![i * 2])); } for i in (1..3).rev() { for j in 0..2 { assert_eq!(h(&[i, j]), Some(vec![2 * i, j * 2])); } }",
    "a name for what is expected": 'let want = Ok(8237645123987123); let other: String = "aa".to_string(); let list = vec![]; assert_eq!(f(2), want);'
    ' assert_eq!(g("a"), other, "no {other}"); assert_ne!(h(&[1]), Some(list)); assert_eq!(h(&[]), None);',
    "a block": "{ let a = 2; { assert_eq!(f(a), Ok(8237645123987123)); } } assert!(f(1) == Err(E::Odd(1)));",
    "the only way": 'match f(2) { Ok(v) => assert_eq!(v, 8237645123987123), Err(e) => panic!("{e:?}") }'
    ' if let Err(E::Odd(n)) = f(1) { assert_eq!(n, 1); } else { assert!(false, "not odd"); }',
    "conditions": "assert!(f(2).is_ok() && f(2).unwrap() == 8237645123987123); assert!(f(1).is_err()); assert!(!f(0).is_ok());"
    " assert!(matches!(f(0), Err(E::Empty))); assert!(matches!(f(1), Err(E::Odd(1)) | Ok(_)));",
    "matches": 'assert!(matches!(h(&[1, 2]), Some(v) if v.len() == 2), "a guard"); assert!(matches!(h(&[]), None));'
    ' assert!(!matches!(f(1), Err(E::Odd(2)))); let got = f(3); assert!(matches!(got, Err(E::Odd(3..=4))), "got {got:?}");',
    "texts": 'assert!(g("ab").starts_with("ab")); assert!(g("a").ends_with(\'a\')); assert!(g("ab").len() < 5);'
    ' assert!(!g("ab").contains("ababab")); assert_eq!(g("a"), format!("{}{}", "a", \'a\')); assert_eq!(g("xy"), "xy".repeat(2));',
    "lists": "assert!(h(&[1, 2]).unwrap().contains(&4)); assert!(!h(&[1]).unwrap().is_empty()); assert!(h(&[2]).unwrap().len() <= 1);"
    " assert!(h(&[2]).unwrap() == vec![2i64.pow(2); 1]); assert!(h(&[]).is_none());",
    "debug assertions": 'debug_assert_eq!(f(2), Ok(8237645123987123)); debug_assert!(g("a") == "aa");',
}
HELPERS = {
    "a helper": (
        "fn check(a: i64, want: i64) { assert_eq!(f(a), Ok(want)); }",
        "check(2, 8237645123987123); check(4, 8237645123987125);",
    ),
    "helpers of helpers": (
        'fn same(a: &str, want: &str) { let told = g(a); assert_eq!(told, want, "of {a}"); }'
        "fn both(a: &str, want: &str, b: i64) { same(a, want); assert!(f(b).is_ok()); }",
        'both("a", "aa", 2); for (a, want) in [("x", "xx"), ("", "")] { same(a, want) }',
    ),
    "a helper that is generic": (
        "fn check<T: std::fmt::Debug + PartialEq>(told: T, want: T) { assert_eq!(told, want); }",
        'check(f(2), Ok(8237645123987123)); check(g("a"), "aa".to_string());',
    ),
    "a helper of slices": (
        "fn check(a: &[i64], want: Option<&[i64]>) { assert_eq!(h(a).as_deref(), want); }",
        "check(&[1, 2], Some(&[2, 4])); check(&[], None);",
    ),
    "a helper that takes a function": (
        "struct Bare(i64); impl Bare { fn is_err(&self) -> bool { self.0 > 8237645123987122 } }"
        "fn check<R>(h: impl Fn(i64) -> R, a: i64, ok: impl Fn(R) -> bool, want: bool) { assert_eq!(ok(h(a)), want); }"
        "fn err(f: impl Fn(i64) -> Bare) { assert!(f(2).is_err()); }",
        "check(f, 2, |r| r == Ok(8237645123987123), true); check(f, 4, |r| r == Ok(4), false); err(|a| Bare(f(a).unwrap()));",
    ),
    "numbers that are near": (
        'fn near(a: f64, want: f64) { assert!((f(a as i64).unwrap() as f64 / 1e6 - want).abs() < 1e-9, "{want}"); }',
        "near(2.0, 8237645123.987123); for (a, want) in [(4, 8237645123.987125)] { assert!((f(a).unwrap() as f64 / 1e6 - want).abs() < 1e-9); }",
    ),
    "a constant of the module": (
        "const WANT: i64 = 8237645123987120 + 3; const A: i64 = 2;",
        "assert_eq!(f(A), Ok(WANT));",
    ),
}
INSIDE = {
    "a loop over what is not written": "for a in h(&[1, 2]).unwrap() { assert_eq!(f(a), Ok(a + 8237645123987121)); }",
    "a loop that is left": "for (a, want) in [(2, 8237645123987123)] { if a == 3 { break; } assert_eq!(f(a), Ok(want)); }",
    "a closure": "let check = |a: i64, want: i64| assert_eq!(f(a), Ok(want)); check(2, 8237645123987123);",
    "two ways": "if f(2).is_ok() { assert_eq!(f(2), Ok(8237645123987123)); }",
    "a property": "assert!(h(&[1, 2]).unwrap().iter().all(|x| x % 2 == 0 && *x < 5)); assert_eq!(h(&[1]).unwrap()[0], h(&[1]).unwrap()[0] + 0 * 3);",
    "a name that is used otherwise": 'let want = 8237645123987123; println!("{want}"); assert_eq!(f(2), Ok(want));',
    "a helper in a loop that is left": "fn same(a: i64) { assert_eq!(f(a), Ok(8237645123987123)); } for a in [2, 3] { if a == 3 { break; } same(a); }",
    "its own macro": "macro_rules! check { ($a:expr, $b:expr) => { assert_eq!(f($a), Ok($b)) } } check!(2, 8237645123987123);",
}
ALL = [(name, "", body) for name, body in FORMS.items()] + [(name, *parts) for name, parts in HELPERS.items()]


def module(own, body):
    return f"#[cfg(test)]\nmod tests {{\nuse super::*;\n{own}\n#[test]\nfn c0() {{ {body} }}\n}}"


@pytest.fixture(scope="module")
def grader():
    made = RustGrader(lint=False)
    yield made
    made.close()


def test_right_programs_pass_and_wrong_ones_fail(grader):
    """Each form was judged within the program, where a forger that reads memory finds what is expected."""
    inside = [(name, "", body) for name, body in INSIDE.items()]
    batch = [
        {
            "id": f"{name}: {'right' if code is RIGHT else 'wrong'}",
            "code": code,
            "tests": module(own, body),
            "signature": ASKS,
        }
        for name, own, body in ALL + inside
        for code in (RIGHT, WRONG)
        if code is RIGHT or name != "a property"
    ]
    for verdict in grader.grade(batch):
        assert verdict["verdict"] == ("pass" if "right" in verdict["id"] else "tests_failed"), verdict
        assert verdict["flags"] == ["judged_inside"] * any(verdict["id"].startswith(name + ":") for name in INSIDE), (
            verdict
        )


def built(code, tests, tmp_path, telling=True):
    """The source of one grading, and the program that it becomes."""
    chain = compiler.find()
    source = harness.build(code, tests, ASKS, "2021", telling)
    command = [chain.driver(False), *chain.arguments("2021", tmp_path / "out")]
    subprocess.run(command, input=source.text.encode(), env=chain.env(tmp_path, tmp_path), cwd=tmp_path, check=True)
    return source, (tmp_path / "out").read_bytes()


def test_no_form_leaves_what_it_expects_in_the_program(tmp_path):
    """A table's second column stood beside its first: a forger that reads memory had the answers there."""
    own = 'fn check(a: i64, want: i64) { assert_eq!(f(a), Ok(want)); }\nconst MANY: &[(&str, &str)] = &[("A", "needle 1")];'
    body = 'check(2, 8237645123987123); for (a, want) in MANY { assert_eq!(&g(a), want); } let late = "needle 2".to_string();'
    body += 'for (a, want) in vec![("B", "needle 3")] { assert_eq!(g(a), want, "{want}"); } assert_eq!(g("C"), late);'
    body += 'for (a, want) in [(4, 8237645123987125)].iter() { assert_eq!(f(*a), Ok(*want)); } assert!(g("D") != "needle 4");'
    body += (
        'assert!(g("E").contains("needle 5")); assert!(matches!(h(&[]), Some(v) | Some(v) if v == [7237645123987123]));'
    )
    told = [one for text in ("needle 1", "needle 2", "needle 3", "needle 4", "needle 5") for one in [text.encode()]]
    told += [number.to_bytes(8, "little") for number in (NUMBER, NUMBER + 2)]
    for telling in (True, False):
        _, program = built(RIGHT, module(own, body), tmp_path, telling)
        assert [one in program for one in told] == [not telling] * len(told)


def test_a_forger_with_every_secret_passes_no_form():
    """It signs, in order, as many values as are asked for, and ends well; but the values it can only guess."""
    guesses = ("true", "false", "0", '""', "Ok(0)", "Err(Empty)", "None", "Some([])", "(0.0, 8)", "Err(Odd(0))")
    for name, own, body in ALL:
        source = harness.build(WRONG, module(own, body), ASKS, "2021")
        (wanted,) = source.expects
        alike = [itertools.repeat(guess, len(wanted)) for guess in guesses]
        for told in [*alike, itertools.cycle(guesses)]:
            values = "".join(f"\n{source.secret} {value}\n" for value, _ in zip(told, wanted, strict=False))
            report = f"\n{source.secret}N 2 ok\n{values}\n{source.secret}N 0 ok\n\n{source.secret}N 1 ok\n"
            read = hidden.read(report.encode(), source.secret, "N", source.expects)
            assert (read.passed, read.complete) == (0, True), name


@pytest.mark.parametrize(
    ("condition", "fit", "unfit"),
    [
        ("b(1) != true", ["false"], ["true", "yes", ""]),
        ("!b(1)", ["false"], ["true", "yes", ""]),
        ("n(1) != 3", ["4", "-3"], ["3", "x", "3.0.0"]),
        ("n(1) < 3", ["2", "-9"], ["3", "x", "", "-" + "9" * 5000]),
        ("2.5 <= x(1)", ["2.5", "1e300"], ["2.4", "NaN", "inf", "x"]),
        ('s(1) != "a"', ['"b"', '""'], ['"a"', "b"]),
        ('s(1).contains("a\\n")', ['"ba\\nc"'], ['"b"', "a\\n"]),
        ("!s(1).is_empty()", ['"b"'], ['""']),
        ("o(1).is_some()", ["Some(3)"], ["None", "Some"]),
        ("matches!(o(1), Some(1..=3) | None)", ["Some(3)", "None"], ["Some(4)", "Some((3))"]),
        ('matches!(t(1), (_, 3, "a, 3, b"))', ['((1, 2), 3, "a, 3, b")'], ['("x, 3, y", 4, "a, 3, b")', '(1, 3, "a")']),
        ("matches!(l(1), [1, .., 3])", ["[1, 3]", "[1, [2], 3]"], ["[1]", "[3]", "[1, 2]"]),
        (
            "matches!(e(1), Err(E::Both { a: 1, .. }))",
            ['Err(Both { a: 1, b: "}" })'],
            ['Err(Both { a: 2, b: "a: 1" })', "Err(Both)"],
        ),
    ],
)
def test_what_is_like_a_value_is_shown_as_one(condition, fit, unfit):
    """A forger that tells `x` where anything but 3 will do has told no number."""
    kinds = {
        "b": "bool",
        "n": "i64",
        "x": "f64",
        "s": "String",
        "o": "Option<i64>",
        "l": "Vec<i64>",
        "e": "Result<i64, E>",
    }
    kinds["t"] = "((i64, i64), i64, String)"
    asks = TYPES + "".join(f"pub fn {name}(a: i64) -> {kind} {{ todo!() }}\n" for name, kind in kinds.items())
    source = harness.build(asks, module("", f"assert!({condition});"), asks.replace("todo!()", ""), "2021")
    ((wanted,),) = source.expects
    assert source.flags == ()
    assert [[wanted.fits(text) for text in texts] for texts in (fit, unfit)] == [
        [True] * len(fit),
        [False] * len(unfit),
    ]


def test_what_a_program_tells_is_read_in_time():
    """Quotes that never end were looked for from each quote on, by the square of a megabyte."""
    tests = module("", 'assert!(h(&[1]).unwrap().contains(&5)); assert!(g("a").contains("b"));')
    ((of_list, of_text),) = harness.build(RIGHT, tests, ASKS, "2021").expects
    began = time.process_time()
    texts = ['["' + '\\"' * 200_000, "[" * 300_000, "['\\" * 100_000, "[" + "'" * 300_000, "[" + "5, " * 100_000 + "6]"]
    assert [of_list.fits(text) for text in texts] == [False, False, False, False, True]
    assert not any(of_text.fits(text) for text in [*texts, '"b\\u{110000}"', '"b\\u{' + "9" * 9000 + '}"'])
    assert time.process_time() - began < 5


def test_a_test_that_goes_on_and_on_is_followed_for_a_while():
    """Three loops of a thousand each were followed in full, for hours."""
    loops = "for i in 0..1000 { for j in 0..1000 { for k in 0..1000 { BODY } } }"
    began = time.process_time()
    for body in ("v.push(i + j + k);", "if k == 3 { assert!(k > 2) }", "assert_eq!(f(k), Ok(i));"):
        tests = module("", loops.replace("BODY", body) + "assert_eq!(f(1), Ok(3));")
        assert len(harness.build(RIGHT, tests, ASKS, "2021").expects[0]) == ("push" in body)
    assert time.process_time() - began < 10


def test_a_truth_is_a_bool(grader):
    """A type with `!` and an equality of its own said whatever it was compared with."""
    code = TRUTH + "pub fn even(_: i64) -> Truth { Truth }"
    for body in (
        "let told = even(2); assert!(told); let told = even(3); assert!(!told);",
        "assert!(even(2) && !even(3));",
    ):
        (verdict,) = grader.grade([{"id": body, "code": code, "tests": module("", body)}])
        assert verdict["verdict"] == "compile_error", verdict
