"""Runs inside the jail, on nothing but the standard library: `solve` holds the candidate, `check` the tests.

They are two processes, for in Python whatever shares a process can be read: expected values and verdict stay with
`check`, and `solve` sees arguments. Values cross as literals.
"""

import ast
import contextlib
import json
import os
import sys


def solve():
    """Define the program of the first line, then answer calls until stdin ends."""
    asked, answers = sys.stdin, os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the program prints goes nowhere
    setup = json.loads(asked.readline())

    def say(kind, text):
        answers.write(f"{kind} {text!r}\n")
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
            say("value", function(*ast.literal_eval(line)))
        except BaseException as error:
            say("raised", f"{type(error).__name__}: {error}"[:200])


def check():
    """Run the tests of the first line against the process at the other end; report on stderr, signed."""
    setup = json.loads(sys.stdin.readline())

    def report(text):
        os.write(2, f"\n{setup['nonce']} {text}\n".encode())

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
            raise RuntimeError(value)
        return value

    kind, text = hear()
    if kind != "ready":
        return report(f"{kind} {text}")
    names = {"__name__": "tests"}
    with contextlib.suppress(SyntaxError):  # for the helpers that come with the task
        exec(compile(setup["prompt"], "<prompt>", "exec"), names)
    names[setup["entry"]] = candidate
    try:
        exec(compile(setup["tests"], "<tests>", "exec"), names)
        names["check"](candidate)
    except Exception:
        return report("failed ")
    report("passed ")


if __name__ == "__main__":
    {"solve": solve, "check": check}[sys.argv[1]]()
