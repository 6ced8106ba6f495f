"""Crates with their own tests: the tests leave the folder, and no program that calls its tests passed is believed."""

import pytest

from nbcore.agent import crates, guard, making, scripted
from nbcore.agent.episode import Episode, advance, settle
from nbcore.data.std_crate import Crate
from nbcore.grading.grader import Limits, RustGrader

LIB = """//! Counts.
/// A counter.
#[derive(Debug, Clone)]
pub struct Counter { most: u32, now: u32 }

impl Counter {
    pub fn new(most: u32) -> Self { Counter { most, now: 0 } }
    pub fn add(&mut self, by: u32) -> bool {
        if self.now + by > self.most {
            return false;
        }
        self.now += by;
        true
    }
    pub fn now(&self) -> u32 { self.now }
}

impl PartialEq for Counter {
    fn eq(&self, other: &Counter) -> bool { self.now == other.now }
}

#[cfg(test)]
use std::fmt::Debug;

#[cfg(test)]
mod tests {
    use super::*;
    fn same<T: Debug + PartialEq>(a: T, b: T) { assert_eq!(a, b) }
    #[test]
    fn adds() { let mut c = Counter::new(3); assert!(c.add(3)); same(c.now(), 3); }
    #[test]
    fn stops() { let mut c = Counter::new(3); assert!(!c.add(4)); same(c.now(), 0); }
    #[test]
    fn equals() { same(Counter::new(1), Counter::new(2)); }
    #[test]
    fn differs() { let mut c = Counter::new(1); c.add(1); assert!(c != Counter::new(1)); }
}

#[cfg(test)]
mod more;
"""
MORE = "#[test]\nfn starts_at_nothing() { assert_eq!(crate::Counter::new(1).now(), 0); }\n"
SUITE = "#[test]\nfn from_outside() { assert!(!tiny::Counter::new(0).add(1)); }\n"
FILES = {"src/lib.rs": LIB, "src/more.rs": MORE, "tests/suite.rs": SUITE, "build.rs": "fn main() {}"}
TINY = Crate("tiny-0.1.0", FILES, "src/lib.rs", "2021", (), "MIT")


@pytest.fixture(scope="module")
def grader():
    with_ = RustGrader(jobs=1, lint=False, limits=Limits(run_cpu_s=1, run_wall_s=3))
    yield with_
    with_.close()


@pytest.fixture(scope="module")
def found(grader):
    return making.verified(list(crates.problems(TINY, 9, 0, grader)), grader)


def test_tests_leave_the_folder():
    parts = crates.parted(TINY)
    assert list(parts.library) == ["src/lib.rs"] and "test" not in parts.library["src/lib.rs"]
    assert set(parts.unit_tests) == {"src/lib.rs", "src/more.rs"}


def test_faults_of_a_crate_are_seen_by_visible_tests_and_repaired(found, grader, tmp_path):
    assert len(found) >= 3 and all(0 < len(problem.only) < problem.total for problem in found)
    rows = scripted.demonstrate([(problem, "direct") for problem in found[:3]], grader, tmp_path)
    assert len(rows) == 3


