"""nbcore.pipeline.experiment and effects: what an experiment runs, what it refuses, what it makes of the answers."""

import json
import random
import shutil
from pathlib import Path

import pytest

from nbcore import config as configs
from nbcore import report, runs
from nbcore.cli import main
from nbcore.config import experiment as experiments
from nbcore.core import plain_yaml
from nbcore.core.environment import REPO
from nbcore.pipeline import effects, notebook
from nbcore.pipeline import experiment as running
from nbcore.runs import commit, layout

SHIPPED = sorted((REPO / "configs" / "experiments").glob("*.yaml"))
COMMENTS = "sft.metadata_comments"


def written(**changes):
    """An experiment of two arms and two seeds, with some fields changed."""
    values = {
        "name": "test",
        "question": "Does it help?",
        "pipeline": "configs/pipeline/tiny.yaml",
        "stages": ["data", "lang_adapter", "sft", "sft_eval"],
        "set": {"sft.max_steps": 7},
        "arms": [{"name": "plain"}, {"name": "comments", "set": {COMMENTS: True}}],
        "seeds": [0, 1],
        "seeded": ["sft"],
        "first": {"set": {"sft.max_steps": 2}},
    }
    return {name: value for name, value in (values | changes).items() if value is not ...}


@pytest.fixture
def executed(monkeypatch):
    """Notebooks are not executed: each opens its run and finishes it; an evaluation's answers are drawn by chance, and
    better where the model it measures was trained with comments."""
    calls = []

    def execute(book, copy, parameters, cwd, tick):
        cfg = configs.load(REPO / parameters["config"], parameters["overrides"])
        run = runs.open(cfg, parameters["store"], parameters["parent"])
        calls.append(run.id)
        entry = configs.TABLE[run.phase]
        if execute.stop_at == len(calls):
            raise KeyboardInterrupt
        copy.write_text(json.dumps({"cells": []}))
        if entry.measures:
            parent = run.parent.config
            gain = 0.35 if parent.metadata_comments else 0.0
            draw, rows = random.Random(parent.seed), []
            for number in range(120):
                passed = draw.random() < 0.3 + gain
                sample = {"id": f"t{number}", "family": f"f{number % 30}", "split": "heldout", "prompt": "p"}
                rows.append(
                    {**sample, "verdict": "pass" if passed else "tests_failed", "passed": passed, "compiles": 1}
                )
                rows.append({"id": f"d{number}", "split": "perplexity", "nll": 10 + draw.random() - gain, "tokens": 10})
            run.sample(*rows)
            run.finish({"perplexity": {"value": 2.0}, "heldout": {"n": 120}}, device="CPU", base="seedling")
            return None
        if entry.trains:
            folder = run.path / entry.leaves
            folder.mkdir()
            (folder / "weights").write_text("the same" if execute.dead else str(cfg))
        run.finish({"loss": 1.0}, data_hash="d" * 64, base="seedling", device="CPU")
        return None

    execute.stop_at, execute.dead = 0, False
    monkeypatch.setattr(notebook, "execute", execute)
    execute.calls = calls
    return execute


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_the_shipped_experiments_load_and_their_arms_differ(path):
    loaded = experiments.load(path)
    for stage in (running.FIRST, running.FULL):
        assert len(running.cells(loaded, stage)) == len(loaded.arms) * (
            loaded.first.seeds if stage == running.FIRST else len(loaded.seeds)
        )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"arms": [{"name": "plain"}, {"name": "x", "set": {"sft.metadata_coments": True}}]},
            ["arm x", "metadata_com"],
        ),
        ({"arms": [{"name": "plain"}, {"name": "x", "set": {"sft.max_steps": "many"}}]}, ["arm x", "many"]),
        ({"arms": [{"name": "plain"}, {"name": "x", "sett": {}}]}, ["arms.1.sett", "did you mean 'set'"]),
        ({"arms": [{"name": "plain"}, {"name": "x"}]}, ["arm x", "is the control", "other_seeds"]),
        ({"arms": [{"name": "plain"}, {"name": "x", "set": {COMMENTS: False}}]}, ["arm x", "is the control"]),
        ({"arms": [{"name": "plain"}, {"name": "x", "set": {"ipo.beta": 0.9}}]}, ["arm x", "changes nothing of"]),
        ({"arms": [{"name": "plain"}]}, ["arms", "2"]),
        ({"arms": [{"name": "plain"}, {"name": "plain", "set": {COMMENTS: True}}]}, ["'plain' stands twice"]),
        ({"arms": [{"name": "plain"}, {"name": "x", "other_seeds": 1}]}, ["meets seeds"]),
        ({"arms": [{"name": "plain"}, {"name": "x", "other_seeds": 9, "set": {COMMENTS: True}}]}, ["drop one"]),
        ({"pipeline": "configs/pipeline/tyny.yaml"}, ["tyny.yaml", "did you mean", "tiny.yaml"]),
        ({"stages": ["data", "lang_adapter", "sfd"], "seeded": ["data"]}, ["stages", "'sfd'", "did you mean 'sft'"]),
        ({"stages": ["sft", "sft_eval"]}, ["sft starts from lang_adapter", "add it"]),
        ({"stages": ["data", "lang_adapter", "sft"]}, ["measures nothing"]),
        ({"seeded": ["ipo"]}, ["seeded", "'ipo'"]),
        ({"seeds": []}, ["seeds"]),
        ({"seeds": [0, 0]}, ["twice"]),
        ({"first": {"seeds": 5}}, ["first.seeds is 5"]),
        ({"margin": 0}, ["margin"]),
        ({"taskset": "held_out"}, ["taskset: 'held_out'", "arm plain", "did you mean 'heldout'"]),
        ({"set": {"sft_eval.unseen": 0}, "taskset": "unseen_family"}, ["taskset", "there are heldout"]),
        ({"question": ...}, ["'question' is missing"]),
        ({"arms": ...}, ["has no arms"]),
    ],
)
def test_a_mistake_in_an_experiment_is_one_line(changes, words):
    with pytest.raises((ValueError, FileNotFoundError)) as caught:
        running.cells(experiments.load(written(**changes)))
    assert "\n" not in str(caught.value) and all(word in str(caught.value) for word in words), str(caught.value)


