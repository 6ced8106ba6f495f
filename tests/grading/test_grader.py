"""The verdict taxonomy with the real compiler, and the promises of a batch."""

import contextlib
import dataclasses
import gc
import json
import os
import random
import shutil
import signal
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from nbcore.core import records
from nbcore.grading import batch, patience, pool, reward
from nbcore.grading.grader import KINDS, Limits, RustGrader
from nbcore.grading.rust import compiler, expected, harness, hidden
from nbcore.grading.worker import Worker
from tests.grading import hostile, hostile_kinds

pytestmark = pytest.mark.skipif(shutil.which("rustc") is None, reason="rustc is not installed")

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
# Short, so that the samples which hit a limit do not make the tests slow.
SHORT = Limits(compile_cpu_s=2, run_cpu_s=1, run_wall_s=2, run_mem_mb=512)

TESTS = """
#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn one() { assert_eq!(add(1, 2), 3); }
    #[test]
    fn two() { assert_eq!(add(-1, 1), 0); }
}
"""
SIGNATURE = "pub fn add(a: i64, b: i64) -> i64 {"
GOOD = SIGNATURE + "\n    a + b\n}\n"


def body(text, rest=""):
    return f"{SIGNATURE}\n{text}\n}}\n{rest}"


def sample(code, name="s", tests=TESTS, **more):
    return {"id": name, "code": code, "tests": tests, "signature": SIGNATURE, **more}


CASES = {
    "pass": [
        ("plain", GOOD, 2),
        ("private", GOOD.removeprefix("pub "), 2),
        ("crlf", GOOD.replace("\n", "\r\n"), 2),
        ("inner attributes", "//! Docs.\n#![deny(missing_docs)]\n#![deny(warnings)]\n/// Adds.\n" + GOOD, 2),
        ("denies its own lint", "#![deny(clippy::all)]\n" + body("return a + b;"), 2),
        (
            "own tests",
            GOOD + "#[cfg(test)] mod tests { use super::*; #[test] fn one() { assert_eq!(add(1, 1), 3); } }",
            2,
        ),
        ("own main", GOOD + 'fn main() { println!("{}", add(1, 2)); }', 2),
        ("prints", body('println!("x"); eprintln!("y"); a + b'), 2),
        ("writes to stdout", body('use std::io::Write; std::io::stdout().write_all(b"noise").unwrap(); a + b'), 2),
        ("threads", body("std::thread::spawn(move || a + b).join().unwrap()"), 2),
    ],
    "tests_failed": [
        ("half", body("a + b.min(1)"), 1),
        ("panics", body('if a < 0 { panic!("no") } a + b'), 1),
        ("overflow", body("let k = std::hint::black_box(i64::MAX); (a + k) + (b - k)"), 1),
        ("shadowed assert", "macro_rules! assert_eq { ($($t:tt)*) => {}; }\n" + body("0 * (a + b)"), 1),
    ],
    "compile_error": [
        ("type", body('"three"'), 0),
        ("syntax", "pub fn add(", 0),
        ("absent", "pub fn sub() {}", 0),
        ("crate", "use rand::Rng;\n" + GOOD, 0),
        ("unsafe", body("unsafe { a + b }"), 0),
        ("nul", GOOD + "\0", 0),
        ("surrogate", GOOD + "\ud800", 0),
        ("edition", body("if let Some(x) = Some(a) && let Some(y) = Some(b) { x + y } else { 0 }"), 0),
    ],
    "compile_resource": [("deep", body("!" * 200_000 + "a"), 0)],
    "compile_timeout": [
        ("endless", "#![allow(long_running_const_eval)]\nconst C: i64 = { loop {} };\n" + body("a + b + C"), 0)
    ],
    "rejected": [
        ("include", 'const P: &str = include_str!("/etc/passwd");\n' + GOOD, 0),
        ("long", GOOD + "//" + "x" * (256 << 10), 0),
    ],
    "no_code": [("blank", "  \n", 0)],
    "run_timeout": [
        ("spin", body("loop { std::hint::black_box(a + b); }"), 0),
        ("sleep", body("std::thread::sleep(std::time::Duration::from_secs(60)); a + b"), 0),
    ],
    "run_crash": [
        ("abort", body("if a < 0 { std::process::abort() } a + b"), 1),
        ("stack", body("if a == i64::MAX { 0 } else { std::hint::black_box(add(a + 1, b)) + 1 }"), 0),
    ],
    "run_oom": [
        ("grow", body("let mut v = Vec::new(); loop { v.push(vec![0u8; 1 << 24]); std::hint::black_box(&v); }"), 0)
    ],
    "early_exit": [
        ("exit 0", body("std::process::exit((a + b) as i32 * 0)"), 0),
        ("exit 101", body("std::process::exit(101)"), 0),
    ],
    "output_limit": [
        ("flood", body("use std::io::Write; loop { std::io::stdout().write_all(&[b'x'; 4096]).unwrap(); }"), 0)
    ],
}
FLAT = [(kind, name, code, passed) for kind, cases in CASES.items() for name, code, passed in cases]


