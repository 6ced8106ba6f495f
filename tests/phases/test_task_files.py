"""A person's task file in the phases that use one: it is checked before a model is asked."""

import json

import pytest

from nbcore import runs
from nbcore.phases import evaluate, grpo, ipo
from nbcore.training import rollout
from tests.phases.short_runs import short


def task(identity="a", tests="#[test] fn t() { assert_eq!(double(2), 4); }"):
    return {"id": identity, "prompt": "Double it.", "signature": "pub fn double(x: u8) -> u8 {", "tests": tests}


def jsonl(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.mark.parametrize("phase", [evaluate, ipo, grpo], ids=lambda phase: phase.__name__.rpartition(".")[2])
@pytest.mark.parametrize("tests", ["", "#[test] fn t() { assert_eq!(triple(2), 6); }"], ids=["empty", "broken"])
def test_no_phase_generates_for_a_task_that_tests_nothing(tmp_path, monkeypatch, phase, tests):
    """Whatever a model says to it, the number would be wrong."""
    monkeypatch.setattr("nbcore.training.rollout.generate", lambda *_: pytest.fail("a model was asked"))
    path = jsonl(tmp_path / "tasks.jsonl", task("bad", tests), *(task(str(number)) for number in range(8)))
    name = phase.__name__.rpartition(".")[2]
    run = runs.open(short(name, **{"source" if name == "evaluate" else "tasks.source": path}), tmp_path)
    with pytest.raises(ValueError, match=f"^tasks.source: {path}: 1 tasks .*'bad'"):
        {"evaluate": evaluate.run_tasks, "ipo": ipo.data, "grpo": grpo.rewards}[name](run)


def test_a_resume_does_not_check_the_same_tasks_again(tmp_path):
    run = runs.open(short("evaluate"), tmp_path)
    asked = []

    class Judge:
        def grade(self, samples):
            asked.append(len(samples))
            return [{"id": sample["id"], "verdict": "infra_error", "passed": False, "errors": []} for sample in samples]

    for tasks in ([task()], [task()], [task("other")]):
        rollout.check_tasks(run, tasks, "mine.jsonl", Judge())
    rollout.check_tasks(run, [task("kata")], "katas", Judge())
    assert asked == [1, 1]
