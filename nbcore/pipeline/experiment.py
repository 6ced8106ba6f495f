"""An experiment as runs: each arm under each seed through one pipeline, what they share run once, a small stage first.

An arm is the pipeline with the arm's settings laid over it. The run store hands back a finished run of the same config
and parent, so stages before the first difference are common to all arms, and a killed experiment goes on where it
stopped.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from nbcore import config as configs
from nbcore import runs
from nbcore.config import tasksets
from nbcore.config.experiment import Arm, Experiment
from nbcore.core import plain_yaml
from nbcore.core.environment import REPO
from nbcore.core.suggest import did_you_mean
from nbcore.pipeline import plan, stages
from nbcore.pipeline.plan import Pipeline
from nbcore.pipeline.progress import Show, clock
from nbcore.runs import layout

FIRST, FULL = "first", "full"
TO_DO = "to do"


class FirstFailed(RuntimeError):
    """The small stage did not pass, so the full one was not begun; the message says why, in one line."""


class Cell(NamedTuple):
    """One arm under one seed."""

    arm: str
    seed: int
    pipeline: Pipeline


class Measured(NamedTuple):
    """A cell that has run, with its evaluation."""

    arm: str
    seed: int
    """The experiment's: cells of one seed are paired, whatever seed an arm made of it."""
    evaluation: runs.Run


def cells(experiment: Experiment, stage: str = FULL) -> list[Cell]:
    """Every arm under every seed, in the order they run: the arms of a seed side by side.

    Raises ValueError or FileNotFoundError naming the arm, the field, the value and the remedy.
    """
    first = experiment.first if stage == FIRST else None
    seeds = experiment.seeds[: first.seeds] if first else experiment.seeds
    small = _settings(first.set) if first else []
    path = REPO / experiment.pipeline
    _check_stages(experiment, plan.load(path))
    made = []
    for seed in seeds:
        control = None
        for arm in experiment.arms:
            seeded = [f"{name}.seed={seed + (arm.other_seeds or 0)}" for name in experiment.seeded]
            pipeline = _laid(experiment, path, arm, [*small, *seeded])
            configs_ = [configs.digest(each.load()) for each in pipeline.stages]
            _check_taskset(experiment, arm, pipeline.stages[-1].load())
            control = control or configs_
            if arm is not experiment.control and configs_ == control:
                raise ValueError(
                    f"arm {arm.name}: is the control: {arm.set or 'no set'} changes nothing of "
                    f"{', '.join(experiment.stages)}; give it a setting that does, or other_seeds where the control is "
                    "to be compared with itself"
                )
            made.append(Cell(arm.name, seed, pipeline))
    return made


def run(experiment: Experiment, store: Path, stage: str = FULL, show: Show | None = None) -> list[Measured]:
    """Run a stage of the experiment in its own store; what has finished before is not repeated.

    Raises as `stages.run` does. On KeyboardInterrupt the notebook in hand saves first.
    """
    show, todo, measured, took = show or Show(), cells(experiment, stage), [], []
    for number, cell in enumerate(todo, 1):
        began = time.monotonic()
        left = f" · about {clock(_mean(took) * (len(todo) - number + 1))} left" if took else ""
        show.note(f"{experiment.name} {stage} {number}/{len(todo)} · {cell.arm} · seed {cell.seed}{left}")
        finished = stages.run(cell.pipeline, store, show)
        measured.append(Measured(cell.arm, cell.seed, finished[-1]))
        if (seconds := time.monotonic() - began) > 2:  # one that had finished before says nothing of the pace
            took.append(seconds)
    return measured


def require_first(experiment: Experiment, measured: list[Measured]) -> None:
    """Raises FirstFailed where the small stage shows that the full one would be wasted."""
    problems = []
    for arm in experiment.arms:
        rows = [row for each in measured if each.arm == arm.name for row in _answers(experiment, each.evaluation)]
        ours = [row for row in rows if row["verdict"] == "infra_error"]
        compiling = sum(bool(row["compiles"]) for row in rows)
        if not rows:
            problems.append(f"arm {arm.name}: no answers on {experiment.taskset}")
        elif ours:
            problems.append(f"arm {arm.name}: {len(ours)} of {len(rows)} answers could not be graded (infra_error)")
        elif compiling < experiment.first.compiles:
            problems.append(f"arm {arm.name}: {compiling} of {len(rows)} answers compile, first.compiles asks for more")
        for each in (each for each in measured if each.arm == arm.name):
            perplexity = (each.evaluation.info["metrics"].get("perplexity") or {}).get("value", 1.0)
            if not math.isfinite(perplexity):
                problems.append(f"arm {arm.name}: the perplexity is {perplexity}")
    of_control = {each.seed: each.evaluation.parent for each in measured if each.arm == experiment.control.name}
    for each in measured:
        control, own = of_control[each.seed], each.evaluation.parent
        if control and own and own.id != control.id and _weights(own) == _weights(control):
            problems.append(
                f"arm {each.arm}: its weights are the control's, byte for byte: the setting changes nothing"
            )
    if problems:
        more = f" (and {len(problems) - 1} more)" if problems[1:] else ""
        raise FirstFailed(f"the first stage does not pass, the full one was not begun: {problems[0]}{more}")


