"""Executes one notebook through papermill in a process of its own, stops it, and puts its error into one line."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import yaml

from nbcore.core.redact import redact

PATIENCE = 180.0  # seconds that a stopped notebook has to end its step, save, and copy the checkpoint to the mirror
LOST = (138, 137, -signal.SIGKILL)  # exit codes of papermill when its kernel, or papermill itself, was killed


def execute(
    notebook: Path, copy: Path, parameters: Mapping[str, Any], cwd: Path, tick: Callable[[], None]
) -> str | None:
    """Execute `notebook` into `copy`, calling `tick` every second. Returns None, or the error in one line.

    When this call ends, also by an exception such as KeyboardInterrupt, the notebook and its kernel have ended too.
    """
    log = copy.with_suffix(".log")
    command = [sys.executable, "-m", "papermill", "-k", "python3", "-l", "python", "--cwd", str(cwd)]
    command += ["--no-progress-bar", str(notebook), str(copy)]
    command += ["-y", yaml.safe_dump(dict(parameters), default_flow_style=True, width=10**6)]
    with log.open("w") as output:
        child = subprocess.Popen(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            # The log is read back as UTF-8, whatever encoding this process prints in.
            env={**os.environ, "TQDM_MININTERVAL": "30", "PYTHONIOENCODING": "utf-8"},
            start_new_session=True,  # else Ctrl-C in the terminal would reach papermill too, which kills its kernel
            preexec_fn=_die_with_parent(),
        )
    try:
        while True:
            try:
                code = child.wait(timeout=1)
                break
            except subprocess.TimeoutExpired:
                tick()
    finally:
        _stop(child)
    return None if code == 0 else redact(_cause(copy, log, code))


def _stop(child: subprocess.Popen) -> None:
    """End the process: interrupt its kernel first, which ends the step and saves; then signal papermill as well."""
    if child.poll() is None:
        print("stopping: the step in hand is ended and saved first (again: at once)", file=sys.stderr, flush=True)
        with suppress(psutil.NoSuchProcess):
            for kernel in psutil.Process(child.pid).children():
                kernel.send_signal(signal.SIGINT)  # papermill would answer it by killing the kernel
        with suppress(subprocess.TimeoutExpired, KeyboardInterrupt):  # a second Ctrl-C ends the waiting
            child.wait(timeout=PATIENCE)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        if child.poll() is not None:
            return
        os.killpg(child.pid, number)
        try:
            child.wait(timeout=10)
        except subprocess.TimeoutExpired:
            continue


def _die_with_parent() -> Callable[[], Any] | None:
    """What makes Linux end the child when this process is killed; None on other systems.

    A notebook that lived on would write its run at the same time as the next attempt."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl  # looked up before the fork
    return lambda: prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def _cause(copy: Path, log: Path, code: int) -> str:
    """Why papermill ended with `code`: the error in the executed copy, a lost kernel, or the last line of the log."""
    try:
        cells = json.loads(copy.read_text("utf-8"))["cells"]
    except (OSError, ValueError):  # none was written, or a full disk or a kill cut it short
        cells = []
    outputs = [output for cell in cells for output in cell.get("outputs", ())]
    errors = [f"{output['ename']}: {output['evalue']}" for output in outputs if output["output_type"] == "error"]
    if errors:
        return " ".join(errors[-1].split())
    if code in LOST:
        return f"its kernel died (exit {code}), most likely for want of memory; lower batch_size"
    lines = [line for line in log.read_text("utf-8", errors="replace").splitlines() if line.strip()]
    return f"papermill ended with {code}: {lines[-1].strip() if lines else 'without a word'}"
