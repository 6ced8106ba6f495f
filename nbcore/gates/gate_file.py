"""The gate file, configs/gates/<phase>.yaml: which numbers a run must reach before the next phase may start from it.

A non-inferiority margin that the tasks cannot resolve is refused here, before anything is measured: such a gate would
pass or fail by luck.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from nbcore import config as configs
from nbcore import stats
from nbcore.core import environment, plain_yaml
from nbcore.core.suggest import did_you_mean, file_like
from nbcore.gates.asked import POWER, Baseline, Check, Delta, EvalSet, Value

INTEGRITY: dict[str, float | None] = {  # name of the check -> its usual bound, None for one that has none
    "weights_finite": None,
    "adapter_changed": None,
    "adapter_loaded": None,
    "tokenizer_unchanged": None,
    "hashes_verified": None,
    "no_contamination": 0.0,
    "sandbox_not_degraded": None,
    "hack_rate": 0.02,
    "infra_errors": 0.02,
    "parity": None,
}


class Gate(configs.Closed):
    """What a run of a phase must show."""

    schema_: Literal[1] = Field(1, alias="schema")
    """Version of this format."""
    phase: str
    """Whose runs it judges."""
    baseline: Baseline | None = None
    """What is compared with; none: values alone, and the verdict is RUBBER_STAMP at best."""
    eval_set: EvalSet = EvalSet()
    """The tasks."""
    checks: tuple[Check, ...] = ()
    """The numbers."""
    integrity: dict[str, float | None] = Field(default_factory=lambda: dict(INTEGRITY))
    """Which checks of the run itself; as a list of names, or with their bounds: {hack_rate: 0.01}."""
    on_underpowered: Literal["investigate", "fail"] = "investigate"
    """What too few tasks come to."""

    @field_validator("baseline", mode="before")
    @classmethod
    def _may_be_a_word(cls, baseline: Any) -> Any:
        if baseline == "none":
            return None
        return {"ref": baseline} if isinstance(baseline, str) else baseline

    @field_validator("phase")
    @classmethod
    def _is_a_phase(cls, phase: str) -> str:
        if phase not in configs.PHASES:
            known = ", ".join(configs.PHASES)
            raise ValueError(f"is no phase{did_you_mean(phase, configs.PHASES)}; there are {known}")
        return phase

    @field_validator("integrity", mode="before")
    @classmethod
    def _names_to_bounds(cls, integrity: Any) -> Any:
        if isinstance(integrity, list):
            entries: dict[str, Any] = {}
            for entry in integrity:
                entries |= entry if isinstance(entry, Mapping) else {str(entry): INTEGRITY.get(str(entry))}
            integrity = entries
        return integrity

    @field_validator("integrity")
    @classmethod
    def _are_known(cls, integrity: dict[str, float | None]) -> dict[str, float | None]:
        for name, bound in integrity.items():
            if name not in INTEGRITY:
                raise ValueError(
                    f"{name!r} is no check{did_you_mean(name, INTEGRITY)}; there are {', '.join(INTEGRITY)}"
                )
            if INTEGRITY[name] is None and bound is not None:
                raise ValueError(f"{name} takes no bound; write its name alone")
            if bound is not None and not 0 <= bound <= 1:
                raise ValueError(f"{name}: {bound} is no share; give a number from 0 to 1")
        return {name: INTEGRITY[name] if bound is None else bound for name, bound in integrity.items()}

    @model_validator(mode="after")
    def _can_tell(self):
        if not self.checks and not self.integrity:
            raise ValueError("checks and integrity are both empty: such a gate passes anything; give it one of them")
        for number, check in enumerate(self.checks):
            if check.delta and check.delta.non_inferior is not None and check.is_rate:
                _refuse_below_detectable(f"checks.{number}.delta.non_inferior", check.delta, self.eval_set)
        return self

    @property
    def sets(self) -> list[str]:
        """The sets of tasks that it measures with, that of eval_set first."""
        return list(dict.fromkeys([self.eval_set.name, *(check.on for check in self.checks if check.on)]))

    @property
    def sha256(self) -> str:
        """Of every resolved value: equal gates, equal hashes."""
        values = json.dumps(self.model_dump(mode="json", by_alias=True), sort_keys=True)
        return hashlib.sha256(values.encode()).hexdigest()


def load(source: str | Path | Mapping) -> Gate:
    """Read a gate. Raises ValueError, or FileNotFoundError, with the field, the value and the remedy in one line."""
    if isinstance(source, Mapping):
        where, values = "the gate", source
    else:
        path = Path(source)
        if not path.is_file():
            raise FileNotFoundError(f"gate: no file {path}{file_like(path)}; the shipped ones are in configs/gates/")
        where, values = str(path), plain_yaml.read(path)
    if not isinstance(values, Mapping):
        raise ValueError(f"{where}: is no mapping; a gate is like those in configs/gates/")
    try:
        return Gate.model_validate(values)
    except ValidationError as error:
        problems = error.errors()
        first, more = problems[0], f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        field, words = ".".join(map(str, first["loc"])), first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            words = f"unknown field{did_you_mean(str(first['loc'][-1]), _fields())}"
        said = f"{field!r} is {first['input']!r}: {words}" if field else words
        raise ValueError(f"{where}: {' '.join(said.split())}{more}") from None


def of_phase(phase: str) -> Gate:
    """The shipped gate of a phase. Raises FileNotFoundError where there is none."""
    return load(environment.REPO / "configs" / "gates" / f"{phase}.yaml")


def tasks_needed(margin: float, discordance: float, alpha: float) -> int:
    """How many tasks detect a difference as small as the margin."""
    return math.ceil((stats.minimum_detectable_effect(1, discordance, POWER, alpha) / margin) ** 2)


def _refuse_below_detectable(field: str, delta: Delta, tasks: EvalSet) -> None:
    detectable = stats.minimum_detectable_effect(tasks.n_min, tasks.discordance, POWER, delta.alpha)
    if delta.margin < detectable:
        needed = tasks_needed(delta.margin, tasks.discordance, delta.alpha)
        wide = math.ceil(1000 * detectable) / 1000
        widen = f"widen it to {wide:g}, or " if wide < 1 else ""
        raise ValueError(
            f"{field}: the margin {delta.margin:g} is below the minimum detectable effect {detectable:.4f} of "
            f"{tasks.n_min} tasks (discordance {tasks.discordance:g}, power {POWER:g}): {widen}"
            f"set eval_set.n_min to {needed} and evaluate as many"
        )


def _fields() -> list[str]:
    return [name for model in (Gate, Check, Delta, Value, EvalSet) for name in model.model_fields]
