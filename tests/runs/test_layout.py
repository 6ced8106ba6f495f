"""Where runs lie and in what order they come: links to other disks, and names that a wrong clock gave."""

import shutil

import pytest

from nbcore import config as configs
from nbcore import runs
from nbcore.cli import main
from nbcore.runs import checkpoints, layout, lease
from nbcore.runs.mirror import mirror, restore
from tests.runs.helpers import SFT, Faulty, finished, opened, saved

FUTURE = "29990101T000000Z"


def moved(path, elsewhere):
    """Move a folder to another place and leave a link to it, as a person does whose disk is full."""
    elsewhere.mkdir(exist_ok=True)
    shutil.move(path, elsewhere / path.name)
    path.symlink_to(elsewhere / path.name)


def command(capsys, *arguments, store):
    code = main.main(["runs", *arguments, "--store", str(store)])
    printed = capsys.readouterr()
    return code, printed.out + printed.err


@pytest.mark.parametrize("linked", ["store", "phase", "run"])
def test_a_link_is_a_place(tmp_path, capsys, linked):
    """`runs list` and `verify` said that all was well, and opening a child said "neither a run nor …"."""
    store = tmp_path / "store"
    run = finished(store)
    moved({"store": store, "phase": store / "sft", "run": run.path}[linked], tmp_path / "other disk")
    (same,) = runs.listing(store)
    for reference in (run.id, "sft", store / run.id, same):
        assert runs.open(configs.load(SFT, {"name": "child"}), store, reference).parent == same
    assert same.id == run.id and same.store == store.resolve()
    assert runs.find(store, same.path) == runs.find(store, run.id) == same
    for words in (["list"], ["verify"], ["show", run.id], ["usage"], ["prune"]):
        code, said = command(capsys, *words, store=store)
        assert code == 0, said
        assert run.id in said or words == ["prune"]
    assert runs.matching(run.config, store, None) == same, "the same command takes it for done"


def test_a_link_under_another_name_is_not_a_second_run(tmp_path):
    """`sft/latest` sorts after every date, and a child of it would have a parent that changes."""
    run = finished(tmp_path)
    for name in ("latest", f"{FUTURE}-tiny-0123456789ab"):
        (tmp_path / "sft" / name).symlink_to(run.path.name)
        assert runs.listing(tmp_path) == [run]
        assert runs.find(tmp_path, tmp_path / "sft" / name) == run == runs.find(tmp_path, "sft")
    with pytest.raises(ValueError, match="under another name"):
        runs.find(tmp_path, f"sft/{FUTURE}-tiny-0123456789ab")


def test_a_run_under_another_name_is_told_by_its_own(tmp_path):
    """It was listed, and could be a parent that its child never found again."""
    run = finished(tmp_path)
    renamed = run.path.rename(tmp_path / "sft" / "the-good-one")
    assert runs.listing(tmp_path) == []
    with pytest.raises(
        ValueError, match=f"the-good-one is the run {run.id} under another name; give it that name back"
    ):
        runs.find(tmp_path, renamed)
    run.path.symlink_to(renamed)  # now the link has the right name: the folder behind it is the one to rename
    with pytest.raises(ValueError, match=f"{renamed} is the run {run.id} under another name"):
        runs.find(tmp_path, run.id)


@pytest.mark.parametrize("linked", ["store", "phase", "run"])
def test_a_link_that_leads_nowhere_is_told(tmp_path, capsys, linked):
    """A disk that is not mounted looked like no runs at all, and opening one there waited for ever."""
    store = tmp_path / "store"
    run = finished(store)
    path = {"store": store, "phase": store / "sft", "run": run.path}[linked]
    path.rename(tmp_path / "away")
    path.symlink_to(tmp_path / "not mounted")
    line = f"store: {path} is a link to {tmp_path / 'not mounted'}, which is not there; mount that disk, or remove"
    for look in (lambda: runs.open(SFT, store), lambda: runs.listing(store), lambda: runs.find(store, run.id)):
        with pytest.raises(ValueError, match="which is not there") as error:
            look()
        assert str(error.value).startswith(line)
    for words in (["list"], ["verify"], ["usage"]):
        code, said = command(capsys, *words, store=store)
        assert code == 2 and line in said


