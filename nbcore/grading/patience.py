"""Bounds on time: for reading what a model wrote, and how much slower the clock runs on a busy machine."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator

from nbcore.grading.rust import signatures

_PATIENCE_S = 5


@contextlib.contextmanager
def patience() -> Iterator[None]:
    """At most so much CPU, and so much depth, for reading a candidate: text made to be hard to read is refused.

    Python hears of it between two steps of its own; a parser that does not come back ends this process with SIGVTALRM,
    which the pool knows.
    """

    def stop(*_: object) -> None:
        raise signatures.Mismatch("too_complex", "takes too long to read")

    signal.signal(signal.SIGPROF, stop)
    signal.signal(signal.SIGVTALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_PROF, _PATIENCE_S)
    signal.setitimer(signal.ITIMER_VIRTUAL, 2 * _PATIENCE_S)
    try:
        yield
    except RecursionError:  # a thousand modules in each other: the candidate's doing, and so no fault of ours
        raise signatures.Mismatch("too_complex", "is nested too deep to read") from None
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def load() -> float:
    """How many programs want each processor: the clock runs slower for a sample by as much."""
    return max(1.0, os.getloadavg()[0] / len(os.sched_getaffinity(0)))
