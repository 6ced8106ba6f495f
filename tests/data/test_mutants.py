"""Faults in working Rust: what is found, what cargo-mutants' lists may hold, and that only verified ones are kept."""

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbcore.data import faults, mutants
from nbcore.data.std_crate import read_crate
from nbcore.grading.grader import Limits, RustGrader
from nbcore.grading.rust import crate
from nbcore.tasks import katas

CODE = """pub fn pick(a: i64, b: i64, log: &mut Vec<i64>) -> i64 {
    if a < b && a != 3 {
        return a.max(b);
    }
    log.push(a);
    combine(a, b) + 10_i64
}

fn combine(x: i64, y: i64) -> i64 { x - y }

#[cfg(test)]
mod tests {
    use super::*;
    fn helper() -> bool { 1 < 2 }
    #[test]
    fn it_picks() {
        assert!(helper());
        let mut log = vec![];
        assert_eq!(pick(1, 2, &mut log), 2);
        assert_eq!(pick(9, 2, &mut log), 17);
        assert_eq!(log, [9]);
    }
}
"""


def crate_at(folder, code=CODE, manifest=""):
    (folder / "src").mkdir(parents=True)
    (folder / "src" / "lib.rs").write_text(code)
    text = '[package]\nname = "small"\nversion = "0.1.0"\nedition = "2021"\nlicense = "MIT"\n'
    (folder / "Cargo.toml").write_text(manifest or text)
    return folder


def test_every_kind_is_found_and_tests_are_left_alone():
    found = faults.find(CODE)
    assert {fault.kind for fault in found} == set(faults.KINDS)
    assert {fault.function for fault in found} == {"pick", "combine"}
    edits = {(fault.kind, fault.original, fault.replacement) for fault in found}
    assert ("boundary", "<", "<=") in edits and ("operator", "&&", "||") in edits
    assert ("constant", "10_i64", "9i64") in edits and ("return", "a.max(b)", "0") in edits
    assert ("removed_statement", "log.push(a);", "") in edits and ("swapped_arguments", "a, b", "b, a") in edits
    assert len({fault.id("x") for fault in found}) == len(found) == len(set(found))


def test_places_are_those_that_an_editor_shows_also_behind_wide_characters():
    text = 'pub fn f() -> i64 {\n    /* é🦀 */ 5 // "é"\n}\n'
    fault = next(fault for fault in faults.find(text) if fault.replacement == "6")
    assert (fault.line, fault.column, fault.original) == (2, 14, "5")
    assert fault.applied(text) == text.replace("5", "6")


@given(st.text(max_size=200), st.integers(0, 8))
def test_any_text_gives_faults_of_one_edit_or_is_refused(text, most):
    """Of a person's file nothing is known: it is refused as no Rust, or each fault is one edit of it."""
    whole = f"fn f() -> i64 {{ 1 + 2 }}\n{text}"
    try:
        found = faults.find(whole)
    except ValueError:
        return
    chosen = faults.choose(found, most, random.Random(0))
    assert len(chosen) == min(most, len(found))
    for fault in chosen:
        raw = whole.encode()
        assert raw[fault.start : fault.end].decode() == fault.original != fault.replacement
        assert fault.applied(whole) != whole


def listed(**changed):
    span = {"start": {"line": 6, "column": 19}, "end": {"line": 6, "column": 20}}
    function = {"function_name": "small::pick", "return_type": "-> i64", "span": span}
    row = {"name": "src/lib.rs:6:19: replace + with -", "package": "small", "file": "src/lib.rs"}
    return {**row, "function": function, "span": span, "replacement": "-", "genre": "BinaryOperator", **changed}


