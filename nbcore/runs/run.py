"""A run directory: open, log, finish, find, verify.

<store>/<phase>/<utc time>-<name>-<config digest>/
    config.yaml      resolved; loading it reproduces the run
    metrics.jsonl    one line per logged step
    samples.jsonl    completions with their verdicts
    adapter/ model/  what was trained
    state/           committed checkpoints, for resuming
    notebook.ipynb   the executed notebook, when papermill ran it
    manifest.json    every file: bytes and sha256 (state/ and notebook.ipynb apart: they outlive or follow the commit)
    run.json         written last; a directory without it is unfinished and nobody's parent
"""

from __future__ import annotations

import json
import os
import platform
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from importlib import metadata
from itertools import pairwise
from pathlib import Path
from typing import Any

from nbcore import config as configs
from nbcore.runs import commit

MARKER = "run.json"
SEEDLING = Path(__file__).parents[1] / "assets" / "seedling"  # the base model where a config names none
OPENING = "open.json"  # what a run was opened with; lets a new process find and resume its own unfinished run
OUTSIDE = ("state", "notebook.ipynb")
PACKAGES = ("torch", "transformers", "trl", "peft", "datasets", "accelerate", "bitsandbytes", "tokenizers")


@dataclass(frozen=True)
class Run:
    """One run directory. What may change is read when asked for; config and parent cannot change and are kept."""

    path: Path

    @property
    def phase(self) -> str:
        return self.path.parent.name

    @property
    def id(self) -> str:
        return f"{self.phase}/{self.path.name}"

    @property
    def store(self) -> Path:
        return self.path.parent.parent

    @cached_property
    def config(self) -> Any:
        return configs.load(self.path / "config.yaml")

    @property
    def finished(self) -> bool:
        return (self.path / MARKER).is_file()

    @property
    def info(self) -> dict:
        """run.json of a finished run, open.json of an unfinished one."""
        return json.loads((self.path / (MARKER if self.finished else OPENING)).read_text("utf-8"))

    @cached_property
    def parent(self) -> Run | None:
        """The run this one started from; raises ValueError if it is gone or no longer what it was.

        Looked up once: it is asked for at every step up the chain, and each look hashes all of its files.
        """
        reference = self.info["parent"]
        if reference is None:
            return None
        parent = find(self.store, reference["id"])
        if parent.info["manifest"] != reference["hash"]:
            raise ValueError(f"parent {parent.id} of {self.id} is not the run it was: its manifest has changed")
        return parent

    def ancestors(self) -> list[Run]:
        """This run, its parent, and so on to the first."""
        parent = self.parent
        return [self, *(parent.ancestors() if parent else [])]

    def log(self, **numbers: Any) -> None:
        """Append one line to metrics.jsonl, stamped with the time."""
        _append(self.path / "metrics.jsonl", {"time": round(time.time(), 3), **numbers})

    def sample(self, *rows: dict) -> None:
        """Append rows to samples.jsonl, all in one write: a kill leaves all of them, or a cut that `samples` shows."""
        _append(self.path / "samples.jsonl", *rows)

    def metrics(self) -> list[dict]:
        """Rows of metrics.jsonl; where a resumed run logged a step twice, the later row counts."""
        rows: dict[Any, dict] = {}
        for number, row in enumerate(_lines(self.path / "metrics.jsonl")):
            # Training, evaluation and other rows of one step stand beside each other: the keys tell them apart.
            rows[(row["step"], frozenset(row)) if "step" in row else number] = row
        return list(rows.values())

    def samples(self) -> list[dict]:
        """Rows of samples.jsonl; of a row written twice by a repeated part, the later one counts."""
        rows = _lines(self.path / "samples.jsonl")
        return list({(row.get("split"), row.get("when"), row["id"], row.get("sample")): row for row in rows}.values())

    def finish(self, metrics: dict, **facts: Any) -> Run:
        """Commit: the manifest, then run.json. A finished run is left as it is."""
        if not self.finished:
            opening = self.info
            ended = datetime.now(UTC)
            facts = {
                "status": "finished",
                **opening,
                "finished": ended.isoformat(timespec="seconds"),
                "seconds": round(self._active_seconds(), 1),
                "metrics": metrics,
                **facts,
            }
            commit.commit(self.path, MARKER, facts, without=OUTSIDE)
        return self

    def verify(self) -> list[str]:
        """What is wrong with a finished run, one line a file; empty when nothing is."""
        return commit.problems(self.path, MARKER)

    def _active_seconds(self) -> float:
        # Wall time from open to finish would count the night a runtime was gone; rows far apart are such gaps.
        times = [datetime.fromisoformat(self.info["started"]).timestamp()]
        times += [row["time"] for row in _lines(self.path / "metrics.jsonl")] + [time.time()]
        return sum(gap for gap in (b - a for a, b in pairwise(times)) if 0 < gap < 3600)