def test_arms_share_what_comes_before_their_first_difference(tmp_path, executed):
    loaded = experiments.load(written())
    planned = running.outline(loaded, tmp_path)
    assert {row[3] for row in planned} == {running.TO_DO} and not executed.calls and not list(tmp_path.iterdir())
    measured = running.run(loaded, tmp_path)
    phases = [id_.partition("/")[0] for id_ in executed.calls]
    assert [phases.count(name) for name in ("data", "lang_adapter", "sft", "evaluate")] == [1, 1, 4, 4]
    assert [(each.arm, each.seed) for each in measured] == [
        ("plain", 0), ("comments", 0), ("plain", 1), ("comments", 1),
    ]  # fmt: skip
    for each in measured:
        assert each.evaluation.parent.config.seed == each.seed and each.evaluation.config.seed == 0
        assert each.evaluation.parent.config.metadata_comments == (each.arm == "comments")
    done = running.outline(loaded, tmp_path)
    assert [row[3] == running.TO_DO for row in done if row[0] == running.FULL] == [False] * 8
    assert len(done) == len(planned)


@pytest.mark.parametrize("at", [1, 3, 6])
def test_a_stopped_experiment_repeats_nothing_that_had_finished(tmp_path, executed, at):
    loaded = experiments.load(written())
    executed.stop_at = at
    with pytest.raises(KeyboardInterrupt):
        running.run(loaded, tmp_path)
    executed.stop_at, before = 0, list(executed.calls)
    running.run(loaded, tmp_path)
    assert executed.calls[at] == before[-1], "the run in hand is gone on with"
    assert len(set(executed.calls)) == 10 and len(executed.calls) == 11
    running.run(loaded, tmp_path)
    assert len(executed.calls) == 11


def test_the_first_stage_stops_a_switch_that_is_not_connected(tmp_path, executed):
    """A setting that no code reads gives two arms of equal weights, and an experiment of hours that finds nothing."""
    loaded = experiments.load(written())
    running.require_first(loaded, running.run(loaded, tmp_path / "alive", running.FIRST))
    executed.dead = True
    with pytest.raises(running.FirstFailed, match="arm comments: its weights are the control's"):
        running.require_first(loaded, running.run(loaded, tmp_path / "dead", running.FIRST))
    strict = experiments.load(written(first={"compiles": 121}))
    with pytest.raises(running.FirstFailed, match="120 of 120 answers compile"):
        running.require_first(strict, running.run(strict, tmp_path / "strict", running.FIRST))


def test_the_command_runs_compares_and_leaves_a_result(tmp_path, executed, capsys):
    file = tmp_path / "e.yaml"
    file.write_text(plain_yaml.dump(written()))
    words = ["experiment", str(file), "--store", str(tmp_path)]
    assert main.main([*words, "--dry-run"]) == 0 and not executed.calls
    assert "0 done" in capsys.readouterr().out
    assert main.main([*words, "--only-first"]) == 0
    assert len(executed.calls) == 6 and "the first stage passes" in capsys.readouterr().out
    assert main.main(words) == 0
    told = capsys.readouterr().out
    assert "comments: BETTER" in told and "test full 4/4 · comments · seed 1" in told
    folder = tmp_path / layout.EXPERIMENTS / "test"
    record = commit.read_sealed(folder / layout.EXPERIMENT)
    assert record["effects"][0]["effect"]["n"] == 120 and len(record["runs"]) == 4
    text = (folder / layout.EXPERIMENT_TEXT).read_text()
    assert "n = 120 tasks × 2 seeds" in text and "nats a token" in text
    assert (folder / layout.EXPERIMENT_PICTURE).read_bytes().startswith(b"\x89PNG")
    # the report of the store that the experiment lies in, with a run of its own
    for each in ("data", "lang_adapter", "sft", "evaluate"):
        shutil.copytree(folder / each, tmp_path / each)
    assert "Experiments" in (page := report.build(tmp_path).read_text()) and "comments: BETTER" in page
    damaged = (folder / layout.EXPERIMENT).read_text().replace('"BETTER"', '"WORSE"')
    (folder / layout.EXPERIMENT).write_text(damaged)
    assert "damaged" in report.build(tmp_path).read_text()


