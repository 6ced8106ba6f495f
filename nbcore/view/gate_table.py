"""A gate's decision as one table: asked, baseline, candidate, the difference against its margin, the verdict."""

from __future__ import annotations

import html
import json
import textwrap
from typing import Any

from nbcore.runs import layout
from nbcore.tasks import worth
from nbcore.view.html import Html, aligned, grid, pre

WIDTH = 15  # characters of a drawn difference
COLORS = {"PASS": "#1a7f37", "FAIL": "#cf222e", "INVESTIGATE": "#9a6700", "RUBBER_STAMP": "#9a6700"}


def gate(decision: Any, waiver: dict[str, str] | None = None) -> Html:
    """A decision of `gates.judge` or `gates.decide`: numbers, integrity, verdict and one sentence why."""
    lines = [_line(row) for row in decision.rows]
    details = [line for row in decision.rows for line in textwrap.wrap(_detail(row), 80, subsequent_indent="    ")]
    found = [[finding.name, finding.verdict, finding.why] for finding in decision.findings]
    note = "[=o=]: difference with interval, |: asked; rates in percent, perplexity in nats"
    parts = [decision.run.id, *_compared(decision)]
    if lines:
        parts += [
            "",
            aligned([["metric", "baseline", "cand.", "difference", "", "verdict"], *lines]),
            note,
            "",
            *details,
        ]
    told = _worth(decision)
    parts += told
    parts += ["", aligned(found) if found else "no check of integrity was asked for", ""]
    parts += [f"{decision.verdict}: {decision.why}"]
    parts += [f"WAIVED by {waiver['who']}: {waiver['reason']}"] if waiver else []
    head = ["metric", "baseline", "candidate", "difference", "", "verdict"]
    ids = "<br>".join(map(html.escape, [decision.run.id, *_compared(decision)]))
    markup = f"<p>{ids}</p>"
    if lines:
        markup += grid(head, [_marked(line) for line in lines]) + pre("\n".join([note, *details]))
    markup += "".join(f"<p>{html.escape(line)}</p>" for line in told)
    markup += grid(["integrity", "verdict", ""], found)
    markup += f'<p style="color:{COLORS[decision.verdict]}"><b>{decision.verdict}</b>: {html.escape(decision.why)}</p>'
    if waiver:
        markup += waived(waiver)
    return Html(markup, "\n".join(parts))


def waived(waiver: dict[str, str]) -> str:
    """Markup of a waiver, in red."""
    said = f"by {html.escape(waiver['who'])}: {html.escape(waiver['reason'])}"
    return f'<p class="waived" style="color:{COLORS["FAIL"]}"><b>WAIVED</b> {said}</p>'


def drawn(delta: Any, margin: float) -> str:
    """A difference with its interval against its margin, WIDTH characters wide: |--[==o=]------"""
    reach = max(abs(margin), abs(delta.low), abs(delta.high)) or 1.0

    def place(value: float) -> int:
        return round((value / reach + 1) / 2 * (WIDTH - 1))

    cells = ["-"] * WIDTH
    for at in range(place(delta.low), place(delta.high) + 1):
        cells[at] = "="
    for value, mark in ((delta.low, "["), (delta.high, "]"), (delta.value, "o"), (margin, "|")):
        cells[place(value)] = mark
    return "".join(cells)


def _worth(decision: Any) -> list[str]:
    """What the tests are worth that the gate's numbers rest on, of each set of tasks whose evaluation says."""
    path = decision.evaluation.path / layout.EVALUATED[0] if decision.evaluation else None
    if path is None or not path.is_file():
        return []
    measured = json.loads(path.read_text("utf-8"))["sets"]
    named = dict.fromkeys(row.taskset.partition("/")[0] for row in decision.rows)
    asked = [(name, measured[name]) for name in named if measured.get(name, {}).get("kind") == "tasks"]
    return [f"{name}: {worth.sentence(each.get('tests_accept_at_most'))}" for name, each in asked]


def _compared(decision: Any) -> list[str]:
    words = []
    if decision.evaluation:
        words.append(f"evaluated by {decision.evaluation.id}")
    if decision.baseline:
        words.append(f"baseline     {decision.baseline.id}")
    return words


def _line(row: Any) -> list[str]:
    percent = row.metric.startswith("pass@") or row.metric in ("compile_rate", "tests_passed", "hack_rate", "truncated")
    scale, digits = (100, ".1f") if percent else (1, ".3f")
    baseline = "–" if row.baseline is None else f"{scale * row.baseline:{digits}}"
    candidate = "–" if row.candidate is None else f"{scale * row.candidate.value:{digits}}"
    difference, bar = "–", ""
    if row.delta:
        bounds = f"[{scale * row.delta.low:+{digits}}, {scale * row.delta.high:+{digits}}]"
        difference = f"{scale * row.delta.value:+{digits}} {bounds}"
        bar = drawn(row.delta, row.margin)
    elif row.candidate:
        difference = f"{row.asked}"
    whole, _, family = row.taskset.partition("/")
    name = f"{row.metric} {family}" if family else row.metric
    return [
        name if whole == "heldout" or family else f"{row.metric} {whole}",
        baseline,
        candidate,
        difference,
        bar,
        row.verdict,
    ]


def _detail(row: Any) -> str:
    """Below the table: what the verdict rests on."""
    facts = [f"n {row.n}"]
    if row.candidate and not row.delta:
        facts.append(f"[{row.candidate.low:.4g}, {row.candidate.high:.4g}]")
    if row.discordance is not None:
        facts.append(f"discordance {100 * row.discordance:.0f} %")
    if row.detectable is not None:
        facts.append(f"detectable {row.detectable:.3g}")
        if row.asked.startswith("better"):
            facts.append(f"needs a true gain of {abs(row.margin) + row.detectable:.3g}")
    if row.p is not None:
        facts.append(f"p {'< 0.001' if row.p < 0.001 else format(row.p, '.3f')}")
    if row.delta:
        facts.append("seed 0")
    return f"{row.metric} on {row.taskset}, {row.asked}: {row.why} ({', '.join(facts)})"


def _marked(line: list[str]) -> list[Any]:
    *cells, bar, verdict = line
    badge = Html(f'<b style="color:{COLORS[verdict]}">{verdict}</b>', verdict)
    return [*cells, Html(pre(bar), bar), badge]
