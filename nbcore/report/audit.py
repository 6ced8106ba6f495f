"""Numbers recomputed from records: those that a text states, and those that a store has recorded.

verified: the record gives the same number; differs: it gives another; unsupported: no record is named, or it is not
there. In a text these are recomputed: the table that `run` prints, from the records in docs/records/, and any number
that is followed by `<!-- audit FILE MODEL METRIC -->`, METRIC being pass@1, compile_rate, unseen or perplexity.
"""

from __future__ import annotations

import math
import re
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from nbcore import config as configs
from nbcore import gates, runs, stats
from nbcore.core import environment
from nbcore.gates import blessings
from nbcore.gates import checks as gate_checks
from nbcore.report import page, records
from nbcore.runs import layout

VERIFIED, DIFFERS, UNSUPPORTED = "verified", "differs", "unsupported"
RECORDS = "docs/records"
HEAD = re.compile(r"\s*phase\s{2,}compile rate\s{2,}pass@1")
COLUMNS = ("compile rate", "pass@1", "Δ pass@1", "p", "unseen pass@1", "perplexity")
SPLITS = ("heldout", "heldout", "heldout", "heldout", "unseen_family", "perplexity")
TESTS = ("Wilson", "Wilson", "paired by task", "exact McNemar, Holm", "Wilson", "mean over tokens")
CLAIM = re.compile(r"([-+]?\d+(?:\.\d+)?)\s*%?\s*<!-- audit (\S+) (\S+) (\S+) -->")
RESULT = re.compile(r"[-+]?\d+(?:\.\d+)?\s?%|[-+]\d+(?:\.\d+)?\s?pp\b|\bp\s?[<=]\s?0\.\d+")
LEVEL = re.compile(
    r"\b(?:90|95|99)\s?%(?=[\s*]*(?:confidence |bootstrap |Wilson )?(?:interval|$))|\bat (?:90|95|99)\s?%"
)
METRICS = {
    "pass@1": ("heldout", "passed"),
    "compile_rate": ("heldout", "compiles"),
    "unseen": ("unseen_family", "passed"),
}


class Stamp(NamedTuple):
    """One number, and what its record says of it."""

    state: str
    where: str
    number: str
    artefact: str
    """The record, with n, seed and test where it is known; what is missing where it is not."""
    now: str
    """The number as the record gives it; empty where none does."""

    def line(self) -> str:
        """For people."""
        again = f", recomputed {self.now}" if self.state == DIFFERS else ""
        return f"{self.state:<11} {self.where}  {self.number}{again}  ({self.artefact})"


def text(path: Path) -> list[Stamp]:
    """Every number of a text that states a result. Relative names of records count from the text's own folder, or from
    the repository."""
    stamps: list[Stamp] = []
    inside = fenced = False
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        where = f"{path.name}:{number}"
        if line.lstrip().startswith("```"):
            fenced = not fenced
        if HEAD.match(line):
            inside = True
            continue
        cells = re.split(r"\s{2,}", line.strip())
        if inside and len(cells) == len(COLUMNS) + 1:
            stamps += _row(path, where, cells)
            continue
        inside = False
        claimed = list(CLAIM.finditer(line))
        stamps += [_claim(path, where, *match.groups()) for match in claimed]
        rest = LEVEL.sub("", CLAIM.sub("", line))  # the level of an interval is no result
        if not fenced and not line.startswith("    "):
            stamps += [
                Stamp(UNSUPPORTED, where, said.strip(), "no record is named", "") for said in RESULT.findall(rest)
            ]
    return stamps


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


def _row(path: Path, where: str, cells: list[str]) -> Iterator[Stamp]:
    """The cells of one line of the table."""
    model, *stated = cells
    known = sorted({*(path.parent / RECORDS).glob("*.jsonl.gz"), *(environment.REPO / RECORDS).glob("*.jsonl.gz")})
    for file in known:
        found = records.read(file)
        if model in found.rows:
            n = Counter(row["split"] for row in found.rows[model])
            seed = next(each["seed"] for each in found.models if each["model"] == model)
            for at, (said, now) in enumerate(zip(stated, records.table(found)[model], strict=True)):
                if said == now == "–":
                    continue
                artefact = f"{file.name}, n {n[SPLITS[at]]}, seed {seed}, {TESTS[at]}"
                state = VERIFIED if said == now else DIFFERS
                yield Stamp(state, where, f"{model} {COLUMNS[at]} {said}", artefact, now)
            return
    for at, said in enumerate(stated):
        yield Stamp(UNSUPPORTED, where, f"{model} {COLUMNS[at]} {said}", f"no records of {model} in {RECORDS}/", "")


def _claim(path: Path, where: str, said: str, file: str, model: str, metric: str) -> Stamp:
    """One number with the record that it names."""
    named = next((each for each in (path.parent / file, environment.REPO / file) if each.is_file()), None)
    try:
        found = records.read(named) if named else None
    except ValueError as error:
        return Stamp(UNSUPPORTED, where, said, str(error), "")
    if found is None or model not in found.rows or metric not in (*METRICS, "perplexity"):
        missing = f"no {metric} of {model} in {file}" if found else f"no file {file}"
        return Stamp(UNSUPPORTED, where, said, missing, "")
    rate = found.rate(model, *METRICS[metric]) if metric in METRICS else None
    value = 100 * rate.value if rate else found.perplexity(model)
    if value is None:
        return Stamp(UNSUPPORTED, where, said, f"no {metric} of {model} in {file}", "")
    now = f"{value:.{len(said.partition('.')[2])}f}"
    n = f", n {rate.n}" if rate else ""
    state = VERIFIED if float(said) == float(now) else DIFFERS
    return Stamp(state, where, f"{model} {metric} {said}", f"{file}{n}", now)


def _evaluation(run: runs.Run) -> Iterator[Stamp]:
    """The rates, pass@k and perplexity of an evaluation, from its answers and documents."""
    if damage := run.damage():
        yield Stamp(UNSUPPORTED, run.id, "all", f"damaged: {damage[0]}", "")
        return
    samples = run.samples()
    for name, part in run.info["metrics"].items():
        rows = [row for row in samples if row.get("split") == name]
        if not isinstance(part, dict):
            continue
        seed = run.info["seed"]
        for metric, said in part.items() if "value" not in part else [(name, part)]:
            if not isinstance(said, dict) or "value" not in said:
                continue
            artefact = f"{layout.SAMPLES}, n {said['n']}, seed {seed}"
            again = _again(metric, rows, seed)
            words = f"{name} {metric} {said['value']:.4f}" if metric != name else f"{name} {said['value']:.4f}"
            if again is None:
                yield Stamp(UNSUPPORTED, run.id, words, f"{metric} is not recomputed", "")
                continue
            pairs = zip(again[:3], (said["value"], said["low"], said["high"]), strict=True)
            same = again.n == said["n"] and all(math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12) for a, b in pairs)
            now = f"{again.value:.4f} [{again.low:.4f}, {again.high:.4f}], n {again.n}"
            yield Stamp(VERIFIED if same else DIFFERS, run.id, words, artefact, now)


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
