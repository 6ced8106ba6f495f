"""The newest finished chain of runs as data: its models, their evaluations, the headline numbers.

What the report prints, gathered once for the page and the terminal.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from nbcore import config, runs, stats, view
from nbcore.runs import layout

ABSENT = "–"
NOTHING = "no finished run in {store}: run `bash colab_setup.sh run` first"
SHOWN = 6  # tasks whose programs are printed


@dataclass(frozen=True)
class Stage:
    """One model of the chain: the run that trained it (None for the base) and its newest evaluation, if any."""

    name: str
    run: runs.Run | None
    evaluation: runs.Run | None

    @property
    def label(self) -> str:
        return config.TABLE[self.run.phase].label if self.run else self.name

    @property
    def is_yardstick(self) -> bool:
        """Whether programs are shown by what has changed since this stage."""
        return self.run is not None and config.TABLE[self.run.phase].yardstick

    @property
    def metrics(self) -> dict:
        return self.evaluation.info["metrics"] if self.evaluation else {}

    def rate(self, split: str, key: str) -> stats.Interval | None:
        """pass@1 or compile_rate of a split, None where it was not evaluated."""
        part = self.metrics.get(split, {})
        return stats.Interval(**part[key]) if part else None


def chain(store: str | Path) -> list[Stage]:
    """The newest finished run of the latest phase and its ancestors, base first, each with its newest evaluation.

    Raises ValueError where nothing is finished, or where a run of the chain is no longer what it was.
    """
    training = [name for name, entry in config.TABLE.items() if entry.trains]
    finished = [run for run in runs.listing(store) if run.finished]
    if not finished:
        raise ValueError(NOTHING.format(store=store))
    latest = max(finished, key=lambda run: (training.index(run.phase) if run.phase in training else -1, run.path.name))
    lineage = runs.find(store, latest.id).ancestors()[::-1] if latest.phase in training else []
    evaluations = [
        run
        for run in finished  # one that measured only pass@k above 1, or nothing held out, compares with no other
        if config.TABLE[run.phase].measures and not run.verify() and "pass@1" in run.info["metrics"].get("heldout", {})
    ]

    # Compared are evaluations of one config only: other tasks or another decoding would be no comparison.
    own = [e for e in evaluations if e.info["parent"] and e.info["parent"]["id"] == latest.id]
    if own:
        unnamed = {"name": "any"}
        asked = own[-1].config.model_copy(update=unnamed)
        evaluations = [e for e in evaluations if e.config.model_copy(update=unnamed) == asked]

    def newest(run: runs.Run | None) -> runs.Run | None:
        parent = {"id": run.id, "hash": run.info["manifest"]} if run else None
        base = latest.info["base"]
        # A parentless evaluation looked at some base model: it counts only if that is where this chain started.
        fits = [e for e in evaluations if e.info["parent"] == parent and (run or e.info["base"] == base)]
        return fits[-1] if fits else None

    stages = [Stage(run.phase, run, newest(run)) for run in lineage]
    base = newest(None)
    stages = [Stage("base", None, base), *stages] if base else stages
    if not stages:  # evaluations whose subject is gone
        raise ValueError(NOTHING.format(store=store))
    return stages


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
    found: dict[str, stats.Comparison] = {}
    for before, after in pairwise(evaluated):
        first, second = (view.outcomes(stage.evaluation, "heldout") for stage in (before, after))
        if first.keys() & second.keys():
            found[after.name] = stats.compare(first, second)
    adjusted = dict(zip(found, stats.holm([result.p for result in found.values()]), strict=True))
    lines = []
    for stage in stages:
        heldout, perplexity = stage.metrics.get("heldout", {}), stage.metrics.get("perplexity")
        change = found.get(stage.name)
        lines.append(
            [
                stage.label,
                str(heldout.get("n", ABSENT)),
                interval(stage.rate("heldout", "compile_rate")),
                interval(stage.rate("heldout", "pass@1")),
                view.points(change.delta) if change else ABSENT,
                view.p_value(adjusted[stage.name]) if change else ABSENT,
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
    """What a reader must know where programs ran in a weak sandbox; else nothing."""
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
    """Ids of the tasks to print, and the rule they were chosen by: no hand picks the winners."""
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
    return f"{100 * value:.0f} %"


def between(rate: stats.Interval) -> str:
    return f"{100 * rate.low:.0f}–{100 * rate.high:.0f}"


def interval(rate: stats.Interval | None) -> str:
    return f"{percent(rate.value)} [{between(rate)}]" if rate else ABSENT


def rise(first: Stage, last: Stage, split: str, key: str) -> str:
    start, end = first.rate(split, key), last.rate(split, key)
    return percent(end.value) if first is last or not start else f"{percent(start.value)} → {percent(end.value)}"


def base(run: runs.Run) -> str:
    base = run.info["base"]
    return Path(base).name if Path(base).is_absolute() else base  # a folder of this machine says nothing to a reader
