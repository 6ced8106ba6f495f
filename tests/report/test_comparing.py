"""`python -m nbcore compare`: which evaluations it takes, what it says of them, and what it refuses."""

import json

import pytest

from nbcore import config, runs, view
from nbcore.cli.main import main
from nbcore.report import comparing
from tests import fake_store
from tests.gates import made


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return fake_store.make(tmp_path_factory.mktemp("store"), ("base", "lang_adapter", "sft", "grpo"), 120, 40)


def test_models_are_compared_by_their_evaluations_task_by_task(store, capsys, tmp_path):
    """The numbers are those of the recorded verdicts, whichever way the two models are named."""
    before, after = comparing.evaluations(store, "sft", "grpo")
    row = view.compared(before, after, "heldout")[0]
    first, second = (view.outcomes(run, "heldout") for run in (before, after))
    assert row.before == pytest.approx(sum(first.values()) / 120) and row.after == pytest.approx(
        sum(second.values()) / 120
    )
    assert row.change.delta.value == pytest.approx(row.after - row.before) and row.change.delta.n == 120
    assert row.change.better == sum(second[id_] > first[id_] for id_ in first)
    assert 0 <= row.power <= 1 and row.detectable > 0
    by_evaluation = comparing.evaluations(store, before.id, after.id)
    assert [run.id for run in by_evaluation] == [before.id, after.id]

    figure = tmp_path / "difference.png"
    assert main(["compare", "sft", "grpo", "--store", str(store), "--figure", str(figure)]) == 0
    said = capsys.readouterr().out
    assert figure.read_bytes().startswith(b"\x89PNG")
    assert before.id in said and after.id in said and "B is better: pass@1 on heldout" in said
    assert f"{100 * row.before:.1f}" in said and "unseen_family, n = 40" in said
    assert max(map(len, said.split("B: ")[1].splitlines()[1:-2])) <= 80, "a terminal of 80 columns"


def test_a_base_is_compared_by_its_own_evaluation(store):
    before, after = comparing.evaluations(store, "base", "sft")
    assert before.info["parent"] is None and after.parent.phase == "sft"


def test_a_few_tasks_that_all_got_better_show_nothing(tmp_path):
    """Their interval has no width, and was called a difference beside an exact p of 0.125."""
    first = made.trained(tmp_path, "lang_adapter")
    second = made.trained(tmp_path, "sft", first)
    made.evaluated(tmp_path, first, lambda number: "tests_failed", n=4)
    made.evaluated(tmp_path, second, lambda number: "pass", n=4)
    row = view.compared(*comparing.evaluations(tmp_path, "lang_adapter", "sft"))[0]
    assert row.change.delta.low == 1 and comparing.sentence(row).startswith("No difference shown")


def test_a_model_and_itself_show_no_difference(store, capsys):
    assert main(["compare", "sft", "sft", "--on", "heldout", "--store", str(store)]) == 0
    said = capsys.readouterr().out
    assert "No difference shown" in said and "unseen_family" not in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["sft", "grpo", "--on", "held"], "--on: no task set 'held'"),
        (["sft", "base"], "name it first"),
        (["sft", "nothing"], "nothing"),
        (["sft", "ipo"], "ipo"),
    ],
)
def test_what_cannot_be_compared_is_one_clear_line(store, arguments, words, capsys):
    assert main(["compare", *arguments, "--store", str(store)]) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1


def test_evaluations_with_other_settings_are_not_compared(tmp_path):
    """Rates on other tasks, or with other decoding, differ for reasons that have nothing to do with the models."""
    store = fake_store.make(tmp_path, ("lang_adapter", "sft"), 20, 0)
    sft = runs.find(store, "sft")
    for evaluation in runs.listing(store, "evaluate"):
        if evaluation.info["parent"]["id"] != sft.id:
            continue
        other = runs.open(
            config.load({"phase": "evaluate", "name": "other", "samples": 3, "generation": {"temperature": 1.0}}),
            store,
            sft,
        )
        for row in evaluation.samples():
            (other.path / "samples.jsonl").open("a").write(json.dumps(row) + "\n")
        other.finish(evaluation.info["metrics"], seconds=1.0, base="seedling", data_hash="e" * 64)
    adapter = runs.find(store, "lang_adapter")
    assert comparing.evaluations(store, adapter.id, sft.id)[1].config.samples == 1, "an older one on equal terms counts"
    words = r'different settings: .*samples \(1 and 3\).*overrides = \{.*"samples": 3'
    with pytest.raises(ValueError, match=words):
        comparing.evaluations(store, adapter.id, other.id)
    lone = runs.open(config.load({"phase": "sft", "name": "lone", "max_steps": 1}), store, adapter)
    (lone.path / "adapter").mkdir()
    (lone.path / "adapter" / "adapter_config.json").write_text("{}")
    lone.finish({"loss": 1.0}, base="seedling", data_hash="0" * 64)
    with pytest.raises(ValueError, match="07_evaluate"):
        comparing.evaluations(store, adapter.id, lone.id)


@pytest.mark.parametrize("name", [".", "x.txt", "no/x.png"])
def test_a_figure_that_cannot_be_written_is_refused_before_anything_else(tmp_path, capsys, name):
    """A folder's name was written beside the folder, and a missing folder was told after everything was computed."""
    assert main(["compare", "base", "sft", "--figure", str(tmp_path / name), "--store", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("error: --figure: ")