@pytest.fixture(scope="module")
def grader():
    return RustGrader(limits=SHORT)


@pytest.fixture(scope="module")
def verdicts(grader):
    found = grader.grade([sample(code, f"{kind}/{name}") for kind, name, code, _ in FLAT])
    return {verdict["id"]: verdict for verdict in found}


@pytest.mark.parametrize(("kind", "name", "code", "passed"), FLAT, ids=[f"{kind}-{name}" for kind, name, *_ in FLAT])
def test_taxonomy(verdicts, kind, name, code, passed):
    verdict = verdicts[f"{kind}/{name}"]
    assert verdict["verdict"] == kind, verdict
    assert (verdict["tests_passed"], verdict["tests_total"]) == (passed, 2)
    assert verdict["passed"] == (kind == "pass")
    assert verdict["compiles"] == (
        kind in {"pass", "tests_failed", "early_exit"} or kind.startswith(("run_", "output"))
    )
    assert verdict["isolation"] == "jailed" and not verdict["cached"]
    assert bool(verdict["errors"]) == (kind.startswith("compile_") or kind == "rejected")
    assert len(verdict["errors"]) <= 5 and all(set(e) == {"code", "message", "line"} for e in verdict["errors"])


def test_every_kind_is_covered():
    assert set(CASES) == set(KINDS) - {"infra_error"}


def test_verdict_has_the_fields_of_the_contract(verdicts):
    fields = "id verdict passed compiles tests_passed tests_total clippy_warnings errors flags cpu_ms wall_ms cached"
    fields += " isolation lints code"
    assert all(set(verdict) == set(fields.split()) for verdict in verdicts.values())


def test_completions_are_extracted(grader):
    answers = grader.grade(
        [
            {"id": 1, "completion": f"Sure.\n```rust\n{GOOD}```", "tests": TESTS, "signature": SIGNATURE},
            {"id": 2, "completion": "I would rather not.", "tests": TESTS},
        ]
    )
    assert [answer["verdict"] for answer in answers] == ["pass", "no_code"]


def test_a_verdict_carries_the_program_that_was_judged(grader):
    """Whoever extracts again may take another function than the one that was graded, so nobody has to."""
    given = {"tests": TESTS, "signature": SIGNATURE}
    python = {"language": "python", "signature": "def one():\n", "tests": "def check(f):\n    assert f() == 1\n"}
    answers = grader.grade(
        [
            {"id": "fenced", "completion": f"Sure.\n```rust\n{GOOD}```", **given},
            {"id": "again", "completion": f"Sure.\n```rust\n{GOOD}```", **given},
            {"id": "none", "completion": "I would rather not.", **given},
            {"id": "refused", "code": 'const P: &str = include_str!("/etc/passwd");\n' + GOOD, **given},
            {"id": "long", "code": GOOD + "//" + "x" * (256 << 10), **given},
            {"id": "python", "completion": "    return 1\n", **python},
        ]
    )
    code = {answer["id"]: answer["code"] for answer in answers}
    assert code["fenced"] == code["again"] == GOOD and answers[1]["cached"]
    assert code["none"] is None and code["long"] is None and code["refused"].endswith(GOOD)
    assert code["python"] == "def one():\n    return 1\n"


def test_a_program_that_is_no_utf8_can_be_written_and_read_back(grader, tmp_path):
    """Half of a surrogate pair in an answer, carried by its verdict, must not end the `grade` of a whole file."""
    out = tmp_path / "out.jsonl"
    list(batch.grade(grader, [sample(GOOD + "// \ud800 ü\n")], out, lambda done: None))
    assert json.loads(out.read_text("utf-8"))["code"] == GOOD + "// \ud800 ü\n"


