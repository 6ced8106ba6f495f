"""A gate's decision as one table: asked, baseline, candidate, the difference against its margin, the verdict."""

from __future__ import annotations

import html
from typing import Any

from nbcore.view.html import Html, aligned, grid, pre

WIDTH = 19  # characters of a drawn difference
COLORS = {"PASS": "#1a7f37", "FAIL": "#cf222e", "INVESTIGATE": "#9a6700", "RUBBER_STAMP": "#9a6700"}


def gate(decision: Any, waiver: dict[str, str] | None = None) -> Html:
    """A decision of `gates.judge` or `gates.decide`: numbers, integrity, verdict and one sentence why."""
    head = ["metric", "asked", "baseline", "candidate", "difference", "", "verdict"]
    lines = [_line(row) for row in decision.rows]
    details = [_detail(row) for row in decision.rows]
    found = [[finding.name, finding.verdict, finding.why] for finding in decision.findings]
    words = f"{decision.verdict}: {decision.why}"
    if waiver:
        words += f"\nWAIVED by {waiver['who']}: {waiver['reason']}"
    note = "--[=o=]--: difference (o) and interval ([ ]) against what is asked (|); pp: percentage points"
    parts = [decision.run.id, *_compared(decision)]
    if lines:
        parts += ["", aligned([head, *lines]), "", *details, note]
    parts += ["", aligned(found) if found else "no check of integrity was asked for", "", words]
    color = COLORS[decision.verdict]
    red = f'<p style="color:{COLORS["FAIL"]}"><b>WAIVED</b> by {html.escape(waiver["who"])}: ' if waiver else ""
    markup = "".join(
        [
            f"<p>{'<br>'.join(map(html.escape, [decision.run.id, *_compared(decision)]))}</p>",
            grid(head, [_marked(line) for line in lines]) + pre("\n".join([*details, note])) if lines else "",
            grid(["integrity", "verdict", ""], found),
            f'<p style="color:{color}"><b>{html.escape(decision.verdict)}</b>: {html.escape(decision.why)}</p>',
            f"{red}{html.escape(waiver['reason'])}</p>" if waiver else "",
        ]
    )
    return Html(markup, "\n".join(parts))


def drawn(delta: Any, margin: float) -> str:
    """A difference with its interval against its margin, WIDTH characters wide: ---|--[==o==]---"""
    reach = max(abs(margin), abs(delta.low), abs(delta.high)) or 1.0

    def place(value: float) -> int:
        return round((value / reach + 1) / 2 * (WIDTH - 1))

    cells = ["-"] * WIDTH
    for at in range(place(delta.low), place(delta.high) + 1):
        cells[at] = "="
    for value, mark in ((delta.low, "["), (delta.high, "]"), (delta.value, "o"), (margin, "|")):
        cells[place(value)] = mark
    return "".join(cells)


def _compared(decision: Any) -> list[str]:
    words = []
    if decision.evaluation:
        words.append(f"evaluated by {decision.evaluation.id}")
    if decision.baseline:
        words.append(f"baseline     {decision.baseline.id}")
    return words


def _line(row: Any) -> list[str]:
    percent = row.metric.startswith("pass@") or row.metric in ("compile_rate", "tests_passed", "hack_rate", "truncated")
    scale, unit = (100, " pp") if percent else (1, "")
    digits = ".1f" if percent else ".3f"
    baseline = "–" if row.baseline is None else f"{scale * row.baseline:{digits}}"
    candidate = f"{scale * row.candidate.value:{digits}}"
    difference, bar = "–", ""
    if row.delta:
        bounds = f"[{scale * row.delta.low:+{digits}}, {scale * row.delta.high:+{digits}}]"
        difference = f"{scale * row.delta.value:+{digits}}{unit} {bounds}"
        bar = drawn(row.delta, row.margin)
    else:
        candidate += f" [{scale * row.candidate.low:{digits}}, {scale * row.candidate.high:{digits}}]"
    name = row.metric if row.taskset == "heldout" else f"{row.metric} {row.taskset}"
    return [name, row.asked, baseline, candidate, difference, bar, row.verdict]


def _detail(row: Any) -> str:
    """Below the table: what the verdict rests on."""
    facts = [f"n {row.n}"]
    if row.discordance is not None:
        facts.append(f"discordance {100 * row.discordance:.0f} %")
    if row.detectable is not None:
        facts.append(f"detectable {row.detectable:.3g}")
        if row.asked.startswith("better"):
            facts.append(f"needs a true gain of {abs(row.margin) + row.detectable:.3g}")
    if row.p is not None:
        facts.append(f"p {'< 0.001' if row.p < 0.001 else format(row.p, '.3f')}")
    return f"{row.metric} on {row.taskset}, seed 0, {', '.join(facts)}: {row.why}"


def _marked(line: list[str]) -> list[Any]:
    *cells, bar, verdict = line
    badge = Html(f'<b style="color:{COLORS[verdict]}">{verdict}</b>', verdict)
    return [*cells, Html(pre(bar), bar), badge]