def open(config: configs.Phase, store: str | Path, parent: str | Path | Run | None = None) -> Run:
    """The run directory of this config and parent: resumed where unfinished, handed back where finished, else new.

    The parent is verified before anything is created, so a bad one leaves nothing behind.
    Raises ValueError or FileNotFoundError with the field, the value and the remedy.
    """
    store = Path(store)
    if parent is not None and not isinstance(parent, Run):
        parent = find(store, parent)
    if parent is not None and not (store / parent.id / OPENING).is_file():
        raise ValueError(
            f"parent: {parent.path} is in another store than {store}; copy it to {store / parent.id} first"
        )
    if found := matching(config, store, parent):
        return found
    digest = configs.digest(config)
    now = datetime.now(UTC)
    while (path := store / config.phase / f"{now:%Y%m%dT%H%M%SZ}-{config.name}-{digest}").exists():
        time.sleep(1)  # names are never reused, and they have a resolution of one second
        now = datetime.now(UTC)
    path.mkdir(parents=True)
    commit.write_durably(path / "config.yaml", configs.dump(config))
    opening = {
        "id": f"{config.phase}/{path.name}",
        "phase": config.phase,
        "name": config.name,
        "parent": _reference(parent),
        "seedling": seedling(config, parent),
        "seed": config.seed,
        "started": now.isoformat(timespec="seconds"),
        "versions": {"python": platform.python_version(), **_versions()},
    }
    commit.write_durably(path / OPENING, json.dumps(opening, indent=1) + "\n")
    return Run(path)


def matching(config: configs.Phase, store: str | Path, parent: Run | None) -> Run | None:
    """The newest run of exactly this config and parent, finished and sound or unfinished; None where there is none."""
    ending = f"-{config.name}-{configs.digest(config)}"
    named = [run for run in listing(store, config.phase) if run.path.name.endswith(ending)]
    for run in reversed(named):
        info = run.info
        same = (info["parent"], info.get("seedling")) == (_reference(parent), seedling(config, parent))
        if same and not (run.finished and run.verify()):
            return run
    return None


def find(store: str | Path, reference: str | Path) -> Run:
    """A finished, verified run by its path, its id ("sft/2026…") or its phase (the newest one).

    Raises FileNotFoundError where there is none, ValueError where its content differs from its manifest.
    """
    store, text = Path(store), str(reference)
    if text in configs.PHASES:
        runs = [run for run in listing(store, text) if run.finished]
        if not runs:
            raise FileNotFoundError(f"parent: no finished {text} run in {store}; run the {text} notebook first")
        run = runs[-1]
    else:
        run = next((Run(path.resolve()) for path in (store / text, Path(text)) if (path / OPENING).is_file()), None)
        if run is None:
            raise FileNotFoundError(
                f"parent: {text!r} is neither a run in {store} nor a run directory; "
                "`python -m nbcore runs list` shows what there is"
            )
        if not run.finished:
            raise ValueError(f"parent: {run.id} is unfinished; run its notebook again, it resumes by itself")
    problems = run.verify()
    if problems:
        raise ValueError(
            f"parent: {run.id} is damaged: {'; '.join(problems[:3])}. Name another parent, "
            "or run its phase again (names are never reused)"
        )
    return run


def listing(store: str | Path, phase: str | None = None) -> list[Run]:
    """Every run of the store, finished or not, oldest first."""
    folders = [Path(store) / phase] if phase else [Path(store) / name for name in configs.PHASES]
    paths = [path for folder in folders if folder.is_dir() for path in folder.iterdir() if (path / OPENING).is_file()]
    return [Run(path.resolve()) for path in sorted(paths, key=lambda path: path.name)]


def seedling(config: configs.Phase, parent: Run | None) -> str | None:
    """sha256 of the shipped base model where a run starts from it: other weights there make it another run."""
    if parent or config.model.base or config.phase == "pretrain":
        return None
    return commit.sha256(SEEDLING / "model.safetensors")


def _reference(parent: Run | None) -> dict | None:
    return {"id": parent.id, "hash": parent.info["manifest"]} if parent else None


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        with suppress(metadata.PackageNotFoundError):  # the base floor runs without the training packages
            found[package] = metadata.version(package)
    return found


def _append(path: Path, *rows: dict) -> None:
    # One write call, flushed to the system: a killed process leaves at most one cut line, which readers skip.
    with path.open("ab+") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            file.write(b"" if file.read(1) == b"\n" else b"\n")
        file.write("".join(json.dumps(row, ensure_ascii=False, default=float) + "\n" for row in rows).encode())
        file.flush()
        os.fsync(file.fileno())


def _lines(path: Path) -> list[dict]:
    if not path.is_file():
        return []
    rows = []
    for line in path.read_text("utf-8", errors="replace").splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            continue  # the line a kill cut short
    return rows
