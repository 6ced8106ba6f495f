"""Which run a word means: nobody starts from a run that was cut short while a whole one is there, unless by its id."""

import os
from datetime import UTC, datetime, timedelta

import pytest

from nbcore import config as configs
from nbcore import runs
from nbcore.runs import choice, commit
from tests.runs import helpers

WHOLE = choice.usual_length("sft", "tiny")


def sft(store, days=0, parent=None, **values):
    """A finished SFT run, opened so many days ago."""
    config = configs.load({"phase": "sft"}, {"name": "tiny", "max_steps": WHOLE, **values})
    run = runs.open(config, store, parent)
    run.log(step=config.max_steps, loss=1.0)
    run.finish({"loss": 1.0}, base="seedling")
    return aged(run, days)


def aged(run, days):
    """The same run with an older name: names hold the time, and a test has no days to wait."""
    if not days:
        return run
    before = datetime.now(UTC) - timedelta(days=days)
    path = run.path.with_name(f"{before:%Y%m%dT%H%M%SZ}{run.path.name[16:]}")
    os.rename(run.path, path)
    finished = before.isoformat(timespec="seconds")
    facts = commit.read_sealed(path / "run.json") | {"id": f"sft/{path.name}", "finished": finished}
    commit.write_sealed(path / "run.json", facts)
    return runs.Run(path)


def ipo(name="tiny", **values):
    return configs.load({"phase": "ipo"}, {"name": name, **values})


def test_the_name_of_a_phase_takes_a_whole_run_over_a_newer_toy_and_says_so(store, capsys):
    """A two-step run of somebody who played became the parent of a night's training, in silence."""
    whole = sft(store, days=2)
    toy = sft(store, days=1, max_steps=2)
    assert runs.open(ipo(), store, "sft").parent == whole
    said = capsys.readouterr().out
    assert said.count("\n") == 1 and toy.id in said and f"max_steps 2 instead of {WHOLE}" in said and "name it" in said
    assert runs.open(ipo(), store, toy.id).parent == toy, "who names one gets it"
    newest = sft(store, seed=1)
    assert runs.find(store, "sft") == newest and not capsys.readouterr().out


def test_of_several_profiles_the_one_that_asks(store, capsys):
    """A parent of another profile stands on another base model."""
    tiny = sft(store, days=3)
    small = sft(store, days=2, name="small", max_steps=choice.usual_length("sft", "small"))
    toy = sft(store, days=1, name="small", max_steps=3)
    assert runs.find(store, "sft", ipo("small")) == small
    assert runs.find(store, "sft", ipo()) == tiny and "of another profile (small)" in capsys.readouterr().out
    assert runs.find(store, "sft", ipo("mine")) == small and toy.id in capsys.readouterr().out


@pytest.mark.parametrize("name", ["tiny", "try", "seed-1"])
def test_a_toy_is_one_under_any_name(store, name):
    """Whoever plays is told to give the run a name of its own; that makes it no longer."""
    sft(store, days=1, name=name, max_steps=2)
    (toy,) = runs.listing(store, "sft")
    assert choice.shortfall(toy) == f"max_steps 2 instead of {choice.usual_length('sft', name)}"
    whole = sft(store, name="mine", max_steps=WHOLE)
    assert not choice.shortfall(whole)


def test_what_stands_on_a_toy_is_cut_short_too(store):
    toy = sft(store, days=1, max_steps=2)
    assert choice.shortfall(sft(store, parent=toy)) == f"it stands on {toy.id}: max_steps 2 instead of {WHOLE}"


def test_a_run_that_stopped_early_by_itself_is_whole(store):
    """Early stopping is the end of a run, not a lack of one: what was asked for counts, not what it took."""
    run = runs.open(configs.load("configs/sft/tiny.yaml"), store)
    run.log(step=7, loss=1.0)
    assert not choice.shortfall(run.finish({"loss": 1.0}))


def test_where_there_are_only_toys_the_newest_is_taken(store):
    sft(store, days=1, max_steps=2)
    newer = sft(store, max_steps=3)
    assert runs.find(store, "sft") == newer


def test_a_run_is_described_by_its_steps_and_age(store):
    whole, toy = sft(store, days=2), sft(store, max_steps=2)
    assert runs.described(whole) == f"{whole.id} · {WHOLE} steps · 2 days ago"
    assert runs.described(toy) == f"{toy.id} · 2 steps · just now · cut short: max_steps 2 instead of {WHOLE}"
    assert choice.age(datetime.now().timestamp() - 7300) == "2 hours ago"


def test_the_beginning_or_the_end_of_an_id_is_enough_while_it_is_the_only_one(store):
    """Ids are 50 characters long, and a terminal cuts them."""
    run = sft(store, days=1)
    other = sft(store, seed=1)
    assert runs.find(store, run.id[:16]) == run
    assert runs.find(store, other.id[-12:]) == other
    with pytest.raises(ValueError, match=r"could be sft/.* or sft/"):
        runs.find(store, "sft/20")
    with pytest.raises(FileNotFoundError, match=r"'sfd' is neither a run .*did you mean 'sft'"):
        runs.find(store, "sfd")


def test_an_empty_disk_gets_the_whole_run_from_the_mirror_not_the_newest(tmp_path, monkeypatch):
    """On a new machine the mirror's newest run was brought back, toy or not, and was then the only one there."""
    monkeypatch.setenv("NBCORE_MIRROR", str(tmp_path / "mirror"))
    made = [helpers.finished(tmp_path / "one", name="tiny", max_steps=steps) for steps in (WHOLE, 2)]
    assert runs.find(tmp_path / "two", "sft", ipo()).id == made[0].id
    assert [run.id for run in runs.listing(tmp_path / "two")] == [made[0].id]
    assert runs.find(tmp_path / "three", made[1].id).id == made[1].id, "who names one gets it"
