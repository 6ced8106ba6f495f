"""The curve of rates over training steps, with their intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nbcore.view.figures import BLUE, ORANGE, QUIET, STYLE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LOOKS = (("-", "o", 2.0), ("--", "s", 1.3), (":", "^", 1.3))  # of one part after the other


def over_steps(rows: Sequence[Mapping[str, Any]], rates: Sequence[tuple[str, str]]) -> Figure:
    """One panel for each rate (key, title), one line for each part that has it; rows are {"step", part: measured}."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    ordered = sorted(rows, key=lambda row: row["step"])
    with rc_context(STYLE):
        figure = Figure(figsize=(5.4 * len(rates), 3.4), layout="constrained", facecolor="white")
        for axis, (key, title), color in zip(
            figure.subplots(1, len(rates), squeeze=False)[0], rates, (BLUE, ORANGE), strict=False
        ):
            parts = dict.fromkeys(part for row in ordered for part, value in row.items() if _rate(value, key))
            for (style, marker, width), part in zip(LOOKS * len(parts), parts, strict=False):
                points = [(row["step"], _rate(row.get(part), key)) for row in ordered if _rate(row.get(part), key)]
                steps, found = zip(*points, strict=True)
                values = [rate["value"] for rate in found]
                around = [
                    [max(0, r["value"] - r["low"]) for r in found],
                    [max(0, r["high"] - r["value"]) for r in found],
                ]
                looks = {"color": color, "ls": style, "marker": marker, "lw": width, "ms": 5, "capsize": 2}
                axis.errorbar(steps, values, around, label=part, elinewidth=1, **looks)
            axis.set_title(title)
            axis.set_xlabel("step")
            axis.set_ylim(-0.03, 1.03)
            axis.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
            axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
            if len(parts) > 1:
                axis.legend(frameon=False, labelcolor=QUIET)
        return figure


def _rate(measured: Any, key: str) -> Mapping[str, Any] | None:
    return measured.get(key) if isinstance(measured, Mapping) else None
