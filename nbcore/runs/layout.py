"""Names and paths of the run store: what a run directory and a store hold, and what each part is called.

<store>/<phase>/<utc time>-<name>-<config digest>/
    config.yaml      the config with every default filled in; loading it gives the same run
    open.json        what the run was opened with; lets a new process find and resume it
    metrics.jsonl    one line per logged step
    samples.jsonl    completions with their verdicts
    samples.md       the first of them to read, and report.json all that was measured, where a run measures others
    rollouts.jsonl   those of the parent on training tasks, where a run trains on them
    events.jsonl     what happened beside training: resumes, fall-backs, out-of-memory errors, changed settings
    sandbox.json     what was proved of the sandbox that graded, where programs were graded
    adapter/ model/  what was trained
    data/            what a data run holds: shards, report, examples, card
    gguf/            the model for llama.cpp, where it was exported
    parity.json      the proof that an export is what was trained
    trained.json     that training (or a build) has ended, and the hashes of what it left
    state/           committed checkpoints, for resuming
    blessed.json     that the run, or a checkpoint of it, stays whatever the policy says
    lease.json       which process writes here now
    .building/       what a data run has read so far; gone once its data is whole
    .activity.json   what that process is doing beside steps, for a progress line; no part of the run
    notebook.ipynb   the executed notebook, when papermill ran it
    notebook.json    its hash: it is kept after the commit, so no manifest has it
    manifest.json    every file: bytes and sha256 (except those that may change after the commit)
    run.json         written last; a directory without it is unfinished and nobody's parent
<store>/blessings/   what gates decided, one file for each decision (see gates/blessings.py), and the aliases
<store>/aside/       what stood in the place of a run that was brought back from the mirror
<store>/.incoming/   what is on its way from or to the mirror
<store>/watch/<phase>/<run>/   what a watch measured of a run's checkpoints: curve.jsonl, samples.jsonl, curve.png
<store>/experiments/<name>/    a store of its own for the arms of an experiment, and experiment.json, .md, .png
<store>/failed/      executed notebooks that ended before they had opened a run

The store, the folder of a phase and that of a run may each be a symbolic link to a place on another disk: paths are
taken as they stand in the store. A link that leads nowhere is an error wherever it is met, since a disk that is not
mounted must not look like runs that never were.
"""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

CONFIG = "config.yaml"
OPENING = "open.json"
METRICS = "metrics.jsonl"
SAMPLES = "samples.jsonl"
EVALUATED = ("report.json", "samples.md")  # a pair: the reports of prepared data are called so, too
HARNESS = "lm_eval.json"  # what lm-evaluation-harness itself says of its tasks
ROLLOUTS = "rollouts.jsonl"
PROBLEMS = "problems.jsonl"
EDITS = "edits.jsonl"
EVENTS = "events.jsonl"
SANDBOX = "sandbox.json"
ADAPTER = "adapter"
MODEL = "model"
GGUF = "gguf"
PARITY = "parity.json"
DATA = "data"
BUILDING = ".building"
TRAINED = "trained.json"
STATE = "state"
BLESSED = "blessed.json"
LEASE = "lease.json"
ACTIVITY = ".activity.json"
NOTEBOOK = "notebook.ipynb"
NOTEBOOK_NOTE = "notebook.json"
MANIFEST = "manifest.json"
RUN = "run.json"
CHECKPOINT = "commit.json"  # what run.json is to a run, to a checkpoint in state/
OUTSIDE = (STATE, BLESSED, LEASE, NOTEBOOK, NOTEBOOK_NOTE)  # no part of the manifest: they may change after the commit

BLESSINGS = "blessings"
ALIASES = "aliases.json"
ASIDE = "aside"
INCOMING = ".incoming"
FAILED = "failed"
WATCH = "watch"
CURVE, CURVE_PICTURE = "curve.jsonl", "curve.png"
EXPERIMENTS = "experiments"
EXPERIMENT, EXPERIMENT_TEXT, EXPERIMENT_PICTURE = "experiment.json", "experiment.md", "experiment.png"

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


def is_run_id(text: str) -> bool:
    """Whether a text has the form of a run's id, with a date that exists."""
    try:
        return bool(RUN_ID.fullmatch(text) and opened_at(text))
    except ValueError:
        return False


def opened_at(run: str | Path) -> datetime:
    """The time in a run's name, from its path or its id. Raises ValueError where it is no date."""
    return datetime.strptime(str(run).rpartition("/")[2].partition("-")[0], TIME).replace(tzinfo=UTC)


def next_time(run_ids: Iterable[str]) -> datetime:
    """The time for the name of a new run: now, or a second after the latest of these runs where that is later.

    The newest run of a phase is the one with the greatest name. A run that was opened while a clock was wrong must not
    come after all that are opened later.
    """
    times = [opened_at(run) + timedelta(seconds=1) for run in run_ids]
    return max([datetime.now(UTC), *times])


