"""Where the time of a training run went: seconds a step by part, tokens a second, memory; read from metrics.jsonl.

training/profiling.py adds the numbers to the row of each logged step, under names that begin with "profile/". A step
that was done again after a crash has taken its time twice: here, other than in `run.metrics`, every row counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nbcore.core import lines
from nbcore.runs import layout
from nbcore.runs.run import Run

PREFIX = "profile/"
SECONDS, MEMORY = PREFIX + "seconds/", PREFIX + "memory/"
STEPS, TOKENS, MFU = PREFIX + "steps", PREFIX + "tokens", PREFIX + "mfu"
PARTS = {  # in the order of a step
    "data": "data: batches read, put together, moved to the device",
    "generation": "generation of completions",
    "grading": "grading that training waits for",
    "forward": "forward pass and loss",
    "backward": "backward pass",
    "optimizer": "optimizer, clipping, the look for NaNs",
    "logging": "logging",
    "evaluation": "evaluation",
    "saving": "saving checkpoints",
}
GIB = 2**30


@dataclass(frozen=True)
class Profile:
    """Sums over the rows of one run, of all attempts."""

    rows: Sequence[Mapping[str, Any]]
    """Those of metrics.jsonl that have a profile, as they were written."""
    steps: int
    """Steps that were done; one that was done twice counts twice."""
    tokens: int
    """Tokens that were trained on."""
    seconds: dict[str, float]
    """By part; only the parts that the run has."""
    memory: dict[str, int]
    """Bytes at the most, by kind: "resident" on a CPU, "allocated" and "peak" on a GPU."""
    mfu: float | None
    """Model FLOPs utilisation, 0..1, evaluations and saves apart; None where it was not measured: on a CPU, in float32
    and on a GPU whose peak is not known."""

    @property
    def total(self) -> float:
        """Seconds of all parts."""
        return sum(self.seconds.values())

    @property
    def tokens_per_second(self) -> float:
        """Over all parts, evaluations and saves included."""
        return self.tokens / self.total

    def numbers(self) -> dict[str, str]:
        """What there is beside the parts, in words."""
        shown = {
            "steps": f"{self.steps:,}",
            "seconds a step": f"{self.total / self.steps:.3g}",
            "tokens/s": f"{self.tokens_per_second:,.0f}",
            "MFU": "none: it is told for half precision on a GPU whose peak is known",
        }
        if self.mfu is not None:
            shown["MFU"] = f"{self.mfu:.1%}"
        return shown | {f"{kind} memory": f"{size / GIB:.2f} GiB" for kind, size in self.memory.items()}

    def table(self) -> list[tuple[str, str, str]]:
        """(part, seconds a step, share of the time) as text, in the order of a step."""
        return [
            (PARTS[part], f"{seconds / self.steps:.3g}", f"{seconds / self.total:.1%}")
            for part, seconds in self.spent()
        ]

    def spent(self) -> list[tuple[str, float]]:
        """(part, seconds) of the parts that took any time, in the order of a step."""
        return [(part, seconds) for part, seconds in self.seconds.items() if seconds]


def of(run: Run) -> Profile | None:
    """The profile of a run; None where it has none, as runs of before there were profiles."""
    return summed([row for row in lines.read(run.path / layout.METRICS) if SECONDS + "data" in row])


def summed(rows: Sequence[Mapping[str, Any]]) -> Profile | None:
    """The profile of some rows; None where not one step was done in them."""
    steps = sum(row[STEPS] for row in rows)
    if not steps:
        return None
    names = {name for row in rows for name in row}
    seconds = {part: sum(row.get(SECONDS + part, 0) for row in rows) for part in PARTS if SECONDS + part in names}
    kinds = sorted(name.removeprefix(MEMORY) for name in names if name.startswith(MEMORY))
    memory = {kind: max(row.get(MEMORY + kind, 0) for row in rows) for kind in kinds}
    flops = [(row[MFU], stepping(row)) for row in rows if MFU in row]
    spent = sum(took for _, took in flops)
    return Profile(
        rows=rows,
        steps=steps,
        tokens=sum(row[TOKENS] for row in rows),
        seconds=seconds,
        memory=memory,
        mfu=sum(share * took for share, took in flops) / spent if spent else None,
    )


def stepping(row: Mapping[str, Any]) -> float:
    """The seconds of a row in which it trained: all but evaluations and saves, which are not part of each step."""
    beside = (SECONDS + "evaluation", SECONDS + "saving")
    return sum(value for name, value in row.items() if name.startswith(SECONDS) and name not in beside)


def binned(profile: Profile, most: int) -> list[tuple[float, float, Profile]]:
    """(first step, last step, profile) of at most `most` stretches of equal length, in the order of steps."""
    last = max(row["step"] for row in profile.rows)
    width = -(-last // most)
    stretches: dict[int, list[Mapping[str, Any]]] = {}
    for row in profile.rows:
        stretches.setdefault((max(1, row["step"]) - 1) // width, []).append(row)
    found = ((at, summed(stretches[at])) for at in sorted(stretches))
    return [(at * width + 1, min(last, (at + 1) * width), part) for at, part in found if part]


def without(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of metrics.jsonl without its profile."""
    return {name: value for name, value in row.items() if not name.startswith(PREFIX)}
