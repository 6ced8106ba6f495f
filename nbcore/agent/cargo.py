"""What the compiler and the visible tests said, as the text that a model reads: real messages, cut to a budget."""

from __future__ import annotations

import re
from typing import Any

from nbcore.agent.problem import Problem
from nbcore.agent.tools import cut

_MOST_MESSAGES, _MOST_FAILING = 5, 3
_OUR_MODULE = re.compile(r"\bvisible_tests::(?:tests::)?")
_TIMES = {
    "compile_timeout": "the compiler took too long",
    "compile_resource": "the compiler ran out of memory, or wrote too much",
    "run_timeout": "the tests ran too long: something never ends, or is very slow",
    "run_crash": "the tests crashed",
    "run_oom": "the tests used too much memory",
    "early_exit": "the program ended before its tests did",
    "output_limit": "the tests printed too much",
    "infra_error": "cargo could not run on this machine; nothing is known of the crate",
}


def of_check(said: dict[str, Any], most: int) -> str:
    """The answer of cargo_check."""
    if said["passed"]:
        warnings = [one["text"] for one in said["diagnostics"] if one["level"] == "warning"]
        return cut("\n\n".join(["the crate compiles", *warnings[:_MOST_MESSAGES]]), most)
    return _not_built(said, most)


def of_test(problem: Problem, texts: dict[str, str], said: dict[str, Any], most: int) -> str:
    """The answer of cargo_test."""
    if not said["compiles"]:
        own = {**said, "diagnostics": _of_the_crate(said["diagnostics"], texts)}
        known = any(one["level"] != "warning" for one in own["diagnostics"])
        return _not_built(own if known else _of_the_tests(said), most)
    if said["passed"] and not said["tests_total"]:
        return "no test was built: what the file ends in takes away what comes behind it"
    if said["passed"]:
        return f"all {said['tests_total']} visible tests pass"
    if said["verdict"] != "tests_failed":
        return _TIMES.get(said["verdict"], said["verdict"])
    failing = [f"{_short(one['code'])}: {_short(one['message'])}" for one in said["errors"] if one["code"]]
    more = [f"and {len(failing) - _MOST_FAILING} more"] if len(failing) > _MOST_FAILING else []
    head = f"{said['tests_passed']} of {said['tests_total']} visible tests pass"
    return cut("\n".join([head, *failing[:_MOST_FAILING], *more]), most)


def _short(text: str) -> str:
    """Without the module that the tests were put into, and the place in it, which is not in the crate."""
    text = _OUR_MODULE.sub("", text)
    return re.sub(r"^panicked at \S+:\d+:\d+:\n", "", text)


def _of_the_crate(diagnostics: list[dict[str, Any]], texts: dict[str, str]) -> list[dict[str, Any]]:
    """Those about lines that the crate itself has. The tests stand behind a file's last line."""
    lengths = {name: text.count("\n") + 1 for name, text in texts.items()}
    return [one for one in diagnostics if one["file"] in lengths and one["line"] <= lengths[one["file"]]]


def _of_the_tests(said: dict[str, Any]) -> dict[str, Any]:
    """Messages about the tests, without their lines, which nobody is shown."""
    told = [{**one, "text": one["text"].split("\n")[0]} for one in said["diagnostics"]]
    return {**said, "diagnostics": [{**one, "text": f"{one['text']} (where the tests use the crate)"} for one in told]}


def _not_built(said: dict[str, Any], most: int) -> str:
    if said["verdict"] != "compile_error":
        return _TIMES.get(said["verdict"], said["verdict"])
    errors = [one["text"] for one in said["diagnostics"] if one["level"] != "warning"]
    more = [f"and {len(errors) - _MOST_MESSAGES} more errors"] if len(errors) > _MOST_MESSAGES else []
    head = f"the crate does not compile: {len(errors)} error{'' if len(errors) == 1 else 's'}"
    return cut("\n\n".join([head, *errors[:_MOST_MESSAGES], *more]), most)