def outcomes(chance, seeds=(0, 1, 2), n=150):
    draw = random.Random(str(chance))
    return {seed: {f"t{at}": float(draw.random() < chance) for at in range(n)} for seed in seeds}


def test_pairs_are_of_one_task_and_one_seed():
    """The same answers in another order of tasks and seeds are the same experiment."""
    control, treatment = outcomes(0.4), outcomes(0.55)
    found = effects.effect(control, treatment, None, 0.05, 0.05)
    turned = {seed: dict(reversed(list(side.items()))) for seed, side in reversed(list(treatment.items()))}
    again = effects.effect(control, turned, None, 0.05, 0.05)
    assert again["effect"] == pytest.approx(found["effect"]) and again["by_seed"] == found["by_seed"]
    by_hand = sum(treatment[s][t] - control[s][t] for s in control for t in control[s]) / 450
    assert found["effect"]["value"] == pytest.approx(by_hand)


def test_a_task_that_could_not_be_graded_somewhere_is_left_out_everywhere():
    control, treatment = outcomes(0.4), outcomes(0.5)
    del treatment[1]["t7"]
    found = effects.effect(control, treatment, None, 0.05, 0.05)
    assert (found["effect"]["n"], found["left_out"]) == (149, 1)


@pytest.mark.parametrize(
    ("low", "high", "p", "said"),
    [
        (0.01, 0.2, 0.01, effects.BETTER),
        (-0.2, -0.01, 0.01, effects.WORSE),
        (-0.02, 0.03, 0.6, effects.NONE),
        (-0.02, 0.08, 0.2, effects.UNDECIDED),
        (0.001, 0.2, 0.08, effects.UNDECIDED),  # better alone, but not among so many arms
    ],
)
def test_a_verdict_is_never_more_than_the_interval_says(low, high, p, said):
    found = {"value": (low + high) / 2, "low": low, "high": high, "error": 0.01, "n": 300}
    assert effects.verdict(found, p, 0.05, 0.05)[0] == said


@pytest.mark.parametrize(("n", "said"), [(4, effects.UNDECIDED), (300, effects.NONE)])
def test_four_equal_answers_do_not_show_that_there_is_no_difference(n, said):
    """Where no answer differs the interval is a point: an experiment of four tasks claimed that nothing matters."""
    found = effects.effect(*[{0: {f"t{at}": 0.0 for at in range(n)}}] * 2, None, 0.05, 0.05)
    assert effects.verdict(found["effect"], 1.0, 0.05, 0.05)[0] == said and found["power"] is None


def test_fewer_nats_are_better_and_other_tasks_in_an_arm_are_refused(tmp_path, executed):
    loaded = experiments.load(written())
    measured = running.run(loaded, tmp_path)
    nats = next(each for each in effects.record(loaded, measured)["effects"] if each["measure"] == effects.PERPLEXITY)
    fewer = nats["effect"]["value"] < 0
    assert (nats["better"] > nats["worse"]) == fewer, (
        "fewer nats are better: the columns once stood the other way round"
    )
    other = measured[-1].evaluation
    samples = (other.path / layout.SAMPLES).read_text().replace('"id": "t5"', '"id": "t500"')
    (other.path / layout.SAMPLES).write_text(samples)
    with pytest.raises(ValueError, match="seed 1 was asked other tasks than plain, seed 0"):
        effects.record(loaded, measured)


@pytest.mark.slow
def test_a_real_experiment_of_two_arms(tmp_path, monkeypatch, repo):
    """Real trainings and the real compiler: the treatment's rows get their comments, and both arms the same tasks."""
    monkeypatch.chdir(repo)
    small = {"sft.max_steps": 2, "sft_eval.heldout": 4, "sft_eval.unseen": 0, "sft_eval.perplexity_documents": 4}
    values = written(stages=["sft", "sft_eval"], seeds=[0], set=small, first=...)
    pipeline = plain_yaml.read(repo / values["pipeline"])
    pipeline["stages"] = [stage for stage in pipeline["stages"] if stage["id"] in ("sft", "sft_eval")]
    pipeline["stages"][0]["parent"] = runs.BASE
    (tmp_path / "p.yaml").write_text(plain_yaml.dump(pipeline))
    values["pipeline"] = str(tmp_path / "p.yaml")
    file = tmp_path / "e.yaml"
    file.write_text(plain_yaml.dump(values))
    assert main.main(["experiment", str(file), "--store", str(tmp_path)]) == 0
    folder: Path = tmp_path / layout.EXPERIMENTS / "test"
    made = {run.config.metadata_comments: run for run in runs.listing(folder, "sft") if run.finished}
    assert made[True].info["data"]["commented"] > 0 and "commented" not in made[False].info["data"]
    record = commit.read_sealed(folder / layout.EXPERIMENT)
    assert record["effects"][0]["effect"]["n"] == 4 and record["effects"][0]["verdict"] != effects.NONE
