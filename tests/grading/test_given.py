"""What a signature gives is the task's, by whatever way a candidate would have it otherwise; and honest programs pass."""

# ruff: noqa: E501 (the samples are lines of Rust)

import shutil

import pytest

from nbcore.grading.grader import RustGrader
from nbcore.grading.reward import is_hack
from tests.grading.hostile import FAILS, NOT_AS_GIVEN, NOT_BUILT

pytestmark = pytest.mark.skipif(shutil.which("rustc") is None, reason="rustc is not installed")

LIES = (
    "pub struct Lie;\nimpl Lie { pub fn contains(&self, _: &str) -> bool { true } pub fn starts_with(&self, _: &str) -> bool { true } pub fn len(&self) -> usize { 9 } }\n"
    'impl std::ops::Deref for Lie { type Target = str; fn deref(&self) -> &str { "" } }\n'
)
SHOWN = (
    "use std::fmt;\n\npub struct P {\n    pub x: i64,\n}\n\nimpl fmt::Display for P {\n    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {",
    'assert!(P { x: 3 }.to_string().contains("3"));',
)
SILENT = (
    "use std::fmt;\n"
    + LIES
    + "pub struct P { pub x: i64 }\nimpl fmt::Display for P { fn fmt(&self, _: &mut fmt::Formatter) -> fmt::Result { Ok(()) } }\n"
)
METHOD = "{ pub fn to_string(&self) -> Lie { Lie } }"
WORD = (
    "pub struct P<'a> {\n    s: &'a str,\n}\n\nimpl<'a> P<'a> {\n    pub fn new(s: &'a str) -> Self {\n        P { s }\n    }\n    pub fn word(&self) -> &'a str {",
    'assert!(P::new("ab c").word().len() > 1); assert!(P::new("ab c").word().starts_with("ab"));',
)
HAS = "pub struct P<'a> { s: &'a str }\nimpl<'a> P<'a> { pub fn new(s: &'a str) -> Self { P { s } } "
FIELD = (
    "pub struct Tok<'a> {\n    pub text: &'a str,\n    pub at: usize,\n}\n\npub fn first<'a>(s: &'a str) -> Tok<'a> {",
    'let t = first(" a"); assert!(t.at > 0 || t.text.is_empty());',
)
NUMBER = "#[derive(PartialEq, PartialOrd)] pub struct N(std::primitive::usize);\nimpl std::ops::Deref for N { type Target = std::primitive::usize; fn deref(&self) -> &std::primitive::usize { &self.0 } }\nimpl PartialOrd<i32> for N { fn partial_cmp(&self, _: &i32) -> Option<std::cmp::Ordering> { Some(std::cmp::Ordering::Greater) } }\nimpl PartialEq<i32> for N { fn eq(&self, _: &i32) -> bool { true } }\n"
LEVEL = (
    "#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default)]\npub enum Level {\n    #[default]\n    Low,\n    Mid,\n    High,\n}\n\npub fn level(n: i64) -> Level {",
    "assert!(level(5) > Level::default()); assert!(level(9) > level(5)); assert!(level(0) == Level::default());",
)
HIGH = " if n > 8 { Level::High } else if n > 4 { Level::Mid } else { Level::Low } }"
ANY_ORDER = "PartialOrd for Level { fn partial_cmp(&self, _: &Level) -> Option<std::cmp::Ordering> { None } fn gt(&self, _: &Level) -> bool { true } }\n"
ONE_LEVEL = "pub enum Level { #[default] Low, Mid, High }\npub fn level(_: i64) -> Level { Level::Low }"
BAG = (
    "pub struct Bag {\n    pub items: Vec<i64>,\n}\n\nimpl Bag {\n    pub fn evens(&self) -> impl Iterator<Item = i64> + '_ {",
    "let b = Bag { items: vec![1, 2] }; assert!(b.evens().count() == 1 || b.evens().all(|x| x % 2 == 0));",
)
HEAP = (
    "use std::fmt::Display;\n\n#[derive(Debug, Clone)]\npub struct Heap<T: Ord + Clone = i64>\nwhere\n    T: std::fmt::Debug + Display,\n{\n    v: Vec<T>,\n}\n\nimpl<T: Ord + Clone + std::fmt::Debug + Display> Heap<T> {\n    pub fn of(v: Vec<T>) -> Self {\n        Heap { v }\n    }\n    pub fn top(&self) -> Option<&T> {",
    "let h: Heap = Heap::of(vec![1, 3, 2]); assert_eq!(h.clone().top(), Some(&3));",
)
MATRIX = (
    "use std::ops::Add;\n\n#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]\npub struct M<const N: usize>(pub [i64; N]);\n\nimpl<const N: usize> Add for M<N> {\n    type Output = M<N>;\n    fn add(self, o: M<N>) -> M<N> {",
    "assert_eq!(M([1, 2]) + M([3, 4]), M([4, 6])); assert!(M([1]).add(M([1])).gt(&M([1]))); assert_eq!(M([1]).max(M([3])), M([3]));",
)
COUNT = (
    "pub struct Count {\n    n: u32,\n}\n\nimpl Count {\n    pub fn new() -> Self {\n        Count { n: 0 }\n    }\n}\n\nimpl Iterator for Count {\n    type Item = u32;\n    fn next(&mut self) -> Option<Self::Item> {",
    "assert_eq!(Count::new().map(|x| x * 2).take(2).sum::<u32>(), 6); let mut c = Count::new(); assert_eq!(c.nth(1), Some(2)); assert!(c.by_ref().take(2).all(|x| x > 2));",
)
FULL = (
    "#[derive(Debug, Clone, PartialEq)]\npub struct Bag {\n    items: Vec<i64>,\n}\n\nimpl Bag {\n    pub fn is_empty(&self) -> bool {\n        self.items.is_empty()\n    }\n    pub fn contains(&self, x: &i64) -> bool {\n        self.items.contains(x)\n    }\n}\n\npub fn make(n: i64) -> Bag {",
    "assert!(make(0).is_empty()); assert!(!make(3).is_empty()); assert!(make(3).contains(&2));",
)
MONEY = (
    "#[derive(Debug)]\npub struct Money(pub i64);\n\nimpl PartialEq<i64> for Money {\n    fn eq(&self, o: &i64) -> bool {\n        self.0 == *o\n    }\n}\n\npub fn price(x: i64) -> Money {",
    "assert_eq!(price(2), 4); assert!(price(3) == 6); assert_ne!(price(1), 3);",
)
SHOUT = (
    "pub fn shout(s: &str) -> String {",
    'assert!(shout("abc").contains(&"BC".to_string())); assert!(!shout("a").contains(&"x"));',
)
HALF = (
    "pub fn half(x: i64) -> i64 {",
    "'out: { if half(4) == 2 { break 'out; } assert_eq!(half(1), 7); } assert_eq!(half(8), 4);",
)

