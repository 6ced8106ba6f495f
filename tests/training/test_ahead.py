"""Answers graded as they end: each is told once, as it was generated, and graded beside the rest."""

import threading

import pytest

from nbcore import config as configs
from nbcore import runs
from nbcore.chat import template
from nbcore.tasks import katas
from nbcore.training import ahead, asking, generate, load
from tests.training.clock import without_clock


def test_what_is_told_while_generating_is_what_is_generated(store):
    """An answer that lacks its last token, or is another row's, would be graded as one that nobody gave."""
    run = runs.open(configs.load("configs/evaluate/tiny.yaml"), store)
    model, tokenizer = load.policy(run, None), load.tokenizer(run)
    prompts = [asking.prompt_ids(tokenizer, task, asking.form(run)) for task in katas.load("heldout")[:16]]
    order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))  # of the rows in their one batch
    stops = template.stop_ids(tokenizer, model.generation_config)
    asked = configs.Generation(max_new_tokens=96, temperature=1.0, batch_size=16)
    told = []
    with ahead.endings(model, stops, lambda row, ids: told.append((row, list(ids)))):
        answers = without_clock(generate.generate(model, tokenizer, prompts, asked, seed=3))
    assert len({row for row, _ in told}) == len(told) >= 14, "all but those that end last"
    for row, ids in told:
        assert generate.completion(tokenizer, ids, stops) == answers[order[row]]
        assert len(ids) == answers[order[row]]["tokens"]
    alone = without_clock(generate.generate(model, tokenizer, prompts, asked, seed=3))
    assert alone == answers, "looking on changes nothing"
    assert len(told) <= len(prompts), "nor does it look on when it is over"


def test_what_comes_while_a_turn_runs_is_one_batch():
    """One by one, a grader with many workers would keep one of them busy."""
    begun, go_on, batches = threading.Event(), threading.Event(), []

    def grade(answers):
        batches.append(answers)
        begun.set()
        go_on.wait(10)
        return len(answers)

    early = ahead.Ahead(grade)
    early.add("a")
    assert begun.wait(10), "it is graded before anybody asks"
    for answer in "bcd":
        early.add(answer)
    go_on.set()
    assert early.finished() == 4 and batches == [["a"], ["b", "c", "d"]]
    assert early.finished() == 0
    early.add("e")
    assert early.finished() == 1


def test_what_grading_raises_reaches_whoever_waits():
    """A sandbox that died must not look like answers that nobody gave."""

    def broken(answers):
        raise RuntimeError("no sandbox")

    early = ahead.Ahead(broken)
    early.add("a")
    with pytest.raises(RuntimeError, match="no sandbox"):
        early.finished()
