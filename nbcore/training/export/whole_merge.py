"""The proof of a merge that PEFT made in memory, where no single tensor says what it has to be.

Which tensors an adapter touches stands in the names of its file: each module there must have changed, and nothing else.
The logits prove the rest.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nbcore.training.export import closeness, deltas, tensors


def check(
    weights: tensors.Weights, merged: tensors.Weights, adapter: Path, dtype: str, tied: tuple[str, ...]
) -> tuple[list[dict[str, Any]], list[str]]:
    """(a row for each tensor that changed, what is wrong). `tied`: names of a weight that may be stored under one."""
    names, problems, rows = set(weights.names), [], []
    for name in sorted((names ^ set(merged.names)) - set(tied)):
        where = "missing from the export" if name in names else "is in the export and not in the base"
        problems.append(f"{name}: {where}")
    targets, also = deltas.modules(adapter, names)
    unchanged = set(targets)
    for name in sorted(names & set(merged.names)):
        value, own = merged.read(name), weights.read(name)
        if not closeness.finite(value):
            problems.append(f"{name}: holds NaN or infinite values")
        elif value.shape != own.shape:
            problems.append(f"{name}: has the shape {tuple(value.shape)} in the export, {tuple(own.shape)} in the base")
        elif touching := [each for each in targets | also if name.startswith(f"{each}.")]:
            if moved := closeness.largest(value.float() - own.float()):
                rows.append({"name": name, "max_delta": moved, "kept": None})
                unchanged -= set(touching)
        elif not closeness.equal(value, own.to(value.dtype), dtype, exact=not weights.quantised):
            problems.append(f"{name}: is not the base's, and no adapter targets it")
    problems += [
        f"{each}: the adapter's update was lost, the export holds the base's values" for each in sorted(unchanged)
    ]
    if not rows:
        problems.append("the export holds the base's values in every tensor: the adapter was lost")
    return rows, problems