FORGED = {
    "a method ahead, by an alias": (SHOWN, SILENT + "type Q = P;\nimpl Q " + METHOD),
    "a method ahead, by an import": (SHOWN, SILENT + "mod m { use super::{Lie, P as Q}; impl Q " + METHOD + " }"),
    "a method ahead, by a macro's name": (SHOWN, SILENT + "macro_rules! m { ($n:ident) => { impl P { pub fn $n(&self) -> Lie { Lie } } } }\nm!(to_string);"),
    "a method ahead, by a macro's tokens": (SHOWN, SILENT + "macro_rules! m { ($($t:tt)*) => { $($t)* } }\nm!(impl P " + METHOD + ");"),
    "a method ahead, by a raw name": (SHOWN, SILENT + "impl r#P " + METHOD.replace("to_s", "r#to_s")),
    "a default ahead of the derived one": (LEVEL, LEVEL[0].partition("pub enum")[0] + ONE_LEVEL + "\nimpl Level { pub fn default() -> Level { Level::Low } }"),
    "a result that becomes the right type": (WORD, LIES + HAS + "pub fn word(&self) -> &'a Lie { &Lie } }"),
    "a field that becomes the right type": (FIELD, NUMBER + "#[allow(non_camel_case_types)] type usize = N;\npub struct Tok<'a> { pub text: &'a str, pub at: usize }\npub fn first<'a>(s: &'a str) -> Tok<'a> { Tok { text: s, at: N(0) } }"),
    "an order by hand": (LEVEL, "#[derive(Debug, Clone, Copy, PartialEq, Default)]\n" + ONE_LEVEL + "\nimpl " + ANY_ORDER),
    "an order by hand in a module": (LEVEL, "#[derive(Debug, Clone, Copy, PartialEq, Default)]\n" + ONE_LEVEL + "\nmod m { use super::Level; impl " + ANY_ORDER + " }"),
    "an order by another derive": (LEVEL, "use std::hash::Hash as PartialOrd;\n#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default)]\n" + ONE_LEVEL + "\nimpl std::cmp::" + ANY_ORDER),
    "another default": (LEVEL, LEVEL[0].replace("    #[default]\n", "").replace("High,", "#[default] High,") + " let _ = n; Level::High }"),
    "an iterator by name": (BAG, "pub struct E; impl E { pub fn count(&self) -> usize { 1 } pub fn all<F: Fn(i64) -> bool>(&self, _: F) -> bool { true } }\nimpl Iterator for E { type Item = i64; fn next(&mut self) -> Option<i64> { None } }\npub struct Bag { pub items: Vec<i64> }\nimpl Bag { pub fn evens(&self) -> E { E } }"),
}  # fmt: skip
HONEST = {
    "bounds and defaults of a type": (HEAP, HEAP[0] + " self.v.iter().max() } }"),
    "constants of a type": (MATRIX, MATRIX[0] + " let mut r = self; for i in 0..N { r.0[i] += o.0[i]; } r } }"),
    "an iterator's methods": (COUNT, COUNT[0] + " self.n += 1; Some(self.n) } }"),
    "an opaque method": (BAG, BAG[0] + " self.items.iter().copied().filter(|x| x % 2 == 0) } }"),
    "a lifetimed method": (WORD, WORD[0] + " self.s.split(' ').next().unwrap_or(\"\") } }"),
    "what is derived": (LEVEL, LEVEL[0] + HIGH),
    "an order by hand, and right": (LEVEL, LEVEL[0].replace("PartialOrd, ", "") + HIGH + "\nimpl PartialOrd for Level { fn partial_cmp(&self, o: &Self) -> Option<std::cmp::Ordering> { (*self as u8).partial_cmp(&(*o as u8)) } }"),
    "methods of the task's own": (FULL, FULL[0] + " Bag { items: (0..n).collect() } }"),
    "equal to a number by hand": (MONEY, MONEY[0] + " Money(x * 2) }"),
    "a text in a text, by reference": (SHOUT, SHOUT[0] + " s.to_uppercase() }"),
    "a block that is left": (HALF, HALF[0] + " x / 2 }"),
}  # fmt: skip