def is_in_future(run: str | Path) -> bool:
    """Whether a run's name says that it was opened later than now, by more than runs opened in quick succession."""
    return opened_at(run) > datetime.now(UTC) + timedelta(minutes=10)


def phase_folder(store: Path, phase: str) -> Path:
    """The folder of a phase in a store, which need not exist.

    Raises ValueError where it, or the store, is a file or a link that leads nowhere.
    """
    for folder in (store, store / phase):
        _refuse_lost_link(folder)
        if folder.exists() and not folder.is_dir():
            raise ValueError(f"store: {folder} is a file and no folder; name another store, or move the file")
    return store.resolve() / phase


def runs_of(store: Path, phase: str) -> list[Path]:
    """The run directories of a phase, oldest first, whether what they hold can be trusted or not.

    A folder with another form of name is no run, nor is a link under another name than the run's own (sft/latest),
    which would be the same run twice. Raises ValueError for a link that leads nowhere.
    """
    folder = phase_folder(store, phase)
    return sorted(path for path in folder.iterdir() if is_run(path)) if folder.is_dir() else []


def is_run(path: Path) -> bool:
    """Whether a path in a store is that of a run directory. Raises ValueError for a link that leads nowhere."""
    if not is_run_id(run_id(path)):
        return False
    _refuse_lost_link(path)
    if path.is_symlink() and path.resolve().name != path.name:
        return False
    return (path / OPENING).is_file()


def _refuse_lost_link(path: Path) -> None:
    if path.is_symlink() and not path.exists():
        raise ValueError(
            f"store: {path} is a link to {path.readlink()}, which is not there; mount that disk, or remove the link"
        )


def run_at(path: Path) -> Path:
    """The run directory that a path from a person means: in the store where the path says that it is.

    A link under another name than the run's own gives way to what it points to.
    """
    path = Path(os.path.abspath(path.expanduser()))
    if path.resolve().name != path.name:
        path = path.resolve()
    return store_of(path).resolve() / run_id(path)


def linked_phases(store: Path) -> list[Path]:
    """The folders of phases that are links to another place."""
    return [path for path in store.iterdir() if path.is_symlink() and path.is_dir()] if store.is_dir() else []


def new_attempt(run: Path) -> Path:
    """A folder of a new name, for the checkpoints of one process that trains: state/attempt-<8 hex digits>."""
    return run / STATE / f"attempt-{uuid.uuid4().hex[:8]}"


def checkpoints(run: Path) -> list[Path]:
    """The folders of a run's checkpoints, committed or not, in no order."""
    return [path for path in (run / STATE).glob("attempt-*/checkpoint-*") if path.is_dir()]


def blessing(store: Path, run: str, digest: str) -> Path:
    """Where the record of a gate's decision on a run (by its id) is kept; `digest` is the record's own hash."""
    phase, name = run.split("/")
    return store / BLESSINGS / phase / f"{name}.{digest}.json"


def blessings(store: Path, run: str = "*/*", digest: str = "*") -> list[Path]:
    """The records of decisions on a run, or on all; of one hash, or of any. In no order."""
    phase, name = run.split("/")
    return sorted((store / BLESSINGS).glob(f"{phase}/{name}.{digest}.json"))


def failed_notebook(store: Path, stage: str) -> Path:
    """Where the executed notebook of a stage is kept that has not opened a run."""
    return store / FAILED / f"{datetime.now(UTC):{TIME}}-{stage}.ipynb"


def watch_folder(run: Path) -> Path:
    """Where a watch keeps what it measured of a run: outside of the run, which another process may be committing."""
    return store_of(run) / WATCH / phase_of(run) / run.name


def checkpoint_name(checkpoint: Path) -> str:
    """A checkpoint's folder as a person reads it: attempt-1f2e3d4c/checkpoint-480."""
    return f"{checkpoint.parent.name}/{checkpoint.name}"


def step_of(checkpoint: Path) -> int:
    """The training step that a checkpoint's folder is named after."""
    return int(checkpoint.name.rpartition("-")[2])


def set_aside(run: Path) -> Path:
    """A new path to which a run directory that is to be replaced can be moved by a rename."""
    return _same_disk(run) / ASIDE / f"{run_id(run)}.{uuid.uuid4().hex[:8]}"


def incoming(run: Path) -> Path:
    """The folder for what will be moved to the place of a run by a rename, so on the same disk."""
    return _same_disk(run) / INCOMING


def _same_disk(run: Path) -> Path:
    """The store; where the phase's folder is a link, perhaps to another disk, that folder."""
    return run.parent if run.parent.is_symlink() else store_of(run)


def leftovers(store: Path) -> list[Path]:
    """Folders of a store that no run needs: what was set aside, and what a kill left half brought or half copied."""
    folders = [store, *linked_phases(store)]
    return [path for folder in folders for path in (*(folder / ASIDE).glob("*/*"), *(folder / INCOMING).glob("*"))]
