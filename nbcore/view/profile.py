"""Where the time of a training run went: bars of seconds a step by part, the curve of memory, and a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbcore.runs import profile as profiles
from nbcore.view import figures
from nbcore.view.html import Html, aligned, grid

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BARS = 40
LOOKS = {  # colours of Okabe and Ito, which can be told apart with every kind of colour vision; hatches tell them, too
    "data": ("#56b4e9", ""),
    "generation": ("#009e73", ""),
    "grading": ("#f0e442", "//"),
    "forward": (figures.BLUE, ""),
    "backward": ("#e69f00", ""),
    "optimizer": (figures.ORANGE, "\\\\"),
    "logging": ("#b8bec7", ""),
    "evaluation": ("#cc79a7", ".."),
    "saving": ("#4b5563", ""),
}
NOTHING = "no profile: the run has not trained a step since there are profiles"


def profile(run: Any) -> Html:
    """A run's profile, from its first step to its last, all attempts together."""
    found = profiles.of(run)
    if found is None:
        return Html(f"<small>{NOTHING}</small>", NOTHING)
    head, rows, numbers = ["part", "seconds a step", "share"], found.table(), found.numbers()
    words = " · ".join(f"{name} {value}" for name, value in numbers.items())
    text = f"{aligned([head, *rows])}\n{words}"
    picture = figures.svg(drawn(found), f"seconds a step by part: {'; '.join(' '.join(row) for row in rows)}")
    return Html(f"{picture}{grid(head, rows)}<small>{words}</small>", text)


def drawn(found: profiles.Profile) -> Figure:
    """Left, seconds a step by part, as bars of stretches of steps; right, memory in GiB."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    stretches = profiles.binned(found, BARS)
    middles = [(first + last) / 2 for first, last, _ in stretches]
    widths = [last - first + 1 for first, last, _ in stretches]
    with rc_context(figures.STYLE):
        figure = Figure(figsize=(10.5, 3.4), layout="constrained")
        time, memory = figure.subplots(1, 2, width_ratios=[3, 2])
        floor = [0.0] * len(stretches)
        for part, seconds in found.spent():
            heights = [stretch.seconds.get(part, 0) / stretch.steps for *_, stretch in stretches]
            color, hatch = LOOKS[part]
            label = f"{part} {seconds / found.total:.0%}"
            looks = {"color": color, "hatch": hatch, "edgecolor": figures.PAGE, "linewidth": 0.3}
            time.bar(middles, heights, widths, floor, label=label, **looks)
            floor = [below + height for below, height in zip(floor, heights, strict=True)]
        handles, labels = time.get_legend_handles_labels()
        place = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5)}
        time.legend(handles[::-1], labels[::-1], frameon=False, fontsize=9, labelcolor=figures.QUIET, **place)
        time.set_title("seconds a step")
        rows = sorted((row for row in found.rows if row[profiles.STEPS]), key=lambda row: row["step"])
        for kind, style in zip(found.memory, ("-", "--", ":"), strict=False):
            points = [(row["step"], row[profiles.MEMORY + kind]) for row in rows if profiles.MEMORY + kind in row]
            steps, sizes = zip(*points, strict=True)
            sizes = [size / profiles.GIB for size in sizes]
            memory.plot(steps, sizes, style, color=figures.BLUE, lw=1.8, label=kind)
        memory.set_ylim(0, 1.1 * max(found.memory.values()) / profiles.GIB)
        memory.set_title(f"{' and '.join(found.memory)} memory, GiB")
        if len(found.memory) > 1:
            memory.legend(frameon=False, fontsize=9, labelcolor=figures.QUIET)
        for axis in (time, memory):
            axis.set_xlabel("step")
            axis.margins(x=0.01)
            axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        return figure
