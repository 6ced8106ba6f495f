"""HumanEval-style Python in the same jail: prompt + completion against `check(candidate)`, the same verdicts."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import signal
from pathlib import Path
from typing import Any

from nbcore.core.records import python_function
from nbcore.grading import verdicts
from nbcore.grading.patience import load
from nbcore.grading.python.answer import program_of
from nbcore.grading.sandbox import supervisor
from nbcore.grading.sandbox.jail import Jail
from nbcore.grading.sandbox.streams import in_memory

_DRIVER = Path(__file__).with_name("driver.py").read_text("utf-8")
_MB = 1 << 20


def judge(jail: Jail, limits: supervisor.Limits, here: Path, job: dict[str, Any], verdict: dict[str, Any]) -> None:
    """Fill in the verdict on a Python job, run in the folder `here`."""
    prompt, nonce = job["signature"] or "", secrets.token_hex(16)
    name = python_function(prompt)
    program = job["text"] if job["plain"] else program_of(prompt, job["text"], name)
    verdict["tests_total"] = 1
    if not job["text"].strip():
        verdict["verdict"] = "no_code"
        return
    if len(program.encode(errors="replace")) > limits.source_kb << 10:
        verdict |= {"verdict": "rejected", "flags": ["too_long"]}
        verdict["errors"] = [verdicts.note("too_long", "refused before running")]
        return
    verdict["code"] = program
    options = {"cpu": limits.run_cpu_s, "as": limits.run_mem_mb * _MB, "fsize": _MB, "cwd": str(here)}
    call = jail.interpreter(["-I", "-S", "-B", "-c", _DRIVER], options)
    (calls, ask), (answers, answer) = os.pipe2(os.O_CLOEXEC), os.pipe2(os.O_CLOEXEC)
    with contextlib.ExitStack() as opened:
        null, given = os.open(os.devnull, os.O_WRONLY), _setup(program=program, entry=name)
        for fd in (calls, answer, null, given):
            opened.callback(os.close, fd)
        actions = [(os.POSIX_SPAWN_DUP2, fd, at) for at, fd in ((0, calls), (1, answer), (2, null), (4, given))]
        solver = os.posix_spawn(call[0], [*call, "solve"], {}, file_actions=actions)
    supervisor.keep(solver)
    try:
        ran = supervisor.run(
            [*call, "check"],
            env={},
            cpu_s=limits.run_cpu_s,
            wall_s=limits.run_wall_s * load(),
            output_kb=limits.output_kb,
            stdin=answers,
            stdout=ask,
            setup=_setup(prompt=prompt, tests=job["tests"], entry=name, nonce=nonce),
            kill_over=True,
        )
    finally:
        supervisor.release(solver)
        os.kill(solver, signal.SIGKILL)
        _, status, usage = os.wait4(solver, 0)
    ended = os.waitstatus_to_exitcode(status)
    verdict["cpu_ms"] += ran.cpu_ms + (usage.ru_utime + usage.ru_stime) * 1e3
    found = re.findall(rf"^{nonce} (\w+) (.*)$", ran.stderr.decode(errors="replace"), re.MULTILINE)
    kind, text = found[0] if len(found) == 1 and ran.code == 0 else ("", "")
    verdict["keep"] = ran.timeout != "wall"
    if kind == "syntax":
        verdict |= {"verdict": "compile_error", "errors": [verdicts.note("SyntaxError", text)]}
        return
    verdict["compiles"] = True
    if kind == "passed":
        verdict |= {"verdict": "pass", "tests_passed": 1}
    elif kind:
        verdict |= {"verdict": "tests_failed"}
        verdict["errors"] = [verdicts.note(None, text[:300])] if kind == "broken" else []
    elif ran.timeout or ended == -signal.SIGXCPU:
        verdict["verdict"] = "infra_error" if ran.starved else "run_timeout"
    elif ran.over:
        verdict["verdict"] = "output_limit"
    else:
        verdict["verdict"] = "run_crash" if ended < 0 and ended != -signal.SIGKILL else "early_exit"


def _setup(**fields: str) -> int:
    """A descriptor that holds these fields, for one process alone."""
    return in_memory(json.dumps(fields).encode())
