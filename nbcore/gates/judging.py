"""A run before its gate: which evaluations count, what every check says, and the verdict."""

from __future__ import annotations

import hashlib
import json
import subprocess
from typing import Any, NamedTuple

from nbcore import config as configs
from nbcore import runs
from nbcore.core import environment
from nbcore.gates import blessings, chain, checks, integrity, pairing
from nbcore.gates.checks import FAIL, INVESTIGATE, PASS, RUBBER_STAMP
from nbcore.gates.contamination import Doing
from nbcore.gates.gate_file import Gate
from nbcore.runs import choice, commit, layout, notebooks

UNWAIVABLE = ("weights_finite", "hashes_verified")  # nothing can be built on such files, whoever lets them pass


class Decision(NamedTuple):
    """What a gate makes of a run."""

    run: runs.Run
    gate: Gate
    evaluation: runs.Run | None
    baseline: runs.Run | None
    """The evaluation that was compared with."""
    rows: list[checks.Row]
    findings: list[integrity.Finding]
    verdict: str
    why: str


def judge(subject: runs.Run, gate: Gate, doing: Doing = integrity.SILENT) -> Decision:
    """Judge a finished run, or the run that an evaluation measured by that evaluation. Equal input, equal verdict.

    Raises ValueError where the gate is of another phase, or where there is no evaluation to go by, RuntimeError where
    the run's record cannot be read.
    """
    run, candidates = _candidates(subject, gate)
    baselines = pairing.baselines(run, gate)
    evaluation, baseline = pairing.pair(candidates, baselines)
    found = integrity.look(integrity.Subject(run, evaluation, baseline, gate, doing))
    rows: list[checks.Row] = []
    if evaluation or all(check.is_of_run for check in gate.checks):
        doing("comparing", 0, 0)
        rows = checks.rows(gate, run, evaluation, baseline)
    elif all(finding.verdict != FAIL for finding in found):  # else it fails whatever it would score
        raise ValueError(_no_evaluation(run, gate))
    verdict, why = _verdict(baseline, rows, found)
    if verdict == RUBBER_STAMP and baselines and evaluation:
        # Else another seed would be enough to be compared with none.
        verdict, theirs = INVESTIGATE, baselines[-1].id
        why = f"{theirs}, the baseline's, is of other terms than {evaluation.id}; evaluate both with one config"
    return Decision(run, gate, evaluation, baseline, rows, found, verdict, why)


def decide(subject: runs.Run, gate: Gate, waive: str | None = None, doing: Doing = integrity.SILENT):
    """Judge, and keep the decision as a record. Returns (decision, record). With `waive` a verdict that would stop the
    run is let pass for that reason; raises ValueError where the reason is empty."""
    waiver = blessings.waiver(waive) if waive is not None else None
    decision = judge(subject, gate, doing)
    if decision.verdict in blessings.OPENING:
        waiver = None  # there is nothing to waive
    stuck = [each.name for each in decision.findings if each.verdict == FAIL and each.name in UNWAIVABLE]
    if waiver and stuck:
        raise ValueError(f"--waive: {stuck[0]} cannot be waived: {decision.why}. Run the phase again")
    return decision, blessings.write(decision.run.store, _facts(decision, waiver))


def _candidates(subject: runs.Run, gate: Gate) -> tuple[runs.Run, list[runs.Run]]:
    """The run to judge, and its evaluations that the gate accepts, the one to prefer last."""
    run, measured = subject, []
    if not subject.finished:
        raise ValueError(f"RUN: {subject.id} is unfinished; run its notebook again, it resumes by itself")
    if configs.TABLE[subject.phase].measures:
        parent = (subject.info["parent"] or {}).get("id")
        if parent is None:
            raise ValueError(f"RUN: {subject.id} measures a base model, which no gate judges; name a trained run")
        run, measured = runs.Run(subject.store / parent), [subject]
    else:
        measured = chain.evaluations(run)
    try:
        _ = run.info
    except (OSError, ValueError) as error:
        raise RuntimeError(f"RUN: FAIL: the record of {run.id} is damaged: {error}") from None
    if run.phase != gate.phase:
        raise ValueError(f"gate: is for {gate.phase}, and {run.id} is not; give --gate configs/gates/{run.phase}.yaml")
    return run, [each for each in measured if pairing.accepted(each, run, gate)]


