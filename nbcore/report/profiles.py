"""Where the time of each training phase went: a section of the page."""

from __future__ import annotations

from collections.abc import Sequence

from nbcore.report import html_table
from nbcore.report.chains import Stage
from nbcore.report.lineage import ABSENT
from nbcore.runs import profile


def table(stages: Sequence[Stage]) -> tuple[list[str], list[list[str]]]:
    """(head, lines) of the trained stages that have a profile: seconds a step by part, speed, memory. Empty lines where
    none has one."""
    profiles = {stage.label: profile.of(stage.run) for stage in stages if stage.run}
    found = {label: one for label, one in profiles.items() if one}
    parts = [part for part in profile.PARTS if any(one.seconds.get(part) for one in found.values())]
    kinds = sorted({kind for one in found.values() for kind in one.memory})
    lines = []
    for label, one in found.items():
        seconds = [f"{one.seconds[part] / one.steps:.3g}" if one.seconds.get(part) else ABSENT for part in parts]
        memory = [f"{one.memory[kind] / profile.GIB:.2f}" if kind in one.memory else ABSENT for kind in kinds]
        mfu = ABSENT if one.mfu is None else f"{one.mfu:.1%}"
        line = [label, str(one.steps), *seconds, f"{one.total / one.steps:.3g}", f"{one.tokens_per_second:,.0f}", mfu]
        lines.append([*line, *memory])
    head = ["phase", "steps", *parts, "together", "tokens/s", "MFU", *(f"{kind}, GiB" for kind in kinds)]
    return head, lines


def section(stages: Sequence[Stage]) -> str:
    """The part of the page; empty where no run has a profile."""
    head, lines = table(stages)
    if not lines:
        return ""
    return f"""<section><h2>Where the time went</h2>
{html_table.of_text(head, lines, "numbers")}
<p class="quiet">Seconds a step by part, all attempts at a run together; steps that were done again after a crash count
again. Grading: what training waited for. MFU (model FLOPs utilisation) is told for half precision on a GPU whose peak
is known.</p></section>"""
