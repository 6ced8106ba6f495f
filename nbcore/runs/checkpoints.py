"""Checkpoints of a run: committed, verified, chosen, dropped.

    state/attempt-<8 hex digits>/checkpoint-<step>/     what Trainer writes, plus manifest.json and commit.json

Each process that trains writes into an attempt folder of its own, so no name is used twice and nothing is overwritten.
A checkpoint without its marker (the process was killed while it saved) or with changed bytes is never resumed from.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from nbcore.core.finite import NotFinite
from nbcore.runs import commit, layout, retention, weights


@dataclass(frozen=True)
class Checkpoint:
    """One checkpoint folder, committed or not."""

    path: Path

    @property
    def step(self) -> int:
        return layout.step_of(self.path)

    @property
    def name(self) -> str:
        return layout.checkpoint_name(self.path)

    @property
    def committed(self) -> bool:
        return (self.path / layout.CHECKPOINT).is_file()

    @property
    def order(self) -> float:
        """When it was committed, in seconds since 1970; 0 where it has no marker that can be read."""
        try:
            return self.facts.get("time", 0.0)
        except (OSError, ValueError):
            return 0.0

    @cached_property
    def facts(self) -> dict:
        """What it was saved with: step, metric, versions, and what it depends on (config, data, parent, base)."""
        return commit.read_sealed(self.path / layout.CHECKPOINT)

    def problems(self) -> list[str]:
        """What keeps it from being trusted; empty when nothing does. Reads every byte."""
        lines = commit.problems(self.path, layout.CHECKPOINT)
        try:
            if not lines:
                files = self.path.rglob("*.safetensors")
                lines = [f"{path.name}: {why}" for path in files if (why := _unreadable(path))]
            lines = lines or weights.problems(self.path)
        except OSError as error:
            lines = [f"{self.name}: cannot be read ({error.strerror})"]
        if not lines and self.facts.get("step") != self.step:
            lines = [f"{layout.CHECKPOINT}: is of step {self.facts.get('step')}, the folder of step {self.step}"]
        return lines

    def bytes(self) -> int:
        return sum(path.stat().st_size for path in self.path.rglob("*") if path.is_file())


def listing(run: Path) -> list[Checkpoint]:
    """Every checkpoint folder of a run, committed or not, by step; of one step the one committed later comes last."""
    return sorted(map(Checkpoint, layout.checkpoints(run)), key=lambda each: (each.step, each.order))


def save(path: Path, facts: Mapping[str, Any]) -> Checkpoint:
    """Commit a folder that Trainer has just written.

    Raises ValueError where a weights file in it is not whole, NotFinite where it holds NaN or infinite values.
    """
    for file in path.rglob("*.safetensors"):
        if why := _unreadable(file):
            raise ValueError(f"{file}: {why}; it was not written whole")
        if why := weights.not_finite(file):
            raise NotFinite(f"{file.name}: {why}")
    commit.commit(path, layout.CHECKPOINT, facts)
    commit.sync(path.parent.parent)
    commit.sync(path.parent.parent.parent)
    return Checkpoint(path)


def newest(run: Path) -> tuple[Checkpoint | None, dict[str, list[str]]]:
    """The newest checkpoint that verifies, and what is wrong with each newer one, by name."""
    refused: dict[str, list[str]] = {}
    for checkpoint in reversed(listing(run)):
        problems = checkpoint.problems()
        if not problems:
            return checkpoint, refused
        refused[checkpoint.name] = problems
    return None, refused


def drop(checkpoint: Checkpoint) -> None:
    """Delete a checkpoint, its marker first: one that is half deleted must not look whole."""
    (checkpoint.path / layout.CHECKPOINT).unlink(missing_ok=True)
    commit.sync(checkpoint.path)
    shutil.rmtree(checkpoint.path)


def items(run: Path, trusted: set[Path] = frozenset()) -> list[retention.Item]:
    """The checkpoints of a run, described for retention. Each is read and verified, except those in `trusted`."""
    steps = blessed(run)["steps"]
    described = []
    for each in listing(run):
        sound = each.path in trusted or not each.problems()
        metric = each.facts.get("metric") if sound else None
        described.append(retention.Item(each.name, each.step, sound, sound, metric, str(each.step) in steps))
    return described


def blessed(run: Path) -> dict[str, Any]:
    """What a person or a gate said must stay: {"run": why or None, "steps": {step: why}}."""
    path = run / layout.BLESSED
    return commit.read_sealed(path) if path.is_file() else {"run": None, "steps": {}}


def bless(run: Path, why: str | None, step: int | None = None) -> None:
    """Keep a run, or one checkpoint of it, whatever the policy says; `why` None takes it back.

    Raises ValueError where the run has no good checkpoint of that step, or has left weights that are not finite.
    """
    blessings = blessed(run)
    if step is None:
        for file in sorted(run.glob("*/*.safetensors")) if why else ():
            if wrong := weights.not_finite(file):
                raise ValueError(f"RUN: {run.name}: {file.name}: {wrong}; nothing of it is worth keeping")
        blessings["run"] = why
    else:
        if why and not any(each.step == step and not each.problems() for each in listing(run)):
            there = ", ".join(str(each.step) for each in listing(run) if not each.problems()) or "none"
            raise ValueError(f"step: {run.name} has no checkpoint of step {step}; there are {there}")
        blessings["steps"].pop(str(step), None)
        if why:
            blessings["steps"][str(step)] = why
    if blessings["run"] or blessings["steps"]:
        commit.write_sealed(run / layout.BLESSED, blessings)
    else:
        (run / layout.BLESSED).unlink(missing_ok=True)


def trained(run: Path) -> dict[str, Any]:
    """What training returned when it ended; empty while it has not, or where the weights that it left have changed."""
    try:
        facts = commit.read_sealed(run / layout.TRAINED)
        sound = all(commit.sha256(run / name) == sha256 for name, sha256 in facts["files"].items())
    except (OSError, ValueError):
        return {}
    return facts["result"] if sound else {}


def ended(run: Path, result: Mapping[str, Any], weights: str) -> None:
    """Note that training has ended: with which numbers, and the hashes of its weights in the run's folder `weights`."""
    paths = [path for path in sorted((run / weights).rglob("*")) if path.is_file()]
    for path in paths:
        commit.sync(path)
    commit.sync(run / weights)
    files = {path.relative_to(run).as_posix(): commit.sha256(path) for path in paths}
    commit.write_sealed(run / layout.TRAINED, {"result": dict(result), "files": files})


def _unreadable(path: Path) -> str | None:
    """Why a safetensors file is not whole, by its header and its size; None where it is. The tensors are not read."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > size - 8:
            return f"is cut short: {size} bytes, its header says {length}"
        try:
            header = json.loads(file.read(length))
            end = max((entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"), default=0)
        except (ValueError, TypeError, KeyError, IndexError, AttributeError):
            return "has no safetensors header"
    return None if 8 + length + end == size else f"has {size} bytes, its header describes {8 + length + end}"
