"""Which chain of runs a report is about, and what else the store holds.

Whoever tries something out leaves runs that are newer than the result they care about. So the report does not follow
the newest run, but the chain whose last run comes first in this order:

    evaluated before not evaluated
    whole before cut short (see runs/choice.py), in its training and in its evaluation
    of a later phase before an earlier one: repeating SFT must not hide what GRPO made of the SFT before it
    newer before older

The report also names what else was evaluated, and what is newer and was not. The argument `run` chooses any other chain
by its last run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nbcore import config, runs, stats
from nbcore.runs import choice

NOTHING = "no finished run in {store}: run `bash colab_setup.sh run` first"


@dataclass(frozen=True)
class Stage:
    """One model of the chain: the run that trained it (None for the base) and its evaluation, if any."""

    name: str
    run: runs.Run | None
    evaluation: runs.Run | None

    @property
    def label(self) -> str:
        return config.TABLE[self.run.phase].label if self.run else self.name

    @property
    def is_yardstick(self) -> bool:
        """Whether the report shows the programs whose verdict has changed since this stage."""
        return self.run is not None and config.TABLE[self.run.phase].yardstick

    @property
    def metrics(self) -> dict:
        return self.evaluation.info["metrics"] if self.evaluation else {}

    def rate(self, split: str, key: str) -> stats.Interval | None:
        """pass@1 or compile_rate of a split, None where it was not evaluated."""
        part = self.metrics.get(split, {})
        return stats.Interval(**part[key]) if part else None


@dataclass(frozen=True)
class Chosen:
    """The chain a report is about, base first, and what stands beside it in the store, newest first."""

    stages: list[Stage]
    others: list[Stage]
    """The last models of other chains that were evaluated."""
    unevaluated: list[runs.Run]
    """Trained models without an evaluation that are newer than the chain, or of a later phase, or its own last."""


def chain(store: str | Path, run: str | None = None) -> list[Stage]:
    """The stages of `choose`."""
    return choose(store, run).stages


def choose(store: str | Path, run: str | None = None) -> Chosen:
    """The chain to report, by the rule above or the one that ends in `run` (an id, the beginning of one, a phase; of
    an evaluation: what it evaluated, by tasks like its own).

    Raises ValueError where nothing is finished, or where a run of the chain is no longer what it was.
    """
    finished = [each for each in runs.listing(store) if each.finished]
    if not finished:
        raise ValueError(NOTHING.format(store=store))
    trained = [each for each in finished if config.TABLE[each.phase].trains]
    evaluations = [each for each in finished if config.TABLE[each.phase].measures and is_comparable(each)]
    measured = {each.id: [evaluation for evaluation in evaluations if is_of(evaluation, each)] for each in trained}
    asked = None
    if run is not None:
        named = runs.find(store, run, field="run")
        asked = named if config.TABLE[named.phase].measures else None
        last = named if config.TABLE[named.phase].trains else named.parent
        if last is None and asked is None:
            raise ValueError(f"run: {named.id} trains nothing and stands on no run; name a run that was trained")
    else:
        last = max(trained, key=lambda each: _order(each, measured[each.id]), default=None)
    stages = _stages(store, last, asked, evaluations)
    if not stages:  # there are evaluations alone, and the runs that they evaluated are gone
        raise ValueError(NOTHING.format(store=store))
    inside = {stage.run.id for stage in stages if stage.run}
    others = [each for each in trained if measured[each.id] and each.id not in inside]
    followed = {link.id for each in others for link in choice.lineage(each) if link.id != each.id}
    ends = [Stage(each.phase, each, measured[each.id][-1]) for each in others if each.id not in followed]
    looked_at = [each for each in finished if config.TABLE[each.phase].measures and each not in evaluations]
    seen = {each.id for each in trained if measured[each.id] or any(is_of(other, each) for other in looked_at)}
    waiting = [each for each in trained if each.id not in seen and (each == last or _is_ahead(each, last, inside))]
    return Chosen(stages, ends[::-1], waiting[::-1])


def is_comparable(evaluation: runs.Run) -> bool:
    """Whether it can stand beside others: it is undamaged, and measured pass@1 on held-out tasks."""
    return not evaluation.damage() and "pass@1" in evaluation.info["metrics"].get("heldout", {})


def is_of(evaluation: runs.Run, run: runs.Run) -> bool:
    """Whether it evaluated this run, with the very files that the run holds now."""
    try:
        return evaluation.info["parent"] == {"id": run.id, "hash": run.info["manifest"]}
    except ValueError:  # the run is damaged, so nothing tells what it holds
        return False


def _order(run: runs.Run, evaluations: Sequence[runs.Run]) -> tuple[bool, bool, int, str]:
    """Sort key for the order above: the run with the largest one ends the chain to report."""
    whole = any(not choice.shortfall(each) for each in evaluations or [run])
    return bool(evaluations), whole, _place(run), run.path.name


def _place(run: runs.Run) -> int:
    """The position of the run's phase in the order of phases."""
    return list(config.TABLE).index(run.phase)


