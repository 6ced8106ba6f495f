"""Evaluate each newly committed checkpoint of a run while it trains in another process, and draw the curve.

It reads the run and writes beside it (<store>/watch/<phase>/<run>/), so neither process can harm the other. What it has
measured is kept line by line: killed at any moment, it goes on with the next checkpoint. A checkpoint that retention
deletes while it waits is passed over.
"""

from __future__ import annotations

import gc
import hashlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch

from nbcore import config as configs
from nbcore import runs
from nbcore.config import tasksets
from nbcore.config.evaluate import ACCURACIES
from nbcore.core import environment, lines
from nbcore.core.finite import NotFinite
from nbcore.evaluation import asked, harness
from nbcore.grading.grader import RustGrader
from nbcore.grading.verdicts import Ungraded
from nbcore.phases import evaluate
from nbcore.runs import checkpoints, commit, layout, lease
from nbcore.tasks import checking
from nbcore.training import asking, load
from nbcore.view import curve

TRIES = 3  # of a checkpoint that could not be evaluated
FAILURES = (RuntimeError, OSError, ValueError, Ungraded, KeyError)
RATES = (("pass@1", "Passes all hidden tests (pass@1)"), ("compile_rate", "Compiles"))


class Point(NamedTuple):
    """Weights of a run that can be evaluated."""

    step: int
    name: str
    folder: Path
    marker: str
    """sha256 of what vouches for them."""


def watch(
    run: runs.Run,
    every: float,
    once: bool = False,
    config: configs.Phase | None = None,
    say: Callable[[str], None] = print,
    sleep: Callable[[float], None] = time.sleep,
) -> list[str]:
    """Evaluate the checkpoints of `run` as they come, looking again after `every` seconds, until the run has finished;
    `once` looks once. Returns what could not be evaluated, in words.

    Raises ValueError where the run trains nothing, is watched already, or the config needs what is not installed.
    """
    if not configs.TABLE[run.phase].trains:
        raise ValueError(f"RUN: {run.id} trains nothing, so it has no checkpoints; name a run that trains")
    config = config or default_config(run)
    if config.harness:
        harness.require(config.harness, [tasksets.resolve(each).name for each in config.tasksets])
    folder = layout.watch_folder(run.path)
    folder.mkdir(parents=True, exist_ok=True)
    if not lease.take(folder):
        raise ValueError(
            f"RUN: {run.id} is watched by process {lease.holder(folder)['pid']} already; stop that one first"
        )
    asker = None
    failed: dict[str, list[str]] = {}
    said = ""
    try:
        while True:
            ended = run.finished  # looked at before its checkpoints: what it leaves last is not missed
            for point in pending(run, config, failed):
                asker = asker or _Asker(run, config, say)
                _evaluate(asker, run, point, folder, failed, say)
            if once or ended:
                break
            if not lease.holder(run.path) and said != "idle":
                say(f"{run.id}: no process trains it now; it is looked at again every {every:.0f} s (Ctrl-C ends this)")
                said = "idle"
            sleep(every)
    finally:
        lease.release(folder)
    if not evaluated(run, config) and not failed:
        say(f"{run.id}: no checkpoint has been committed yet; save_steps is {run.config.save_steps}")
    return [f"{name}: {words[-1]}" for name, words in failed.items()]


def default_config(run: runs.Run) -> configs.Phase:
    """The shipped evaluation of the run's profile, else that of the smallest."""
    phase = next(name for name, entry in configs.TABLE.items() if entry.measures)
    shipped = environment.shipped_config(phase, run.config.name)
    return configs.load(shipped if shipped.is_file() else environment.shipped_config(phase, "tiny"))


def points(run: runs.Run) -> list[Point]:
    """The committed checkpoints of a run by step and, when it has finished, what it left. Nothing is verified yet."""
    found = []
    for each in checkpoints.listing(run.path):
        try:
            marker = hashlib.sha256((each.path / layout.CHECKPOINT).read_bytes()).hexdigest()
        except OSError:
            continue  # being written, or being deleted
        found.append(Point(each.step, each.name, each.path, marker))
    leaves = configs.TABLE[run.phase].leaves
    if run.finished and leaves:
        step = max((row["step"] for row in run.metrics() if "step" in row), default=0)
        found.append(Point(step, "final", run.path / leaves, str(run.info["manifest"])))
    return found


def evaluated(run: runs.Run, config: configs.Phase) -> list[dict]:
    """What has been measured by this config: rows of curve.jsonl, one for each checkpoint."""
    rows = lines.read(layout.watch_folder(run.path) / layout.CURVE)
    return [row for row in rows if row["config"] == configs.digest(config)]


def pending(run: runs.Run, config: configs.Phase, failed: dict[str, list[str]]) -> list[Point]:
    """The points that have not been measured yet, and have not failed too often."""
    known = {row["marker"] for row in evaluated(run, config)}
    return [point for point in points(run) if point.marker not in known and len(failed.get(point.name, ())) < TRIES]


