"""Records that numbers can be recomputed from: the answers of a chain's evaluations, without the programs.

{"schema": 1, "models": [{"model": "SFT", "run": id, "evaluation": id, "sha256": of its record, "seed": 0}, …]}
{"model": "SFT", "split": "heldout", "id": …, "family": …, "passed": true, "compiles": true}
{"model": "SFT", "split": "perplexity", "id": …, "nll": …, "tokens": …}
"""

from __future__ import annotations

import gzip
import json
import math
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from nbcore import stats, view
from nbcore.report import chains, lineage
from nbcore.runs import commit, layout

KEPT = ("id", "family", "split", "verdict", "passed", "compiles", "nll", "tokens")


class Records(NamedTuple):
    """A file of records: its models in order, and the rows of each."""

    models: list[dict[str, Any]]
    rows: dict[str, list[dict[str, Any]]]

    def outcomes(self, model: str, split: str, key: str) -> dict[str, float]:
        """Task id to the mean of its answers; what could not be graded is left out."""
        found: dict[str, list[float]] = {}
        for row in self.rows[model]:
            if row["split"] == split and "verdict" in row and row["verdict"] != "infra_error":
                found.setdefault(row["id"], []).append(float(row[key]))
        return {id_: sum(values) / len(values) for id_, values in found.items()}

    def rate(self, model: str, split: str, key: str) -> stats.Interval | None:
        """The share of answers, with Wilson's interval; None where there are none."""
        values = [
            bool(row[key])
            for row in self.rows[model]
            if row["split"] == split and "verdict" in row and row["verdict"] != "infra_error"
        ]
        return stats.wilson(sum(values), len(values)) if values else None

    def perplexity(self, model: str) -> float | None:
        """exp of the mean negative log-likelihood a token."""
        rows = [row for row in self.rows[model] if "nll" in row]
        return math.exp(sum(row["nll"] for row in rows) / sum(row["tokens"] for row in rows)) if rows else None


def write(store: str | Path, path: Path, run: str | None = None) -> int:
    """Write the records of the chain that a report of the store is about; returns the number of rows.

    Equal evaluations give equal bytes.
    """
    stages = [stage for stage in chains.chain(store, run) if stage.evaluation]
    models, rows = [], []
    for stage in stages:
        evaluation = stage.evaluation
        facts = {"run": stage.run.id if stage.run else None, "evaluation": evaluation.id}
        facts |= {"sha256": commit.sha256(evaluation.path / layout.RUN), "seed": evaluation.info["seed"]}
        models.append({"model": stage.label, **facts})
        for row in evaluation.samples():
            rows.append({"model": stage.label, **{key: row[key] for key in KEPT if key in row}})
    text = "".join(json.dumps(row) + "\n" for row in [{"schema": 1, "models": models}, *rows])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode(), mtime=0))
    return len(rows)


def read(path: Path) -> Records:
    """The records of a file. Raises ValueError where it holds none, FileNotFoundError where there is none."""
    try:
        lines = [json.loads(line) for line in gzip.decompress(path.read_bytes()).decode().splitlines()]
        models = lines[0]["models"]
        rows: dict[str, list[dict[str, Any]]] = {each["model"]: [] for each in models}
        for row in lines[1:]:
            rows[row["model"]].append(row)
    except FileNotFoundError:
        raise
    except (OSError, EOFError, ValueError, KeyError, TypeError, IndexError):
        raise ValueError(
            f"{path}: holds no records; `python -m nbcore audit STORE --keep {path}` writes them"
        ) from None
    return Records(models, rows)


def table(records: Records) -> dict[str, list[str]]:
    """Model -> the cells of the table that `run` and `report` print, recomputed from the answers."""
    names = [each["model"] for each in records.models]
    changes = {}
    for before, after in pairwise(names):
        first, second = (records.outcomes(name, "heldout", "passed") for name in (before, after))
        if first.keys() & second.keys():
            changes[after] = stats.compare(first, second)
    adjusted = dict(zip(changes, stats.holm([change.p for change in changes.values()]), strict=True))
    cells = {}
    for name in names:
        change, perplexity = changes.get(name), records.perplexity(name)
        cells[name] = [
            lineage.interval(records.rate(name, "heldout", "compiles")),
            lineage.interval(records.rate(name, "heldout", "passed")),
            view.points(change.delta).partition(" (")[0] if change else lineage.ABSENT,
            view.p_value(adjusted[name]) if change else lineage.ABSENT,
            lineage.interval(records.rate(name, "unseen_family", "passed")),
            f"{perplexity:.3f}" if perplexity else lineage.ABSENT,
        ]
    return cells