def _is_ahead(run: runs.Run, last: runs.Run, inside: set[str]) -> bool:
    return run.id not in inside and (run.path.name > last.path.name or _place(run) > _place(last))


def _stages(
    store: str | Path, last: runs.Run | None, asked: runs.Run | None, evaluations: Sequence[runs.Run]
) -> list[Stage]:
    """The chain that ends in `last` (None: the base alone), each model with its newest evaluation. All evaluations are
    of one config, because rates on other tasks or with other decoding cannot be compared."""
    lineage = runs.find(store, last.id).ancestors()[::-1] if last else []
    models: list[runs.Run | None] = [None, *lineage]
    of_bases = [evaluation for evaluation in evaluations if not evaluation.info["parent"]]
    subject = last or asked or max(of_bases, key=_size, default=None)
    if subject is None:
        return []
    base = subject.info["base"]
    groups: dict[str, list[runs.Run | None]] = {}  # for each config, the evaluation of each model
    for each in evaluations:  # oldest first, so that the newest stays
        row = groups.setdefault(question(each), [None] * len(models))
        for at, model in enumerate(models):
            # An evaluation without a parent is of a base model; it belongs here if this chain started from that one.
            bare = model is None and each.info["parent"] is None and each.info["base"] == base
            if bare or (model and is_of(each, model)):
                row[at] = each
    if asked and asked not in evaluations:
        raise ValueError(f"run: {asked.id} measured no pass@1 on held-out tasks, which is what a report compares")
    if asked:
        chosen = groups[question(asked)]
        chosen[models.index(last)] = asked
    else:
        chosen = max(groups.values(), key=_worth, default=[None] * len(models))
    stages = [Stage(run.phase, run, evaluation) for run, evaluation in zip(lineage, chosen[1:], strict=True)]
    return [Stage("base", None, chosen[0]), *stages] if chosen[0] else stages


def _worth(row: Sequence[runs.Run | None]) -> tuple[bool, bool, int, int, str]:
    """Sort key for the evaluations of a chain by one config, one place for each model: best are those that include the
    last model, did not cut its evaluation short, cover the most models, used the most tasks, and are the newest."""
    last = row[-1]
    made = [each for each in row if each]
    return (
        last is not None,
        last is not None and not choice.shortfall(last),
        len(made),
        max((each.info["metrics"]["heldout"]["n"] for each in made), default=0),
        max((each.path.name for each in made), default=""),
    )


def _size(evaluation: runs.Run) -> tuple[bool, int, str]:
    """Sort key: not cut short, on the most tasks, the newest."""
    return not choice.shortfall(evaluation), evaluation.info["metrics"]["heldout"]["n"], evaluation.path.name


def question(evaluation: runs.Run) -> str:
    """Equal for evaluations with equal settings, whatever their names are."""
    return config.digest(evaluation.config.model_copy(update={"name": "any"}))