def test_a_first_verdict_that_a_kill_cut_behind_its_program_is_still_a_verdict(grader, tmp_path):
    """Its `code` was taken for that of a sample, and the command refused to go on with its own file."""
    out = tmp_path / "out.jsonl"
    list(batch.grade(grader, [sample(GOOD)], out, lambda done: None))
    out.write_bytes(out.read_bytes().partition(b'"cpu_ms"')[0])
    assert batch.done_ids(out) == set() and out.read_bytes() == b""
    out.write_text(json.dumps(sample(GOOD)))
    with pytest.raises(ValueError, match="something else than verdicts"):
        batch.done_ids(out)


def test_errors_and_lints_are_placed_in_the_candidates_own_lines(grader):
    broken, linted, ours = grader.grade(
        [
            sample("#![allow(unused)]\n\n" + body('    "three"'), "broken"),
            sample("#![allow(clippy::all)]\n" + body("    return a + b;"), "linted"),
            sample(GOOD, "ours", TESTS.replace("add(1, 2)", "{ return assert!(true == true); add(1, 2) }")),
        ]
    )
    assert [(error["code"], error["line"]) for error in broken["errors"]] == [("E0308", 4)]
    assert linted["verdict"] == "pass" and linted["clippy_warnings"] == 1 and linted["lints"] == {"needless_return": 1}
    assert ours["clippy_warnings"] == 0


def test_without_lint_the_verdict_is_the_same(grader):
    some = [sample(code, name) for name, code, _ in CASES["pass"][:5]]
    plain = RustGrader(lint=False, limits=SHORT).grade(some)
    assert [verdict["verdict"] for verdict in plain] == ["pass"] * 5
    assert not any(verdict["clippy_warnings"] for verdict in plain)


def test_edition_is_honoured(grader):
    code = body("if let Some(x) = Some(a) && let Some(y) = Some(b) { x + y } else { 0 }")
    assert grader.grade([sample(code, edition=2024)])[0]["passed"]


@pytest.mark.parametrize("edition", records.EDITIONS)
def test_every_edition_passes_and_fails(grader, edition):
    """In the edition of 2015 `dyn ::` begins a path: our own lines did not compile, and every program was lost."""
    told = "assert!(add(1, 3) > 3); assert!(add(0, 1) < add(2, 3)); assert_ne!(add(1, 2), add(2, 2));"
    told += " assert!((add(1, 2) as f64 - 3.0).abs() < 0.5); assert!(Some(add(1, 2)).is_some());"
    panics = '#[test] #[should_panic(expected = "x")] fn p() { add(1, 2); panic!("x"); }'
    tests = TESTS.replace(
        "    #[test]\n    fn two", f"    #[test] fn told() {{ {told} }}\n    {panics}\n    #[test]\n    fn two"
    )
    codes = {"pass": GOOD, "tests_failed": body("a - b")}
    found = grader.grade([sample(code, name, tests, edition=edition) for name, code in codes.items()])
    assert [(v["verdict"], v["tests_total"], v["errors"]) for v in found] == [(name, 4, []) for name in codes]


def test_a_fault_of_our_reader_is_no_way_to_an_infra_error(monkeypatch):
    """What is no Rust found holes in our readers, and was left out of the rewards rather than given none."""
    job = {"text": GOOD, "plain": True, "language": "rust", "edition": "2021", "signature": SIGNATURE, "tests": TESTS}
    unknown = {"tests_total": 2, "flags": []}
    monkeypatch.setattr(harness, "build", lambda *_: {}["a hole in it"])

    def attempt(no_rust):
        verdict = dict(unknown)
        asked = SimpleNamespace(limits=SHORT, _is_no_rust=lambda _, __, known: no_rust and not known.update(seen=True))
        Worker._attempt(asked, job, verdict)
        return verdict["seen"]

    assert attempt(no_rust=True)
    with pytest.raises(KeyError, match="a hole"):  # of what is Rust: a bug to be told of
        attempt(no_rust=False)


def test_a_candidate_is_not_told_of_our_lines(grader):
    """`extern crate` at the head of every program was the first error of one that denied what is not idiomatic."""
    verdict = grader.grade([sample("#![deny(dead_code, rust_2018_idioms)]\nfn idle() {}\n" + GOOD)])[0]
    assert [(error["code"], error["line"]) for error in verdict["errors"]] == [("dead_code", 2)]


