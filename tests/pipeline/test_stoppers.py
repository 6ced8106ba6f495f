"""configs/pipeline/gated_tiny.yaml with one fault planted: its gate stops it, exit code 1, and the report says why."""

import random

import pytest
import yaml

from nbcore import config as configs
from nbcore import gates, runs
from nbcore.cli.main import main
from nbcore.core import lines
from nbcore.core.environment import REPO
from nbcore.data import sources
from nbcore.pipeline import notebook
from nbcore.tasks import katas
from tests.gates import made

GATED = "configs/pipeline/gated_tiny.yaml"
SHARE = {"lang_adapter": 4, "sft": 6, "ipo": 6, "grpo": 8}  # of ten tasks, how many pass; 3 of the base's


class Plant:
    """What the stages leave, without a notebook: as it should be, but for what a test plants."""

    texts = ("fn main() { println!(); }",)
    broken: tuple[str, ...] = ()  # phases whose answers all fail, as after training on shuffled answers
    degraded: tuple[str, ...] = ()  # phases that are graded without a sandbox
    not_finite: tuple[str, ...] = ()  # phases whose adapter holds a NaN, since it was evaluated
    lost: tuple[str, ...] = ()  # what the proof of the export complains of

    def execute(self, book, copy, parameters, cwd, tick):
        config, store = configs.load(REPO / parameters["config"], parameters["overrides"]), parameters["store"]
        parent = None if parameters["parent"] in (None, "base") else runs.find(store, parameters["parent"])
        if configs.TABLE[config.phase].measures:
            self.evaluate(store, parent, config)
        elif configs.TABLE[config.phase].makes_data:
            made.prepared(store, self.texts, config)
        elif configs.TABLE[config.phase].whole:
            made.exported(store, parent, config, ok=not self.lost, problems=list(self.lost), tensors=[{}])
        else:
            made.trained(store, config.phase, parent, config=config)

    def evaluate(self, store, parent, config):
        phase = parent.phase if parent else ""
        passing = 0 if phase in self.broken else SHARE.get(phase, 3)
        isolation = "degraded (network)" if phase in self.degraded else "jailed"

        def outcome(number):
            return "pass" if number % 10 < passing else "tests_failed"

        made.evaluated(store, parent, outcome, config=config, isolation=isolation)
        if phase in self.not_finite:
            made.adapter(parent.path, {f"{name}.lora_{side}": [float("nan")] * 8 for name in "qv" for side in "AB"})


@pytest.fixture
def plant(monkeypatch):
    """Checks that load a real model, and the loss of pretraining, are left to the run of the pipeline itself."""
    planted, shipped = Plant(), gates.of_phase

    def gate(phase):
        values = shipped(phase).model_dump(by_alias=True)
        checks = [check for check in values["checks"] if not check["metric"].startswith(("perplexity", "run.eval"))]
        integrity = {name: bound for name, bound in values["integrity"].items() if name != "adapter_loaded"}
        return gates.load({**values, "checks": checks, "integrity": integrity})

    monkeypatch.setattr(notebook, "execute", planted.execute)
    monkeypatch.setattr(gates, "of_phase", gate)
    return planted


def ran(store, capsys, *more):
    """(exit code, the line on stderr, the page, the phases that have runs)."""
    code = main(["run", GATED, "--store", str(store), *more])
    out, err = capsys.readouterr()
    page = store / "report.html"
    text = page.read_text() if page.is_file() and str(page) in "".join(out.split()) else ""
    return code, err, text, {run.phase for run in runs.listing(store)}


@pytest.mark.slow
def test_a_pipeline_without_a_fault_passes_every_gate(store, plant, capsys):
    code, err, page, phases = ran(store, capsys)
    assert code == 0, err
    assert phases == set(configs.PHASES) and "Stopped by a gate" not in page
    for phase in ("data", "lang_adapter", "sft", "ipo", "grpo", "export"):
        assert gates.opens(gates.current(runs.find(store, phase))), phase


@pytest.mark.parametrize(
    ("fault", "stage", "why", "never"),
    [
        ({"broken": ("sft",)}, "sft_eval", "pass@1 on heldout", "ipo"),
        ({"not_finite": ("lang_adapter",)}, "lang_adapter_eval", "weights_finite", "sft"),
        ({"degraded": ("lang_adapter",)}, "lang_adapter_eval", "sandbox_not_degraded", "sft"),
        ({"texts": ("fn main() {}", katas.code(katas.load("heldout")[3]))}, "data", "no_contamination", "pretrain"),
        pytest.param(
            {"lost": ("q_proj: kept 0.2",)}, "export", "parity: q_proj: kept 0.2", None, marks=pytest.mark.slow
        ),
    ],
    ids=["shuffled answers", "adapter of NaN", "degraded grader", "contaminated data", "export that lost its adapter"],
)
def test_a_fault_is_stopped_by_its_gate(store, plant, capsys, fault, stage, why, never):
    """Each of these trained on, or was published, and looked like any other run."""
    for name, value in fault.items():
        setattr(plant, name, value)
    code, err, page, phases = ran(store, capsys)
    assert code == 1 and err.count("\n") == 1, err
    assert err.startswith(f"error: stage {stage}: the gate of ") and f"says FAIL: {why}" in err, err
    assert "Stopped by a gate" in page and why in page
    assert never not in phases
    again, _, page, _ = ran(store, capsys)
    assert again == 1 and why in page, "the same command does not talk itself past it"


