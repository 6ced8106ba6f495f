"""`python -m nbcore`: exit codes, one clear line for every mistake, help that teaches."""

import json
import os
import subprocess
import sys

import pytest

from nbcore import pipeline as pipelines
from nbcore import runs
from nbcore.cli import main
from nbcore.grading import batch, grader
from nbcore.pipeline import notebook
from nbcore.runs import checkpoints
from tests.runs import helpers as made

TINY = "configs/pipeline/tiny.yaml"


@pytest.fixture(autouse=True)
def _at_home(repo, monkeypatch):
    monkeypatch.chdir(repo)
    monkeypatch.setenv("NBCORE_DEBUG", "")  # so that what --debug sets is taken back: other tests expect one line


def call(capsys, *words):
    """(exit code, stdout, stderr)"""
    code = main.main([str(word) for word in words])
    return (code, *capsys.readouterr())


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "--help"),
        (("rum",), "No such command 'rum'"),
        (("run",), "PIPELINE"),
        (("run", "no.yaml"), "no.yaml"),
        (("run", TINY, "--only", "sfd"), "no stage 'sfd'"),
        (("run", TINY, "--set", "max_step=2"), "max_step"),
        (("run", TINY, "--set", "sft.max_steps=many"), "many"),
        (("run", TINY, "--set", "sft.lora.targets=[q_proj"), "not YAML"),
        (("run", TINY, "--fast"), "--fast"),
        (("grade", "no.jsonl", "out.jsonl"), "no.jsonl"),
        (("grade", "a", "b", "--jobs", "0"), "--jobs"),
        (("grade", TINY, "no/folder/out.jsonl"), "OUT: no/folder/out.jsonl"),
        (("grade", TINY, "configs"), "OUT: configs is no file"),
        (("run", "configs/pipeline/tiny.yml"), "did you mean 'configs/pipeline/tiny.yaml'"),
        (("run", "configs/pipeline"), "no file configs/pipeline; the shipped"),
        (("run", "notebooks/04_sft.ipynb"), "has no stages"),
        (("run", TINY, "--only", ""), "only: '' names no stage"),
        (("run", TINY, "--set", "sft=3"), "'sft=3' is not of the form field=value"),
        (("run", TINY, "--set", "=3"), "'=3' is not of the form field=value"),
        (("runs",), "--help"),
        (("runs", "show", "sft"), "no finished sft run"),
        (("runs", "list", "--phase", "sfd"), "sfd"),
        (("report", "no/store"), "no/store"),
    ],
)
def test_bad_usage_is_2_and_one_line(capsys, monkeypatch, tmp_path, words, told):
    monkeypatch.setenv("NBCORE_STORE", str(tmp_path))
    code, out, err = call(capsys, *words)
    assert code == 2 and out == ""
    assert err.startswith("error: ") and err.count("\n") == 1 and told in err, err


def test_debug_shows_the_traceback(capsys):
    code, _, err = call(capsys, "run", "no.yaml", "--debug")
    assert code == 2 and "Traceback" in err and "no.yaml" in err


@pytest.mark.parametrize(
    "command",
    [
        *("run", "doctor", "grade", "report"),
        *(f"runs {name}" for name in ("list", "show", "verify", "bless", "usage", "prune", "archive", "resume")),
    ],
)
def test_help_teaches_by_example(capsys, command):
    code, out, _ = call(capsys, *command.split(), "--help")
    assert code == 0 and f"Example: python -m nbcore {command}" in " ".join(out.split())


def test_importing_the_command_line_needs_no_torch():
    code = "import sys, nbcore.cli; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_failed_stage_is_1_with_the_error_of_its_notebook(capsys, store, monkeypatch):
    monkeypatch.setattr(notebook, "execute", lambda *_: "ValueError: rows: 'none' is no file; name one")
    code, _, err = call(capsys, "run", TINY, "--store", store)
    assert code == 1 and err == (
        "error: stage data: ValueError: rows: 'none' is no file; name one; executed copy: none\n"
    )


