"""What a program is made of, by its syntax tree."""

import pytest

from nbcore.grading.rust.structure import documentation, own_tests, structure

CODE = """
/// Adds two numbers.
pub fn add(a: i64, b: i64) -> i64 { a + b }

#[derive(Debug)]
pub struct Point { x: i64 }

impl Point {
    /// The sum of the even ones.
    pub fn evens(&self, values: &[i64]) -> Option<i64> {
        let first = values.first()?; // unwrap() in a comment, and "unsafe" in a "string"
        match first { 0 => None, _ => Some(values.iter().filter(|v| *v % 2 == 0).sum::<i64>()) }
    }
}

trait Area { fn area(&self) -> f64; }

fn helper(x: Option<u8>) -> u8 { x.unwrap() }

#[cfg(test)]
mod tests {
    #[test]
    fn adds() { assert_eq!(super::add(1, 2), 3); }
}
"""


def test_counts():
    """Strings and comments are not code: a regex would count them."""
    found = structure(CODE)
    counts = {name: found[name] for name in ("functions", "structs", "impls", "traits", "tests", "unsafe", "unwraps")}
    assert counts == {"functions": 4, "structs": 1, "impls": 1, "traits": 1, "tests": 1, "unsafe": 0, "unwraps": 1}
    assert found["documented"] == pytest.approx(2 / 3) and found["idioms"] == 1.0
    assert found["flags"] == [] and found["coverage"] is None


def test_coverage_is_the_share_of_the_prompts_words():
    found = structure("fn sum_of_squares(values: &[i64]) -> i64 { 0 }", "Return the sum of the squares of even values.")
    assert found["coverage"] == 0.75  # sum, squares and values, but not even


@pytest.mark.parametrize(
    ("tests", "count", "flags"),
    [
        ("#[test] fn t() { assert_eq!(add(1, 2), 3); }", 1, []),
        ("#[test] #[ignore] fn t() { assert_eq!(add(1, 2), 3); }", 0, ["own_tests_ignored"]),
        ("#[test] fn t() { assert!(true); }", 0, ["own_tests_do_not_call_target"]),
        ("// #[test] fn t() { add(1, 2); }", 0, []),
    ],
)
def test_own_tests_that_can_show_nothing_are_flagged(tests, count, flags):
    assert own_tests(f"mod tests {{ {tests} }}", "fn add(a: i64, b: i64) -> i64 {") == (count, flags)


def test_spam_documents_nothing():
    """Else a policy would learn to repeat itself above every function."""
    spam = "/// Adds. # Examples # Errors # Panics\n" * 40 + "pub fn add() {}"
    assert documentation(spam) == 0 and "doc_spam" in structure(spam)["flags"]
    assert documentation("/// Adds.\npub fn add() {}\npub fn bare() {}") == 0.5
    assert documentation("fn private() {}") == 0


def test_what_does_not_parse_is_counted_too():
    assert structure("pub fn broken( { let x = ;")["lines"] == 1
    assert structure("")["functions"] == 0
