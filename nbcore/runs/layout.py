"""Names and paths of the run store: what a run directory and a store hold, and what each part is called.

<store>/<phase>/<utc time>-<name>-<config digest>/
    config.yaml      the config with every default filled in; loading it gives the same run
    open.json        what the run was opened with; lets a new process find and resume it
    metrics.jsonl    one line per logged step
    samples.jsonl    completions with their verdicts
    events.jsonl     what happened beside training: resumes, fall-backs, out-of-memory errors, changed settings
    sandbox.json     what was proved of the sandbox that graded, where programs were graded
    adapter/ model/  what was trained
    trained.json     that training has ended, and the hashes of what it left
    state/           committed checkpoints, for resuming
    blessed.json     that the run, or a checkpoint of it, stays whatever the policy says
    lease.json       which process writes here now
    notebook.ipynb   the executed notebook, when papermill ran it
    manifest.json    every file: bytes and sha256 (except those that may change after the commit)
    run.json         written last; a directory without it is unfinished and nobody's parent
<store>/aside/       what stood in the place of a run that was brought back from the mirror
<store>/.incoming/   what is on its way from or to the mirror
<store>/failed/      executed notebooks that ended before they had opened a run
"""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime
from pathlib import Path

CONFIG = "config.yaml"
OPENING = "open.json"
METRICS = "metrics.jsonl"
SAMPLES = "samples.jsonl"
EVENTS = "events.jsonl"
SANDBOX = "sandbox.json"
ADAPTER = "adapter"
MODEL = "model"
TRAINED = "trained.json"
STATE = "state"
BLESSED = "blessed.json"
LEASE = "lease.json"
NOTEBOOK = "notebook.ipynb"
MANIFEST = "manifest.json"
RUN = "run.json"
CHECKPOINT = "commit.json"  # what run.json is to a run, to a checkpoint in state/
OUTSIDE = (STATE, BLESSED, LEASE, NOTEBOOK)  # no part of the manifest: they may change after the commit

ASIDE = "aside"
INCOMING = ".incoming"
FAILED = "failed"

TIME = "%Y%m%dT%H%M%SZ"  # UTC, in names: the order of the names is the order of time
RUN_ID = re.compile(r"[a-z_]+/\d{8}T\d{6}Z-[a-z0-9][a-z0-9._-]{0,63}-[0-9a-f]{12}")


def run_name(opened: datetime, name: str, digest: str) -> str:
    """The name of a run's folder. `opened` is in UTC, `digest` the 12 hex digits of its config."""
    return f"{opened:{TIME}}-{name}-{digest}"


def config_of(run: str | Path) -> tuple[str, str]:
    """(name, digest) of the config that a run was opened with, from its path or its id."""
    name, _, digest = str(run).rpartition("/")[2].partition("-")[2].rpartition("-")
    return name, digest


def phase_of(run: Path) -> str:
    """The phase that a run directory belongs to."""
    return run.parent.name


def run_id(run: Path) -> str:
    """The id of a run directory, as people and other runs name it: phase/name."""
    return f"{phase_of(run)}/{run.name}"


def store_of(run: Path) -> Path:
    """The store that holds a run directory."""
    return run.parent.parent


def new_attempt(run: Path) -> Path:
    """A folder of a new name, for the checkpoints of one process that trains: state/attempt-<8 hex digits>."""
    return run / STATE / f"attempt-{uuid.uuid4().hex[:8]}"


def checkpoints(run: Path) -> list[Path]:
    """The folders of a run's checkpoints, committed or not, in no order."""
    return [path for path in (run / STATE).glob("attempt-*/checkpoint-*") if path.is_dir()]


def failed_notebook(store: Path, stage: str) -> Path:
    """Where the executed notebook of a stage is kept that has not opened a run."""
    return store / FAILED / f"{datetime.now(UTC):{TIME}}-{stage}.ipynb"


def checkpoint_name(checkpoint: Path) -> str:
    """A checkpoint's folder as a person reads it: attempt-1f2e3d4c/checkpoint-480."""
    return f"{checkpoint.parent.name}/{checkpoint.name}"


def step_of(checkpoint: Path) -> int:
    """The training step that a checkpoint's folder is named after."""
    return int(checkpoint.name.rpartition("-")[2])


def set_aside(run: Path) -> Path:
    """A new path to which a run directory that is to be replaced can be moved by a rename."""
    return store_of(run) / ASIDE / f"{run_id(run)}.{uuid.uuid4().hex[:8]}"


def incoming(run: Path) -> Path:
    """The folder for what will be moved to the place of a run by a rename, so on the same disk."""
    return store_of(run) / INCOMING


def leftovers(store: Path) -> list[Path]:
    """Folders of a store that no run needs: what was set aside, and what a kill left half brought or half copied."""
    return [*(store / ASIDE).glob("*/*"), *(store / INCOMING).glob("*")]
