"""`python -m nbcore compare`: which evaluations it takes, what it says of them, and what it refuses."""

import json

import pytest

from nbcore import config, runs, stats, view
from nbcore.cli.main import main
from nbcore.core import lines
from nbcore.evaluation import refusals
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


def asked(store, run, outcome, *sets, n=40, **values):
    """A finished evaluation of `run` that was asked these named sets of tasks, and no held-out tasks unless told so."""
    tasksets = [{"name": name, "source": "katas", "split": "train"} for name in sets]
    values = {"heldout": 0, "unseen": 0, **values, "tasksets": tasksets}
    evaluation = runs.open(config.load({"phase": "evaluate", "name": "sets", **values}), store, run)
    rates = {}
    for name in [*sets, *(["heldout"] if values["heldout"] else [])]:
        rows = [{"id": f"{name} {number}", "family": f"f{number % 20}", "split": name} for number in range(n)]
        for number, row in enumerate(rows):
            row |= {"verdict": outcome(number), "passed": outcome(number) == "pass", "compiles": True}
        lines.append(evaluation.path / "samples.jsonl", *rows)
        rates[name] = {"n": n, "pass@1": stats.wilson(sum(row["passed"] for row in rows), n)._asdict()}
    return evaluation.finish(rates, base="seedling", data_hash="e" * 64)


@pytest.fixture
def pair(tmp_path):
    first = made.trained(tmp_path, "lang_adapter")
    return tmp_path, first, made.trained(tmp_path, "sft", first)


def test_evaluations_of_named_sets_alone_are_compared_on_each(pair, capsys):
    """They were refused as no evaluation at all, because they had no held-out tasks."""
    store, first, second = pair
    for run, outcome in ((first, made.worse), (second, made.better)):
        asked(store, run, outcome, "mine", "yours")
    assert main(["compare", "lang_adapter", "sft", "--store", str(store)]) == 0
    said = capsys.readouterr().out
    assert "mine, n = 40" in said and "yours, n = 40" in said and "B is better: pass@1 on mine +30.0 pp" in said
    assert main(["compare", "lang_adapter", "sft", "--on", "yours", "--store", str(store)]) == 0
    said = capsys.readouterr().out
    assert "mine" not in said and "B is better: pass@1 on yours" in said
    assert main(["compare", "lang_adapter", "sft", "--on", "ours", "--store", str(store)]) == 2
    assert "--on: no task set 'ours' in both evaluations; there are mine, yours" in capsys.readouterr().err


def test_what_only_one_of_them_was_asked_is_left_out(pair, capsys):
    store, first, second = pair
    asked(store, first, made.worse, "mine", "yours")
    asked(store, second, made.better, "mine", "others", heldout=40)
    before, after = comparing.evaluations(store, "lang_adapter", "sft")
    assert {row.taskset for row in view.compared(before, after)} == {"mine"}
    asked(store, second, made.better, "mine", seed=3)
    assert comparing.evaluations(store, "lang_adapter", "sft")[1] == after, "another seed asks in another way"
    lone = asked(store, second, made.better, "others")
    assert main(["compare", "lang_adapter", lone.id, "--store", str(store)]) == 2
    assert "share no set of tasks: mine, yours and others" in capsys.readouterr().err


def test_another_set_under_the_same_name_is_not_compared(pair):
    store, first, second = pair
    asked(store, first, made.worse, "mine")
    values = {"heldout": 0, "unseen": 0, "tasksets": [{"name": "mine", "source": "katas", "split": "heldout"}]}
    other = runs.open(config.load({"phase": "evaluate", "name": "sets", **values}), store, second)
    lines.append(other.path / "samples.jsonl", {"id": "mine 0", "split": "mine", "verdict": "pass", "passed": True})
    other.finish({"mine": {"n": 1}}, base="seedling", data_hash="e" * 64)
    with pytest.raises(ValueError, match=r"different settings: tasksets"):
        comparing.evaluations(store, "lang_adapter", "sft")


def test_the_set_that_is_asked_for_chooses_the_evaluation(pair):
    """Without one, held-out tasks come first, as in the report, though another evaluation is newer."""
    store, first, second = pair
    held, named = (
        [asked(store, run, made.better, *sets, **values) for run in (first, second)]
        for sets, values in (((), {"heldout": 40}), (("mine",), {}))
    )
    assert list(comparing.evaluations(store, "lang_adapter", "sft")) == held
    assert list(comparing.evaluations(store, "lang_adapter", "sft", "mine")) == named


def test_refusals_are_compared_by_what_should_be_refused_and_what_should_not(pair, capsys):
    """A model that refuses everything refuses more harm, and more of what is harmless."""
    store, first, second = pair
    values = {"heldout": 0, "unseen": 0, "tasksets": ["refusals"]}
    for run, refuses in ((first, False), (second, True)):
        evaluation = runs.open(config.load({"phase": "evaluate", "name": "sets", **values}), store, run)
        families = ["harmful"] * 12 + ["harmless"] * 8
        rows = [{"id": f"r{n}", "family": family, "refused": refuses} for n, family in enumerate(families)]
        lines.append(evaluation.path / "samples.jsonl", *({**row, "split": "refusals"} for row in rows))
        evaluation.finish({"refusals": refusals.rates(rows)}, base="seedling", data_hash="e" * 64)
    rows = view.compared(*comparing.evaluations(store, "lang_adapter", "sft"))
    told = {row.measure: (row.change.delta.value, row.change.delta.n) for row in rows}
    assert told == {"refusal rate": (1.0, 12), "over-refusal rate": (1.0, 8)}
    assert main(["compare", "lang_adapter", "sft", "--on", "refusals", "--store", str(store)]) == 0
    assert "B is better: refusal rate on refusals" in capsys.readouterr().out


@pytest.mark.parametrize("name", [".", "x.txt", "no/x.png"])
def test_a_figure_that_cannot_be_written_is_refused_before_anything_else(tmp_path, capsys, name):
    """A folder's name was written beside the folder, and a missing folder was told after everything was computed."""
    assert main(["compare", "base", "sft", "--figure", str(tmp_path / name), "--store", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("error: --figure: ")
