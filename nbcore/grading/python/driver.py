"""Runs inside the jail, on nothing but the standard library: `solve` holds the candidate, `check` the tests.

They are two processes, for in Python whatever shares a process can be read: expected values and verdict stay with
`check`, and `solve` sees arguments. Each reads its own set-up from descriptor 4; between them go calls and answers,
as literals.
"""

import ast
import builtins
import contextlib
import json
import os
import sys


def solve(setup):
    """Define the program, then answer calls until stdin ends."""
    asked, answers = sys.stdin, os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the program prints goes nowhere

    def say(kind, value):
        answers.write(f"{kind} {value!r}\n")
        answers.flush()

    try:
        names = {"__name__": "candidate"}
        exec(compile(setup["program"], "<candidate>", "exec"), names)
        function = names[setup["entry"]]
    except SyntaxError as error:
        return say("syntax", f"{error.msg}, line {error.lineno}")
    except BaseException as error:
        return say("broken", f"{type(error).__name__}: {error}"[:200])
    say("ready", "")
    for line in asked:
        try:
            value = function(*ast.literal_eval(line))
        except BaseException as error:
            say("raised", type(error).__name__)
        else:
            say("value", value)


def check(setup):
    """Run the tests against the process at the other end; report on stderr, signed."""

    def report(what):
        os.write(2, f"\n{setup['nonce']} {what}\n".encode())

    def hear():
        kind, _, text = sys.stdin.readline().partition(" ")
        if not kind:
            os._exit(3)  # it died
        return kind, ast.literal_eval(text)

    def candidate(*arguments):
        sys.stdout.write(f"{arguments!r}\n")
        sys.stdout.flush()
        kind, value = hear()
        if kind != "value":
            error = getattr(builtins, str(value), None)
            raise error() if isinstance(error, type) and issubclass(error, Exception) else RuntimeError()
        return value

    kind, text = hear()
    if kind != "ready":
        return report(f"syntax {text!r}" if kind == "syntax" else f"broken {text!r}")
    names = {"__name__": "tests"}
    with contextlib.suppress(SyntaxError):  # for the helpers that come with the task
        exec(compile(setup["prompt"], "<prompt>", "exec"), names)
    names[setup["entry"]] = candidate
    try:
        exec(compile(setup["tests"], "<tests>", "exec"), names)
        names["check"](candidate)
    except Exception:
        return report("failed ''")
    report("passed ''")


if __name__ == "__main__":
    sys.set_int_max_str_digits(0)
    with os.fdopen(4, "rb") as own:
        given = json.loads(own.read())
    {"solve": solve, "check": check}[sys.argv[1]](given)
