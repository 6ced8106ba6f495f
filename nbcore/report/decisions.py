"""What gates decided on the runs of a chain: a section of the page, and the waivers that every later report shows."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from nbcore import gates, runs
from nbcore.report.chains import Stage
from nbcore.view import gate_table


def of(stages: Sequence[Stage]) -> list[tuple[Stage, dict[str, Any] | str]]:
    """Each run of the chain that a gate has judged, with the record in force, or with why it cannot be read."""
    found: list[tuple[Stage, dict[str, Any] | str]] = []
    for stage in stages:
        if stage.run and (said := _of_run(stage.run)):
            found.append((stage, said))
    return found


def waived(stages: Sequence[Stage]) -> list[str]:
    """A line for each run that went on by a waiver."""
    lines = []
    for stage, record in of(stages):
        if not isinstance(record, str) and record["waiver"]:
            waiver = record["waiver"]
            lines.append(f"WAIVED: {stage.run.id} ({record['verdict']}): {waiver['reason']} ({waiver['who']})")
    return lines


def section(stages: Sequence[Stage]) -> str:
    """The part of the page; empty where no gate has judged a run of the chain."""
    rows = ""
    for stage, record in of(stages):
        if isinstance(record, str):
            said = f'<b style="color:{gate_table.COLORS[gates.FAIL]}">damaged</b> {escape(record)}'
        else:
            color = gate_table.COLORS[record["verdict"]]
            said = f'<b style="color:{color}">{record["verdict"]}</b> {escape(record["why"])}'
            said += f" <small><code>{record['self'][:12]}</code></small>"
            said += gate_table.waived(record["waiver"]) if record["waiver"] else ""
        rows += f"<p><b>{escape(stage.label)}</b> {said}</p>"
    if not rows:
        return ""
    return f"""<section><h2>What the gates said</h2>{rows}<p class="quiet">A gate compares a run with what it
started from, task by task, and looks at the run itself. The record of each decision lies in the store.</p></section>"""


def _of_run(run: runs.Run) -> dict[str, Any] | str | None:
    try:
        return gates.current(run)
    except (OSError, ValueError) as error:
        return str(error)