def test_the_lists_of_cargo_mutants_are_read(tmp_path):
    """--list --json and mutants.json are lists, outcomes.json has a baseline and scenarios; columns begin at 1."""
    path = tmp_path / "mutants.json"
    path.write_text(json.dumps([listed()]))
    (fault,) = faults.from_cargo(path, {"src/lib.rs": CODE})
    assert (fault.kind, fault.function, fault.original, fault.replacement) == ("operator", "pick", "+", "-")
    assert "combine(a, b) - 10_i64" in fault.applied(CODE)
    outcomes = [{"scenario": "Baseline"}, {"scenario": {"Mutant": listed()}, "summary": "CaughtMutant"}]
    path.write_text(json.dumps({"outcomes": outcomes}))
    assert faults.from_cargo(path, {"src/lib.rs": CODE}) == [fault]
    body = {"start": {"line": 9, "column": 37}, "end": {"line": 9, "column": 42}}
    path.write_text(json.dumps([listed(span=body, replacement="1", genre="FnValue")]))
    (fault,) = faults.from_cargo(path, {"src/lib.rs": CODE})
    assert (fault.kind, fault.original) == ("return", "x - y")


@pytest.mark.parametrize(
    "content",
    [
        "no json",
        "[" * 100_000,
        '"text"',
        json.dumps([3]),
        json.dumps([listed(file="../../etc/passwd")]),
        json.dumps([listed(span={"start": {"line": 600, "column": 1}, "end": {"line": 600, "column": 2}})]),
        json.dumps([listed(span={"start": {"line": True, "column": "1"}, "end": {}})]),
        json.dumps([listed(replacement=None)]),
        json.dumps([listed(function=["x"])]),
    ],
)
def test_a_list_that_does_not_fit_the_crate_is_refused_in_one_line(tmp_path, content):
    path = tmp_path / "mutants.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"cargo-mutants: .*mutants\.json") as caught:
        faults.from_cargo(path, {"src/lib.rs": CODE})
    assert "\n" not in str(caught.value)


def test_a_crates_own_tests_run_in_the_jail(tmp_path):
    """As `cargo test --lib`: modules in files of their own, features, what a failing test said; and no file of the host
    can be read, nor one outside the crate be written."""
    modules = {"src/lib.rs": "mod a;\n", "src/a.rs": '#[test] fn t() { assert_eq!(1 + 1, 3, "sums"); }'}
    host = tmp_path / "secret"
    host.write_text("x")
    reads = f'#[test] fn t() {{ assert!(std::fs::read("{host}").is_err()); assert!(std::fs::read_dir("/").is_err()); }}'
    loops = "#[test] fn t() { loop { std::hint::black_box(0); } }"
    featured = '#[cfg(feature = "on")] #[test] fn t() {}'
    jobs = [
        crate.job(modules, "src/lib.rs", "2021"),
        crate.job({"lib.rs": reads}, "lib.rs", "2018"),
        crate.job({"lib.rs": loops}, "lib.rs", "2018"),
        crate.job({"lib.rs": featured}, "lib.rs", "2018", ("on",)),
        crate.job({"lib.rs": f'const S: &str = include_str!("{host}");'}, "lib.rs", "2018"),
        crate.job({"lib.rs": "", "../../out.rs": ""}, "lib.rs", "2018"),
    ]
    grader = RustGrader(jobs=2, lint=False, limits=Limits(run_cpu_s=1))
    said = grader.own_tests(jobs)
    grader.close()
    kinds = ["tests_failed", "pass", "run_timeout", "pass", "compile_error", "infra_error"]
    assert [verdict["verdict"] for verdict in said] == kinds
    assert said[0]["errors"][0]["code"] == "a::t" and "sums" in said[0]["errors"][0]["message"]
    assert said[0]["errors"][0]["message"].startswith("panicked at src/a.rs:1:") and said[3]["tests_total"] == 1


def made(folder, name, count=3, **more):
    if not (folder / "small").exists():
        crate_at(folder / "small")
    return mutants.make(folder / name, count=count, crates=[folder / "small"], per_crate=6, jobs=1, **more)


