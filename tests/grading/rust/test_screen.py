"""Extraction: one stated rule, no compiler needed."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbcore.grading.rust.screen import defines, extract, target

ADD = "pub fn add(a: i64, b: i64) -> i64 {\n    a + b\n}\n"
SIGNATURE = "pub fn add(a: i64, b: i64) -> i64 {"


def fenced(code, tag="rust"):
    return f"```{tag}\n{code}```\n"


@pytest.mark.parametrize("tag", ["rust", "rs", "", "Rust", "rust,ignore", "rust edition=2021"])
def test_a_block_is_taken_out_of_its_prose(tag):
    assert extract(f"Sure:\n\n{fenced(ADD, tag)}\nDone.", SIGNATURE) == ADD


def test_first_block_that_defines_the_target_wins_over_the_first_block():
    usage = "fn main() { add(1, 2); }\n"
    other = "pub fn add(a: i64, b: i64) -> i64 { b + a }\n"
    assert extract(fenced(usage) + fenced(ADD) + fenced(other), SIGNATURE) == ADD
    assert extract(fenced(usage) + fenced(ADD)) == usage


def test_other_languages_do_not_count_beside_rust():
    assert extract(fenced("[package]\n", "toml") + fenced(ADD), SIGNATURE) == ADD
    assert extract(fenced("def add(): ...\n", "python")) == "def add(): ...\n"


def test_unclosed_fence_runs_to_the_end():
    assert extract("Here:\n```rust\n" + ADD, SIGNATURE) == ADD


def test_a_fence_inside_a_doc_comment_does_not_close_the_block():
    documented = "/// Adds.\n///\n/// ```\n/// assert_eq!(1, 1);\n/// ```\n" + ADD
    assert extract(fenced(documented), SIGNATURE) == documented


def test_without_a_fence_the_text_counts_if_it_has_a_function():
    assert extract(ADD, SIGNATURE) == ADD
    assert extract("I cannot do that.", SIGNATURE) is None
    assert extract("") is None
    assert extract("```rust\n```\n") is None


def test_a_bare_body_is_not_completed_into_a_function():
    assert extract("    a + b\n}\n", SIGNATURE) is None
    assert extract(fenced("a + b\n"), SIGNATURE) == "a + b\n"


def test_a_name_in_a_comment_or_a_string_defines_nothing():
    assert not defines('// fn add(\nlet s = "fn add("; /* fn add( */', "add")
    assert defines("fn add<T>(a: T)", "add")
    assert target("use x;\nfn helper() {}\npub fn add(a: u8) -> u8 {") == "add"
    assert target(None) is None


@given(st.text(), st.none() | st.text())
def test_extraction_never_raises(completion, signature):
    found = extract(completion, signature)
    assert found is None or found.strip()


@given(st.lists(st.sampled_from(["```", "```rust", "~~~", "fn f() {}", "prose", '"', "/*", "*/", "'a", 'r#"', "\r"])))
def test_extraction_never_raises_on_fence_soup(lines):
    extract("\n".join(lines), "fn f() {")


@given(st.text(alphabet="abc(){};=\n ", max_size=200))
def test_extraction_leaves_plain_code_alone(body):
    code = f"fn f() {{ {body} }}"
    assert extract(code, "fn f() {") == code
    assert extract(extract(fenced(code + "\n"))) == code + "\n"


def test_extraction_is_linear():
    for piece in ("```\n", "#" + " " * 10**5, "```" + " " * 10**5 + "`", "'", '"'):
        started = time.process_time()
        extract(piece * max(1, 200_000 // len(piece)), "fn f(")
        assert time.process_time() - started < 2, piece[:20]
