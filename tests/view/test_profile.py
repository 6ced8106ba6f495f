"""The profile of a run as a picture, a table and a command."""

import pytest

from nbcore import config, runs, view
from nbcore.cli import main
from nbcore.runs import profile
from nbcore.view.profile import BARS, drawn
from tests.fake_store import profile_of


@pytest.fixture
def run(store):
    return runs.open(config.load({"phase": "grpo", "name": "tiny", "max_steps": 90}), store, "base")


def test_bars_stand_on_each_other_and_add_up(run):
    """A part that is drawn over another one hides it; a stretch that was done twice is no longer for that."""
    for step in (*range(1, 91), *range(61, 91)):
        run.log(step=step, loss=1.0, **profile_of(step, generates=True, took=2.0 if step > 60 else 1.0))
    found = profile.of(run)
    assert found.steps == 120 and found.tokens == 120 * 500 and found.total == pytest.approx(60 * 5.5 + 60 * 11)
    time, memory = drawn(found).axes
    tops = [max(bar.get_y() + bar.get_height() for bar in bars) for bars in time.containers]
    assert len(time.containers[0]) <= BARS and tops == sorted(tops) and tops[-1] == pytest.approx(11)
    labels = [text.get_text() for text in time.get_legend().get_texts()]
    assert labels == ["backward 36%", "forward 18%", "grading 9%", "generation 27%", "data 9%"]
    assert max(memory.lines[0].get_ydata()) == pytest.approx(1, abs=0.01)


def test_the_words_are_those_of_the_command(run, capsys):
    """A screen reader, papermill's log and a terminal have no picture."""
    run.log(step=1, loss=1.0, **profile_of(1, generates=True))
    shown = view.profile(run)
    assert "generation of completions" in str(shown) and "tokens/s 91" in str(shown) and "MFU none" in str(shown)
    assert "<svg" in shown.markup and 'aria-label="seconds a step by part' in shown.markup
    (run.path / "adapter").mkdir()
    run.finish({"loss": 1.0}, base="seedling", device="CPU", data_hash="0" * 64)
    assert main.main(["profile", run.id, "--store", str(run.store)]) == 0
    assert "grading that training waits for" in capsys.readouterr().out


def test_a_run_without_one_says_so(run, capsys):
    """Runs of before there were profiles stay whole."""
    run.log(step=1, loss=1.0)
    assert "no profile" in str(view.profile(run))
    (run.path / "adapter").mkdir()
    run.finish({"loss": 1.0}, base="seedling", device="CPU", data_hash="0" * 64)
    assert main.main(["profile", run.id, "--store", str(run.store)]) == 1
    assert "no profile" in capsys.readouterr().err


def test_utilisation_is_weighed_by_the_time_it_took(run):
    """The mean over rows would let a fast row outweigh a slow one; saves are no part of it."""
    slow = profile_of(1, took=3.0) | {profile.MFU: 0.1}
    run.log(step=1, loss=1.0, **slow)
    run.log(step=2, loss=1.0, **profile_of(2) | {profile.MFU: 0.5, f"{profile.SECONDS}saving": 99.0})
    assert profile.of(run).mfu == pytest.approx((3 * 0.1 + 0.5) / 4)