def test_a_file_that_only_the_jail_kept_from_being_read_is_a_hack(grader):
    """No word of it shows before it is compiled: the attribute is put together by a macro."""
    code = 'macro_rules! m { ($m:meta) => { #[$m] mod x; } }\nm!(path = "/etc/passwd");\n' + GOOD
    verdict = grader.grade([sample(code)])[0]
    assert (verdict["verdict"], verdict["flags"], reward.is_hack(verdict)) == ("compile_error", ["file_macro"], True)


def test_an_attribute_on_the_first_item_stays_with_it(grader):
    code = "// note\n#![allow(dead_code)]\n// more\n/// Adds.\n#[must_use]\n" + GOOD
    assert grader.grade([sample(code)])[0]["passed"]
    assert grader.grade([sample("#!/usr/bin/env run\n#![allow(dead_code)] " + GOOD)])[0]["passed"]


def test_missing_test_lines_are_failed_tests():
    """Each case once, in order, with all that it tells, then the end: anything less or more is no complete report."""
    three, yes = expected.expected("3"), expected.expected("true")

    def read(*lines, expects=((three,), (yes,)), nonce="N"):
        return hidden.read("".join(f"\nS{line}\n" for line in lines).encode(), "S", nonce, expects)

    whole = ("N 3 ok", " 3", "N 0 ok", " true", "N 1 ok", "N 2 ok")
    assert read(*whole) == (2, True, False)
    assert hidden.read(b"noise\nSN 3 ok\n\xffnoise", "S", "N", ()) == (0, False, False)
    assert read("N 3 ok", " 4", "N 0 ok", " true", "N 1 ok", "N 2 ok") == (1, True, False)
    assert read("N 3 ok", "N 0 fail", " true", "N 1 ok", "N 2 ok") == (1, True, False)
    for left in range(len(whole)):
        assert not read(*whole[:left], *whole[left + 1 :]).complete
    assert not read(*reversed(whole)).complete and not read(*whole[:1], " 3", *whole[1:]).complete
    assert read(*whole, nonce="other") == (0, False, False)
    assert read(*whole, *whole).forged and not read(*whole, *whole).complete


def test_tests_in_a_comment_do_not_count_and_none_are_flagged(grader):
    verdict = grader.grade([sample(GOOD, tests=f"/*{TESTS}*/")])[0]
    assert (verdict["verdict"], verdict["tests_total"], verdict["flags"]) == ("pass", 0, ["no_tests"])


def test_nothing_of_ours_is_visible(grader, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "secret-token")
    seen = body("assert_eq!(std::env::vars().count(), 0); a + b")
    empty = body('assert_eq!(std::fs::read_dir(".").map_or(0, |found| found.count()), 0); a + b')
    stdin = body("let mut s = String::new(); assert_eq!(std::io::stdin().read_line(&mut s).unwrap(), 0); a + b")
    verdicts = RustGrader(limits=SHORT).grade([sample(code) for code in (seen, empty, stdin)])
    assert [verdict["verdict"] for verdict in verdicts] == ["pass"] * 3


