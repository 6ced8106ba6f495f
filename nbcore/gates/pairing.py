"""Which evaluations a gate goes by: those of the run that it accepts, and the baseline's on equal terms."""

from __future__ import annotations

from typing import Any

from nbcore import config as configs
from nbcore import runs
from nbcore.gates import blessings, chain
from nbcore.gates.asked import ALIAS
from nbcore.gates.gate_file import Gate
from nbcore.runs import choice, commit, inputs, layout

PARENT = "parent"


def accepted(evaluation: runs.Run, run: runs.Run | None, gate: Gate) -> bool:
    """Whether an evaluation is undamaged, of this very run, and of the gate's set of tasks."""
    if commit.problems(evaluation.path, layout.RUN):
        return False
    try:
        reference = {"id": run.id, "hash": run.info["manifest"]} if run else None
    except (OSError, ValueError):
        return False
    info = evaluation.info
    wanted = gate.eval_set.sha256
    same_tasks = wanted is None or str(info.get("data_hash", "")).startswith(wanted)
    return info["parent"] == reference and gate.eval_set.name in info["metrics"] and same_tasks


def baselines(run: runs.Run, gate: Gate) -> list[runs.Run]:
    """The evaluations of what the gate compares with; none where there is no baseline."""
    if gate.baseline is None:
        return []
    ref = gate.baseline.ref
    if ref == PARENT:
        ref = (run.info["parent"] or {"id": runs.BASE})["id"]
        if ref != runs.BASE and not runs.Run(run.store / ref).finished:
            return []  # it is not in this store
    if match := ALIAS.fullmatch(ref):
        record = blessings.aliased(run.store, match[1], match[2])
        if record is None or record["run"] == run.id:
            return []
        ref = record["run"]
    if ref == runs.BASE:
        made = [each for each in runs.listing(run.store) if configs.TABLE[each.phase].measures and each.finished]
        return [each for each in made if accepted(each, None, gate) and _same_base(each, run)]
    known = runs.Run(run.store / ref)
    against = known if known.finished else runs.find(run.store, ref, field="baseline.ref")
    measures = configs.TABLE[against.phase].measures
    if run.id == ((against.info["parent"] or {}).get("id") if measures else against.id):
        raise ValueError(f"baseline.ref: {ref} is the run itself, which differs from itself in nothing; name another")
    if measures:
        return [against]
    return [each for each in chain.evaluations(against) if accepted(each, against, gate)]


def _same_base(evaluation: runs.Run, run: runs.Run) -> bool:
    """Whether an evaluation of a base model is of the one that a run stands on: by name, and by content where known."""
    mine, first = evaluation.info, list(choice.lineage(run))[-1].info
    contents = [(info.get("seedling"), info.get("inputs", {}).get(inputs.BASE)) for info in (mine, first)]
    known = zip(*contents, strict=True)
    return mine.get("base") == run.info.get("base") and all(a == b for a, b in known if a and b)


def pair(candidates: list[runs.Run], against: list[runs.Run]) -> tuple[runs.Run | None, runs.Run | None]:
    """The newest evaluation that the baseline has one on equal terms for, and that; else the newest, alone."""
    for mine in reversed(candidates):
        for theirs in reversed(against):
            if _terms(mine) == _terms(theirs):
                return mine, theirs
    return (candidates[-1] if candidates else None), None


def _terms(evaluation: runs.Run) -> tuple[str, Any]:
    """Equal for evaluations of the same tasks with the same decoding and seeds, whatever their names are."""
    plain = evaluation.config.model_copy(update={"name": "any"})
    return configs.digest(plain), evaluation.info.get("data_hash")
