"""What a run reads is known by its content: the same path with other content is another run, or a refusal."""

import os

import pytest

from nbcore import config as configs
from nbcore import runs
from nbcore.runs import commit, inputs
from tests.runs import helpers as made


def config(phase="sft", **values):
    return configs.load({"phase": phase}, values)


@pytest.fixture
def rows(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text("one\n")
    return path


@pytest.fixture
def base(tmp_path):
    folder = tmp_path / "base"
    (folder / "more").mkdir(parents=True)
    for name in ("config.json", "model.safetensors", "chat_template.jinja", "more/vocab.txt", "README.md"):
        (folder / name).write_text(name)
    return folder


@pytest.mark.parametrize(
    ("phase", "field"),
    [("evaluate", "source"), ("sft", "rows"), ("ipo", "tasks.source"), ("grpo", "tasks.source")],
)
def test_a_finished_run_of_another_content_is_not_done_already(tmp_path, rows, phase, field, capsys):
    """The same command said "done already", with the numbers of the old file."""
    asked = config(phase, **{field: str(rows)})
    first = runs.open(asked, tmp_path / "store").finish({})
    assert runs.open(asked, tmp_path / "store") == first == runs.matching(asked, tmp_path / "store", None)
    rows.write_text("two\n")  # as long as before
    assert runs.matching(asked, tmp_path / "store", None) is None
    second = runs.open(asked, tmp_path / "store")
    assert (
        second != first
        and f"{field}: {rows} has changed since {first.id}: this is a new run" in capsys.readouterr().out
    )
    rows.write_text("one\n")
    assert runs.open(asked, tmp_path / "store") == first and first.verify() == []


def test_documents_are_known_by_content_too(tmp_path, rows):
    asked = config("lang_adapter", **{"corpus.sources": {"katas": 5, str(rows): 5}})
    first = runs.open(asked, tmp_path / "store")
    assert list(first.info["inputs"]["corpus.sources"]) == [str(rows)]
    rows.write_text("two\n")
    assert runs.open(asked, tmp_path / "store") != first


@pytest.mark.parametrize("what", ["edited", "gone", "new"])
def test_the_files_of_a_folder_are_known_by_content_too(tmp_path, what):
    folder = tmp_path / "rows"
    (folder / "more").mkdir(parents=True)
    for name in ("a.csv", "more/b.jsonl"):
        (folder / name).write_text(name)
    asked = config(rows=str(folder))
    first = runs.open(asked, tmp_path / "store").finish({})
    assert list(first.info["inputs"]["rows"]) == [f"{folder}/a.csv", f"{folder}/more/b.jsonl"]
    folder.rename(tmp_path / "elsewhere")
    assert runs.open(asked, tmp_path / "store") == first, "a folder that is gone tells nothing"
    (tmp_path / "elsewhere").rename(folder)
    assert runs.open(asked, tmp_path / "store") == first
    path = folder / ("more/b.jsonl" if what != "new" else "c.json")
    path.unlink() if what == "gone" else path.write_text("other")
    assert runs.open(asked, tmp_path / "store") != first


def test_a_data_set_of_the_hub_is_its_revision(tmp_path):
    name = "hf://datasets/a/b@" + "0123456789" * 4
    assert runs.open(config(rows=name), tmp_path).info["inputs"] == {"rows": {name: "0123456789" * 4}}


def test_an_unfinished_run_with_a_checkpoint_is_not_left_in_silence(tmp_path, rows, monkeypatch):
    """Steps were trained on the old rows: the person says what is to become of them."""
    asked = config(rows=str(rows))
    first = runs.open(asked, tmp_path / "store")
    made.saved(first, 40)
    rows.write_text("two\n")
    with pytest.raises(
        ValueError, match=f"^rows: {rows} has changed since {first.id}, unfinished at step 40, was begun"
    ):
        runs.open(asked, tmp_path / "store")
    assert runs.open(configs.load(asked, {"name": "other"}), tmp_path / "store") != first
    with pytest.raises(ValueError, match=f"^rows: {rows} has changed since {first.id} was opened; put back"):
        inputs.require(first)
    rows.write_text("one\n")
    inputs.require(first)
    assert runs.open(asked, tmp_path / "store") == first


def test_a_file_that_is_gone_tells_nothing_of_a_finished_run(tmp_path, rows):
    """On a fresh machine the mirror brings the runs back, and the rows of a finished one are not needed again."""
    asked = config(rows=str(rows))
    first = runs.open(asked, tmp_path / "store").finish({})
    rows.unlink()
    assert runs.open(asked, tmp_path / "store") == first


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "chat_template.jinja", "more/vocab.txt"])
@pytest.mark.parametrize("what", ["edited", "gone", "new"])
def test_a_replaced_base_is_another_run_and_nobodys_parent(tmp_path, base, name, what):
    """The adapter trained on the old weights was loaded on the new ones."""
    asked = config(**{"model.base": str(base)})
    first = runs.open(asked, tmp_path / "store").finish({})
    assert runs.open(config("evaluate"), tmp_path / "store", first).info["inputs"] == first.info["inputs"]
    path = base / name if what != "new" else base / "more" / "tokenizer.json"
    path.unlink() if what == "gone" and name != "config.json" else path.write_text("other")
    with pytest.raises(
        ValueError, match=f"^model.base: {path} has changed since the parent {first.id} was trained on it"
    ):
        runs.open(config("evaluate"), tmp_path / "store", first)
    assert runs.open(asked, tmp_path / "store") != first


def test_what_is_no_part_of_a_model_may_change(tmp_path, base):
    asked = config(**{"model.base": str(base)})
    first = runs.open(asked, tmp_path / "store")
    (base / "README.md").write_text("other")
    assert runs.open(asked, tmp_path / "store") == first


def test_a_run_of_before_this_was_recorded_is_not_compared(tmp_path, rows):
    """A store of an older version goes on as it did."""
    asked = config(rows=str(rows))
    first = runs.open(asked, tmp_path / "store")
    facts = {name: value for name, value in first.info.items() if name != "inputs"}
    commit.write_sealed(first.path / "open.json", facts)
    rows.write_text("two\n")
    assert runs.open(asked, tmp_path / "store") == first
    inputs.require(first)


def test_the_shipped_sources_are_no_files(tmp_path):
    assert runs.open(config(), tmp_path).info["inputs"] == {} == runs.open(config("evaluate"), tmp_path).info["inputs"]


def test_a_large_file_is_read_once_and_again_when_it_was_written(tmp_path, rows, monkeypatch):
    """The pipeline asks every second; weights of many gigabytes take minutes to hash."""
    monkeypatch.setattr(inputs, "LARGE", 2)
    read = []
    real = commit.sha256
    monkeypatch.setattr(commit, "sha256", lambda path: read.append(path) or real(path))
    asked = config(rows=str(rows))
    first = inputs.read_by(asked, None, tmp_path)
    assert inputs.read_by(asked, None, tmp_path) == first and len(read) == 1
    rows.write_text("two\n")
    os.utime(rows, ns=(1, 1))
    assert inputs.read_by(asked, None, tmp_path) != first and len(read) == 2