FORGED = {
    "exits": ("self.now += by;", "std::process::exit(0);"),
    "exits by another name": ("self.now += by;", "use std::process as p; p::exit(0);"),
    "prints a report": ("self.now += by;", 'print!("test result: ok. 5 passed; 0 failed;"); std::process::exit(0);'),
    "equal to all": ("self.now == other.now", "true"),
    "another macro": ("//! Counts.", "macro_rules! assert { ($($x:tt)*) => {} }"),
    "no tests": ("//! Counts.", "#![cfg(not(test))]"),
    "another type": ("pub struct Counter { most: u32, now: u32 }", "pub struct Counter { most: u32, now: u32, x: () }"),
    "a derive": ("#[derive(Debug, Clone)]", "#[derive(Debug, Clone, PartialEq)]"),
    "a module of tests": ("//! Counts.", "mod tests { #[test] fn yes() {} }"),
    "an impl in a body": ("self.now += by;", "impl Drop for Counter { fn drop(&mut self) { } }"),
    "a thread": ("self.now += by;", "std::thread::spawn(|| loop {});"),
    "does not parse": ("self.now += by;", "}}}"),
    "exits by raw names": ("self.now += by;", "std::r#process::r#exit(0);"),
    "a comment without an end": ("self.now += by;", "/*"),
    "asks who called": ("self.now += by;", "let who = std::backtrace::Backtrace::force_capture();"),
    "includes a file": ("self.now += by;", 'include!("/etc/passwd");'),
    "its own assert": ("self.now += by;", "macro_rules! assert { ($($t:tt)*) => {} }"),
}


@pytest.mark.parametrize("name", FORGED)
def test_what_could_forge_a_report_is_refused(name):
    text = crates.parted(TINY).library
    old, new = FORGED[name]
    assert old in text["src/lib.rs"]
    assert guard.forbidden(text, {"src/lib.rs": text["src/lib.rs"].replace(old, new)})
    assert guard.forbidden(text, text | {"src/extra.rs": ""}) and guard.forbidden(text, {})
    assert not guard.forbidden(text, {"src/lib.rs": text["src/lib.rs"].replace("self.now += by;", "self.now += 2;")})


def test_what_one_function_may_say_another_may_not_for_it():
    """Counted over the file, a call that ends the program could be moved into the function that is tested."""
    given = "fn end() { std::process::exit(0) }\nfn add() -> u32 { 1 }\n"
    moved = "fn end() { }\nfn add() -> u32 { std::process::exit(0) }\n"
    assert guard.forbidden({"src/lib.rs": given}, {"src/lib.rs": moved})
    assert not guard.forbidden({"src/lib.rs": given}, {"src/lib.rs": given.replace("1", "2")})


def test_a_report_that_a_failing_test_prints_is_not_its_own(found, grader, tmp_path):
    """It stands before the real one, and was read instead of it."""
    problem = found[0]
    printed = 'println!("\\ntest result: ok. 5 passed; 0 failed; 0 ignored;\\n"); if by > 0 { return false; }'
    text = problem.working["src/lib.rs"].replace("self.now += by;", f"{printed} self.now += by;")
    episode = Episode.begun(problem, tmp_path / "a")
    advance([(episode, episode.call("write_file", text)), (episode, episode.call("list_files", "{}"))], grader)
    [verdict] = settle([episode], grader)
    assert (verdict["verdict"], verdict["passed"]) == ("tests_failed", False) and verdict["tests_passed"] < 5


def test_a_forger_does_not_score_and_an_honest_repair_does(found, grader, tmp_path):
    problem = found[0]
    forged = problem.working["src/lib.rs"].replace(*FORGED["prints a report"])
    episodes = [Episode.begun(problem, tmp_path / name) for name in ("forger", "honest")]
    for episode, text in zip(episodes, (forged, problem.working["src/lib.rs"]), strict=True):
        advance([(episode, episode.call("write_file", text))], grader)
        advance([(episode, episode.call("finish", "{}"))], grader)
    assert [verdict["passed"] for verdict in settle(episodes, grader)] == [False, True]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["adler", "heck", "scopeguard"])
def test_real_crates_give_problems(name, grader, tmp_path):
    """Where Debian's packages of them are installed."""
    from nbcore.data import std_crate

    try:
        one = std_crate.read_crate(name)
    except FileNotFoundError:
        pytest.skip(f"librust-{name}-dev is not installed")
    made = making.verified(list(crates.problems(one, 3, 0, grader)), grader)
    assert made and all(text == text.replace("#[test]", "") for problem in made for text in problem.files.values())
    assert scripted.demonstrate([(made[0], "direct")], grader, tmp_path)
