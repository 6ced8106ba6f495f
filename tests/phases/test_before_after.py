"""The cell `see`: the same tasks before and after, with word of how far it is, and no token more than tasks need."""

import pytest

from nbcore import config as configs
from nbcore import runs
from nbcore.phases import lang_adapter, sft
from nbcore.runs import activity
from nbcore.tasks import katas, sets
from nbcore.training import load, rollout
from tests.phases.short_runs import short


@pytest.fixture(scope="module")
def run(chain):
    run = runs.open(short("sft", name="seen", max_steps=1, limit=24), chain, "lang_adapter")
    sft.train(run)
    return run


def test_it_says_what_it_does_all_along_and_answers_as_ever(run, monkeypatch):
    """Two cores need ten minutes for a model of real size, and the seedling's samples are compared to the digit."""
    shown, real, asked = [], rollout.generate, []

    def generate(model, tokenizer, prompts, generation, *more, **options):
        asked.append(generation.max_new_tokens)
        return real(model, tokenizer, prompts, generation, *more, **options)

    monkeypatch.setattr(rollout, "generate", generate)
    rows = rollout.before_after(run, count=2, show=shown.append)
    words = list(dict.fromkeys(doing.words for doing in shown))
    assert words == [
        step
        for when in ("before", "after")
        for step in (
            f"loading the model, {when} training",
            f"answering 2 tasks, {when} training",
            f"grading 2 answers, {when} training",
        )
    ]
    for word in words:
        counts = [doing.done for doing in shown if doing.words == word]
        assert counts == sorted(counts)
    assert shown[-1].words == activity.read(run.path).words == words[-1]
    assert len([doing for doing in shown if doing.words == words[1]]) > 5, "after every token, not after every batch"
    assert set(asked) == {configs.Generation().max_new_tokens}, "the seedling may go on for as long as it always could"
    assert [row["when"] for row in rows] == ["before"] * 2 + ["after"] * 2 and rollout.before_after(run, 2) == rows


def test_a_policy_that_may_say_much_is_cut_where_tasks_need_little(run, monkeypatch):
    """A config for long answers (gpt_oss_20b: 512) made this cell wait for every answer that finds no end."""
    asked = []
    monkeypatch.setattr(
        rollout, "solve", lambda model, tokenizer, tasks, generation, *_: asked.append(generation) or []
    )
    long = configs.load("configs/grpo/tiny.yaml", {"generation.max_new_tokens": 2000})
    monkeypatch.setitem(run.__dict__, "config", long)
    rollout.before_after(run, count=3)
    tasks, tokenizer = sets.tasks("katas", "validation", 3, 0), load.tokenizer(run)
    longest = max(len(tokenizer.encode(katas.code(task), add_special_tokens=False)) for task in tasks)
    assert {each.max_new_tokens for each in asked} == {rollout.ENOUGH * longest} and longest > 20
    asked.clear()
    tokenizer.chat_template += "{#- <think> -#}"
    monkeypatch.setattr(load, "tokenizer", lambda run: tokenizer)
    rollout.before_after(run, count=3)
    assert {each.max_new_tokens for each in asked} == {2000}, "a model that reasons first needs them before its answer"


def test_training_says_what_it_does_beside_steps(store):
    """Loading, evaluating and saving take minutes each where models are large."""

    class Live:
        words, note = [], ""

        def tell(self, doing):
            self.words.append(doing.line())

        def update(self, step, total, numbers):
            self.words.append(step)

        def close(self):
            self.words.append("closed")

    run = runs.open(short("lang_adapter", max_steps=2, save_steps=2, validation_documents=5), store)
    lang_adapter.train(run, Live())
    words = [word for n, word in enumerate(Live.words) if word != Live.words[n - 1]]
    assert words == [
        *("loading the model", 1),
        *("evaluating after step 1: 1/2", "evaluating after step 1: 2/2", 1, 2),
        *("evaluating after step 2: 1/2", "evaluating after step 2: 2/2", 2),
        *("saving the checkpoint of step 2", "writing the trained weights", "closed"),
    ]