@pytest.mark.slow
def test_a_part_that_reads_data_meets_the_gate_of_the_data(store, plant, capsys):
    """Data are nobody's parent: `--only lang_adapter` trained on what had failed its gate."""
    plant.texts = (katas.code(katas.load("heldout")[3]),)
    assert ran(store, capsys, "--only", "data")[0] == 1
    code, err, _, phases = ran(store, capsys, "--only", "lang_adapter")
    assert code == 1 and err.startswith("error: stage lang_adapter: the gate of data/"), err
    assert "lang_adapter" not in phases


@pytest.mark.slow
def test_only_a_part_of_it_meets_the_same_gate_and_a_waiver_lets_it_go_on_in_red(store, plant, capsys):
    plant.broken = ("sft",)
    assert ran(store, capsys)[0] == 1
    code, err, _, phases = ran(store, capsys, "--only", "ipo")
    assert code == 1 and err.startswith("error: stage ipo: the gate of sft/") and "ipo" not in phases
    sft = runs.find(store, "sft")
    gates.decide(sft, gates.of_phase("sft"), waive="to see what IPO makes of it")
    code, err, page, phases = ran(store, capsys)
    assert code == 0 and "export" in phases, err
    assert "WAIVED" in page and "to see what IPO makes of it" in page


@pytest.mark.slow
def test_after_a_rollback_nothing_starts_from_what_it_left(store, plant, capsys):
    assert ran(store, capsys, "--only", "data,base_eval,lang_adapter,lang_adapter_eval,sft,sft_eval")[0] == 0
    first = runs.find(store, "sft")
    other = ("--set", "sft.seed=5")
    assert ran(store, capsys, "--only", "sft,sft_eval", *other)[0] == 0
    assert main(["runs", "rollback", "sft", "--store", str(store)]) == 0
    assert f"sft@blessed is {first.id} again" in " ".join(capsys.readouterr().out.split())
    code, err, *_ = ran(store, capsys, "--only", "ipo", *other)
    assert code == 1 and "withdrawn by a rollback" in err
    assert ran(store, capsys, "--only", "ipo")[0] == 0 and runs.find(store, "ipo").parent == first


@pytest.mark.slow
def test_an_sft_that_was_really_trained_on_shuffled_answers_is_stopped(store, tmp_path, capsys):
    """Shuffled answers still look like Rust: their loss falls as that of good ones does, and only answers that are
    graded tell. Nothing is planted here: the notebooks train, generate and grade, and the shipped gate judges."""
    rows = sources.rows("katas", None, 0)
    answers = [row["messages"][-1] for row in rows]
    random.Random(0).shuffle(answers)
    shuffled = [{**row, "messages": [*row["messages"][:-1], answer]} for row, answer in zip(rows, answers, strict=True)]
    lines.append(tmp_path / "shuffled.jsonl", *shuffled)
    evaluate = {"phase": "evaluate", "config": "configs/evaluate/tiny.yaml"}
    evaluate["overrides"] = {"unseen": 0, "perplexity_documents": 20, "generation.max_new_tokens": 64}
    trained = {"rows": str(tmp_path / "shuffled.jsonl"), "max_steps": 20}
    stages = [
        {"id": "base_eval", **evaluate},
        {"id": "sft", "phase": "sft", "config": "configs/sft/tiny.yaml", "parent": "base", "overrides": trained},
        {"id": "sft_eval", "parent": "sft", **evaluate},
        {"id": "ipo", "phase": "ipo", "config": "configs/ipo/tiny.yaml", "parent": "sft"},
    ]
    path = tmp_path / "shuffled.yaml"
    path.write_text(yaml.safe_dump({"name": "shuffled", "gates": True, "stages": stages}))
    assert main(["run", str(path), "--store", str(store)]) == 1
    sft = runs.find(store, "sft")
    losses = [row["eval_loss"] for row in sft.metrics() if "eval_loss" in row]
    assert losses[-1] < losses[0], "by its loss it learned"
    err = capsys.readouterr().err.splitlines()[-1]
    assert err.startswith(f"error: stage sft_eval: the gate of {sft.id} says FAIL: pass@1 on heldout: [-0."), err
    page = (store / "report.html").read_text()
    assert "Stopped by a gate" in page and "is below what is asked" in page
    assert not runs.listing(store, "ipo")
    assert main(["gate", sft.id, "--store", str(store)]) == 1
    out, err = capsys.readouterr()
    assert "FAIL" in out and err.startswith("error: FAIL: pass@1 on heldout: ") and err.count("\n") == 1, err
    record = gates.current(sft)
    assert record["metrics"][0]["metric"] == "pass@1" and record["metrics"][0]["n"] >= 300, "tasks in pairs"
    assert {each["verdict"] for each in record["integrity"].values()} == {"PASS"}, "else it proves less"
