"""A chain of runs as numbers and words: the headline table, the summary, which programs are printed.

The page and the terminal both print these, so that they cannot differ.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from nbcore import runs, stats, view
from nbcore.core import packaged
from nbcore.report.chains import Stage
from nbcore.runs import layout

ABSENT = "–"
SHOWN = 6  # tasks whose programs are printed


def headline(stages: Sequence[Stage]) -> tuple[list[str], list[list[str]], str]:
    """Column names, cells and a footnote of the headline table."""
    head = [
        "phase",
        "tasks",
        "compile rate",
        "pass@1",
        "Δ pass@1",
        "p",
        "unseen pass@1",
        "perplexity",
        "lints",
        "minutes",
    ]
    evaluated = [stage for stage in stages if stage.evaluation]
    changes: dict[int, stats.Comparison] = {}  # by index in `stages`, because a phase may stand there twice
    for before, after in pairwise(evaluated):
        first, second = (view.outcomes(stage.evaluation, "heldout") for stage in (before, after))
        if first.keys() & second.keys():
            changes[stages.index(after)] = stats.compare(first, second)
    adjusted = dict(zip(changes, stats.holm([result.p for result in changes.values()]), strict=True))
    lines = []
    for at, stage in enumerate(stages):
        heldout, perplexity = stage.metrics.get("heldout", {}), stage.metrics.get("perplexity")
        change = changes.get(at)
        lines.append(
            [
                stage.label,
                str(heldout.get("n", ABSENT)),
                interval(stage.rate("heldout", "compile_rate")),
                interval(stage.rate("heldout", "pass@1")),
                view.points(change.delta) if change else ABSENT,
                view.p_value(adjusted[at]) if change else ABSENT,
                interval(stage.rate("unseen_family", "pass@1")),
                f"{perplexity['value']:.3f}" if perplexity else ABSENT,
                f"{heldout['clippy_warnings']:.2f}" if heldout else ABSENT,
                f"{stage.run.info['seconds'] / 60:.1f}" if stage.run else ABSENT,
            ]
        )
    note = (
        "In brackets: 95 % intervals (Wilson; of differences: bootstrap over tasks). Δ and p compare with the row "
        "above, task by task: exact McNemar, Holm-adjusted. Lints: clippy warnings per program. Minutes: training."
    )
    return head, lines, note + degraded(stages)


def degraded(stages: Sequence[Stage]) -> str:
    """A sentence that warns of programs that ran in a weak sandbox; empty where none did."""
    words = set()
    for run in (run for stage in stages for run in (stage.run, stage.evaluation) if run):
        if (proof := run.path / layout.SANDBOX).is_file():
            words.add(json.loads(proof.read_text("utf-8"))["isolation"])
    weak = sorted(words - {"jailed"})
    return f" Sandbox {', '.join(weak)}: its promises were not all held where these programs ran." if weak else ""


def summary(stages: Sequence[Stage]) -> str:
    """The result in one sentence."""
    evaluated = [stage for stage in stages if stage.evaluation]
    if not evaluated:
        return "Trained, but not evaluated yet: run the evaluate notebook on it."
    first, last = evaluated[0], evaluated[-1]
    rate = last.rate("heldout", "pass@1")
    parts = [f"pass@1 on {rate.n} held-out tasks: {rise(first, last, 'heldout', 'pass@1')}"]
    parts.append(f"compile rate {rise(first, last, 'heldout', 'compile_rate')}")
    if unseen := last.rate("unseen_family", "pass@1"):
        change = rise(first, last, "unseen_family", "pass@1")
        parts.append(f"pass@1 on {unseen.n} tasks of families never trained on: {change}")
    return "; ".join(parts) + "."


def choose(answers: Sequence[Mapping], start: int, evaluated: Sequence[Stage]) -> tuple[list[str], str]:
    """Ids of the tasks to print, and the rule that chose them, so that nobody can print the successes alone.

    `answers` holds for each evaluated stage its samples by task id; verdicts are compared with those of index `start`.
    """
    first, last = answers[start], answers[-1]
    changed = [id_ for id_ in last if id_ in first and first[id_]["verdict"] != last[id_]["verdict"]]
    failing = [id_ for id_ in last if not last[id_]["passed"] and id_ not in changed[: SHOWN - 1]]
    if changed:
        names = f"between {evaluated[start].label} and {evaluated[-1].label}"
        rule = f"Chosen by rule: the first {len(changed[: SHOWN - 1])} whose verdict changed {names}"
        return changed[: SHOWN - 1] + failing[:1], rule + (
            ", and the first other one that still fails." if failing else "."
        )
    return list(last)[:SHOWN], "Chosen by rule: the first ones, since no verdict changed."


def percent(value: float) -> str:
    """ "41 %" for 0.41."""
    return f"{100 * value:.0f} %"


def between(rate: stats.Interval) -> str:
    """The interval of a rate in percent, "36–46"."""
    return f"{100 * rate.low:.0f}–{100 * rate.high:.0f}"


def interval(rate: stats.Interval | None) -> str:
    """A rate with its interval, "41 % [36–46]"."""
    return f"{percent(rate.value)} [{between(rate)}]" if rate else ABSENT


def rise(first: Stage, last: Stage, split: str, key: str) -> str:
    """A rate of the first and of the last stage, "41 % → 71 %"; only the last one where the first has none."""
    start, end = first.rate(split, key), last.rate(split, key)
    return percent(end.value) if first is last or not start else f"{percent(start.value)} → {percent(end.value)}"


def base(run: runs.Run) -> str:
    """The name of the base model; of a local folder only the last part, since the rest is about this machine alone."""
    base = run.info["base"]
    if base in packaged.MODELS:
        return packaged.MODELS[base].publisher
    return Path(base).name if Path(base).is_absolute() else base
