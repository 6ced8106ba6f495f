"""What the commands print: at 80 columns, with whole ids, and on an output that is not UTF-8."""

import os
import subprocess
import sys

import pytest

from nbcore import config as configs
from nbcore import runs
from nbcore.cli import main
from nbcore.core.environment import REPO
from tests import fake_store
from tests.runs import helpers


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A whole chain with the longest names there are, a toy that nobody evaluated, and a run under way."""
    store = fake_store.make(tmp_path_factory.mktemp("s"), ("base", "lang_adapter", "sft"), heldout=30, unseen=5)
    config = configs.load({"phase": "lang_adapter", "name": "gpt_oss_20b", "max_steps": 2})
    toy = runs.open(config, store)
    toy.log(step=2, loss=1.0)
    toy.finish({"loss": 1.0}, base="openai/gpt-oss-20b", device="CPU", data_hash="0" * 64)
    helpers.saved(helpers.opened(store, name="gpt_oss_20b"), 40)
    return store


def nbcore(*words, **environment):
    """The real command: (exit code, output and error as they were written)."""
    given = {name: value for name, value in os.environ.items() if name != "PYTHONUTF8"}
    command = [sys.executable, "-m", "nbcore", *map(str, words)]
    done = subprocess.run(
        command, cwd=REPO, env={**given, "COLUMNS": "80", **environment}, capture_output=True, timeout=600
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    "words",
    [
        *("runs list", "runs usage", "runs verify", "runs prune --dry-run"),
        *("runs show sft", "runs show lang_adapter", "runs show evaluate", "report", "--help", "runs --help"),
    ],
)
def test_nothing_is_wider_than_80_columns_and_no_id_is_cut(store, words):
    """`runs list` was 122 wide, `usage` cut the ids that one wants to copy."""
    where = [] if words.endswith("help") else ["--store", store]
    code, out, err = nbcore(*words.split(), *where)
    assert code == 0, err
    lines = out.decode().splitlines()
    wide = [line for line in lines if len(line.rstrip()) > 80 and str(store) not in line]
    assert not wide, wide
    assert "…" not in out.decode()
    if words in ("runs list", "runs usage", "runs verify"):
        assert all(any(run.id in line for line in lines) for run in runs.listing(store))


def test_a_list_tells_steps_result_parent_and_age(store, capsys):
    main.main(["runs", "list", "--store", str(store)])
    out = " ".join(capsys.readouterr().out.split())
    sft = runs.find(store, "sft")
    assert f"{sft.id} finished · 150 steps · loss " in out and f"from {sft.parent.id}" in out
    assert "pass@1 0." in out and " min · " in out and "unfinished, step 40" in out


def test_show_is_for_reading_and_raw_is_all_of_it(store, capsys):
    """It printed JSON and YAML, and what a run had come to stood somewhere in it."""
    lang_adapter = next(run for run in runs.listing(store, "lang_adapter") if run.config.name == "gpt_oss_20b")
    main.main(["runs", "show", lang_adapter.id[-12:], "--store", str(store)])
    out = capsys.readouterr().out
    assert '"id"' not in out and str(lang_adapter.path) in out and "config.yaml" in out
    assert "max_steps 2 instead of" in out and "base model openai/gpt-oss-20b" in out
    main.main(["runs", "show", lang_adapter.id, "--raw", "--store", str(store)])
    raw = capsys.readouterr().out
    assert f'"id": "{lang_adapter.id}"' in raw and raw.endswith(configs.dump(lang_adapter.config))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("rum",), "did you mean 'run'"),
        (("runs", "lst"), "did you mean 'list'"),
        (("runs", "list", "--phase", "stf"), "did you mean 'sft'"),
        (("runs", "show", "nope"), "RUN: 'nope' is neither a run"),
        (("runs", "show", "stf"), "did you mean 'sft'"),
        (("runs", "archive", "nope"), "RUN: 'nope'"),
        (("run", "configs/sft/tiny.yaml"), "notebooks/04_sft.ipynb"),
        (("run", "configs/pipeline/tinny.yaml"), "did you mean 'configs/pipeline/tiny.yaml'"),
        (("run", "configs/pipeline/tiny.yaml", "--only", "grop"), "did you mean 'grpo'"),
        (("run", "configs/pipeline/tiny.yaml", "--set", "sft.max_step=2"), "set: 'sft.max_step=2': unknown field"),
    ],
)
def test_a_mistake_is_answered_with_what_was_meant(store, capsys, monkeypatch, words, told):
    monkeypatch.chdir(REPO)
    monkeypatch.setenv("NBCORE_STORE", str(store))
    monkeypatch.setenv("NBCORE_MIRROR", "off" if "archive" not in words else str(store.parent / "mirror"))
    code = main.main(list(words))
    err = capsys.readouterr().err
    assert code == 2 and err.startswith("error: ") and err.count("\n") == 1 and told in err and "parent" not in err


def test_the_beginning_of_an_id_is_taken_wherever_a_run_is(store, capsys):
    run = runs.find(store, "sft")
    for command, short in (("show", run.id[-12:]), ("verify", run.id[:-3]), ("bless", run.id[-12:])):
        assert main.main(["runs", command, short, "--store", str(store)]) == 0
        assert run.id in capsys.readouterr().out
    assert main.main(["runs", "bless", run.id, "--undo", "--store", str(store)]) == 0
    assert main.main(["report", str(store), "--run", run.id[-12:]]) == 0


NARROW = {
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "latin-1": {"PYTHONIOENCODING": "latin-1"},
    "C": {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
}


@pytest.mark.parametrize(
    ("words", "encoding"),
    [
        *((words, "ascii") for words in ("runs list", "report", "run --help", "runs show nöpe")),
        *(("report", "latin-1"), ("runs show sft", "C")),
    ],
)
def test_an_output_that_is_not_utf_8_loses_characters_and_nothing_else(store, words, encoding):
    """A pipeline ended at the first "·" of its progress, an hour in."""
    where = [] if words.endswith("help") else ["--store", store]
    code, out, err = nbcore(*words.split(), *where, **NARROW[encoding])
    assert code == (2 if "nöpe" in words else 0), err
    text = out.decode("latin-1" if encoding == "latin-1" else "ascii")
    assert "Traceback" not in text + err.decode("latin-1")
    if words == "report":
        assert ">" in text.splitlines()[0] and "[" in text


@pytest.mark.parametrize("encoding", NARROW)
def test_the_progress_of_a_pipeline_survives_such_an_output(encoding):
    """Also where a script calls the pipeline, without the command around it."""
    code = (
        "from nbcore.pipeline import progress; show = progress.Show(); show.start(1, 2, 'sft');"
        "show.note('41 % \\u2192 71 %'); show.end('finished \\xb7 loss 1')"
    )
    given = {name: value for name, value in os.environ.items() if name != "PYTHONUTF8"}
    done = subprocess.run([sys.executable, "-c", code], cwd=REPO, env=given | NARROW[encoding], capture_output=True)
    assert done.returncode == 0, done.stderr
    assert b"41 % > 71 %" in done.stdout and b"finished" in done.stdout


@pytest.mark.slow
def test_doctor_survives_such_an_output():
    for encoding in NARROW.values():
        code, out, err = nbcore("doctor", **encoding)
        assert code == 0 and b"Ready" in out and b"Traceback" not in err
