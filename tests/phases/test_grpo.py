"""GRPO: the reward is the grader's verdict, component by component."""

import asyncio
import json
import threading

import pytest

from nbcore import runs
from nbcore.grading import reward, verdicts
from nbcore.grading.grader import RustGrader
from nbcore.phases import grpo
from nbcore.runs import profile
from nbcore.tasks import katas
from tests.phases.short_runs import same_losses, short, walk


@pytest.fixture(scope="module")
def graded():
    """The names of the threads that graded during the run, one for each call."""
    return []


@pytest.fixture(scope="module")
def run(chain, graded):
    real = RustGrader.grade

    def noted(self, samples):
        graded.append(threading.current_thread().name)
        return real(self, samples)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RustGrader, "grade", noted)
        return walk(grpo, runs.open(short("grpo"), chain, "sft"))


def test_first_losses(run, golden):
    """A change in sampling, reward, advantage or schedule shows in the first steps."""
    same_losses(run, golden)


def test_every_component_is_logged(run):
    """A reward whose parts are not seen cannot be debugged, and a rising sum can hide a cheat."""
    logged = {key for row in run.metrics() for key in row}
    assert {f"rewards/{name}/mean" for name in ("compiles", "tests", "passed")} <= logged


def test_generation_and_grading_have_their_own_seconds(run):
    """Most of a step is these two; in one number with the forward pass, nobody knows what to make faster."""
    found = profile.of(run)
    assert {"generation", "grading", "forward", "backward"} <= set(found.seconds)
    rows = [row for row in run.metrics() if "grading_seconds" in row]
    beside = [profile.summed([row]).seconds["grading"] - row["grading_seconds"] for row in rows]
    assert len(rows) == 4 and min(beside) > -1e-3, "the waiting is a part of it"
    # On a busy machine a step's two threads may wait for each other, but not in every step.
    assert min(beside) < 0.025
    assert found.seconds["generation"] > found.seconds["optimizer"]


def test_trl_adds_up_the_reward_that_reward_py_defines(run):
    """TRL multiplies the components by the weights it was given; another order or another weight trains on another
    reward than the one that is shown. The sum is linear, so it holds for the means of a step."""
    weights = run.config.weights.model_dump()
    rows = [row for row in run.metrics() if "reward" in row]
    for row in rows:
        means = {name: row[f"rewards/{name}/mean"] for name in reward.counted(weights)}
        assert row["reward"] == pytest.approx(reward.total(means, weights), abs=1e-6)
    assert rows


def asked(run, ids, task, judge=None):
    """What each reward function answers, called as TRL does: together, on one event loop."""

    async def together():
        functions = grpo.rewards(run, judge)
        return await asyncio.gather(*(function(completion_ids=ids, task=task) for function in functions))

    return asyncio.run(together())


def test_reward_of_right_wrong_and_broken_programs(run):
    """The reference earns everything, a program that does not compile nothing, whatever stands around it."""
    rows = grpo.data(run)
    task = next(iter(rows["tasks"].values()))
    tokenizer = rows["tokenizer"]
    texts = [katas.code(task), task["signature"] + "\n    todo!()\n}", "pub fn broken(", "no code at all"]
    ids = [
        tokenizer.encode("<|channel|>final<|message|>" + text + "<|return|>", add_special_tokens=False)
        for text in texts
    ]
    compiles, tests, passed = asked(run, ids, [task["id"]] * 4)
    assert compiles == [1, 1, 0, 0] and passed == [1, 0, 0, 0] and tests[0] == 1 and tests[2:] == [0, 0]


def test_answers_are_graded_while_others_are_written(run, graded):
    """A GPU would wait for the compiler, and the compiler for the GPU."""
    assert any(name.startswith("nbcore-ahead") for name in graded)


def test_what_was_graded_early_is_rewarded_as_what_was_not(run):
    """Answers end in another order than they are rewarded in; another's verdict would teach the opposite."""
    rows = grpo.data(run)
    chosen = list(rows["tasks"].values())[:4]
    prompts = dict(zip(rows["tasks"], (row["ids"] for row in rows["prompts"]), strict=True))
    encode = rows["tokenizer"].encode
    texts = [[katas.code(task), task["signature"] + "\n    todo!()\n}", "pub fn x("] for task in chosen]
    ids = [encode(text, add_special_tokens=False) for group in texts for text in group]
    task = [each["id"] for each in chosen for _ in range(3)]
    judge = grpo.Judge(run, grpo.data(run))
    for index in (11, 0, 5, 5, 7, 2, 8):
        judge.early(prompts[task[index]], ids[index])
    judge.early([1, 2, 3], ids[0])  # of no task
    early, after = asked(run, ids, task, judge), asked(run, ids, task)
    assert early == after and {1.0, 0.0} <= set(early[2])


