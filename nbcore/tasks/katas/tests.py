"""Tests for katas: the expected values come from running the references, hundreds in one Rust program."""

from __future__ import annotations

import subprocess
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from nbcore.tasks.katas.inputs import Case

CHUNK = 250  # katas in one program: rustc takes seconds for it
WANTED = {0: 1, 1: 2, 2: 3}  # tests by level of input

# Writes a value as the Rust expression that makes it.
LIT = r"""
#![allow(unused, clippy::all)]
use std::collections::*;
use std::fmt::Debug;
trait Lit { fn lit(&self) -> String; fn name() -> String { String::new() } }
macro_rules! plain { ($($t:ty),*) => { $(impl Lit for $t {
    fn lit(&self) -> String { format!("{self:?}") }
    fn name() -> String { stringify!($t).to_string() }
})* } }
plain!(i8, i16, i32, i64, i128, isize, u8, u16, u32, u64, u128, usize, bool, char, ());
impl Lit for String {
    fn lit(&self) -> String { format!("{self:?}.to_string()") }
    fn name() -> String { "String".to_string() }
}
impl Lit for &str { fn lit(&self) -> String { format!("{self:?}") } }
fn list<'a, T: Lit + 'a>(items: impl Iterator<Item = &'a T>) -> String {
    items.map(|x| x.lit()).collect::<Vec<_>>().join(", ")
}
impl<T: Lit> Lit for Vec<T> {
    fn lit(&self) -> String {
        if self.is_empty() { format!("Vec::<{}>::new()", T::name()) } else { format!("vec![{}]", list(self.iter())) }
    }
    fn name() -> String { format!("Vec<{}>", T::name()) }
}
impl<T: Lit> Lit for Option<T> {
    fn lit(&self) -> String { match self { Some(x) => format!("Some({})", x.lit()), None => "None".to_string() } }
}
impl<T: Lit, E: Lit> Lit for Result<T, E> {
    fn lit(&self) -> String {
        match self { Ok(x) => format!("Ok({})", x.lit()), Err(x) => format!("Err({})", x.lit()) }
    }
}
impl<A: Lit, B: Lit> Lit for (A, B) { fn lit(&self) -> String { format!("({}, {})", self.0.lit(), self.1.lit()) } }
fn entries<K: Lit + Ord, V: Lit>(mut rows: Vec<(&K, &V)>) -> String {
    rows.sort_by(|a, b| a.0.cmp(b.0));
    rows.iter().map(|(k, v)| format!("({}, {})", k.lit(), v.lit())).collect::<Vec<_>>().join(", ")
}
impl<K: Lit + Ord, V: Lit> Lit for BTreeMap<K, V> {
    fn lit(&self) -> String {
        if self.is_empty() { return "BTreeMap::new()".to_string(); }
        format!("BTreeMap::from([{}])", entries(self.iter().collect()))
    }
}
impl<K: Lit + Ord, V: Lit> Lit for HashMap<K, V> {
    fn lit(&self) -> String {
        if self.is_empty() { return "HashMap::new()".to_string(); }
        format!("HashMap::from([{}])", entries(self.iter().collect()))
    }
}
"""


def _program(rows: list[tuple[str, list[Case]]]) -> str:
    parts = [LIT]
    for number, (source, cases) in enumerate(rows):
        shows = "".join(
            f'    {{ {case.setup}let shown = {case.value}; println!("{number} {at} {{}}", Lit::lit(&shown)); }}\n'
            for at, case in enumerate(cases)
        )
        # The inner module keeps the reference's own imports from meeting those of the harness.
        parts.append(
            f"mod k{number} {{\n{source}\npub mod run {{\nuse super::*;\nuse crate::Lit;\n"
            f"pub fn run() {{\n{shows}}}\n}}\n}}\n"
        )
    calls = "".join(f"    k{number}::run::run();\n" for number in range(len(rows)))
    return "".join(parts) + f"fn main() {{\n{calls}}}\n"


def _outcomes(rows: list[tuple[str, list[Case]]]) -> list[list[str]]:
    """The values, as Rust expressions, of the cases of each (source, cases)."""
    with tempfile.TemporaryDirectory() as folder:
        source, binary = Path(folder) / "katas.rs", Path(folder) / "katas"
        source.write_text(_program(rows), encoding="utf-8")
        flags = ["--edition=2021", "-Coverflow-checks=on", "-Cdebuginfo=0", "-Copt-level=0", "--cap-lints=allow"]
        built = subprocess.run(["rustc", *flags, "-o", str(binary), str(source)], capture_output=True, text=True)
        assert built.returncode == 0, f"kata references do not compile:\n{built.stderr[:6000]}"
        ran = subprocess.run([str(binary)], capture_output=True, text=True)
    values: list[list[str]] = [[] for _ in rows]
    for line in ran.stdout.splitlines():
        number, _, shown = line.split(" ", 2)
        values[int(number)].append(shown)
    for (text, cases), shown in zip(rows, values, strict=True):
        if len(shown) < len(cases):
            raise AssertionError(f"a kata reference panicked on {cases[len(shown)]}:\n{text}\n{ran.stderr[-500:]}")
    return values


def _chosen(cases: list[Case], shown: list[str]) -> list[tuple[Case, str]]:
    """At most six cases, simple ones first, with outcomes as different as they come."""
    used: Counter[str] = Counter()
    rows = []
    for level, wanted in WANTED.items():
        left = [(case, value) for case, value in zip(cases, shown, strict=True) if case.level == level]
        for _ in range(min(wanted, len(left))):
            best = min(left, key=lambda row: used[row[1]])
            left.remove(best)
            used[best[1]] += 1
            rows.append(best)
    return rows


def module(rows: list[tuple[Case, str]], name: str = "tests") -> str:
    """A test module of (case, value as a Rust expression)."""
    lines = ["#[cfg(test)]", f"mod {name} {{", "    use super::*;"]
    for number, (case, shown) in enumerate(rows):
        lines += ["", "    #[test]", f"    fn case_{number}() {{"]
        lines += [f"        {line}" for line in case.setup.splitlines()]
        if shown in ("true", "false"):
            lines.append(f"        assert!({'' if shown == 'true' else '!'}{case.value});")
        else:
            lines.append(f"        assert_eq!({case.value}, {shown});")
        lines.append("    }")
    return "\n".join([*lines, "}", ""])


def modules_for(rows: list[tuple[str, list[Case]]], jobs: int = 2) -> list[str | None]:
    """A test module for each (source, cases); None where one answer would pass every test."""
    chunks = [rows[at : at + CHUNK] for at in range(0, len(rows), CHUNK)]
    with ThreadPoolExecutor(jobs) as pool:
        outcomes = [shown for chunk in pool.map(_outcomes, chunks) for shown in chunk]
    modules: list[str | None] = []
    for (_, cases), shown in zip(rows, outcomes, strict=True):
        chosen = _chosen(cases, shown)
        constant = len({value for _, value in chosen}) < 2
        modules.append(None if constant or len(chosen) < 5 else module(chosen))
    return modules
