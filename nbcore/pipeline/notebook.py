"""One notebook through papermill in its own process: executed, watched, ended, and its error put into one line."""

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

PATIENCE = 180.0  # seconds that a stopped notebook has for its step, its checkpoint and the mirror
LOST = (138, 137, -signal.SIGKILL)  # what is left of papermill when its kernel, or itself, was killed for memory


def execute(
    notebook: Path, copy: Path, parameters: Mapping[str, Any], cwd: Path, tick: Callable[[], None]
) -> str | None:
    """Execute `notebook` into `copy`, calling `tick` every second; None on success, else the cause in one line.

    Whatever ends this call, KeyboardInterrupt included, the notebook and its kernel have ended too.
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
            # Its log is read as UTF-8, whatever this process prints in.
            env={**os.environ, "TQDM_MININTERVAL": "30", "PYTHONIOENCODING": "utf-8"},
            start_new_session=True,  # Ctrl-C is ours to pass on, once
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
    """End the process: its kernel first, which finishes the step and saves; then papermill, politely, then not."""
    if child.poll() is None:
        print("stopping: the step in hand is ended and saved first (again: at once)", file=sys.stderr, flush=True)
        with suppress(psutil.NoSuchProcess):
            for kernel in psutil.Process(child.pid).children():
                kernel.send_signal(signal.SIGINT)  # to papermill itself it would mean to kill the kernel
        with suppress(subprocess.TimeoutExpired, KeyboardInterrupt):  # asked again: no more waiting
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
    """On Linux, have the system end the child when this process is killed outright: else two would write one run."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl  # looked up before the fork
    return lambda: prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def _cause(copy: Path, log: Path, code: int) -> str:
    try:
        cells = json.loads(copy.read_text("utf-8"))["cells"]
    except (OSError, ValueError):  # none was written, or a full disk or a kill cut it short
        cells = []
    outputs = [output for cell in cells for output in cell.get("outputs", ())]
    errors = [f"{o['ename']}: {o['evalue']}" for o in outputs if o["output_type"] == "error"]
    if errors:
        return " ".join(errors[-1].split())
    if code in LOST:
        return f"its kernel died (exit {code}), most likely for want of memory; lower batch_size"
    lines = [line for line in log.read_text("utf-8", errors="replace").splitlines() if line.strip()]
    return f"papermill ended with {code}: {lines[-1].strip() if lines else 'without a word'}"
