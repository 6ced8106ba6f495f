"""The executed notebook of a run: a change of it is noticed, and costs nothing but the notebook."""

import errno
import os
from types import SimpleNamespace

import pytest

from nbcore import config as configs
from nbcore import runs
from nbcore.cli import main
from nbcore.pipeline import stages
from nbcore.runs import commit, health
from nbcore.runs.mirror import mirror, publisher, restore
from tests.runs.helpers import SFT, Faulty, finished, opened

TEXT = '{"cells": []}'


def verified(store, capsys):
    code = main.main(["runs", "verify", "--store", str(store)])
    printed = capsys.readouterr()
    return code, printed.out + printed.err


def flip(path):
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def test_a_flipped_byte_is_noticed_and_the_run_stays_good(tmp_path, capsys):
    """It passed `verify`; and nobody should have to train again for a notebook."""
    run = finished(tmp_path)
    (tmp_path / "copy.ipynb").write_text(TEXT)
    assert stages._keep(tmp_path / "copy.ipynb", run, tmp_path, SimpleNamespace(id="sft")).read_text() == TEXT
    assert run.verify() == [] and verified(tmp_path, capsys) == (0, f"{run.id}  ok\n")
    for name, said in (
        ("notebook.ipynb", "notebook.ipynb: content differs from what was kept"),
        ("notebook.json", "notebook.json: "),
    ):
        content = (run.path / name).read_bytes()
        flip(run.path / name)
        assert len(run.verify()) == 1 and run.verify()[0].startswith(said)
        code, lines = verified(tmp_path, capsys)
        assert code == 1 and said in lines and "still good: the run" in lines
        assert runs.find(tmp_path, run.id) == run == runs.open(SFT, tmp_path), "it is a parent, and done, as before"
        (run.path / name).write_bytes(content)
    (run.path / "notebook.ipynb").unlink()
    assert run.verify() == ["notebook.ipynb: missing"]


def test_an_unfinished_run_has_one_too(tmp_path):
    """The notebook of the session that was stopped; the next one takes its place."""
    run = opened(tmp_path)
    run.keep_notebook(TEXT)
    flip(run.path / "notebook.ipynb")
    assert health.look(run)[0] == ["notebook.ipynb: content differs from what was kept"]
    run.keep_notebook("{}")
    assert health.look(run)[0] == [] and run.finish({"loss": 1.0}).verify() == []


def test_a_notebook_of_an_older_version_is_not_vouched_for(tmp_path, capsys):
    """No damage, but `verify` must not say "ok" of a file that it cannot judge."""
    run = finished(tmp_path)
    (run.path / "notebook.ipynb").write_text(TEXT)
    assert run.verify() == []
    assert verified(tmp_path, capsys) == (0, f"{run.id}  ok (notebook.ipynb apart: nothing vouches for it)\n")


@pytest.mark.parametrize("crash", ["write_durably", "write_sealed"])
def test_a_kill_in_the_middle_of_a_replacement_is_no_alarm(tmp_path, monkeypatch, crash):
    """A new notebook beside the old one's note would be called damaged."""
    run = finished(tmp_path)
    run.keep_notebook(TEXT)

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(commit, crash, killed)
    with pytest.raises(KeyboardInterrupt):
        run.keep_notebook("{}")
    assert run.verify() == [] and (run.path / "notebook.ipynb").is_file()


def test_it_follows_its_run_to_the_mirror_and_back(tmp_path, monkeypatch):
    """It is kept after the run has been copied; on the Drive it can be opened where it lies."""
    monkeypatch.setenv("NBCORE_MIRROR", str(tmp_path / "mirror"))
    run = finished(tmp_path / "store")
    run.keep_notebook(TEXT)
    run.wait_for_mirror()
    (copy,) = (tmp_path / "mirror" / run.id).glob("notebook.*.ipynb")
    back = runs.find(tmp_path / "fresh", run.id)
    assert (back.path / "notebook.ipynb").read_text() == TEXT and back.verify() == []
    assert health.notebooks.lacks_note(back.path) is False
    copy.write_text(TEXT.replace("[]", "[1]"))  # the Drive's copy is damaged: the run comes without it
    back = runs.find(tmp_path / "other", run.id)
    assert back.verify() == [] and not (back.path / "notebook.ipynb").exists()


def test_an_older_notebook_in_a_bundle_gives_way_to_the_newer_copy(tmp_path, monkeypatch):
    """Each with its own note: the note of one beside the other would be a false alarm."""
    monkeypatch.setattr(publisher, "BACK_OFF", (0.1, 0.1))  # two notebooks in one second have one name
    monkeypatch.setenv("NBCORE_MIRROR", str(tmp_path / "mirror"))
    run = opened(tmp_path / "store")
    run.keep_notebook(TEXT)
    run.finish({"loss": 1.0})
    run.keep_notebook("{}")
    run.wait_for_mirror()
    older = [path for path in (tmp_path / "mirror" / run.id).glob("notebook.*") if path.read_text() == TEXT]
    assert len(older) <= 1, os.listdir(tmp_path / "mirror" / run.id)
    back = runs.find(tmp_path / "fresh", run.id)
    assert (back.path / "notebook.ipynb").read_text() == "{}" and back.verify() == []


def test_a_child_is_opened_on_a_run_whose_notebook_is_damaged(tmp_path):
    """Only what training reads can keep a run from being a parent."""
    run = finished(tmp_path)
    run.keep_notebook(TEXT)
    flip(run.path / "notebook.ipynb")
    child = runs.open(configs.load(SFT, {"name": "child"}), tmp_path, run.id)
    assert child.parent == run


def test_a_notebook_that_cannot_be_read_does_not_keep_its_run_away(tmp_path):
    """It is there to be looked at; nothing depends on it."""
    run = finished(tmp_path / "store")
    medium = Faulty(tmp_path / "mirror")
    copies = mirror.Mirror(medium)
    copies.publish(run.path, 0, None, None, True)
    (run.path / "notebook.ipynb").write_text("{}")
    copies.put_notebook(run.path)
    medium.fails = lambda what, name: OSError(errno.EIO, "x") if "/notebook." in name and what == "get" else None
    assert restore.restore(copies, tmp_path / "fresh", run.id).finished