def test_ctrl_c_is_130_and_says_how_to_go_on(capsys, store, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(notebook, "execute", stop)
    code, _, err = call(capsys, "run", TINY, "--store", store)
    assert code == 130 and "same command" in err and err.count("\n") == 1


def finished(store, **values):
    cfg = next(each for each in pipelines.load(TINY).stages if each.id == "lang_adapter").load()
    cfg = cfg.model_copy(update={"data_run": None, **values})
    run = runs.open(cfg, store)
    run.log(step=1, loss=2.0)
    return run.finish({"loss": 2.0})


def test_runs_list_show_verify(capsys, store):
    assert call(capsys, "runs", "list", "--store", store)[0] == 0
    run = finished(store)
    code, out, _ = call(capsys, "runs", "list", "--store", store)
    assert code == 0 and run.id in out and "finished" in out
    code, out, _ = call(capsys, "runs", "show", "lang_adapter", "--store", store)
    assert code == 0 and run.id in out and "learning_rate" in out
    code, out, _ = call(capsys, "runs", "verify", "--store", store)
    assert code == 0 and f"{run.id}  ok" in out
    (run.path / "metrics.jsonl").write_text("changed")
    code, out, err = call(capsys, "runs", "verify", run.id, "--store", store)
    assert code == 1 and "metrics.jsonl" in out and "still good: nothing" in out
    assert err.startswith("error: 1 of 1 runs are damaged; ") and err.count("\n") == 1
    assert call(capsys, "runs", "show", "lang_adapter", "--store", store)[0] == 0


def test_a_pause_is_75_with_one_line(capsys, store, monkeypatch):
    """Batch systems read 75 as "not now, try again"; 1 would be a failed experiment."""
    monkeypatch.setattr(notebook, "execute", lambda *_: "Paused: sft/x is paused: the disk is full. Make room")
    code, _, err = call(capsys, "run", TINY, "--store", store)
    assert code == 75 and err == "error: stage data: sft/x is paused: the disk is full. Make room\n"


def test_an_error_line_holds_no_token(capsys, store, monkeypatch):
    """A failed download names the address it used, token and all."""
    token = "hf_" + "aB3" * 12
    monkeypatch.setattr(notebook, "execute", lambda *_: f"OSError: https://user:{token}@huggingface.co: 401")
    _, _, err = call(capsys, "run", TINY, "--store", store)
    assert token not in err and "[redacted]" in err


def test_one_flipped_byte_names_the_run_the_file_and_what_is_still_good(capsys, tmp_path, monkeypatch):
    """Finding out which of forty runs is broken, and whether anything is left of it, is what verify is for."""
    monkeypatch.setenv("NBCORE_MIRROR", str(tmp_path / "mirror"))
    store = tmp_path / "store"
    whole = made.finished(store, name="whole")
    run = made.opened(store, name="going")
    for step in (10, 20):
        made.saved(run, step)
    assert call(capsys, "runs", "verify", "--store", store)[0] == 0
    broken = run.path / "state" / "attempt-00000001" / "checkpoint-20" / "optimizer.pt"
    for path in (broken, whole.path / "adapter" / "adapter_model.safetensors"):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    code, out, err = call(capsys, "runs", "verify", "--store", store)
    lines = out.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith(run.id))
    assert lines[at] == (
        f"{run.id}  attempt-00000001/checkpoint-20/optimizer.pt: content differs from its committed sha256"
    )
    assert lines[at + 1].strip() == "still good: checkpoint of step 10"
    at = next(number for number, line in enumerate(lines) if line.startswith(whole.id))
    assert "adapter/adapter_model.safetensors: content differs" in lines[at]
    assert lines[at + 1].strip() == "still good: its copy on the mirror (finished CONFIRMED)"
    assert code == 1 and err.startswith("error: 2 of 2 runs are damaged") and err.count("\n") == 1
    assert runs.find(store, whole.id).verify() == [], "and what the mirror has comes back by itself"


def test_bless_usage_prune_and_archive(capsys, tmp_path, monkeypatch):
    """The life of a store that fills up; --dry-run only tells."""
    store = tmp_path / "store"
    run = made.opened(store, name="going")
    for step in (10, 20, 30, 40):
        made.saved(run, step)
    assert call(capsys, "runs", "bless", run.id, "--step", 10, "--why", "in the paper", "--store", store)[0] == 0
    code, _, err = call(capsys, "runs", "bless", run.id, "--step", 11, "--store", store)
    assert code == 2 and "has no checkpoint of step 11; there are 10, 20, 30, 40" in err
    code, out, _ = call(capsys, "runs", "usage", "--store", store)
    assert code == 0 and run.id in out and "together" in out and "are free in" in out
    code, out, _ = call(capsys, "runs", "prune", "--dry-run", "--store", store)
    assert code == 0 and "checkpoint-20" in out and "would be deleted" in out
    assert [each.step for each in checkpoints.listing(run.path)] == [10, 20, 30, 40]
    call(capsys, "runs", "prune", "--store", store)
    assert [each.step for each in checkpoints.listing(run.path)] == [10, 30, 40]
    whole = made.finished(store, name="whole")
    code, _, err = call(capsys, "runs", "archive", whole.id, "--store", store)
    assert code == 2 and "NBCORE_MIRROR" in err
    monkeypatch.setenv("NBCORE_MIRROR", str(tmp_path / "mirror"))
    call(capsys, "runs", "bless", whole.id, "--store", store)
    code, _, err = call(capsys, "runs", "archive", whole.id, "--store", store)
    assert code == 2 and "is blessed" in err
    call(capsys, "runs", "bless", whole.id, "--undo", "--store", store)
    assert call(capsys, "runs", "archive", whole.id, "--dry-run", "--store", store)[0] == 0 and whole.path.is_dir()
    code, out, _ = call(capsys, "runs", "archive", whole.id, "--store", store)
    assert code == 0 and "freed here" in out and not whole.path.exists()
    code, out, _ = call(capsys, "runs", "list", "--store", store)
    assert f"{whole.id}" in out and "not on this disk" in out and "finished CONFIRMED" in out
    assert "unfinished, step 40" in out
    assert runs.find(store, whole.id).info["metrics"] == {"loss": 2.5}
    code, out, _ = call(capsys, "runs", "show", run.id, "--store", store)
    assert code == 0 and "step 40, " in out


