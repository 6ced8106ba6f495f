"""Numbers that a store has recorded, recomputed from the answers beside them; those of a text are in claims.py."""

from __future__ import annotations

import json
import math
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nbcore import config as configs
from nbcore import gates, runs, stats
from nbcore.evaluation import harness, measures, refusals
from nbcore.gates import blessings
from nbcore.gates import checks as gate_checks
from nbcore.report import page
from nbcore.report.claims import DIFFERS, UNSUPPORTED, VERIFIED, Stamp, text
from nbcore.runs import layout

__all__ = ["DIFFERS", "UNSUPPORTED", "VERIFIED", "Stamp", "store", "text"]


def store(where: Path) -> list[Stamp]:
    """Every rate and perplexity that evaluations of a store recorded, what gates decided on, and the report."""
    stamps: list[Stamp] = []
    for run in runs.listing(where):
        if run.finished and configs.TABLE[run.phase].measures:
            stamps += _evaluation(run)
    for path in layout.blessings(where):
        stamps += _blessing(where, path)
    written = where / "report.html"
    if written.is_file():
        stamps.append(_report(where, written))
    return stamps


def _evaluation(run: runs.Run) -> Iterator[Stamp]:
    """The rates, pass@k and perplexity of an evaluation, from its answers and documents."""
    if damage := run.damage():  # what stands there is not what was measured, whichever number of it was changed
        yield Stamp(DIFFERS, run.id, "all", f"damaged: {damage[0]}", "")
        return
    samples, general = run.samples(), harness.kept(run)
    for name, part in run.info["metrics"].items():
        rows = [row for row in samples if row.get("split") == name]
        if not isinstance(part, dict):
            continue
        seed = run.info["seed"]
        yield from _rest(run, name, part, rows)
        for metric, said in part.items() if "value" not in part else [(name, part)]:
            if not isinstance(said, dict) or "value" not in said:
                continue
            artefact = f"{layout.SAMPLES}, n {said['n']}, seed {seed}"
            again = _again(metric, rows, seed)
            if name in general and (found := harness.numbers(general[name], name, rows).get(metric)):
                again, artefact = stats.Interval(**found), f"{layout.HARNESS}, n {said['n']}, seed {seed}"
            words = f"{name} {metric} {said['value']:.4f}" if metric != name else f"{name} {said['value']:.4f}"
            if again is None:
                yield Stamp(UNSUPPORTED, run.id, words, f"{metric} is not recomputed", "")
                continue
            pairs = zip(again[:3], (said["value"], said["low"], said["high"]), strict=True)
            same = again.n == said["n"] and all(math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12) for a, b in pairs)
            now = f"{again.value:.4f} [{again.low:.4f}, {again.high:.4f}], n {again.n}"
            yield Stamp(VERIFIED if same else DIFFERS, run.id, words, artefact, now)


def _rest(run: runs.Run, name: str, part: dict[str, Any], rows: list[dict[str, Any]]) -> Iterator[Stamp]:
    """What else an evaluation recorded of a set (counts, lints, quality, refusals), and what its report.json has of it,
    measured anew from the recorded answers; nothing of runs of before that these were kept for."""
    path = run.path / layout.EVALUATED[0]
    told = json.loads(path.read_text("utf-8"))["sets"].get(name) if path.is_file() else None
    if not told or told.get("kind") not in ("tasks", "refusals"):
        return
    if told["kind"] == "refusals":
        again = refusals.rates([{**row, "refused": refusals.refuses(row["completion"])} for row in rows])
        detailed = {"metrics": {key: value for key, value in again.items() if key.endswith("_rate")}}
    else:
        again = measures.summary(rows, told["samples"], told["k"])
        detailed = measures.detailed(rows, told["k"])
    artefact = f"{layout.SAMPLES}, {len(rows)} answers, seed {run.info['seed']}"
    for key, now in again.items():
        said = part.get(key)
        if not (isinstance(said, dict) and "value" in said):  # those are told one by one, with their intervals
            yield Stamp(VERIFIED if _same(said, now) else DIFFERS, run.id, f"{name} {key}", artefact, str(now))
    for key, now in detailed.items():
        pairs = now.items() if key == "metrics" else [(key, now)]
        for metric, value in pairs:
            said = (told.get(key) or {}).get(metric) if key == "metrics" else told.get(key)
            # Metrics that were added later are not in an older report, and then it does not state them.
            if said is not None or value is None:
                words = f"{path.name} {name} {metric}"
                yield Stamp(VERIFIED if _same(said, value) else DIFFERS, run.id, words, artefact, str(value))