@pytest.fixture(scope="module")
def grader():
    grader = RustGrader(jobs=1)
    yield grader
    grader.close()


def graded(grader, samples):
    tests = "#[cfg(test)]\nmod tests {{\nuse super::*;\n#[test]\nfn c0() {{ {} }}\n}}"
    return grader.grade(
        [
            {"id": name, "code": code, "signature": signature, "tests": tests.format(test)}
            for name, ((signature, test), code) in samples.items()
        ]
    )


def test_what_the_task_gives_is_the_tasks(grader):
    """Methods by alias or macro, results that become the right type and orders written by hand passed wrong programs."""
    verdicts = graded(grader, FORGED)
    assert [(v["id"], v["verdict"]) for v in verdicts if v["verdict"] not in NOT_AS_GIVEN | FAILS] == []


def test_honest_programs_with_types_of_the_task_pass(grader):
    """A type's own `is_empty`, an equality with numbers and a block that is left early were judged as what they are not."""
    verdicts = graded(grader, HONEST)
    assert [(v["id"], v["verdict"], v["errors"]) for v in verdicts if not v["passed"] or is_hack(v)] == []


def test_nesting_is_the_candidates_doing(grader):
    """A thousand modules or quoted answers in each other were an infra_error: no zero, and graded again for ever."""
    given = {"tests": "#[test] fn a() { assert_eq!(half(2), 1); }", "signature": HALF[0]}
    modules = {"id": "modules", "code": "mod a {" * 3000 + "}" * 3000 + "\nstruct X;\n" + HALF[0] + " x / 2 }", **given}
    answers = {"id": "answers", "completion": "````md\n~~~~md\n" * 700 + "fn half", **given}
    for verdict in grader.grade([modules, answers]):
        assert verdict["verdict"] in NOT_BUILT, verdict