def test_every_mutant_compiles_and_is_caught(tmp_path):
    report = made(tmp_path, "out.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert report["mutants"] == len(rows) == len({row["id"] for row in rows})
    assert report["sources"]["small-0.1.0"]["kept"] >= 3 and report["sources"]["tasks"]["kept"] >= 3
    for row in rows:
        assert row["verdict"] in mutants.CAUGHT and row["code"] != row["working"]
        assert row["diagnostics"] and row["fault"] in faults.KINDS and row["line"] >= 1
    with pytest.raises(ValueError, match="begun with another seed"):
        made(tmp_path, "out.jsonl", seed=1)
    assert made(tmp_path, "out.jsonl") == report


def test_a_persons_tasks_whose_solution_fails_its_tests_are_refused(tmp_path):
    """Every fault of such a solution would be caught, and none would be one."""
    task = {"id": "t", "prompt": "add", "signature": "pub fn add(a: i64, b: i64) -> i64 {", "solution": " a - b }"}
    task["tests"] = "#[cfg(test)] mod tests { use super::*; #[test] fn t() { assert_eq!(add(1, 2), 3) } }"
    path = tmp_path / "tasks.jsonl"
    path.write_text(json.dumps(task) + "\n")
    with pytest.raises(ValueError, match="solution"):
        mutants.make(tmp_path / "out.jsonl", str(path), 1, jobs=1)
    path.write_text(json.dumps(task | {"solution": " a + b }"}) + "\n")
    report = mutants.make(tmp_path / "more.jsonl", str(path), 1, jobs=1)
    assert report["mutants"] >= 1


@pytest.mark.slow
def test_integration_tests_catch_what_unit_tests_do_not_reach(tmp_path):
    """itoa and semver have theirs in tests/; a file there that needs another crate is passed over."""
    folder = crate_at(tmp_path / "small", "pub fn twice(x: i64) -> i64 { x * 2 }\n")
    (folder / "tests").mkdir()
    (folder / "tests" / "all.rs").write_text("#[test] fn t() { assert_eq!(small::twice(4), 8); }")
    (folder / "tests" / "other.rs").write_text("use not_here::x; #[test] fn t() {}")
    report = mutants.make(tmp_path / "out.jsonl", count=0, crates=[folder], jobs=1)
    assert report["sources"]["small-0.1.0"]["kept"] >= 3 and not report["refused"]


@pytest.mark.slow
def test_an_interrupted_run_goes_on_to_the_same_bytes(tmp_path):
    """Ctrl-C after the first candidates, and a power cut within a line: OUT is not there until it is whole."""
    made(tmp_path, "one.jsonl", 40)

    def interrupted(words, done, total):
        if words.startswith("trying faults of tasks"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        made(tmp_path, "two.jsonl", 40, progress=interrupted)
    assert not (tmp_path / "two.jsonl").exists()
    tried = tmp_path / "two.jsonl.tried.jsonl"
    tried.write_bytes(tried.read_bytes()[:-9])
    made(tmp_path, "two.jsonl", 40)
    assert (tmp_path / "two.jsonl").read_bytes() == (tmp_path / "one.jsonl").read_bytes()


@pytest.mark.parametrize(
    ("manifest", "words"),
    [
        ("[workspace]\n", "describes no package"),
        ("[package\n", "describes no package"),
        ('[package]\nname = "x"\nedition = "2077"\n', "edition '2077'"),
        ('[package]\nname = "x"\n[lib]\npath = "../lib.rs"\n', "has no ../lib.rs"),
    ],
)
def test_a_crate_that_cannot_be_used_is_refused_in_one_line(tmp_path, manifest, words):
    folder = crate_at(tmp_path / "x", manifest=manifest)
    with pytest.raises(ValueError, match=words):
        read_crate(folder)
    with pytest.raises(FileNotFoundError, match="librust-"):
        read_crate("no_such_crate")


def test_links_out_of_a_crate_are_not_followed(tmp_path):
    folder = crate_at(tmp_path / "x")
    (tmp_path / "host.rs").write_text("secret")
    (folder / "src" / "host.rs").symlink_to(tmp_path / "host.rs")
    assert set(read_crate(folder).files) == {"src/lib.rs"}


def test_mutants_come_from_tasks_that_are_trained_on():
    """Held-out tasks and their solutions stay unseen."""
    assert all(task["meta"]["split"] == "train" for task in katas.load("train")[:20])