def _no_evaluation(run: runs.Run, gate: Gate) -> str:
    measured = chain.evaluations(run)
    if not measured:
        measuring = next(name for name, entry in configs.TABLE.items() if entry.measures)
        book = environment.notebook(measuring).name
        return f"RUN: {run.id} has no evaluation to be judged by; run notebooks/{book} on it"
    newest = measured[-1]
    if damage := commit.problems(newest.path, layout.RUN):
        return f"RUN: {newest.id}, the evaluation of {run.id}, is damaged: {damage[0]}; evaluate it again"
    wanted = f"{gate.eval_set.name} {gate.eval_set.sha256 or ''}".strip()
    return f"eval_set: {run.id} was never evaluated on {wanted} as it is now; evaluate it on that set of tasks"


def _verdict(baseline: Any, rows: list[checks.Row], found: list[integrity.Finding]) -> tuple[str, str]:
    """The verdict, and the one sentence why."""
    said = [(f"{row.metric} on {row.taskset}", row.verdict, row.why) for row in rows]
    said += [(finding.name, finding.verdict, finding.why) for finding in found]
    verdict = checks.worst([each for _, each, _ in said])
    bad = [(name, why) for name, each, why in said if each == verdict]
    if verdict != PASS:
        more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
        return verdict, f"{bad[0][0]}: {bad[0][1]}{more}"
    if baseline is None:
        return RUBBER_STAMP, "there is no baseline's evaluation on equal terms: only the values were looked at"
    return PASS, f"{len(rows)} checks of numbers and {len(found)} of integrity hold"


def _facts(decision: Decision, waiver: dict[str, str] | None) -> dict[str, Any]:
    """The record of a decision, as blessings.write keeps it."""
    run, gate, evaluation = decision.run, decision.gate, decision.evaluation
    info = run.info
    above = [each for each in list(choice.lineage(run))[1:] if each.finished]
    parent = blessings.current(above[0]) if above else None
    leaves = choice.leaves(run) or ""
    weights = {name: sha256 for name, sha256 in _manifest(run).items() if name.startswith(f"{leaves}/")}
    links = {
        "parent_blessing": parent["self"] if parent else None,
        "data": {"sha256": info.get("data_hash"), "inputs": info.get("inputs", {}), "shipped": info.get("shipped", {})},
        "base_model": {"name": info.get("base"), "seedling": info.get("seedling")},
        "config": info["config"],
        "code": _code(),
        "env_lock": info["versions"],
        "adapter": _sha256(weights),
        "rng_seed": info["seed"],
        "notebook": _notebook(run),
    }
    return {
        "schema": 1,
        "verdict": decision.verdict,
        "why": decision.why,
        "phase": run.phase,
        "run": run.id,
        "run_sha256": commit.sha256(run.path / layout.RUN),
        "gate_sha256": gate.sha256,
        "gate": gate.model_dump(mode="json", by_alias=True),
        "eval_set_sha256": evaluation.info.get("data_hash") if evaluation else None,
        "evaluation": _reference(evaluation),
        "baseline": _reference(decision.baseline),
        "metrics": [_metric(row) for row in decision.rows],
        "integrity": {each.name: {"verdict": each.verdict, "why": each.why} for each in decision.findings},
        "chain": {**links, "id": _sha256(links)},
        "waiver": waiver,
    }


def _metric(row: checks.Row) -> dict[str, Any]:
    """A row as it is recorded, with every number that the verdict rests on."""
    facts = row._asdict()
    for name in ("candidate", "delta"):
        facts[name] = facts[name]._asdict() if facts[name] else None
    return facts


def _reference(evaluation: runs.Run | None) -> dict[str, str] | None:
    if evaluation is None:
        return None
    return {"id": evaluation.id, "sha256": commit.sha256(evaluation.path / layout.RUN)}


def _manifest(run: runs.Run) -> dict[str, str]:
    """File -> sha256 as the run's manifest has it; empty where that is damaged, which the decision itself says."""
    try:
        files = json.loads((run.path / layout.MANIFEST).read_bytes())["files"]
        return {name: entry["sha256"] for name, entry in files.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _notebook(run: runs.Run) -> str | None:
    """sha256 of the executed notebook, where its own note vouches for it."""
    path = run.path / layout.NOTEBOOK
    vouched = path.is_file() and not notebooks.lacks_note(run.path)
    return commit.sha256(path) if vouched else None


def _code() -> dict[str, Any]:
    """The code that judged: its commit where this is a checkout, and a hash over its modules."""
    modules = sorted((environment.REPO / "nbcore").rglob("*.py"))
    own = {path.relative_to(environment.REPO).as_posix(): commit.sha256(path) for path in modules}

    def git(*words: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", "-C", str(environment.REPO), *words], capture_output=True, text=True, timeout=30
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    changed = git("status", "--porcelain", "--untracked-files=no")
    return {
        "commit": git("rev-parse", "HEAD"),
        "dirty": None if changed is None else bool(changed),
        "sha256": _sha256(own),
    }


def _sha256(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
