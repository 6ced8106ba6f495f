"""What an experiment's evaluations say: paired by task and seed, each arm against the control, as one record."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nbcore import runs, stats, view
from nbcore.config.experiment import Experiment
from nbcore.core import lines
from nbcore.pipeline.experiment import Measured, folder
from nbcore.runs import commit, layout
from nbcore.view import experiment as shown
from nbcore.view.comparison import MEASURES

PERPLEXITY = "nats a token"
BETTER, WORSE, NONE, UNDECIDED = "BETTER", "WORSE", "NO DIFFERENCE THAT MATTERS", "UNDECIDED"


def record(experiment: Experiment, measured: Sequence[Measured]) -> dict[str, Any]:
    """Everything that came out, as experiment.json holds it: effects with intervals, the verdict on each arm, the runs.

    Raises ValueError where two cells were not asked the same tasks.
    """
    _refuse_other_tasks(experiment, measured)
    families = {
        row["id"]: row.get("family") or row["id"]
        for row in measured[0].evaluation.samples()
        if row["split"] == experiment.taskset
    }
    keys = sorted(MEASURES, key=lambda key: key != experiment.metric)  # the one that decides comes first
    effects = []
    for arm in experiment.treatments:
        for key in keys:
            sides = [
                {each.seed: view.outcomes(each.evaluation, experiment.taskset, key) for each in _of(measured, name)}
                for name in (experiment.control.name, arm.name)
            ]
            found = effect(*sides, families, experiment.alpha, experiment.margin)
            decides = key == experiment.metric
            effects.append({"arm": arm.name, "measure": MEASURES[key], "decides": decides, **found})
        sides = [
            {each.seed: _nats(each.evaluation) for each in _of(measured, name)}
            for name in (experiment.control.name, arm.name)
        ]
        if all(documents for side in sides for documents in side.values()):
            found = effect(*sides, None, experiment.alpha, None)
            found["better"], found["worse"] = found["worse"], found["better"]  # fewer nats are better
            effects.append({"arm": arm.name, "measure": PERPLEXITY, "decides": False, **found})
    deciding = [each for each in effects if each["decides"]]
    adjusted = stats.holm([each["effect"]["p"] for each in deciding])
    for each, p in zip(deciding, adjusted, strict=True):
        each["holm"] = p
        each["verdict"], each["why"] = verdict(each["effect"], p, experiment.alpha, experiment.margin)
    settings = experiment.model_dump(mode="json")
    made = {run.id: run for each in measured for run in _made(each.evaluation)}
    return {
        "schema": 1,
        "name": experiment.name,
        "question": experiment.question,
        "settings": settings,
        "sha256": lines.digest([settings]),
        "effects": effects,
        "runs": [_run(each) for each in measured],
        "seconds": sum(run.info["seconds"] for run in made.values()),
        "device": measured[0].evaluation.info.get("device"),
    }


def effect(
    control: dict[int, dict[str, float]],
    treatment: dict[int, dict[str, float]],
    families: dict[str, str] | None,
    alpha: float,
    margin: float | None,
) -> dict[str, Any]:
    """One arm against the control: seed -> task -> outcome on both sides, paired by seed and task.

    "effect" covers other tasks and other trainings; "tasks_only" the very models that were trained. A task that could
    not be graded somewhere is left out everywhere, and counted.
    """
    seeds = list(control)
    outcomes = [side[seed] for side in (control, treatment) for seed in seeds]
    ids = [id_ for id_ in outcomes[0] if all(id_ in each for each in outcomes)]
    if not ids:
        raise ValueError("experiment: no task was graded in every arm under every seed; look at the infra_errors")
    clusters = [families[id_] for id_ in ids] if families and len(set(families.values())) > 1 else None
    differences = [[treatment[seed][id_] - control[seed][id_] for id_ in ids] for seed in seeds]
    crossed = stats.crossed(differences, clusters, alpha)
    means = [{id_: _mean([side[seed][id_] for seed in seeds]) for id_ in ids} for side in (control, treatment)]
    over_tasks = stats.compare(
        *means, families=dict(zip(ids, clusters, strict=True)) if clusters else None, alpha=alpha
    )
    by_seed = []
    for seed in seeds:
        rates = [_mean([side[seed][id_] for id_ in ids]) for side in (control, treatment)]
        by_seed.append({"seed": seed, "control": rates[0], "treatment": rates[1], "effect": rates[1] - rates[0]})
    return {
        "control": _mean(list(means[0].values())),
        "treatment": _mean(list(means[1].values())),
        "effect": crossed._asdict(),
        "tasks_only": over_tasks.delta._asdict() | {"p": over_tasks.p},
        "better": over_tasks.better,
        "worse": over_tasks.worse,
        "left_out": len({id_ for each in outcomes for id_ in each}) - len(ids),
        "detectable": crossed.detectable(alpha=alpha),
        "power": crossed.power(margin, alpha) if margin and crossed.error else None,
        "by_seed": by_seed,
    }


def verdict(found: dict[str, Any], p: float, alpha: float, margin: float) -> tuple[str, str]:
    """(verdict, why) of an effect, `p` adjusted for the number of arms."""
    low, high = found["low"], found["high"]
    if not found[
        "error"
    ]:  # no answer differs, or all alike: that so few tasks show nothing is not that there is nothing
        low, high = found["value"] - 3 / found["n"], found["value"] + 3 / found["n"]  # the rule of three
    bounds = f"the interval {100 * low:+.1f} to {100 * high:+.1f} points"
    if p < alpha and (low > 0 or high < 0):
        small = ", though less than would matter" if max(abs(low), abs(high)) < margin else ""
        return (BETTER if low > 0 else WORSE), f"{bounds} leaves out zero{small}"
    if -margin < low and high < margin:
        return NONE, f"{bounds} lies within the margin of {100 * margin:g} points"
    return UNDECIDED, f"{bounds} holds zero, and reaches beyond the margin of {100 * margin:g} points"


def write(experiment: Experiment, store: Path, measured: Sequence[Measured]) -> dict[str, Any]:
    """Compare, and leave experiment.json (sealed), .md and .png in the experiment's folder; returns the record."""
    made, where = record(experiment, measured), folder(experiment, store)
    commit.write_sealed(where / layout.EXPERIMENT, made)
    commit.write_durably(where / layout.EXPERIMENT_TEXT, shown.markdown(made))
    shown.figure(made).savefig(where / layout.EXPERIMENT_PICTURE, dpi=150, facecolor="white")
    return made


