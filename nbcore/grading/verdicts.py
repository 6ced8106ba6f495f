"""What a verdict is: its kinds, its fields, and how the end of a run becomes one."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from typing import Any

from nbcore.core.records import Verdict
from nbcore.grading.sandbox.supervisor import Outcome

KINDS = (
    *("pass", "tests_failed", "compile_error", "compile_timeout", "compile_resource", "rejected", "no_code"),
    *("run_timeout", "run_crash", "run_oom", "early_exit", "output_limit", "infra_error"),
)


class Ungraded(Exception):
    """Nothing of a batch could be graded: a fault of this machine or of ours, never of the answers."""


def unknown(tests_total: int) -> dict[str, Any]:
    """A verdict of which nothing is known yet: an `infra_error` until somebody says better."""
    return {
        **{"verdict": "infra_error", "passed": False, "compiles": False, "tests_passed": 0, "tests_total": tests_total},
        **{"clippy_warnings": 0, "lints": {}, "errors": [], "flags": [], "code": None, "cpu_ms": 0.0, "wall_ms": 0.0},
    }


def note(code: str | None, message: str) -> dict[str, Any]:
    """One of a verdict's errors that has no line in the candidate."""
    return {"code": code, "message": message, "line": None}


def fault(graded: Sequence[Verdict]) -> str:
    """What stood in the way of the first infra_error among these verdicts, and what to do, in one line."""
    broken = next(verdict for verdict in graded if verdict["verdict"] == "infra_error")
    message = " ".join(broken["errors"][0]["message"].split()) if broken["errors"] else "no reason is known"
    return f"{message}; `python -m nbcore doctor` tries the grader on this machine"


def refuse_ungraded(graded: Sequence[Verdict], what: str) -> None:
    """Raises Ungraded where every verdict is an infra_error: a rate over none of `what` is no rate."""
    if graded and all(verdict["verdict"] == "infra_error" for verdict in graded):
        raise Ungraded(f"none of {len(graded)} {what} could be graded (infra_error): {fault(graded)}")


def obstacle(error: Exception) -> str:
    """Why a worker cannot start, and what to do, in one line."""
    words = " ".join(f"{type(error).__name__}: {error}".split())
    if isinstance(error, ImportError):
        return f"{words}; `bash colab_setup.sh` installs what is missing"
    return f"{words}; `python -m nbcore doctor` says what this machine lacks"


def judgement(ran: Outcome, passed: int, complete: bool, cases: int) -> str:
    """The verdict on a finished run whose report said this much."""
    if ran.over or ran.signal == signal.SIGXFSZ:
        return "output_limit"
    if ran.timeout:
        return "infra_error" if ran.starved else "run_timeout"
    if ran.signal:
        out_of_memory = ran.signal == signal.SIGABRT and b"memory allocation of" in ran.stderr
        return "run_oom" if out_of_memory else "run_crash"
    if not complete or ran.code != 0:
        return "early_exit"
    return "pass" if passed == cases else "tests_failed"
