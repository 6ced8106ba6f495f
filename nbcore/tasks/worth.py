"""What is known of the tests of a set of tasks: the records of how many wrong programs they accept.

`python -m nbcore data strength` makes them; this reads those that ship, and says them in a sentence.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nbcore.core import lines
from nbcore.tasks import katas

RECORDS = Path(__file__).parents[1] / "assets" / "strength"
UNKNOWN = "How many wrong programs these tests accept was not measured: python -m nbcore data strength"


def shipped(set_sha256: str | None) -> dict[str, Any] | None:
    """The record that ships of a set of this content; None where there is none."""
    return next((record for record in _records() if record["set_sha256"] == set_sha256), None)


def of_split(source: str, split: str) -> dict[str, Any] | None:
    """The record that ships of a split of the katas; None for any other source."""
    return shipped(split_sha256(split)) if source == "katas" and split in katas.SPLITS else None


def told(source: str, split: str) -> str:
    """What the hidden tests of a split are worth, in one sentence."""
    record = of_split(source, split)
    return sentence(record and record["accepts_at_most"])


@functools.cache
def split_sha256(split: str) -> str:
    """Of all katas of a split."""
    return lines.digest(katas.load(split))


def sentence(accepts_at_most: Mapping[str, Any] | None) -> str:
    """What hidden tests are worth, in one sentence, from the rate of a record."""
    if not accepts_at_most:
        return UNKNOWN
    value, low, high = (f"{100 * accepts_at_most[name]:.1f}" for name in ("value", "low", "high"))
    tried = f"{accepts_at_most['n']} one-edit mutants of the references"
    return f"The hidden tests accept at most {value} % wrong programs [{low}–{high} %, {tried}]."


@functools.cache
def _records() -> list[dict[str, Any]]:
    return [json.loads(path.read_text("utf-8")) for path in sorted(RECORDS.glob("*.json"))]