def test_our_own_fault_is_never_a_zero(run, monkeypatch):
    """An infra_error scored 0 teaches the model from our broken disk."""
    verdict = {"verdict": "infra_error", "passed": False, "compiles": False, "tests_passed": 0, "tests_total": 6}
    verdict |= {"flags": [], "clippy_warnings": 0, "cached": False}
    fine = verdict | {"verdict": "pass", "passed": True, "compiles": True, "tests_passed": 6}
    size = run.config.group_size
    monkeypatch.setattr(RustGrader, "grade", lambda self, samples: [verdict] + [fine] * (len(samples) - 1))
    task = next(iter(grpo.data(run)["tasks"]))
    for values in asked(run, [[1]] * 2 * size, [task] * 2 * size):
        assert values == [None] * size + [1.0] * size


def test_steps_of_which_nothing_could_be_graded_stop_the_run(run, monkeypatch):
    """Each such step has the reward nan and teaches nothing: 130 of them ended as a run that had finished."""
    broken = {**verdicts.unknown(6), "errors": [verdicts.note("infra", "no disk")], "cached": False}
    monkeypatch.setattr(RustGrader, "grade", lambda self, samples: [broken] * len(samples))
    functions, size = grpo.rewards(run), run.config.group_size
    task = next(iter(grpo.data(run)["tasks"]))

    async def step():
        ids = [[1] for _ in range(size)]
        return await asyncio.gather(*(function(completion_ids=ids, task=[task] * size) for function in functions))

    for _ in range(grpo.UNGRADED_STEPS - 1):
        assert asyncio.run(step()) == [[None] * size] * 3
    with pytest.raises(verdicts.Ungraded, match=r"3 steps in a row taught nothing.*no disk.*the same command goes on"):
        asyncio.run(step())


def test_a_batch_is_graded_once(run, monkeypatch):
    """Three components that each grade would pay the compiler three times."""
    real, batches = RustGrader.grade, []
    monkeypatch.setattr(RustGrader, "grade", lambda self, samples: batches.append(len(samples)) or real(self, samples))
    task = next(iter(grpo.data(run)["tasks"]))
    asked(run, [[1]] * 8, [task] * 8)
    assert batches == [8]


def test_hack_rate_is_logged(run):
    """A rising share of cheats beside a rising reward is the alarm; unlogged, nobody would hear it."""
    assert all(0 <= row["hack_rate"] <= 1 for row in run.metrics() if "reward" in row)
    assert json.loads((run.path / "sandbox.json").read_text())["isolation"] == "jailed"


def test_hidden_tests_and_solutions_never_reach_the_policy(run):
    """A prompt that shows its tests turns learning into copying."""
    rows = grpo.data(run)
    for row in rows["train"]:
        task = rows["tasks"][row["task"]]
        text = str(row["prompt"])
        assert "assert" not in text and "#[test]" not in text and task["solution"].strip("\n }") not in text


@pytest.mark.parametrize("loss", ["dapo", "dr_grpo", "bnpo", "grpo", "gspo"])
def test_loss_variants_are_trls(chain, loss):
    """TRL validates the names; gspo is sequence-level importance sampling with the grpo loss."""
    run = runs.open(short("grpo", loss_type=loss, seed=1), chain, "sft")
    arguments = grpo.arguments(run)
    assert arguments.mask_truncated_completions
    assert arguments.loss_type == ("grpo" if loss == "gspo" else loss)
    assert arguments.importance_sampling_level == ("sequence" if loss == "gspo" else "token")


def test_fewer_tasks_than_a_step_takes_is_one_clear_line(chain, tmp_path):
    """TRL drops a batch it cannot fill, so training ended without a step and blamed the checkpoint."""
    run = runs.open(short("grpo", **{"tasks.limit": 1}), chain, "sft")
    with pytest.raises(ValueError, match="tasks: 1 tasks are left of 'katas', and one step takes"):
        grpo.data(run)