def test_a_file_in_the_place_of_a_phase_is_told(tmp_path):
    """mkdir's FileExistsError was taken for a name that was given a second ago, and waited for for ever."""
    (tmp_path / "sft").write_text("")
    with pytest.raises(ValueError, match=r"store: .*/sft is a file and no folder"):
        runs.open(SFT, tmp_path)


@pytest.mark.parametrize("linked", ["phase", "run"])
def test_the_mirror_and_a_linked_place(tmp_path, monkeypatch, capsys, linked):
    """A rename cannot leave a disk, and rmtree does not follow a link: restoring and archiving meet both."""
    store, copies = tmp_path / "store", mirror.Mirror(Faulty(tmp_path / "mirror"))
    run = opened(store)
    copies.publish(run.path, 20, saved(run, 20).path, None, False)
    lease.release(run.path)
    shutil.rmtree(run.path / "state")
    moved({"phase": store / "sft", "run": run.path}[linked], tmp_path / "other disk")
    real = layout.Path.rename

    def rename(path, target):
        """Like the real one, which fails between two disks: here the link's two sides."""
        sides = {any(part.is_symlink() for part in each.parents) for each in (path, target)}
        assert len(sides) == 1, f"{path} → {target} leaves the disk"
        return real(path, target)

    monkeypatch.setattr(layout.Path, "rename", rename)
    assert restore.restore(copies, store, run.id).step == 20
    (same,) = runs.listing(store)
    assert checkpoints.newest(same.path)[0].step == 20
    assert len([path for path in layout.leftovers(store) if "nbcore-" not in path.name]) == 1
    same.finish({"loss": 1.0})
    monkeypatch.setenv("NBCORE_MIRROR", str(tmp_path / "mirror"))
    assert command(capsys, "archive", run.id, store=store)[0] == 0
    assert runs.listing(store) == [] and not same.path.is_symlink()
    assert runs.find(store, run.id).verify() == []


def test_a_mirror_on_the_disk_that_a_phase_is_linked_to(tmp_path, monkeypatch):
    """Each copy would land in the very run that is copied."""
    finished(tmp_path / "store")
    moved(tmp_path / "store" / "sft", tmp_path / "other disk")
    monkeypatch.setenv("NBCORE_MIRROR", str(tmp_path / "other disk"))
    with pytest.raises(ValueError, match="give the copies another folder"):
        opened(tmp_path / "store", name="other")


def test_a_run_dated_in_the_future_shadows_no_newer_one(tmp_path, capsys):
    """A clock that was wrong once: "the newest" was that run for years, whatever was trained after it."""
    run = finished(tmp_path, name="old")
    lease.release(run.path)
    late = run.path.rename(run.path.with_name(FUTURE + run.path.name[len(FUTURE) :]))
    new = finished(tmp_path, name="new")
    assert runs.listing(tmp_path)[-1] == new == runs.find(tmp_path, "sft")
    assert "is dated in the future: was a clock wrong? This run is named to come after it" in capsys.readouterr().out
    assert new.info["started"] < "2999", "the time of its beginning is the true one"
    code, said = command(capsys, "list", store=tmp_path)
    assert code == 0 and f"sft/{late.name} and 1 more are dated in the future: was a clock wrong?" in said


def test_a_run_of_the_future_on_the_mirror_alone(tmp_path, monkeypatch):
    """Bringing back "the newest" would put it in the place of every run that this machine makes."""
    monkeypatch.setenv("NBCORE_MIRROR", str(tmp_path / "mirror"))
    run = finished(tmp_path / "there")
    for folder in (tmp_path / "mirror" / "sft" / run.path.name,):
        folder.rename(folder.with_name(FUTURE + folder.name[len(FUTURE) :]))
    new = finished(tmp_path / "fresh", name="new")
    assert runs.find(tmp_path / "fresh", "sft") == new and new.path.name > FUTURE


def test_runs_opened_in_one_second_keep_their_order(tmp_path):
    """Their names have a resolution of a second, and the digest of the config would decide which is newer."""
    made = [opened(tmp_path, name="same", seed=seed) for seed in range(4)]
    assert runs.listing(tmp_path, "sft") == made


def test_a_date_that_does_not_exist_is_no_name(tmp_path):
    """It can come neither before nor after another."""
    run = finished(tmp_path)
    shutil.copytree(run.path, run.path.with_name("20269931T250000Z" + run.path.name[len(FUTURE) :]))
    assert runs.listing(tmp_path) == [run]
    assert opened(tmp_path, name="next").path.name > run.path.name
