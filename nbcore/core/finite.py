"""Numbers that are NaN or infinite, wherever they stand in nested mappings and lists."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from numbers import Real
from typing import Any


class NotFinite(RuntimeError):
    """A loss, a gradient, a weight or a metric is NaN or infinite; the message is one line."""


def wrong_numbers(values: Any, name: str = "") -> Iterator[str]:
    """ "name is nan" for each number that is not finite in a nested structure of mappings and lists."""
    if isinstance(values, Mapping):
        for key, value in values.items():
            yield from wrong_numbers(value, f"{name}.{key}" if name else str(key))
    elif isinstance(values, Sequence) and not isinstance(values, str | bytes):
        for index, value in enumerate(values):
            yield from wrong_numbers(value, f"{name}[{index}]")
    elif isinstance(values, Real) and not math.isfinite(values):
        yield f"{name} is {float(values)}"


def refuse(owner: str, metrics: Mapping[str, Any]) -> None:
    """Raises NotFinite for the first number among the metrics of `owner` that is NaN or infinite."""
    if wrong := next(wrong_numbers(metrics), None):
        raise NotFinite(
            f"{owner}: {wrong}, and only finite numbers are kept: look at the rows and the weights it was measured on"
        )