def _of(measured: Sequence[Measured], arm: str) -> list[Measured]:
    return [each for each in measured if each.arm == arm]


def _refuse_other_tasks(experiment: Experiment, measured: Sequence[Measured]) -> None:
    asked = {}
    for each in measured:
        rows = [row for row in each.evaluation.samples() if row["split"] == experiment.taskset and "verdict" in row]
        asked[each] = {(row["id"], row["prompt"]) for row in rows}
        if not rows:
            raise ValueError(
                f"taskset: arm {each.arm}, seed {each.seed}: {each.evaluation.id} has no graded answers on "
                f"{experiment.taskset!r}; name a set of tasks that the evaluation asks"
            )
        if asked[each] != asked[measured[0]]:
            raise ValueError(
                f"taskset: arm {each.arm}, seed {each.seed} was asked other tasks than {measured[0].arm}, seed "
                f"{measured[0].seed}: nothing could be paired; give every arm the same tasks"
            )


def _nats(evaluation: runs.Run) -> dict[str, float]:
    """Document id to nats a token, of an evaluation with a perplexity."""
    return {row["id"]: row["nll"] / row["tokens"] for row in evaluation.samples() if "nll" in row}


def _made(evaluation: runs.Run) -> list[runs.Run]:
    found = [evaluation]
    while (parent := found[-1].parent) is not None:
        found.append(parent)
    return found


def _run(each: Measured) -> dict[str, Any]:
    parent = each.evaluation.info["parent"]
    sealed = commit.sha256(each.evaluation.path / layout.RUN)
    facts = {"evaluation": each.evaluation.id, "model": parent["id"] if parent else None, "sha256": sealed}
    return {"arm": each.arm, "seed": each.seed, **facts}


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
