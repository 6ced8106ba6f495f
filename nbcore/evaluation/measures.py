"""Graded answers to numbers: rates with intervals and what the programs look like, also by family and difficulty."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from nbcore import stats
from nbcore.grading import reward, verdicts
from nbcore.grading.rust import structure

COUNTED = ("functions", "structs", "enums", "impls", "traits", "tests", "unsafe", "unwraps", "lines")
SHARES = ("documented", "idioms", "coverage")


def summary(solved: list[dict], samples: int, ks: list[int]) -> dict:
    """Rates with 95 % intervals: Wilson for one sample a task, bootstrap over tasks for pass@k from several.

    `solved` holds `samples` rows for each task, side by side. Our own faults (infra_error) are left out and counted.
    """
    groups = [solved[start : start + samples] for start in range(0, len(solved), samples)]
    groups = [[row for row in group if row["verdict"] != "infra_error"] for group in groups]
    judged = [row for group in groups for row in group]
    measured: dict[str, Any] = {
        "n": len(groups),
        "infra_errors": len(solved) - len(judged),
        "compile_rate": stats.wilson(sum(row["compiles"] for row in judged), len(judged))._asdict(),
        "clippy_warnings": sum(row["clippy_warnings"] for row in judged) / max(1, len(judged)),
        "tests_passed": sum(row["tests_passed"] / max(1, row["tests_total"]) for row in judged) / max(1, len(judged)),
        "truncated": sum(row["truncated"] for row in judged),
        "quality": quality(judged),
        "verdicts": {
            name: sum(row["verdict"] == name for row in judged) for name in {row["verdict"] for row in judged}
        },
    }
    for k in ks:
        if samples == 1:
            interval = stats.wilson(sum(row["passed"] for row in judged), len(judged))
        else:
            enough = [[row["passed"] for row in group] for group in groups if len(group) >= k]
            values = [stats.pass_at_k(len(passed), sum(passed), k) for passed in enough]
            if not values:
                raise verdicts.Ungraded(
                    f"pass@{k}: of no task could {k} of {samples} answers be graded: {verdicts.fault(solved)}"
                )
            interval = stats.mean_bootstrap(values)
        measured[f"pass@{k}"] = interval._asdict()
    return measured


def quality(judged: list[dict]) -> dict[str, Any]:
    """What the programs look like: means over all of them, and of each clippy lint over those that compile.

    documented: share of the public items that have a doc comment; idioms: how many of four are used; coverage: share of
    the prompt's words that occur; hack_rate: share of the programs that tried to get round the tests.
    """
    programs = [structure.structure(row["code"] or "", row["prompt"]) for row in judged if _is_rust(row)]
    means: dict[str, Any] = {"hack_rate": _mean([float(reward.is_hack(row)) for row in judged])}
    for name in ("documented", "idioms", "coverage", "unwraps", "lines"):
        means[name] = _mean([program[name] for program in programs if program[name] is not None])
    compiled = [row for row in judged if row["compiles"]]
    totals: Counter[str] = Counter()
    for row in compiled:
        totals.update(row["lints"])
    means["lints"] = {lint: count / len(compiled) for lint, count in totals.most_common()}
    return means


def detailed(solved: Sequence[dict], ks: Sequence[int]) -> dict[str, Any]:
    """Every metric of graded rows with n and its 95 % interval, over all tasks, by family and by difficulty.

    A task's samples are averaged first. Where there are ten families or more, and some have several tasks, whole
    families are drawn for the interval; otherwise tasks. "lints" are warnings per program that compiles.
    """
    judged = [row for row in solved if row["verdict"] != "infra_error"]
    found: dict[str, Any] = {
        "n": len({row["id"] for row in solved}),
        "answers": len(solved),
        "infra_errors": len(solved) - len(judged),
        "metrics": _metrics(judged, ks),
        "verdicts": dict(Counter(row["verdict"] for row in judged).most_common()),
        "lints": _lints(judged),
    }
    for name in ("family", "difficulty"):
        values = sorted({str(row[name]) for row in judged if row.get(name)})
        parts = {value: [row for row in judged if str(row.get(name)) == value] for value in values}
        found[f"by_{name}"] = {
            value: {"n": len({row["id"] for row in rows}), **_rates(rows, ks)} for value, rows in parts.items()
        }
    return found


def _metrics(judged: Sequence[dict], ks: Sequence[int]) -> dict[str, Any]:
    metrics = _rates(judged, ks)
    rust = [row for row in judged if _is_rust(row)]
    programs = {id(row): structure.structure(row["code"] or "", row["prompt"]) for row in rust}
    metrics["clippy_warnings"] = over_tasks(
        [row for row in rust if row["compiles"]], lambda row: float(row["clippy_warnings"]), rate=False
    )
    metrics["truncated"] = over_tasks(judged, lambda row: float(row["truncated"]))
    for name in (*SHARES, *COUNTED):
        having = [row for row in rust if programs[id(row)][name] is not None]
        metrics[name] = over_tasks(having, lambda row, name=name: float(programs[id(row)][name]), name in SHARES)
    for name in ("tokens", "seconds"):  # of generating an answer; grading goes on beside it
        counted = [row for row in judged if row.get(name) is not None]
        metrics[name] = over_tasks(counted, lambda row, name=name: float(row[name]), rate=False)
    return metrics


def _rates(judged: Sequence[dict], ks: Sequence[int]) -> dict[str, Any]:
    rates: dict[str, Any] = {}
    groups = _by_task(judged)
    for k in ks:
        enough = {id_: rows for id_, rows in groups.items() if len(rows) >= k}
        values = {
            id_: stats.pass_at_k(len(rows), sum(row["passed"] for row in rows), k) for id_, rows in enough.items()
        }
        rates[f"pass@{k}"] = _interval(values, {id_: rows[0]["family"] for id_, rows in enough.items()})
    rates["compile_rate"] = over_tasks(judged, lambda row: float(row["compiles"]))
    rates["tests_passed"] = over_tasks(judged, lambda row: row["tests_passed"] / max(1, row["tests_total"]))
    rates["hack_rate"] = over_tasks(judged, lambda row: float(reward.is_hack(row)))
    return rates


def over_tasks(rows: Iterable[dict], value: Callable[[dict], float], rate: bool = True) -> dict[str, Any] | None:
    """{"value", "low", "high", "n"} of the mean over tasks of a number of each row, which is a `rate` or a count; None
    without rows."""
    groups = _by_task(rows)
    means = {id_: sum(map(value, group)) / len(group) for id_, group in groups.items()}
    return _interval(means, {id_: group[0]["family"] for id_, group in groups.items()}, rate)


def _interval(values: Mapping[str, float], families: Mapping[str, str], rate: bool = True) -> dict[str, Any] | None:
    if not values:
        return None
    return stats.of_tasks(list(values.values()), [families[id_] or id_ for id_ in values], rate)._asdict()


def _lints(judged: Sequence[dict]) -> dict[str, Any]:
    compiled = [row for row in judged if row["compiles"]]
    totals: Counter[str] = Counter()
    for row in compiled:
        totals.update(row["lints"])
    return {
        lint: over_tasks(compiled, lambda row, lint=lint: float(row["lints"].get(lint, 0)), rate=False)
        for lint, _ in totals.most_common()
    }


def _by_task(rows: Iterable[dict]) -> dict[str, list[dict]]:
    groups: dict[str, list[dict]] = {}
    for row in rows:
        groups.setdefault(row["id"], []).append(row)
    return groups


def _is_rust(row: Mapping[str, Any]) -> bool:
    return row.get("language", "rust") == "rust"


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None