def outline(experiment: Experiment, store: Path) -> list[tuple[str, str, str, str]]:
    """What would run, without running it: (stage, what, whose, TO_DO or the finished run), shared runs once."""
    known: dict[tuple, list[Any]] = {}
    for stage in (FIRST, FULL) if experiment.first else (FULL,):
        for cell in cells(experiment, stage):
            done: dict[str, Any] = {}  # stage id -> (key, finished run or None)
            for each in cell.pipeline.stages:
                config = each.load()
                above = done.get(each.parent) if each.starts_from_run else None
                key = (each.id, configs.digest(config), above[0] if above else None)
                finished = None
                if key in known:
                    finished = known[key][3]
                elif not (above and above[1] is None):
                    found = runs.matching(config, store, above[1] if above else None)
                    finished = found if found and found.finished else None
                whose = known.setdefault(key, [stage, f"{each.id}, seed {cell.seed}", [], finished])[2]
                if cell.arm not in whose:
                    whose.append(cell.arm)
                done[each.id] = (key, finished)
    return [
        (stage, what, ", ".join(whose), finished.id if finished else TO_DO)
        for stage, what, whose, finished in known.values()
    ]


def folder(experiment: Experiment, store: Path) -> Path:
    """Where the runs and the results of an experiment lie: a store of its own within the store, so that no notebook
    takes an arm for the newest model."""
    return store / layout.EXPERIMENTS / experiment.name


def _laid(experiment: Experiment, path: Path, arm: Arm, more: list[str]) -> Pipeline:
    """The pipeline as an arm runs it: only the experiment's stages, and no gate, which would stop one arm alone."""
    try:
        whole = plan.load(path, None, [*_settings(experiment.set), *more, *_settings(arm.set)])
    except ValueError as error:
        raise ValueError(f"arm {arm.name}: {error}") from None
    chosen = [stage for stage in whole.stages if stage.id in experiment.stages]
    return Pipeline.model_validate(whole.model_dump() | {"stages": chosen, "gates": False})


def _check_stages(experiment: Experiment, pipeline: Pipeline) -> None:
    known = {stage.id: stage for stage in pipeline.stages}
    for name in experiment.stages:
        if name not in known:
            meant = did_you_mean(name, known)
            raise ValueError(f"stages: no stage {name!r}{meant} in {experiment.pipeline}; there are {', '.join(known)}")
        parent = known[name].parent
        if known[name].starts_from_run and parent not in experiment.stages:
            raise ValueError(f"stages: {name} starts from {parent}, which is not among them; add it")
    last = next(stage for stage in reversed(pipeline.stages) if stage.id in experiment.stages)
    if not configs.TABLE[last.phase].measures:
        raise ValueError(f"stages: the last one, {last.id}, measures nothing; add the evaluation of what it leaves")


def _check_taskset(experiment: Experiment, arm: Arm, evaluation: configs.Phase) -> None:
    """Told before anything is trained: else the last of all runs would measure what nobody asked for."""
    asked = ["heldout"] if evaluation.heldout else []
    asked += ["unseen_family"] if evaluation.unseen and evaluation.source == "katas" else []
    asked += [each.name for each in map(tasksets.resolve, evaluation.tasksets) if each.kind != tasksets.REFUSALS]
    if experiment.taskset not in asked:
        meant = did_you_mean(experiment.taskset, asked)
        raise ValueError(
            f"taskset: {experiment.taskset!r} is no set of tasks that arm {arm.name} is asked{meant}; there are "
            f"{', '.join(asked)}"
        )


def _settings(given: Mapping[str, Any]) -> list[str]:
    return [f"{path}={plain_yaml.dump_line(value)}" for path, value in given.items()]


def _answers(experiment: Experiment, evaluation: runs.Run) -> list[dict[str, Any]]:
    return [row for row in evaluation.samples() if row["split"] == experiment.taskset and "verdict" in row]


def _weights(run: runs.Run) -> dict[str, str]:
    leaves = configs.TABLE[run.phase].leaves or ""
    manifest = json.loads((run.path / layout.MANIFEST).read_bytes())["files"]
    return {name: entry["sha256"] for name, entry in manifest.items() if name.startswith(f"{leaves}/")}


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