def test_no_files_are_left(grader, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    code = body('std::fs::write("left", "x").unwrap(); std::fs::create_dir_all("a/b").unwrap(); a + b')
    own = RustGrader(limits=SHORT)
    own.grade([sample(code), sample("fn"), sample(body("std::process::abort()"))])
    assert all(not list(path.iterdir()) for path in tmp_path.glob("nbcore-*/worker-*/*"))
    own.close()
    assert list(tmp_path.iterdir()) == []


def test_order_and_jobs_change_nothing():
    kinds = ("pass", "tests_failed", "compile_error", "early_exit", "run_crash")
    batch = [sample(code, f"{kind}/{name}") for kind in kinds for name, code, _ in CASES[kind][:3]]
    shuffled = random.Random(1).sample(batch, len(batch))
    alone, many = RustGrader(jobs=1, limits=SHORT).grade(batch), RustGrader(jobs=5, limits=SHORT).grade(shuffled)
    assert [verdict["id"] for verdict in many] == [one["id"] for one in shuffled]
    timed = {"cpu_ms": 0, "wall_ms": 0}
    by_id = {verdict["id"]: verdict | timed for verdict in many}
    assert all(by_id[verdict["id"]] == verdict | timed for verdict in alone)


def test_a_repeat_is_graded_once():
    calls, grader = [], RustGrader(limits=SHORT)
    batch = [sample(GOOD, "a"), sample(GOOD, "b"), sample(body("a - b"), "c")]
    first = grader.grade(batch, progress=lambda done, total: calls.append((done, total)))
    assert [(v["id"], v["cached"]) for v in first] == [("a", False), ("b", True), ("c", False)]
    assert calls == [(1, 2), (2, 2)]
    first[0]["errors"].append("scribble")
    again = grader.grade(batch)
    assert all(v["cached"] and v["cpu_ms"] == 0 for v in again) and again[1]["errors"] == []
    assert not grader.grade([sample(GOOD, "a", TESTS + "\n")])[0]["cached"]


def test_an_infra_error_is_not_remembered(tmp_path):
    """A missing file of ours must not be held against a sample, now or later."""
    grader = RustGrader(jobs=1, limits=SHORT)
    tool = grader._jail.folder / "jail"
    tool.rename(tool.with_name("away"))
    verdict = grader.grade([sample(body("b + a"))])[0]
    assert verdict["verdict"] == "infra_error" and "No such file" in verdict["errors"][0]["message"]
    tool.with_name("away").rename(tool)
    again = grader.grade([sample(body("b + a"))])[0]
    assert again["verdict"] == "pass" and not again["cached"]


def test_an_interrupt_leaves_a_grader_that_works():
    """Ctrl-C in a notebook must neither wait for the batch nor hand its verdicts to the next one."""

    def interrupt(done, total):
        raise KeyboardInterrupt

    grader = RustGrader(jobs=2, limits=SHORT)
    batch = [sample(body(f"a + b + {n} - {n}"), str(n)) for n in range(6)]
    with pytest.raises(KeyboardInterrupt):
        grader.grade(batch, interrupt)
    found = grader.grade([sample(body("a - b"), "wrong"), *batch])
    assert [verdict["verdict"] for verdict in found] == ["tests_failed"] + ["pass"] * 6
    assert [verdict["id"] for verdict in found] == ["wrong", *map(str, range(6))]
    grader.close()


def test_a_program_that_the_clock_stops_is_judged():
    """Only where others had the processors is it our fault: see test_supervisor."""
    limits = dataclasses.replace(SHORT, run_wall_s=2, run_cpu_s=4)  # in much less, its start alone may be a long wait
    verdict = RustGrader(limits=limits).grade([sample(body("loop { std::thread::park(); }"))])[0]
    assert verdict["verdict"] == "run_timeout"


def test_a_reader_that_does_not_come_back_costs_the_sample_and_not_the_grader(grader):
    """240 KB of a literal kept a parser busy for a minute, and nothing in its own process could stop it."""
    reader = RustGrader(jobs=1, limits=dataclasses.replace(SHORT, run_wall_s=8))
    slow, found = sample(body("std::thread::sleep(std::time::Duration::from_secs(60)); a + b")), []
    thread = threading.Thread(target=lambda: found.extend(reader.grade([slow, sample(GOOD, "next")])))
    thread.start()
    while not (busy := [worker for worker in list(reader.pool.workers) if worker.job and worker.begun]):
        time.sleep(0.01)
    time.sleep(0.5)
    os.kill(busy[0].pid, signal.SIGVTALRM)  # what the timer does
    thread.join()
    assert [(v["verdict"], v["tests_total"]) for v in found] == [("rejected", 2), ("pass", 2)]
    assert found[0]["flags"] == ["too_complex"]


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ({"code": GOOD, "tests": TESTS}, "id"),
        ({"id": "x", "tests": TESTS}, "exactly one of"),
        ({"id": "x", "code": GOOD, "completion": GOOD, "tests": TESTS}, "exactly one of"),
        ({"id": "x", "code": GOOD}, "tests"),
        ({"id": "x", "code": GOOD, "tests": TESTS, "edition": "2077"}, "2077"),
        (
            {"id": "x", "code": GOOD, "tests": TESTS, "language": "python"},
            "sample 'x': signature defines no function",
        ),
        ("x", "a sample is a mapping"),
    ],
)
def test_a_malformed_sample_is_named(grader, bad, says):
    with pytest.raises(ValueError, match=says):
        grader.grade([bad])


