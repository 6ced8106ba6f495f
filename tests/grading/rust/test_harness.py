"""How a candidate and its hidden tests become one source; what it does with the compiler is in test_grader."""

import contextlib
import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbcore.grading.rust import harness, hidden, signatures, structure
from nbcore.grading.rust.answer import extract
from nbcore.grading.rust.forbidden import screen
from tests.grading import hostile, hostile_kinds

TESTS = "#[cfg(test)]\nmod tests {\n    use super::*;\n    #[test]\n    fn one() { assert_eq!(add(1), Some(2)); }\n}\n"


def build(
    code="pub fn add(a: u8) -> Option<u8> { Some(a + 1) }", tests=TESTS, signature="pub fn add(a: u8) -> Option<u8> {"
):
    return harness.build(code, tests, signature, "2021")


def test_the_candidates_lines_are_told_from_ours():
    """Warnings and errors are charged to whoever wrote the line."""
    source = build("//! Docs.\n#![allow(unused)]\n/// Adds.\npub fn add(a: u8) -> Option<u8> { None }\n")
    lines = source.text.split("\n")
    assert lines[:2] == ["//! Docs.", "#![allow(unused)]"]
    assert lines[source.ours.stop - 1 :][:3] == ["", "/// Adds.", "pub fn add(a: u8) -> Option<u8> { None }"]


def test_tests_become_public_functions_and_nothing_else_changes():
    text, cases, *_ = hidden.functions(
        '#[cfg(test)] mod tests { const N: &str = "#[test]"; // #[test]\n'
        '#[test] #[should_panic(expected = "no")] fn a() { panic!("no way") }\n'
        "#[ignore] #[test] fn b() {} #[test] pub fn c() {} fn helper() {}\n"
        "mod inner { #[test] fn d() {} } }"
    )
    assert [case.path for case in cases] == ["tests::a", "tests::c", "tests::inner::d"]
    assert [case.panics for case in cases] == ['"no"', None, None]
    assert "pub fn a()" in text and "pub pub" not in text and 'const N: &str = "#[test]"; // #[test]' in text
    assert "pub fn helper" not in text and "#[cfg(test)]" not in text


@pytest.mark.parametrize(
    ("signature", "pin"),
    [
        ("pub fn f(a: i64, b: &str) -> i64 {", "fn f(p0: i64, p1: &str) -> i64  { super::f(p0, p1) }"),
        ("fn f(mut v: Vec<u8>)", "fn f(p0: Vec<u8>)  { super::f(p0) }"),
        ("pub fn f<'a, T: Ord>(x: &'a [T]) -> Option<&'a T> {", "fn f<'a, T: Ord>(p0: &'a [T]) -> Option<&'a T>"),
        ("pub fn f<T>(x: T) -> T where T: Clone {", "fn f<T>(p0: T) -> T where T: Clone { super::f::<T>(p0) }"),
        ("pub const fn f(x: u8) -> u8 {", "const fn f(p0: u8) -> u8  { super::f(p0) }"),
        ("pub async fn f() -> u8 {", "async fn f() -> u8  { super::f().await }"),
        ("pub fn f(g: impl Fn(u8) -> u8) -> impl Fn(u8) -> u8 {", "fn f(p0: impl Fn(u8) -> u8) -> impl Fn(u8) -> u8"),
        (
            "impl S {\n pub fn f(&self, k: u8) -> u8 {",
            "impl Pin for S { fn f(&self, p0: u8) -> u8  { let it = [<S>::f(self, p0)]; let [it]: [u8; 1] = it; it } }",
        ),
        ("impl S {\n fn f(mut self) -> Self {", "impl Pin for S { fn f(self) -> Self  { let it = [<S>::f(self)]"),
        ("impl From<u8> for S {\n fn from(x: u8) -> Self {", "const _: fn(u8) -> S = <S>::from;"),
    ],
)
def test_the_exact_signature_is_pinned(signature, pin):
    """Without it a type that equals everything passes every test."""
    assert pin in build("pub fn f() {}", "", signature).text


def test_names_of_std_are_stds_and_nothing_is_globbed_from_the_candidate():
    code = "use std::fmt::Debug as HashMap;\npub struct Given;\npub trait one {}\n"
    code += "pub fn add(a: u8) -> Option<u8> { None }\n"
    tests = TESTS.replace("add(1)", "{ let _: HashMap<Given, Vec<u8>>; add(1) }")
    source = build(code, tests, "pub struct Given;\npub fn add(a: u8) -> Option<u8> {")
    ours = "\n".join(source.text.split("\n")[source.ours.start - 1 : source.ours.stop - 1])
    for name in (
        "collections::HashMap",
        "vec::Vec",
        "option::Option",
        "option::Option::Some",
        "primitive::u8",
        "assert_eq",
    ):
        assert f"{name};" in ours
    assert "use super::{Given};" in ours and ours.count("use super::*") == 1  # the tests' own, of our module


