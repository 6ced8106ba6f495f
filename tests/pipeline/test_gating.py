"""`gates: true`: a phase starts only from a run that its gate let through, or a person, in red."""

import io

import pytest
import yaml
from rich.console import Console

from nbcore import config as configs
from nbcore import gates, report, runs
from nbcore import pipeline as pipelines
from nbcore.cli.main import main
from nbcore.core.environment import REPO
from nbcore.pipeline import gating, notebook, progress
from tests.gates import made

STAGES = [
    {"id": "lang_adapter", "phase": "lang_adapter", "config": "configs/lang_adapter/tiny.yaml"},
    {"id": "adapter_eval", "phase": "evaluate", "config": "configs/evaluate/tiny.yaml", "parent": "lang_adapter"},
    {"id": "sft", "phase": "sft", "config": "configs/sft/tiny.yaml", "parent": "lang_adapter"},
    {"id": "sft_eval", "phase": "evaluate", "config": "configs/evaluate/tiny.yaml", "parent": "sft"},
    {"id": "ipo", "phase": "ipo", "config": "configs/ipo/tiny.yaml", "parent": "sft"},
]


@pytest.fixture
def skill(monkeypatch):
    """Notebooks are not executed: each leaves what it would. The dict says how an evaluated phase answers."""
    answers = {"lang_adapter": made.worse, "sft": made.better}

    def execute(book, copy, parameters, cwd, tick):
        config = configs.load(REPO / parameters["config"], parameters["overrides"])
        parent = None if parameters["parent"] in (None, "base") else parameters["parent"]
        if config.phase == "evaluate":
            made.evaluated(parameters["store"], parent, answers[parent.partition("/")[0]], config=config)
        else:
            made.trained(parameters["store"], config.phase, parent, config=config)

    def shipped(phase):
        easy = {"integrity": ["weights_finite", "hashes_verified"], "phase": phase}
        if phase == "lang_adapter":
            easy |= {"baseline": "none", "checks": [{"metric": "pass@1", "value": {"min": 0.1}}]}
        return gates.load({**made.GATE, **easy})

    monkeypatch.setattr(notebook, "execute", execute)
    monkeypatch.setattr(gates, "of_phase", shipped)
    return answers


def go(tmp_path, store, gated=True, only=None):
    path = tmp_path / "gated.yaml"
    path.write_text(yaml.safe_dump({"name": "gated", "gates": gated, "stages": STAGES}))
    text = io.StringIO()
    show = progress.Show(Console(file=text, width=200))
    try:
        pipelines.run(pipelines.load(path, only), store, show)
    finally:
        go.text = text.getvalue()
    return path


def test_every_phase_passes_its_gate_and_the_next_one_starts(tmp_path, store, skill):
    go(tmp_path, store)
    assert "gate lang_adapter: RUBBER_STAMP" in go.text and "gate sft: PASS" in go.text
    assert runs.find(store, "ipo").finished
    before = len(list((store / "blessings").glob("*/*.json")))
    go(tmp_path, store)
    assert len(list((store / "blessings").glob("*/*.json"))) == before, "a decision in force is not made twice"


def test_a_run_that_lost_stops_the_pipeline_with_exit_1_and_a_report_that_says_why(tmp_path, store, skill, capsys):
    skill["sft"] = lambda number: "tests_failed"
    with pytest.raises(pipelines.GateClosed, match=r"stage sft_eval: the gate of sft/\S+ says FAIL: pass@1"):
        path = go(tmp_path, store)
    path = tmp_path / "gated.yaml"
    assert not runs.listing(store, "ipo")
    assert main(["run", str(path), "--store", str(store)]) == 1
    out, err = capsys.readouterr()
    assert err.startswith("error: stage sft_eval: the gate of sft/") and err.count("\n") == 1
    page = (store / "report.html").read_text()
    assert "What the gates said" in page and "FAIL" in page and "report:" in out
    with pytest.raises(pipelines.GateClosed, match="stage ipo"):
        go(tmp_path, store, only="ipo")


def test_a_waiver_opens_it_and_is_red_in_every_later_report(tmp_path, store, skill, capsys):
    skill["sft"] = lambda number: "tests_failed"
    with pytest.raises(pipelines.GateClosed):
        go(tmp_path, store)
    sft = runs.find(store, "sft")
    gates.decide(sft, gates.of_phase("sft"), waive="the <tests> were wrong")
    go(tmp_path, store)
    ipo = runs.find(store, "ipo")
    made.evaluated(store, ipo, made.better, config=configs.load(REPO / "configs/evaluate/tiny.yaml"))
    page = report.build(store, run=ipo.id).read_text()
    assert '<p class="waived" style="color:#cf222e"><b>WAIVED</b>' in page and "the &lt;tests&gt; were wrong" in page
    console = Console(file=io.StringIO(), width=100)
    console.print(report.table(store, ipo.id))
    assert f"WAIVED: {sft.id}" in " ".join(console.file.getvalue().split())
    assert main(["runs", "show", sft.id, "--store", str(store)]) == 0
    assert "WAIVED: the <tests> were wrong" in capsys.readouterr().out


def test_a_rolled_back_run_opens_nothing(tmp_path, store, skill):
    go(tmp_path, store, only="lang_adapter,adapter_eval,sft,sft_eval")
    sft = runs.find(store, "sft")
    other = made.trained(store, "sft", sft.parent, seed=5, limit=9)
    made.evaluated(store, other, made.better, config=configs.load(REPO / "configs/evaluate/tiny.yaml"))
    gates.decide(other, gates.of_phase("sft"))
    gates.rollback(store, "sft", to=sft.id)
    gating.require("ipo", sft, progress.Show(Console(file=io.StringIO())))
    with pytest.raises(pipelines.GateClosed, match="withdrawn by a rollback"):
        gating.require("ipo", other, progress.Show(Console(file=io.StringIO())))


def test_a_parent_that_nothing_evaluated_is_closed(tmp_path, store, skill):
    with pytest.raises(pipelines.GateClosed, match="has no evaluation"):
        go(tmp_path, store, only="lang_adapter,sft")


def test_without_gates_nothing_is_judged(tmp_path, store, skill):
    skill["sft"] = lambda number: "tests_failed"
    go(tmp_path, store, gated=False)
    assert runs.find(store, "ipo").finished and not (store / "blessings").exists()