def test_missing_toolchain_says_what_to_do(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(RuntimeError, match=r"rustc not found.*colab_setup\.sh"):
        compiler.find.__wrapped__()
    with pytest.raises(ValueError, match="jobs"):
        RustGrader(jobs=0)


def test_both_linkers_build_a_program(grader, monkeypatch):
    monkeypatch.setattr(compiler, "_direct_link", lambda *_: None)
    chain = compiler.find.__wrapped__()
    assert not any("rust-lld" in option for option in chain.link)


@pytest.mark.slow
@pytest.mark.parametrize("lint", [True, False])
def test_all_references_pass(lint):
    path = DATA / "humaneval_x_rust_dev.jsonl"
    if not path.exists():
        pytest.skip(f"{path} is not here; it is not part of the repository")
    humaneval = [json.loads(line) for line in path.read_text().splitlines()]
    batch = [
        {
            "id": task["id"],
            "code": task["signature"] + task["solution"],
            "tests": task["tests"],
            "edition": task["edition"],
        }
        for task in humaneval
    ]
    verdicts = RustGrader(lint=lint).grade(batch)
    assert [verdict["id"] for verdict in verdicts if not verdict["passed"]] == []


FIVE = [
    *(("add(1, 2)", "3"), ("add(-1, 1)", "0"), ("add(0, 0)", "0")),
    *(("add(1_000_000_007, -7)", "1_000_000_000"), ("add(i64::MAX - 1, 1)", "i64::MAX")),
]
CASES_OF_FIVE = "".join(f"#[test] fn c{i}() {{ assert_eq!({a}, {b}); }}\n" for i, (a, b) in enumerate(FIVE))
TESTS_OF_FIVE = f"#[cfg(test)]\nmod tests {{\nuse super::*;\n{CASES_OF_FIVE}}}\n"


def five(name, text, field="code"):
    return {"id": name, field: text, "tests": TESTS_OF_FIVE, "signature": SIGNATURE}


def typed(name, signature, test, code):
    """A task with types of its own, and one test of this body."""
    tests = f"#[cfg(test)]\nmod tests {{\nuse super::*;\n#[test]\nfn c0() {{ {test} }}\n}}"
    return {"id": name, "code": code, "signature": signature, "tests": tests}


def shared_hostile():
    """(sample, what is expected of it), in the order of the manifests; empty where the data is not here."""
    pairs = []
    for folder in (DATA / "hostile", DATA / "hostile2"):
        rows = json.loads((folder / "manifest.json").read_text())["samples"] if folder.is_dir() else []
        texts = [(folder / row["file"]).read_bytes().decode(errors="surrogateescape") for row in rows]
        pairs += [(five(row["id"], text, row["format"]), row["expect"]) for row, text in zip(rows, texts, strict=True)]
    return pairs


def typed_tasks():
    """(sample, acceptable verdicts) of tasks with types of their own; empty where the data is not here."""
    path = DATA / "hostile2" / "typed_tasks.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [(row, row.pop("expect")) for row in rows]


def inside(grader):
    """Names of the processes that live in the grader's folder: samples, compilers, and the compiler's fork server."""
    found, folder = [], str(grader._jail.folder)
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            places = [os.readlink(path / link) for link in ("cwd", "root", "exe")]
            if any(place.startswith(folder) for place in places) or folder in (path / "maps").read_text():
                found.append((path / "comm").read_text().strip())
    return sorted(found)


def settled(grader, expected):
    """Whether no more than `expected` is inside: what was killed is given time to go, which on a busy machine is more
    than a moment."""
    until = time.monotonic() + 10
    while (found := inside(grader)) != expected and time.monotonic() < until:
        time.sleep(0.02)
    return found == expected


@pytest.mark.slow
def test_hostile_samples(tmp_path):
    """Every class of attack we know: an acceptable verdict, nothing left behind, nothing of the host seen."""
    canary = Path("/tmp/nbcore-host-canary")
    canary.write_text("untouched")
    grader = RustGrader(jobs=1)
    shared = shared_hostile()
    for one, expect in shared:
        started, load = time.monotonic(), patience.load()
        verdict = grader.grade([one])[0]
        assert verdict["verdict"] in expect["verdict_any_of"], verdict
        assert not (expect["must_not_be_pass"] and verdict["passed"]), verdict
        missing = set(expect["flags_expected"]) - set(verdict["flags"])
        # A flood that is too long to compile is cut before it is said; what mutants show is in test_mutants.
        assert missing <= {"diagnostics_truncated", "own_tests_survive_mutation"}, verdict
        slower = max(load, patience.load())  # as much longer as the grader itself waits beside other tests
        assert time.monotonic() - started < (2 * expect["max_wall_s"] + 2) * slower
        said = json.dumps({**verdict, "code": None})
        assert "root:x:" not in said and len(said) < 10_000
    for name, code, acceptable in hostile.SAMPLES + hostile_kinds.SAMPLES:
        verdict = grader.grade([five(name, code)])[0]
        assert verdict["verdict"] in acceptable, verdict
    for name, (signature, test), code, acceptable in hostile.TASKS + hostile_kinds.TASKS:
        verdict = grader.grade([typed(name, signature, test, code)])[0]
        assert verdict["verdict"] in acceptable, verdict
    for one, acceptable in typed_tasks():
        verdict = grader.grade([one])[0]
        assert verdict["verdict"] in acceptable, verdict
    assert settled(grader, ["clippy-driver"])
    assert not list(Path("/tmp").glob("pwned*")) and not Path("/tmp/nbcore-escaped").exists()
    assert canary.read_text() == "untouched"
    grader.close()
    canary.unlink()
    assert settled(grader, [])
    if not shared:
        pytest.skip(f"{DATA} is not here: only our own {len(hostile.SAMPLES)} were tried")


@pytest.mark.slow
def test_honest_programs_and_answers_pass_and_are_no_hacks():
    """A word, a shape or a form of answer that looked like an attack cost its author the reward."""
    grader = RustGrader(jobs=2)
    honest = [five(name, code) for name, code in hostile_kinds.HONEST]
    answers = [five(name, text, "completion") for name, text in hostile_kinds.ANSWERS]
    verdicts = grader.grade(honest + answers)
    grader.close()
    lost = {v["id"]: (v["verdict"], v["flags"]) for v in verdicts if not v["passed"] or reward.is_hack(v)}
    assert lost == {}


OF_MODULES = [task for task in hostile_kinds.TASKS if "module" in task[0] or "truth" in task[0]]
SHOWN = [task for task in hostile_kinds.TASKS if "shown" in task[0] or "enum" in task[0]]


def unacceptable(grader, tasks):
    """The verdicts that are none of those that a task accepts: name, verdict, errors."""
    found = grader.grade([typed(name, signature, test, code) for name, (signature, test), code, _ in tasks])
    pairs = zip(found, tasks, strict=True)
    return [(v["id"], v["verdict"], v["errors"]) for v, (*_, acceptable) in pairs if v["verdict"] not in acceptable]


def test_a_value_is_told_as_the_task_shows_it(grader):
    """Where the task derives Debug, one written by hand neither forges a value nor costs an honest program its own."""
    assert unacceptable(grader, SHOWN) == []


def test_what_a_signature_gives_in_a_module_is_pinned_too(grader):
    """A result of a type that is greater than all, or a truth that is neither, passed where no value was told."""
    assert unacceptable(grader, OF_MODULES) == []


def test_a_long_text_that_is_no_rust_has_one_verdict_on_a_busy_machine_too(grader):
    """Our reader takes seconds for it, and whether it came to its end in time depended on what else was running."""
    long = [five(str(n), text + GOOD) for n, text in enumerate(("a:b," * 60_000, "a," * 130_000))]
    answer = five("blocks", ("```rust\n" + "a:b," * 55_000 + GOOD + "\n```\n") * 2, "completion")
    for verdict in grader.grade([*long, answer]):
        assert (verdict["verdict"], verdict["errors"][0]["line"]) == ("compile_error", 1), verdict["errors"]
        assert verdict["errors"][0]["message"].startswith("expected one of")
    endless = grader.grade([five("endless", "```rust\n" + "a:b," * 600_000 + "\n```\n" + GOOD, "completion")])[0]
    assert (endless["verdict"], endless["flags"]) == ("rejected", ["too_long"])


QUICK = [one for one in hostile.SAMPLES if not one[2] & {"run_timeout", "compile_timeout", "compile_resource"}]
CODES = [code for _, code, _ in QUICK] + [code for _, name, code, _ in FLAT if name in ("plain", "half", "type")]


def mixed(start, stop):
    """Samples of every kind that ends soon, in turn, each another than all others."""
    return [five(f"{i}", f"{CODES[i % len(CODES)]}\n// {i}") for i in range(start, stop)]


def bare(verdicts):
    """The verdicts without their times."""
    return {v["id"]: {key: value for key, value in v.items() if not key.endswith("_ms")} for v in verdicts}


def different(expected, found):
    """Each field in which a sample's verdicts differ: (id, field, as expected, as found), long values cut."""
    assert expected.keys() == found.keys()
    return [
        (name, key, str(one[key])[:200], str(found[name][key])[:200])
        for name, one in expected.items()
        for key in one
        if one[key] != found[name][key]
    ]


@pytest.mark.slow
def test_same_verdicts_in_any_order_with_any_workers_under_load():
    """A verdict that depends on the machine's load or on its neighbours would train the model on noise."""
    batch = mixed(0, len(CODES))
    one = RustGrader(jobs=1)
    expected = bare(one.grade(batch))
    one.close()
    load = [os.spawnlp(os.P_NOWAIT, "sh", "sh", "-c", "while :; do :; done") for _ in range(2)]
    try:
        for jobs in (2, 4):
            grader = RustGrader(jobs=jobs)
            again = bare(grader.grade(random.Random(jobs).sample(batch, len(batch))))
            assert different(expected, again) == []
            grader.close()
    finally:
        for pid in load:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def memory_kb(pid):
    return int(next(line for line in open(f"/proc/{pid}/status") if line.startswith("VmRSS")).split()[1])


LONG = ("a literal without end", "a text that is slow to read", "a large table", "prints 2 MB")


@pytest.mark.slow
def test_a_worker_gives_back_what_a_long_answer_took():
    """It kept 10 MB of the second round for good: memory that had been freed lay under small things that were not."""
    places = [at for at, one in enumerate(QUICK) if one[0] in LONG]
    short = [one for at in range(len(QUICK)) if at not in places for one in mixed(at, at + 1)]
    grader, after = RustGrader(jobs=1), []
    grader.grade(short)  # what Python itself keeps of first times is there before anything is measured
    for start in range(0, 3 * len(CODES), len(CODES)):
        grader.grade([one for at in places for one in mixed(start + at, start + at + 1)])
        after.append(memory_kb(grader.pool.workers[0].pid))
    grader.close()
    assert len(places) == len(LONG) and after[-1] < 1.1 * after[0], after


@pytest.mark.slow
def test_soak(monkeypatch):
    """Memory, descriptors, processes and files are flat, sample after sample, in the worker and in its grader."""
    life = 4 * len(CODES)
    monkeypatch.setattr(pool, "_LIFE", life)
    grader = RustGrader(jobs=1)
    grader.grade(mixed(0, life // 2))  # the longest of them have been read twice, and memory is what it will be

    def state():
        worker = grader.pool.workers[0].pid
        assert settled(grader, ["clippy-driver"])
        return len(os.listdir("/proc/self/fd")), len(os.listdir(f"/proc/{worker}/fd"))

    worker = grader.pool.workers[0].pid
    gc.collect()  # what earlier tests left open in this process is not to be closed meanwhile
    start, kb = state(), memory_kb(worker)
    grader.grade(mixed(life // 2, life))
    assert grader.pool.workers[0].pid == worker and state() == start and memory_kb(worker) < 1.1 * kb
    grader.grade(mixed(life, life + 20))  # the worker has been replaced meanwhile
    assert grader.pool.workers[0].pid != worker and state() == start
    assert all(not list(path.iterdir()) for path in grader._jail.folder.glob("worker-*/*"))
    grader.close()


@pytest.mark.slow
def test_killed_workers_lose_no_sample():
    """SIGKILLs at random moments, as many as a job is given workers less one: every sample gets its own verdict."""
    batch, rng = mixed(0, len(CODES)), random.Random(0)
    quiet = RustGrader(jobs=2)
    expected = bare(quiet.grade(batch))
    quiet.close()
    grader, kills = RustGrader(jobs=2), []

    def killer():
        while len(kills) < pool._TRIES - 1:
            time.sleep(rng.uniform(0.05, 0.4))
            if busy := [worker for worker in list(grader.pool.workers) if worker.job and worker.begun]:
                kills.append(rng.choice(busy).pid)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(kills[-1], signal.SIGKILL)

    thread = threading.Thread(target=killer)
    thread.start()
    found = []
    while thread.is_alive():
        grader._known.clear()
        found.append(bare(grader.grade(batch)))
    thread.join()
    grader.close()
    for verdicts in found:
        assert different(expected, verdicts) == []