def test_two_gradings_share_no_secret():
    """A secret that could be learned from one sample must be worth nothing for the next."""
    one, two = build(), build()
    assert len({one.secret, two.secret, one.module, two.module}) == 4
    assert one.secret not in one.module and re.fullmatch(r"[0-9a-f]{32}", one.secret)


@pytest.mark.parametrize(
    ("code", "flag"),
    [
        ("#![no_main]\nfn add() {}", "inner_attribute"),
        ('#![doc = r#"x"#]\nfn add() {}', "inner_attribute"),
        ("#! /* */ [allow(unused)]\nfn add() {}", "inner_attribute"),
        ("#!\n[allow(unused)]\nfn add() {}", "inner_attribute"),
    ],
)
def test_heads_that_could_be_read_two_ways_are_refused(code, flag):
    """Text put in after such a head could land inside a string or a comment, and the candidate's main would run."""
    with pytest.raises(signatures.Mismatch) as refused:
        build(code)
    assert refused.value.flag == flag


def test_a_type_that_must_derive_equality_may_not_write_it():
    signature = "#[derive(Debug, PartialEq)]\npub enum P {\n    A,\n}\n\npub fn add(a: u8) -> P {"
    derived = "#[derive(Debug, Clone, PartialEq)]\npub enum P { A }\npub fn add(a: u8) -> P { P::A }"
    build(derived, "", signature)
    with pytest.raises(signatures.Mismatch, match="`P` must derive PartialEq"):
        build(derived.replace(", PartialEq", ""), "", signature)
    for wrong in (
        "#[cfg(any())]\n" + derived,
        derived.replace("enum P", "enum Q"),
        derived.replace("{ A }", "{ A, B }"),
    ):
        with pytest.raises(signatures.Mismatch, match="`P` must be defined once, as the task has it"):
            build(wrong, "", signature)


@pytest.mark.parametrize(
    "head",
    [
        '#![crate_type = "lib"]',
        '#![crate_name = "adds"]',
        "#![cfg_attr(not(test), no_std)]",
        "#![cfg_attr(test, allow(x))]",
    ],
)
def test_what_a_library_says_of_itself_is_no_trick(head):
    code = f"//! Adds.\n{head}\npub fn add(a: u8) -> Option<u8> {{ None }}\n"
    lines = build(code).text.split("\n")
    assert lines[0] == "//! Adds." and lines[1].strip() == ("" if "crate" in head else head)
    with pytest.raises(signatures.Mismatch, match="inner attribute"):
        build(code.replace(head, "#![cfg_attr(not(test), no_main)]"))


TEXT = st.text(st.sampled_from("#![]()/*!{}\"'\\ \nr#fnmaiusedoc=x0:;,"), max_size=80)


@settings(deadline=None)  # a busy machine is no fault
@given(TEXT)
def test_any_text_is_either_refused_or_kept_whole(code):
    """Nothing of the candidate is lost or moved but its head, and no text breaks the harness."""
    try:
        source = build(code)
    except signatures.Mismatch:
        return
    lines = source.text.split("\n")
    split = lines[source.ours.start - 2] + lines[source.ours.stop - 1]
    kept = "\n".join([*lines[: source.ours.start - 2], split, *lines[source.ours.stop :]])
    assert re.sub(r"#\[allow\(dead_code\)\] (.*?)own_main_[0-9a-f]{16}", r"\1main", kept) == code


SIGNS = [*"{}()[]<>#!&$?*;:,=|'\"@é", "::", "'a", 'r#"', "/*", "*/", "//", "\ud800", "..", "=>", "->", "r#", "b'"]
PROGRAMS = [code for _, _, code, _ in hostile.TASKS + hostile_kinds.TASKS]
SIGNATURES = [task[0] for _, task, _, _ in hostile.TASKS + hostile_kinds.TASKS]


def test_no_program_that_is_damaged_breaks_its_readers():
    """A fault of a reader is an infra_error: `use std::{self, :{self}};` was one, and so no zero for its author."""
    damaged = ["use std::{self, :{self}};\n" + code for code in PROGRAMS[:3]]
    rng, cut = random.Random(0), [re.findall(r"\w+|\s+|[^\w\s]", code) for code in PROGRAMS]
    for _ in range(600):
        words = list(rng.choice(cut))
        for _ in range(rng.choice((1, 2, 4))):
            at = rng.randrange(len(words))
            words[at : at + rng.randrange(2)] = rng.choice(
                (words[at : at + 9], rng.choice(cut)[:2], [rng.choice(SIGNS)])
            )
        damaged.append("".join(words))
    for code in damaged:
        signature = rng.choice(SIGNATURES)
        taken = extract(code, signature, TESTS) or code
        screen(taken, source_kb=64)
        structure.noted(taken, signature)
        with contextlib.suppress(signatures.Mismatch):
            build(taken, signature=signature)
