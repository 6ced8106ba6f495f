"""Matplotlib figures of runs, and their inline SVG, for the notebooks and for the report.

Blue and orange (Okabe-Ito) can be told apart with every kind of colour vision; whatever a colour says is also said by a
label, a marker or a line style.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from nbcore.stats import Interval

BLUE, ORANGE = "#0072b2", "#d55e00"
INK, QUIET, RULE, PAGE = "#1f2329", "#6b7280", "#e3e6ea", "#fefefe"
# In a page these colours follow its theme, light or dark; without a theme the second value is used.
THEMED = {
    INK: "currentColor",
    QUIET: "var(--quiet, #808791)",
    RULE: "var(--rule, #80879144)",
    PAGE: "var(--page, #fff)",
    BLUE: f"var(--blue, {BLUE})",
    ORANGE: f"var(--orange, {ORANGE})",
}
STYLE = {
    "svg.fonttype": "none",  # real text: it can be selected, searched and read aloud, and takes the page's font
    "svg.hashsalt": "nbcore",  # equal figures, equal bytes
    "font.size": 11,
    "text.color": INK,
    "axes.edgecolor": RULE,
    "axes.labelcolor": QUIET,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlecolor": INK,
    "axes.titlepad": 10,
    "grid.color": RULE,
    "grid.linewidth": 0.8,
    "xtick.color": RULE,
    "xtick.labelcolor": QUIET,
    "xtick.major.size": 0,
    "ytick.labelcolor": QUIET,
    "ytick.major.size": 0,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
}


class Line(NamedTuple):
    """One series of a panel: values over training steps."""

    label: str
    steps: Sequence[float]
    values: Sequence[float]
    color: str = BLUE
    sparse: bool = False
    """Few points, as evaluation losses are: drawn as markers, and never smoothed."""


class Panel(NamedTuple):
    """One of several small plots."""

    title: str
    lines: Sequence[Line]
    limits: tuple[float, float] | None = None
    """Range of the y axis where it is fixed."""


def smooth(values: Sequence[float]) -> list[float]:
    """Moving average over a twentieth of the series, centred so that it does not lag. At the ends it averages the
    values that there are, so the curve does not bend towards 0."""
    import numpy as np

    window = np.ones(max(1, len(values) // 20))
    return list(np.convolve(values, window, "same") / np.convolve(np.ones(len(values)), window, "same"))


def line(rows: Iterable[Mapping], key: str, label: str = "", **style) -> Line | None:
    """The series of one key in the rows of metrics.jsonl, in the order of steps; None where no row has the key."""
    points = sorted((row["step"], row[key]) for row in rows if "step" in row and isinstance(row.get(key), int | float))
    if not points:
        return None
    steps, values = zip(*points, strict=True)
    return Line(label or key, steps, values, **style)


def panels(content: Sequence[Panel], columns: int = 3) -> Figure:
    """Small multiples: raw values pale, the smoothed line on top. Raises ValueError where there is nothing to draw."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    if not content:
        raise ValueError("figure: nothing to draw; none of the keys asked for has been logged yet")
    columns = min(columns, len(content))
    height = -(-len(content) // columns)
    with rc_context(STYLE):
        figure = Figure(figsize=(max(3.7 * columns, 5.2), 2.5 * height), layout="constrained")
        axes = list(figure.subplots(height, columns, squeeze=False).flat)
        for axis, panel in zip(axes, content, strict=False):
            axis.set_title(panel.title)
            for series in panel.lines:
                _draw(axis, series)
            axis.margins(x=0.02)
            axis.locator_params(nbins=4)
            if panel.limits:
                axis.set_ylim(*panel.limits)
            if len(panel.lines) > 1:
                axis.legend(frameon=False, fontsize=10, labelcolor=QUIET, handlelength=1.2)
        for axis in axes[len(content) :]:
            axis.set_axis_off()
        for axis in axes[max(0, len(content) - columns) : len(content)]:  # the lowest panel of each column
            axis.set_xlabel("step")
        return figure


def _draw(axis, series: Line) -> None:
    if series.sparse:
        axis.plot(series.steps, series.values, "o-", color=series.color, ms=4, lw=1.2, label=series.label)
        return
    axis.plot(series.steps, series.values, color=series.color, alpha=0.25, lw=0.9)
    axis.plot(series.steps, smooth(series.values), color=series.color, lw=1.8, label=series.label)


def learning(rows: Sequence[Mapping], keys: Sequence[str] | None = None) -> Figure:
    """Curves of one run's metrics: by default training and evaluation loss in one panel, the reward in another."""
    if keys is not None:
        return panels([Panel(key, [series]) for key in keys if (series := line(rows, key))])
    losses = [line(rows, "loss", "training"), line(rows, "eval_loss", "held-out", color=ORANGE, sparse=True)]
    content = [Panel("loss", [series for series in losses if series]), Panel("reward", [])]
    if series := line(rows, "reward"):
        content[1] = Panel("reward", [series])
    return panels([panel for panel in content if panel.lines])


def progress(names: Sequence[str], rates: Sequence[tuple[str, str, Sequence, Sequence]]) -> Figure:
    """The headline figure: for each rate (title, colour, first series, second series) one panel over the named models.

    A series has a `stats.Interval` for each model, None where that was not measured. The first is drawn solid, the
    second dashed and paler. Each value is written at its point; whiskers are the confidence intervals.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.ticker import PercentFormatter

    with rc_context(STYLE | {"axes.titlesize": 14, "font.size": 12}):
        figure = Figure(figsize=(11, 4), layout="constrained")
        figure.get_layout_engine().set(wspace=0.06)
        axes = figure.subplots(1, len(rates), sharey=True, squeeze=False)[0]
        for axis, (title, color, first, second) in zip(axes, rates, strict=True):
            axis.set_title(title)
            _rate(axis, first, second, color, filled=True)
            _rate(axis, second, first, color, filled=False)
            axis.set_xticks(range(len(names)), names, color=INK)
            axis.set_xlim(-0.4, len(names) - 0.6)
            axis.set_ylim(-0.1, 1.1)
            axis.spines.bottom.set_visible(False)
            axis.set_yticks([0, 0.25, 0.5, 0.75, 1])
            axis.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
        return figure


def differences(
    rows: Sequence[tuple[str, Interval]], margins: Sequence[float | None] = (), level: float = 0.95
) -> Figure:
    """One line for each named difference of two rates: its interval in percentage points, against zero, and against its
    margin where `margins` has one for it."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(STYLE | {"axes.grid.axis": "x"}):
        figure = Figure(figsize=(8, 0.7 + 0.5 * len(rows)), layout="constrained")
        axis = figure.subplots()
        for at, (_, delta) in enumerate(rows):
            low, value, high = (100 * number for number in (delta.low, delta.value, delta.high))
            color = QUIET if low <= 0 <= high else BLUE
            axis.plot([low, high], [at, at], color=color, lw=2.4, solid_capstyle="round")
            axis.plot([value], [at], "o", color=color, ms=8)
            axis.annotate(f"{value:+.1f}", (value, at), (0, 7), textcoords="offset points", ha="center", color=INK)
            if at < len(margins) and margins[at] is not None:
                axis.plot([100 * margins[at]] * 2, [at - 0.35, at + 0.35], color=ORANGE, lw=1.8)
        axis.axvline(0, color=INK, lw=1)
        axis.set_yticks(range(len(rows)), [name for name, _ in rows], color=INK)
        axis.set_ylim(len(rows) - 0.4, -0.7)
        axis.set_xlabel(f"percentage points, with the {100 * level:g} % interval")
        return figure


def _rate(axis, series: Sequence[Interval | None], other: Sequence[Interval | None], color: str, filled: bool) -> None:
    at = [x for x, rate in enumerate(series) if rate]
    rates = [rate for rate in series if rate]
    if not rates:
        return
    values = [rate.value for rate in rates]
    around = [[rate.value - rate.low for rate in rates], [rate.high - rate.value for rate in rates]]
    alpha = 1.0 if filled else 0.55
    axis.errorbar(at, values, around, fmt="none", ecolor=color, elinewidth=1.6 if filled else 1.1, alpha=alpha)
    axis.plot(at, values, ls="-" if filled else (0, (4, 3)), color=color, lw=2.4 if filled else 1.4, alpha=alpha)
    face = color if filled else PAGE
    axis.plot(at, values, "o", color=color, markerfacecolor=face, ms=8 if filled else 6, mew=1.5, zorder=3)
    for x, rate in zip(at, rates, strict=True):
        # The higher of the two labels goes above its whisker, the lower one below, so that they do not overlap.
        rival = other[x]
        above = rival is None or (rate.value, filled) > (rival.value, not filled)
        axis.annotate(
            f"{100 * rate.value:.0f} %",
            (x, rate.high if above else rate.low),
            (0, 5 if above else -5),
            textcoords="offset points",
            ha="center",
            va="bottom" if above else "top",
            weight="bold" if filled else "normal",
            color=INK if filled else QUIET,
            fontsize=12 if filled else 10,
        )


def svg(figure: Figure, title: str) -> str:
    """The figure as inline SVG that takes the page's font and theme; a screen reader reads out `title`."""
    import html
    import io

    from matplotlib import rc_context

    stream = io.StringIO()
    with rc_context(STYLE):
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    # Several figures share a page, and equal ids or style sheets of one would change another: take them out.
    text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", text, flags=re.DOTALL)
    text = re.sub(r' id="[\w.]+_\d+"', "", text)
    # matplotlib 3.10 writes weight, size and family as one "font:"; older versions write each by itself.
    text = re.sub(r"font: ([^;\"]*?)([\d.]+px) [^;\"]*", r"font-weight: \1; font-size: \2", text)
    text = re.sub(r"font-weight: ;|font-family: [^;\"]*;?", "", text)
    for color, themed in THEMED.items():
        text = text.replace(color, themed)
    size = re.search(r'width="([\d.]+)pt" height="[\d.]+pt"', text)
    width = float(size.group(1)) * 4 / 3  # points to CSS pixels
    style = f'style="stroke-linejoin:round;stroke-linecap:butt;width:100%;max-width:{width:.0f}px;height:auto"'
    label = f'role="img" aria-label="{html.escape(title, quote=True)}"'
    return text.replace(size.group(0), f"{style} {label}", 1)