class _Asker:
    """The tasks and the grader of a watch, made when the first checkpoint is there."""

    def __init__(self, run: runs.Run, config: configs.Phase, say: Callable[[str], None]):
        self.config, self.form = config, asking.form(run)
        self.drawn = asked.drawn(config, self.form)
        self.grader = RustGrader(config.jobs, allow_degraded=config.sandbox.allow_degraded)
        self.broken = self._tried(say)

    def _tried(self, say: Callable[[str], None]) -> dict[str, dict[str, int]]:
        """Tasks that no answer could pass are set aside, as an evaluation does; part -> how many, as measured. Raises
        ValueError where the source of the held-out tasks has such, or where none of a set is left."""
        own = self.drawn.tasks.get("heldout", [])
        if own and self.config.source != "katas":
            say(f"trying the tests of {len(own)} tasks from {self.config.source}")
            checking.refuse_failing(own, self.config.source, self.grader.grade)
        found = {}
        for part, tasks in self.drawn.tasks.items():
            if asked.is_tried(self.drawn.parts[part]):
                say(f"trying the tests of {len(tasks)} tasks of {part}")
                broken = checking.failing(tasks, self.grader.grade)
                self.drawn.tasks[part] = asked.sound(part, tasks, broken)
                if broken:
                    found[part] = {"broken_tests": len(broken)}
                    say(f"{part}: {len(broken)} set aside, whose tests can tell no right answer: {', '.join(broken)}")
        return found

    def measure(self, run: runs.Run, point: Point) -> tuple[list[dict], dict[str, Any]]:
        """(samples, part -> what was measured) of one point."""
        model, tokenizer = load.at_checkpoint(run, point.folder)
        samples, measured = [], {}
        for part, tasks in self.drawn.tasks.items():
            how = self.drawn.parts[part]
            answers, numbers = asked.measure(
                model, tokenizer, tasks, how, self.config, self.grader, _quiet, f" ({part})"
            )
            samples += [{**row, "split": part, "sample": n % how["samples"]} for n, row in enumerate(answers)]
            measured[part] = numbers | self.broken.get(part, {})
        for name in self.config.harness.tasks if self.config.harness else ():
            result = harness.measure(model, tokenizer, name, self.config.harness, self.config.seed)
            own = harness.rows(result, name)
            samples += [{**row, "split": name} for row in own]
            measured[name] = harness.numbers(result, name, own)
        documents = evaluate.documents(self.config)
        if documents:
            found = evaluate.perplexity(model, tokenizer, documents, self.config.max_tokens, self.config.seed)
            measured["perplexity"] = {key: value for key, value in found.items() if key != "documents"}
        return samples, measured


def _evaluate(
    asker: _Asker, run: runs.Run, point: Point, folder: Path, failed: dict[str, list[str]], say: Callable[[str], None]
) -> None:
    """Measure one point, keep it, draw the curve. What goes wrong is said, and is not the end of the watch."""
    began = time.monotonic()
    try:
        if point.name != "final" and (problems := checkpoints.Checkpoint(point.folder).problems()):
            raise ValueError(problems[0])
        samples, measured = asker.measure(run, point)
    except NotFinite as error:
        samples, measured = [], {"diverged": str(error)}
    except FAILURES as error:
        if not (point.folder / layout.CHECKPOINT).is_file() and point.name != "final":
            return say(
                f"step {point.step}: its checkpoint was deleted before it could be evaluated; save_steps is short"
            )
        words = " ".join(str(error).split()) or type(error).__name__
        failed.setdefault(point.name, []).append(words)
        return say(f"step {point.step}: could not be evaluated ({words})")
    finally:
        gc.collect()
        torch.cuda.empty_cache()
    failed.pop(point.name, None)
    about = {"step": point.step, "checkpoint": point.name, "marker": point.marker}
    lines.append(folder / layout.SAMPLES, *({"step": point.step, "checkpoint": point.name, **row} for row in samples))
    seconds = time.monotonic() - began
    row = {**about, "config": configs.digest(asker.config), "sha256": asker.drawn.sha256, "time": round(time.time(), 3)}
    lines.append(folder / layout.CURVE, {**row, "seconds": round(seconds, 1), **measured})  # last: it says all is kept
    say(f"step {point.step} ({point.name}): {_words(measured)}, {seconds:.0f} s")
    _draw(run, asker.config, folder)


def _draw(run: runs.Run, config: configs.Phase, folder: Path) -> None:
    """Put the curve of all that was measured in place of the last one."""
    figure = curve.over_steps(evaluated(run, config), RATES)
    fresh = folder / f".{layout.CURVE_PICTURE}.new"
    figure.savefig(fresh, format="png", dpi=110)
    commit.sync(fresh)
    os.replace(fresh, folder / layout.CURVE_PICTURE)


def _words(measured: dict[str, Any]) -> str:
    if "diverged" in measured:
        return f"diverged ({measured['diverged']})"
    words = []
    for part, numbers in measured.items():
        for key in ("pass@1", "compile_rate", "refusal_rate", *ACCURACIES):
            if rate := numbers.get(key):
                words.append(f"{part} {key} {rate['value']:.1%} [{rate['low']:.1%}-{rate['high']:.1%}]")
    if "perplexity" in measured:
        words.append(f"perplexity {measured['perplexity']['value']:.3f}")
    return ", ".join(words) or json.dumps(measured)


def _quiet(words: str, done: int = 0, total: int = 0) -> None:
    """Nobody shows progress of a watch: training's own line stands in the run."""
