"""Grading in a thread beside generation: the order of verdicts, errors, and the end of it."""

import threading
from concurrent import futures

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
        futures.wait([grading.pieces[0][1]])
        grading.add([1], ["b"])
        pytest.fail("the next batch was taken")


def test_an_interrupt_does_not_wait_for_all_that_is_queued():
    begun, count = threading.Event(), []

    def judge(at, *_):
        begun.set()
        grading.stopped.wait(60)  # the first piece is in hand when the interrupt comes, and ends after it
        count.append(at)

    with pytest.raises(KeyboardInterrupt), beside.Grading(judge) as grading:
        grading.add(list(range(beside.PIECE * 50)), ["a"] * beside.PIECE * 50)
        assert begun.wait(60)
        raise KeyboardInterrupt
    assert count == [list(range(beside.PIECE))]