def _same(said: Any, now: Any) -> bool:
    """Whether what was recorded is what comes out now: all of it that was recorded, to the ninth digit."""
    if isinstance(said, dict) and isinstance(now, dict):
        return all(key in now and _same(value, now[key]) for key, value in said.items())
    if isinstance(said, float) and isinstance(now, int | float):
        return math.isclose(said, now, rel_tol=1e-9, abs_tol=1e-12)
    return said == now


def _again(metric: str, rows: list[dict[str, Any]], seed: int) -> stats.Interval | None:
    """The estimate with its interval, as the evaluation makes it; None for one that is not known here."""
    if metric == "perplexity" and rows and all("nll" in row for row in rows):
        return _perplexity(rows, seed)
    judged = [row for row in rows if row.get("verdict", "infra_error") != "infra_error"]
    if metric == "compile_rate" and judged:
        return stats.wilson(sum(bool(row["compiles"]) for row in judged), len(judged))
    match = re.fullmatch(r"pass@(\d+)", metric)
    if not match or not judged:
        return None
    if all(not row.get("sample") for row in rows):  # one answer to each task
        return stats.wilson(sum(bool(row["passed"]) for row in judged), len(judged))
    groups: dict[str, list[bool]] = {}
    for row in judged:
        groups.setdefault(row["id"], []).append(bool(row["passed"]))
    k = int(match[1])
    values = [stats.pass_at_k(len(each), sum(each), k) for each in groups.values() if len(each) >= k]
    return stats.mean_bootstrap(values) if values else None


def _perplexity(rows: list[dict[str, Any]], seed: int) -> stats.Interval:
    """exp of the mean loss a token; documents are drawn anew by how far each one moves that ratio."""
    total, tokens = sum(row["nll"] for row in rows), sum(row["tokens"] for row in rows)
    mean = total / tokens
    pulls = [mean + (row["nll"] - mean * row["tokens"]) * len(rows) / tokens for row in rows]
    interval = stats.mean_bootstrap(pulls, seed=seed)
    return stats.Interval(*(math.exp(each) for each in interval[:3]), len(rows))


def _blessing(where: Path, path: Path) -> Iterator[Stamp]:
    """The numbers that a decision rests on, judged again from the evaluations that it names."""
    try:
        record = blessings.read(path)
    except ValueError as error:
        yield Stamp(DIFFERS, path.name, "all", str(error), "")
        return
    try:
        sides = [runs.Run(where / record[side]["id"]) if record[side] else None for side in ("evaluation", "baseline")]
        if any(side and side.damage() for side in sides):
            raise ValueError("an evaluation that it rests on is damaged")
        rows = (
            gate_checks.rows(gates.load(record["gate"]), runs.Run(where / record["run"]), *sides)
            if record["metrics"]
            else []
        )
    except (OSError, ValueError) as error:
        yield Stamp(UNSUPPORTED, path.name, "all", str(error), "")
        return
    for said, row in zip(record["metrics"], rows, strict=False):
        estimate, then = row.delta or row.candidate, said["delta"] or said["candidate"]
        now, then = (estimate.value, then["value"]) if estimate and then else (0.0, 0.0)
        same = said["verdict"] == row.verdict and math.isclose(now, then, rel_tol=1e-9, abs_tol=1e-12)
        words = f"{said['metric']} {'difference' if row.delta else 'value'} {then} {said['verdict']}"
        artefact = f"gate of {record['run']}, n {row.n}, seed 0"
        yield Stamp(VERIFIED if same else DIFFERS, record["self"][:12], words, artefact, f"{now} {row.verdict}")


def _report(where: Path, written: Path) -> Stamp:
    """The page, written anew from the store."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            again = page.build(where, Path(folder) / written.name).read_bytes()
    except ValueError as error:
        return Stamp(UNSUPPORTED, written.name, "all", str(error), "")
    if again == written.read_bytes():
        return Stamp(VERIFIED, written.name, "all", "written anew from the store, it is the same", "")
    return Stamp(
        DIFFERS, written.name, "a number or a word", "the store's report", "otherwise: `report` writes it anew"
    )
