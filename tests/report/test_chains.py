"""Which chain the report is about: playing must not destroy the headline, and what is left out is named."""

import subprocess
import time

import pytest
import yaml

from nbcore import config, report, runs
from nbcore.cli import main
from nbcore.core.environment import REPO
from nbcore.report import beside, chains, lineage
from tests import fake_store


@pytest.fixture
def store(tmp_path):
    """A whole chain, evaluated after every phase."""
    return fake_store.make(tmp_path / "store", heldout=30, unseen=5)


def trained(store, phase, parent, **values):
    """A finished run without an evaluation."""
    run = runs.open(config.load({"phase": phase, "name": "tiny"}, values), store, parent)
    run.log(step=run.config.max_steps, loss=1.0)
    return run.finish({"loss": 1.0}, base="seedling", device="CPU", data_hash="f" * 64)


def evaluated(store, run, n=30, **values):
    """An evaluation of a run, where 40 % of n tasks pass."""
    cfg = config.load({"phase": "evaluate", "name": "tiny-again"}, values)
    made = runs.open(cfg, store, run)
    known = chains.chain(store)[-1].evaluation.samples()[:n]
    made.sample(*known)
    rate = {"value": 0.4, "low": 0.3, "high": 0.5, "n": n}
    part = {"n": n, "clippy_warnings": 0.0, "pass@1": rate, "compile_rate": rate}
    return made.finish({"heldout": part}, seconds=1.0, base="seedling", device="CPU", data_hash="e" * 64)


def headline(store, run=None):
    return lineage.summary(chains.chain(store, run))


def labels(store, run=None):
    return [(stage.label, stage.evaluation is not None) for stage in chains.chain(store, run)]


WHOLE = [("base", True), ("adapter", True), ("SFT", True), ("IPO", True), ("GRPO", True)]


def test_a_newer_run_that_is_not_evaluated_leaves_the_headline_and_is_named_with_what_evaluates_it(store, capsys):
    """After a two-step GRPO nobody had evaluated, the last row of the table had no numbers."""
    before = headline(store)
    toy = trained(store, "grpo", "ipo", max_steps=2)
    again = trained(store, "sft", "lang_adapter", seed=1)
    assert headline(store) == before and labels(store) == WHOLE
    assert main.main(["report", str(store)]) == 0
    told, page = capsys.readouterr().out, (store / "report.html").read_text("utf-8")
    for run in (toy, again):
        assert f"not evaluated: {run.id}" in told and run.id in page
    assert "max_steps 2 instead of 130" in told and "max_steps 2 instead of 130" in page
    assert str(store) not in page


def test_the_command_that_evaluates_can_be_pasted(store, tmp_path):
    """Given to a shell as it stands, it hands papermill a mapping with the config of the chain's own evaluation."""
    chosen = chains.choose(store)
    toy = trained(store, "grpo", "ipo", max_steps=2)
    command = beside.evaluate_command(toy, chosen, str(store))
    shell = f'papermill() {{ printf "%s" "$8" > "{tmp_path}/given"; echo "$5"; }}\n{command}\n'
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True)
    given = yaml.safe_load((tmp_path / "given").read_text())
    assert (REPO / done.stdout.strip()).is_file() and given["parent"] == toy.id and given["store"] == str(store)
    assert config.digest(config.load(given["config"])) == config.digest(chosen.stages[-1].evaluation.config)


def test_a_toy_that_is_evaluated_does_not_replace_the_headline_of_a_whole_run(store, capsys):
    """Two steps of GRPO made "41 → 71 %" into "41 → 38 %"."""
    before = headline(store)
    toy = trained(store, "grpo", "ipo", max_steps=2)
    evaluated(store, toy)
    assert headline(store) == before
    assert main.main(["report", str(store)]) == 0
    told = capsys.readouterr().out
    assert f"evaluated too: {toy.id}" in told and "pass@1 40 % of 30 held-out tasks" in told
    assert main.main(["report", str(store), "--run", toy.id]) == 0
    assert "→ 40 %" in capsys.readouterr().out
    assert [stage.run.id for stage in chains.chain(store, toy.id)[-1:]] == [toy.id]


def test_a_toy_under_a_name_of_its_own_does_not_either(store):
    before = headline(store)
    evaluated(store, trained(store, "grpo", "ipo", max_steps=2, name="try"))
    assert headline(store) == before


def test_a_whole_run_on_a_toy_parent_does_not_either(store):
    before = headline(store)
    toy = trained(store, "ipo", "sft", max_steps=2)
    evaluated(store, trained(store, "grpo", toy))
    assert headline(store) == before


def test_a_toy_evaluation_of_the_last_run_does_not_either(store):
    """Twelve tasks, to see whether it works, and the other rows vanish: theirs are answers to other questions."""
    before = headline(store)
    last = chains.chain(store)[-1].run
    evaluated(store, last, n=12, unseen=3)
    small = evaluated(store, last, n=12, heldout=12)
    assert headline(store) == before and labels(store) == WHOLE
    assert chains.chain(store, small.id)[-1].evaluation == small, "unless it is named"


def test_a_newer_run_with_a_toy_evaluation_does_not_either(store):
    before = headline(store)
    small = evaluated(store, trained(store, "grpo", "ipo", seed=1), n=12, heldout=12)
    assert headline(store) == before
    told = report.left_out(store)
    assert f"evaluated too: {small.parent.id}" in told and "cut short: heldout 12 instead of 150" in told


def test_an_earlier_phase_repeated_does_not_hide_the_later_ones_but_a_newer_whole_chain_counts(store):
    time.sleep(1.1)  # names have a resolution of one second, and the newest counts
    again = trained(store, "sft", "lang_adapter", seed=1)
    evaluated(store, again)
    assert labels(store) == WHOLE
    assert [stage.run for stage in chains.choose(store).others] == [again]
    time.sleep(1.1)
    better = trained(store, "grpo", "ipo", seed=1)
    evaluated(store, better)
    assert chains.chain(store)[-1].run == better
    others = [stage.run.phase for stage in chains.choose(store).others]
    assert others == ["sft", "grpo"], "the newest first; what was the headline is there to be chosen"


def test_where_nothing_whole_is_evaluated_a_toy_is_the_report(tmp_path):
    store = tmp_path / "store"
    adapter = trained(store, "lang_adapter", None, max_steps=2)
    assert labels(store) == [("adapter", False)]
    assert chains.choose(store).unevaluated == [adapter]
    assert "not evaluated yet" in headline(store)
    assert f"parent: {adapter.id}" in report.left_out(store)


def test_run_takes_any_reference_and_says_what_it_cannot_report(store, capsys):
    sft = runs.find(store, "sft")
    assert labels(store, "sft") == labels(store, sft.id) == labels(store, sft.id[:14]) == WHOLE[:3]
    base = next(stage.evaluation for stage in chains.chain(store) if stage.run is None)
    assert labels(store, base.id) == WHOLE[:1]
    assert main.main(["report", str(store), "--run", "sfd"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: run: 'sfd'") and "did you mean 'sft'" in said


def test_a_phase_twice_in_a_chain_has_a_row_and_a_difference_of_its_own(store):
    """Rows were known by the name of their phase, so the second SFT took the first one's difference."""
    second = trained(store, "sft", "grpo", seed=3)
    evaluated(store, second)
    _, lines, _ = lineage.headline(chains.chain(store, second.id))
    assert [line[0] for line in lines] == ["base", "adapter", "SFT", "IPO", "GRPO", "SFT"]
    assert lines[2][4] != lines[5][4]
