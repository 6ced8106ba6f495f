"""Grading in a thread beside generation: the order of verdicts, errors, and the end of it."""

import threading
import time

import pytest

from nbcore.training import beside


def test_verdicts_come_back_by_index_whatever_the_order_of_the_batches():
    """Prompts are generated sorted by length; a verdict beside another's answer would reward the wrong one."""
    with beside.Grading(lambda at, answers, note: [f"{at[n]}:{answers[n]}" for n in range(len(at))]) as grading:
        grading.add([2, 0], ["c", "a"])
        grading.add([1], ["b"])
        assert grading.verdicts(3, lambda done: None) == ["0:a", "1:b", "2:c"]


def test_a_batch_is_graded_while_the_next_is_made():
    begun = threading.Event()
    with beside.Grading(lambda at, answers, note: begun.set() or answers) as grading:
        grading.add([0], ["a"])
        assert begun.wait(10)  # before anybody asked for verdicts
        grading.add([1], ["b"])
        assert grading.verdicts(2, lambda done: None) == ["a", "b"]


def test_what_grading_raises_ends_generation_at_the_next_batch():
    """An hour of answers must not be generated for a grader that has died."""

    def broken(at, answers, note):
        raise RuntimeError("no sandbox")

    with pytest.raises(RuntimeError, match="no sandbox"), beside.Grading(broken) as grading:
        grading.add([0], ["a"])
        for index in range(1, 1000):
            time.sleep(0.001)
            grading.add([index], ["b"])


def test_an_interrupt_does_not_wait_for_all_that_is_queued():
    count = []
    started = time.monotonic()
    with (
        pytest.raises(KeyboardInterrupt),
        beside.Grading(lambda at, *_: time.sleep(0.2) or count.append(at)) as grading,
    ):
        grading.add(list(range(beside.PIECE * 50)), ["a"] * beside.PIECE * 50)
        raise KeyboardInterrupt
    assert time.monotonic() - started < 5 and len(count) <= 2
