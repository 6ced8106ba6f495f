"""What a data run holds, as pictures and examples: what each stage left, why, how long records are, where from."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

from nbcore.view import figures
from nbcore.view.html import Html, Picture, aligned, clip, grid, pre

MOST = 8  # bars of a panel; what is smaller is one bar together
NAME = 28  # characters of a name beside its bar


def corpus(report: Mapping[str, Any]) -> Picture:
    """Four panels of a data run's report: records after each stage, why the others were left out, the lengths before
    and after, and the sources of the training split by records and by characters."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    out = dict(report["set_aside"]) | dict(report["dropped"])
    train = report["splits"]["train"]
    with rc_context(figures.STYLE | {"axes.grid.axis": "x"}):
        figure = Figure(figsize=(11, 6.4), layout="constrained")
        stages, reasons, lengths, shares = figure.subplots(2, 2).flat
        stages.set_title("records after each stage")
        _bars(stages, {"found": report["read"], **report["stages"]})
        reasons.set_title("left out, by reason")
        _bars(reasons, _largest(out), figures.ORANGE)
        lengths.set_title("characters of a record")
        _lengths(lengths, report["lengths"])
        shares.set_title("sources of the training split, %")
        _shares(shares, train)
    dropped = ", ".join(f"{reason} {count}" for reason, count in _largest(out).items()) or "none"
    kept = f"{report['read']} records read, {report['kept']} kept; left out: {dropped}"
    return Picture(figure, kept)


def accounts(report: Mapping[str, Any]) -> Html:
    """What became of each source's records: read = kept + set aside + dropped."""
    head = ["source", "revision", "read", "kept", "set aside", "dropped"]
    lines = [
        [
            name,
            str(of["revision"] or "by its hash"),
            *(f"{count:,}" for count in (of["read"], of["kept"])),
            *(f"{sum(of[field].values()):,}" for field in ("set_aside", "dropped")),
        ]
        for name, of in report["sources"].items()
    ]
    return Html(grid(head, lines), aligned([head, *lines]))


def examples(chosen: Mapping[str, Sequence[Mapping[str, Any]]], count: int = 3) -> Html:
    """So many examples of each stage, of as many reasons as there are, with what a record resembled beside it."""
    blocks, lines = [], []
    for stage, rows in chosen.items():
        cells = []
        for row in _of_different_reasons(rows, count):
            where = " · ".join(filter(None, (row["reason"], row["source"], row["id"])))
            beside = f"like {row['like']}:\n{row['like_text']}" if "like" in row else ""
            cells.append([Html(f"<small>{html.escape(where)}</small>{pre(clip(row['text']))}", ""), _pre(beside)])
            lines.append(f"{stage}: {where}\n{row['text']}\n{beside}")
        if cells:
            blocks.append(f"<b>{html.escape(stage)}</b>{grid([], cells)}")
    return Html("<br>".join(blocks) or "<i>no examples</i>", "\n\n".join(lines) or "no examples")


def _of_different_reasons(rows: Sequence[Mapping[str, Any]], count: int) -> list[Mapping[str, Any]]:
    """The first of each reason, then the second of each, and so on, in the order of the reasons."""
    seen: dict[str, int] = {}
    ranked = []
    for row in rows:
        seen[row["reason"]] = seen.get(row["reason"], 0) + 1
        ranked.append((seen[row["reason"]], row))
    ranked.sort(key=lambda pair: pair[0])
    return [row for _, row in ranked[:count]]


def _pre(text: str) -> Html:
    return Html(pre(clip(text)), text)


def _largest(counts: Mapping[str, int]) -> dict[str, int]:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    rest = sum(count for _, count in ordered[MOST:])
    return dict(ordered[:MOST]) | ({f"{len(ordered) - MOST} others": rest} if rest else {})


def _name(text: str) -> str:
    short = text if len(text) <= NAME else f"…{text[-NAME:]}"
    return short.replace("$", r"\$")  # else matplotlib reads a formula


def _bars(axis: Any, counts: Mapping[str, int], color: str = figures.BLUE) -> None:
    if not counts:
        axis.set_axis_off()
        axis.text(0, 0.9, "nothing", transform=axis.transAxes, color=figures.QUIET)
        return
    places = range(len(counts))
    axis.barh(places, counts.values(), color=color, height=0.62)
    axis.set_yticks(places, [_name(name) for name in counts])
    axis.invert_yaxis()
    axis.set_xticks([])
    axis.margins(x=0.14)
    axis.spines.bottom.set_visible(False)
    for place, count in zip(places, counts.values(), strict=True):
        axis.annotate(f"{count:,}", (count, place), (4, 0), textcoords="offset points", va="center", fontsize=10)


def _lengths(axis: Any, lengths: Mapping[str, Mapping[str, int]]) -> None:
    """Share of the records in each power of two of the length; the lines are told apart by style and marker too."""
    bits = sorted({int(each) for counts in lengths.values() for each in counts})
    ticks = range(bits[0], bits[-1] + 1)
    for (label, counts), style, color in zip(
        lengths.items(), ("o--", "s-", "^:"), (figures.QUIET, figures.BLUE, figures.ORANGE), strict=True
    ):
        total = sum(counts.values()) or 1
        values = [100 * counts.get(str(each), 0) / total for each in ticks]
        axis.plot(ticks, values, style, color=color, ms=4, lw=1.4, label=f"{label} ({sum(counts.values()):,})")
    marked = list(ticks)[:: max(1, len(ticks) // 5)]
    axis.set_xticks(marked, [_from(each) for each in marked])
    axis.set_ylabel("% of records")
    axis.grid(axis="y")
    axis.legend(frameon=False, fontsize=10, labelcolor=figures.QUIET)


def _from(bits: int) -> str:
    """The shortest length of so many bits, in words that fit under an axis: "≥ 512", "≥ 16 k"."""
    least = 2 ** (bits - 1) if bits else 0
    for size, unit in ((1 << 20, " M"), (1 << 10, " k")):
        if least >= size:
            return f"≥ {least // size}{unit}"
    return f"≥ {least}"


def _shares(axis: Any, split: Mapping[str, Any]) -> None:
    sources = split["sources"]
    ordered = dict(sorted(sources.items(), key=lambda item: -item[1]["characters"]))
    chosen = dict(list(ordered.items())[:MOST])
    for shift, (field, color) in enumerate((("records", figures.BLUE), ("characters", figures.ORANGE))):
        total = sum(of[field] for of in sources.values()) or 1
        values = [100 * of[field] / total for of in chosen.values()]
        places = [place + 0.36 * (shift - 0.5) for place in range(len(chosen))]
        axis.barh(places, values, height=0.32, color=color, label=field)
        for place, value in zip(places, values, strict=True):
            axis.annotate(f"{value:.0f} %", (value, place), (4, 0), textcoords="offset points", va="center", fontsize=9)
    axis.set_yticks(range(len(chosen)), [_name(name) for name in chosen])
    axis.invert_yaxis()
    axis.set_xticks([])
    axis.margins(x=0.14)
    axis.spines.bottom.set_visible(False)
    axis.legend(frameon=False, fontsize=10, labelcolor=figures.QUIET)
