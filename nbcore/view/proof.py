"""The proof of an export as a picture: how much of the adapter is in each tensor, and how far the logits are apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nbcore.view.figures import BLUE, ORANGE, QUIET, STYLE
from nbcore.view.html import Html, Picture, pre

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def parity(report: Mapping[str, Any]) -> Html:
    """The picture of a report of `parity.check`, and its numbers as text; text alone where nothing was measured."""
    text = words(report)
    picture = drawn(report)
    return Picture(picture, text) if picture else Html(pre(text), text)


def drawn(report: Mapping[str, Any]) -> Figure | None:
    """The picture; None where a report has nothing to draw."""
    measured = any(row.get("kept") is not None for row in report.get("tensors", ()))
    return figure(report) if measured or _pairs(report) else None


def words(report: Mapping[str, Any]) -> str:
    """The numbers of a report in a few lines."""
    kept = [row["kept"] for row in report.get("tensors", ()) if row.get("kept") is not None]
    lines = [f"{len(report.get('tensors', ()))} tensors changed by the adapter"]
    if kept:
        lines.append(f"share of the adapter's update that is in the export: {min(kept):.4f} to {max(kept):.4f}")
    for name, pair in _pairs(report).items():
        lines.append(f"logits, {name}: max {pair['max']:.2g}, mean {pair['mean']:.2g}, top-1 {pair['top1']:.1%}")
    for name, made in report.get("gguf", {}).items():
        lines.append(f"{name}: {_gguf_words(made)}")
    lines += [f"LOST: {problem}" for problem in report.get("problems", ())]
    return "\n".join(lines)


def _gguf_words(made: Mapping[str, Any]) -> str:
    if "skipped" in made:
        return str(made["skipped"])
    parts = []
    if greedy := made.get("greedy"):
        parts.append(f"greedy agreement {greedy['agreement']:.1%}")
    if perplexity := made.get("perplexity"):
        parts.append(f"perplexity {perplexity['change']:+.2%}")
    if tokenizer := made.get("tokenizer"):
        parts.append(f"tokenizer {tokenizer['same']} of {tokenizer['of']}")
    return ", ".join(parts) or "made"


def _pairs(report: Mapping[str, Any]) -> dict[str, Mapping[str, float]]:
    pairs = {name: pair for name, pair in report.get("logits", {}).items() if isinstance(pair, Mapping)}
    return {name.replace("_", " against "): pair for name, pair in pairs.items()}


def figure(report: Mapping[str, Any]) -> Figure:
    """Left: kept share of each targeted tensor over the size of its update. Right: differences of the logits."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullFormatter

    rows = [row for row in report.get("tensors", ()) if row.get("kept") is not None and row.get("max_delta")]
    pairs = _pairs(report)
    with rc_context(STYLE):
        drawn = Figure(figsize=(9, 3), layout="constrained")
        left, right = drawn.subplots(1, 2)
        left.set_title("share of each update in the export")
        whole = [abs(row["kept"] - 1) <= 0.1 for row in rows]
        for good, color, marker in ((True, BLUE, "o"), (False, ORANGE, "X")):
            chosen = [row for row, fits in zip(rows, whole, strict=True) if fits == good]
            left.plot([row["max_delta"] for row in chosen], [row["kept"] for row in chosen], marker, color=color, ms=5)
        left.set_ylim(-0.15, 1.25)
        left.set_xlabel("largest number of the update")
        if rows:
            left.set_xscale("log")
            left.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            left.xaxis.set_major_formatter("{x:g}")
            left.xaxis.set_minor_formatter(NullFormatter())  # else labels lie on each other
        right.set_title("logits apart, largest and mean")
        right.grid(axis="x")
        names = list(pairs)
        smallest = 1e-9  # a difference of zero has no place on a log scale
        for place, name in enumerate(names):
            right.plot([max(smallest, pairs[name]["max"])], [place], "o", color=BLUE, ms=7)
            right.plot([max(smallest, pairs[name]["mean"])], [place], "o", color=BLUE, ms=5, markerfacecolor="none")
        right.set_yticks(range(len(names)), names)
        right.set_ylim(-0.6, max(0, len(names) - 1) + 0.6)
        right.set_xscale("log")
        if limit := report.get("logits", {}).get("limit"):
            right.axvline(limit, color=ORANGE, ls="--", lw=1.2)
            right.annotate("limit", (limit, -0.5), (3, 0), textcoords="offset points", color=QUIET, fontsize=9)
        return drawn
