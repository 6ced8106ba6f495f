"""The parts of a gate file: bounds, margins, checks, the baseline, the set of tasks."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from nbcore import config as configs
from nbcore.config.evaluate import ACCURACIES
from nbcore.config.schema import Count
from nbcore.core.suggest import did_you_mean

Alpha = Annotated[float, Field(gt=0, lt=0.5)]
POWER = 0.8  # with which a gate must find what its margin forbids
# Means of numbers between 0 and 1, one for a task.
RATES = ("compile_rate", "tests_passed", "hack_rate", "truncated", *ACCURACIES)
MEANS = ("clippy_warnings", "perplexity")
PASS_AT = re.compile(r"pass@([1-9]\d*)")
LOWER_IS_BETTER = ("hack_rate", "truncated", *MEANS)
ALIAS = re.compile(r"alias:([a-z_]+)@(latest|candidate|blessed|released)")


class Value(configs.Closed):
    """Bounds on the candidate's own number; its whole interval has to keep them."""

    min: float | None = None
    """At least."""
    max: float | None = None
    """At most."""

    @model_validator(mode="after")
    def _has_room(self):
        if self.min is None and self.max is None:
            raise ValueError("has neither min nor max; give one of them")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min} is above max {self.max}; exchange them")
        return self


class Delta(configs.Closed):
    """A bound on the difference to the baseline, paired by task; a share of 1, or of perplexity nats a token."""

    superior_by: Annotated[float, Field(ge=0)] | None = None
    """Better by more than this."""
    non_inferior: float | None = None
    """Worse by less than this; -0.06 and 0.06 are the same."""
    test: Literal["mcnemar", "paired_bootstrap"] = "mcnemar"
    """What superiority needs beside its interval: mcnemar, an exact p below alpha, Holm-adjusted."""
    alpha: Alpha = 0.05
    """Two-sided error."""

    @model_validator(mode="after")
    def _asks_one_thing(self):
        if (self.superior_by is None) == (self.non_inferior is None):
            raise ValueError("needs either superior_by or non_inferior; give one of them")
        if self.non_inferior == 0:
            raise ValueError("non_inferior is 0: no sample shows that nothing at all was lost; give a margin")
        return self

    @property
    def margin(self) -> float:
        """How much worse is tolerated; of superiority how much better is asked."""
        return self.superior_by if self.non_inferior is None else abs(self.non_inferior)


class Check(configs.Closed):
    """One number and what it must keep."""

    metric: str
    """pass@1, compile_rate, tests_passed, clippy_warnings, perplexity, hack_rate, truncated; acc, acc_norm, exact_match
    on a task of lm-evaluation-harness; with a dot in it, a value of the evaluation's metrics
    (heldout.quality.documented) or of the run's own (run.eval_loss)."""
    on: str | None = None
    """Which set of tasks; empty: that of eval_set."""
    value: Value | None = None
    """Bounds on the number itself."""
    delta: Delta | None = None
    """A bound on the difference to the baseline."""
    slices: tuple[str, ...] = ()
    """The same for each of these families of tasks by itself; "*" is every family."""

    @field_validator("metric")
    @classmethod
    def _is_known(cls, metric: str) -> str:
        known = ("pass@1", *RATES, *MEANS)
        if not all(metric.split(".")) or ("." not in metric and metric not in known and not PASS_AT.fullmatch(metric)):
            raise ValueError(f"is no metric{did_you_mean(metric, known)}; there are {', '.join(known)}")
        return metric

    @model_validator(mode="after")
    def _makes_sense(self):
        if self.value is None and self.delta is None:
            raise ValueError(f"{self.metric} has neither value nor delta; give one of them")
        bounds = [self.value.min, self.value.max] if self.value else []
        if self.is_rate and any(bound is not None and not 0 <= bound <= 1 for bound in bounds):
            raise ValueError(f"{self.metric} is a share from 0 to 1, which such a bound says nothing of; 70 % is 0.7")
        if self.is_rate and self.delta and (self.delta.superior_by or 0) >= 1:
            raise ValueError(
                f"{self.metric} is a share from 0 to 1: none gains {self.delta.superior_by:g}; 5 pp are 0.05"
            )
        if self.is_rate and self.delta and abs(self.delta.non_inferior or 0) >= 1:
            raise ValueError(
                f"{self.metric} is a share from 0 to 1: none loses {abs(self.delta.non_inferior):g}, so that anything "
                "would pass; 6 pp are 0.06"
            )
        if "." in self.metric and (self.delta or self.slices):
            raise ValueError(f"{self.metric} is recorded as one number for all tasks: give it a value, without slices")
        if self.metric == "perplexity" and (self.slices or self.on):
            raise ValueError("perplexity is measured on documents; leave on and slices out")
        return self

    @property
    def is_of_run(self) -> bool:
        """Whether the run itself recorded the number, so that no evaluation is needed."""
        return self.metric.startswith("run.")

    @property
    def is_recorded(self) -> bool:
        """Whether it stands as one number in the metrics of a run; else it is the mean over tasks."""
        return "." in self.metric or self.metric == "perplexity"

    @property
    def is_rate(self) -> bool:
        """Whether the smallest detectable difference follows from the number of tasks."""
        return self.metric in RATES or bool(PASS_AT.fullmatch(self.metric))


class Baseline(configs.Closed):
    """What the candidate is compared with."""

    ref: str
    """parent, base (the base model of the chain), alias:PHASE@blessed, or a run."""

    @field_validator("ref")
    @classmethod
    def _is_known(cls, ref: str) -> str:
        if ref.startswith("alias:"):
            match = ALIAS.fullmatch(ref)
            if not match:
                raise ValueError("is no alias; write alias:PHASE@NAME with latest, candidate, blessed or released")
            if match[1] not in configs.PHASES:
                raise ValueError(f"names no phase{did_you_mean(match[1], configs.PHASES)}")
        return ref


class EvalSet(configs.Closed):
    """The tasks that the gate is about."""

    name: str = "heldout"
    """The set's name in the evaluation."""
    source: str = "katas"
    """Where its tasks come from, for a run that nothing evaluates (of data): 'katas', or a file of tasks."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{12,64}$")] | None = None
    """The data hash of the evaluation, or its beginning: other tasks, or another prompt form, are not accepted."""
    n_min: Count = 300
    """Fewer tasks decide nothing."""
    discordance: Annotated[float, Field(gt=0, le=1)] = 0.2
    """The share of tasks on which two models are expected to differ: what the detectable effect is planned with."""