class Fake:
    """A grader without a compiler: what is 'broken' is ours."""

    def __init__(self, jobs=None, tier="test", allow_degraded=False):
        self.jobs, self.isolation = jobs, "jailed"

    def grade(self, samples, progress=None):
        verdicts = []
        for sample in samples:
            broken = "broken" in sample.get("code", "")
            errors = [{"code": "infra", "message": "OSError: No space left on device", "line": None}] if broken else []
            verdict = {"id": sample["id"], "verdict": "infra_error" if broken else "pass", "errors": errors}
            verdicts.append(verdict)
            progress(len(verdicts), len(samples))
        return verdicts


def jsonl(path, rows):
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def test_grade_sets_bad_lines_aside_and_resumes(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(grader, "RustGrader", Fake)
    good = [{"id": f"s{n}", "code": "fn f() {}", "tests": "#[test] fn t() {}"} for n in range(40)]
    bad = ["{not json", {"id": 3}, {"id": "x", "code": "", "completion": "", "tests": ""}, good[0]]
    samples, verdicts = jsonl(tmp_path / "in.jsonl", [*good[:2], *bad, *good[2:]]), tmp_path / "out.jsonl"
    code, out, err = call(capsys, "grade", samples, verdicts, "--jobs", 2)
    assert code == 4 and "graded 40 (pass 40), 0 known, 4 bad lines" in out and "4 of 44 lines have no verdict" in err
    assert f"{samples}:3: not JSON" in err and f"{samples}:6: 'id' 's0'" in err
    aside = [json.loads(line) for line in (tmp_path / "out.bad.jsonl").read_text().splitlines()]
    assert [row["line"] for row in aside] == [3, 4, 5, 6] and aside[0]["text"] == "{not json"

    lines = verdicts.read_bytes().splitlines(keepends=True)
    verdicts.write_bytes(b"".join(lines[:20]) + lines[20][:5])  # killed while writing
    code, out, _ = call(capsys, "grade", samples, verdicts)
    assert code == 4 and "graded 20 (pass 20), 20 known" in out
    assert [json.loads(line)["id"] for line in verdicts.read_text().splitlines()] == [row["id"] for row in good]
    assert call(capsys, "grade", jsonl(samples, good), verdicts)[0] == 0  # a script went on with what was left, unaware


def test_a_bad_line_costs_only_itself_whatever_is_bad_about_it(capsys, tmp_path, monkeypatch):
    """A Python sample without a signature, or half of a surrogate pair in an id, ended the whole command."""
    monkeypatch.setattr(grader, "RustGrader", Fake)
    good = {"id": "good", "code": "fn f() {}", "tests": "#[test] fn t() {}"}
    bad = [
        json.dumps(good | {"id": "python", "language": "python"}),
        json.dumps(good | {"id": "a\ud800"}),
        json.dumps(good | {"id": "c", "tests": None}),
        '{"id": "nine", "code": ' + "9" * 5000 + "}",
        "[" * 100_000,
        json.dumps(good),
    ]
    samples, verdicts = jsonl(tmp_path / "in.jsonl", [good, *bad, good | {"id": "last"}]), tmp_path / "out.jsonl"
    with samples.open("ab") as file:
        file.write('{"id": "é"}\n'.encode("latin-1"))
    code, out, err = call(capsys, "grade", samples, verdicts)
    assert code == 4 and "graded 2 (pass 2), 0 known, 7 bad lines" in out
    assert f"{samples}:2: signature defines no function" in err and f"{samples}:3: 'id' holds half of" in err
    assert batch.done_ids(verdicts) == {"good", "last"}
    aside = [json.loads(line) for line in (tmp_path / "out.bad.jsonl").read_text().splitlines()]
    assert [row["line"] for row in aside] == [2, 3, 4, 5, 6, 7, 9]


def test_grade_says_what_kept_it_from_grading(capsys, tmp_path, monkeypatch):
    """ "Could not be graded, give the command again" was all that a full disk or a missing package looked like."""
    monkeypatch.setattr(grader, "RustGrader", Fake)
    sample = {"id": "a", "code": "broken", "tests": "#[test] fn t() {}"}
    code, _, err = call(capsys, "grade", jsonl(tmp_path / "in.jsonl", [sample]), tmp_path / "out.jsonl")
    assert code == 1 and "1 samples could not be graded" in err and "No space left" in err and "doctor" in err


def test_odd_line_ends_in_samples_and_verdicts_are_content(capsys, tmp_path, monkeypatch):
    """Lines end at a line feed alone: U+2028 stands inside of JSON strings as it is."""
    monkeypatch.setattr(grader, "RustGrader", Fake)
    odd = "a\u2028b\u2029c\x85d\x0be\x0cf\x1cg"
    good = {"id": odd, "code": f"fn f() {{}} // {odd}", "tests": f"// {odd}\n#[test] fn t() {{}}"}
    samples, verdicts = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    samples.write_text(json.dumps(good, ensure_ascii=False) + "\r\n", encoding="utf-8")
    assert batch.read(samples) == ([good], [])
    assert call(capsys, "grade", samples, verdicts)[0] == 0 and batch.done_ids(verdicts) == {odd}
    assert "graded 0 (nothing new), 1 known" in call(capsys, "grade", samples, verdicts)[1]


def test_grade_tells_our_own_failures_apart(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(grader, "RustGrader", Fake)
    rows = [{"id": name, "code": name, "tests": "#[test] fn t() {}"} for name in ("fine", "broken")]
    samples, verdicts = jsonl(tmp_path / "in.jsonl", rows), tmp_path / "out.jsonl"
    code, _, err = call(capsys, "grade", samples, verdicts)
    assert code == 1 and "1 samples could not be graded in three tries" in err
    assert batch.done_ids(verdicts) == {"fine", "broken"}  # else it would be graded again in every rerun
    assert call(capsys, "grade", samples, verdicts)[0] == 0


def test_tests_that_run_nothing_are_said_for_their_line(capsys, tmp_path, monkeypatch):
    """Whatever is answered would pass."""
    monkeypatch.setattr(grader, "RustGrader", Fake)
    nothing = ["", "fn t() {}", "#[ignore] #[test] fn t() {}", "macro_rules! t { () => { #[test] fn t() {} } } t!();"]
    rows = [{"id": str(n), "code": "fn f() {}", "tests": text} for n, text in enumerate([*nothing, "fn main() {}"])]
    samples, verdicts = jsonl(tmp_path / "in.jsonl", rows), tmp_path / "out.jsonl"
    code, out, err = call(capsys, "grade", samples, verdicts)
    assert (
        code == 4 and "4 bad lines" in out and all(f"{samples}:{n}: 'tests' runs nothing" in err for n in (1, 2, 3, 4))
    )
    assert batch.done_ids(verdicts) == {"4"}
    assert "0 bad lines" in call(capsys, "grade", samples, tmp_path / "typed.jsonl", "--tier", "check")[1]


def test_tests_that_tell_nothing_are_refused_by_id_and_tried_once(capsys, tmp_path, monkeypatch):
    """A line whose tests pass whatever is answered, or never compile, was graded as if its program were at issue."""
    sound = "#[test] fn t() { assert_eq!(one(), 1); }"
    unknown = "#[test] fn t() { assert_eq!(one(), ONE); assert_eq!(two!(), 2); }"
    tests = {
        "sound": sound,
        "again": sound,
        "wrong": sound,
        "its own names": unknown,
        "says nothing": "#[test] fn t() { let _ = 1; }",
        "expects a panic": "#[test] #[should_panic] fn t() { one(); }",
        "another type": '#[test] fn t() { assert_eq!(one(), "1"); }',
        "no Rust": "#[test] fn t() { assert_eq!(one(), ; }",
        "by a macro": sound + " macro_rules! m { ($n:ident) => { #[test] fn $n() {} } } m!(u);",
    }
    code = "pub const ONE: i32 = 1; #[macro_export] macro_rules! two { () => { 2 } } pub fn one() -> i32 { 1 }"
    rows = [
        {"id": name, "code": code.replace("{ 1 }", "{ 2 }") if name == "wrong" else code, "tests": text}
        | {"signature": "pub fn one() -> i32 {"}
        for name, text in tests.items()
    ]
    asked = []

    class Counting(grader.RustGrader):
        def grade(self, samples, progress=None):
            asked.extend(sample["id"] for sample in samples)
            return super().grade(samples, progress)

    monkeypatch.setattr(grader, "RustGrader", Counting)
    samples, verdicts = jsonl(tmp_path / "in.jsonl", rows), tmp_path / "out.jsonl"
    code, out, _ = call(capsys, "grade", samples, verdicts)
    found = {row["id"]: row["verdict"] for row in map(json.loads, verdicts.read_text().splitlines())}
    assert found == {"sound": "pass", "again": "pass", "wrong": "tests_failed", "its own names": "pass"}
    assert code == 4 and "graded 4 (pass 3, tests_failed 1), 0 known, 5 bad lines" in out
    aside = [json.loads(line) for line in (tmp_path / "out.bad.jsonl").read_text().splitlines()]
    assert [(row["line"], row["text"]) for row in aside] == [(n + 1, json.dumps(rows[n])) for n in range(4, 9)]
    for name, why in (
        ("says nothing", "pass with the body todo!()"),
        ("expects a panic", "pass with the body todo!()"),
        ("another type", "do not compile: mismatched types"),
        ("no Rust", "do not compile"),
        ("by a macro", "are made by a macro"),
    ):
        assert any(f"the tests of {name!r} {why}" in row["problem"] for row in aside), name
    assert len(asked) == 4 + 6 - 1  # of the eight lines that were read, four were graded, and five tests were tried
    asked.clear()
    assert "4 known, 5 bad lines" in call(capsys, "grade", samples, verdicts)[1]


def test_grade_never_appends_to_something_else(capsys, tmp_path):
    samples = jsonl(tmp_path / "in.jsonl", [{"id": "a", "code": "", "tests": "#[test] fn t() {}"}])
    code, _, err = call(capsys, "grade", samples, jsonl(tmp_path / "notes.jsonl", ["hello"]))
    assert code == 2 and "notes.jsonl" in err
    code, _, err = call(capsys, "grade", jsonl(tmp_path / "none.jsonl", ["[]"]), tmp_path / "out.jsonl")
    assert code == 2 and "holds no sample" in err


@pytest.mark.slow
def test_as_a_person_would(repo, tmp_path):
    """The real process, the real grader."""
    code = "pub fn one() -> i32 { 1 }"
    tests = "#[test] fn t() { assert_eq!(one(), 1); }"
    jsonl(
        tmp_path / "in.jsonl", [{"id": "a", "code": code, "tests": tests}, {"id": "b", "code": "oops", "tests": tests}]
    )
    command = [sys.executable, "-m", "nbcore", "grade", tmp_path / "in.jsonl", tmp_path / "out.jsonl"]
    done = subprocess.run(command, cwd=repo, env={**os.environ, "COLUMNS": "40"}, capture_output=True, text=True)
    assert done.returncode == 0 and "compile_error 1" in done.stdout and "pass 1" in done.stdout, done
    command[-1] = tmp_path / "checked.jsonl"
    done = subprocess.run([*command, "--tier", "check"], cwd=repo, capture_output=True, text=True)
    assert done.returncode == 0 and "pass 1" in done.stdout
    verdict = json.loads((tmp_path / "checked.jsonl").read_text().splitlines()[0])
    assert verdict["tests_total"] == 0 and verdict["flags"] == ["no_tests"]
    done = subprocess.run([*command, "--tier", "taste"], cwd=repo, capture_output=True, text=True)
    assert done.returncode == 2 and "tier is 'taste'; use one of check, lint, test" in done.stderr


@pytest.mark.parametrize(
    "content",
    [
        *('{"my": "only copy"}', '{"id": "a", "code": "", "tests": ""}\n{"id": "b"', "notes"),
        *('{"id": "a", "code": "", "tests": ""}', '{"id": "a", "completion": "fn f'),
    ],
)
def test_grading_into_a_file_of_something_else_leaves_it_as_it_is(tmp_path, content):
    """IN given as OUT, or a file without a final newline, was cut short before anyone looked at what it held."""
    out = tmp_path / "out.jsonl"
    out.write_text(content)
    with pytest.raises(ValueError, match="holds something else than verdicts"):
        batch.done_ids(out)
    assert out.read_text() == content
