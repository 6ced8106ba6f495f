"""The shipped agent pipeline, cut short: every stage through its notebook, from a base to what its agent repairs."""

import io

import pytest
import yaml
from rich.console import Console

from nbcore import pipeline as pipelines
from nbcore import report, runs
from nbcore.core.environment import REPO
from nbcore.phases import evaluate
from nbcore.pipeline import progress

SHORT = {
    "lang_adapter": {"max_steps": 2, "batch_size": 4, "corpus.sources": {"katas": 16}, "validation_documents": 4},
    "sft": {"episodes.played": 8, "episodes.practice": 56, "validation_share": 0.2, "max_steps": 4, "batch_size": 4},
    "grpo": {"episodes.faults": 4, "tasks.limit": 8, "max_steps": 2, "group_size": 2}
    | {"batch_size": 4, "gradient_accumulation": 1},
}


@pytest.mark.slow
def test_the_agent_pipeline_runs_from_its_base_to_the_repairs_of_its_agent(tmp_path):
    """A stage that cannot read what the one before left would be found by a person after half an hour."""
    shipped = yaml.safe_load((REPO / "configs/pipeline/agent_tiny.yaml").read_text(encoding="utf-8"))
    few = yaml.safe_load((REPO / "configs/evaluate/agent_tiny.yaml").read_text(encoding="utf-8"))["tasksets"]
    few[0]["limit"] = 6
    for stage in shipped["stages"]:
        stage["overrides"] = SHORT.get(stage["phase"], {"tasksets": few})
    path = tmp_path / "agent.yaml"
    path.write_text(yaml.safe_dump(shipped))
    pipelines.run(pipelines.load(path), tmp_path / "store", progress.Show(Console(file=io.StringIO(), width=200)))
    for start in ("sft", "grpo"):
        run = next(run for run in runs.listing(tmp_path / "store", "evaluate") if run.parent.phase == start)
        found = evaluate.results(run)["agent_faults"]
        assert found["n"] == 6 and found["scripted_rate"]["value"] == 1.0, "the scripted agent knows the fault"
    page = report.build(tmp_path / "store")
    assert "Repairs" in page.read_text(encoding="utf-8")
