"""The proof of what was exported of a chain: a section of the page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from html import escape

from nbcore import config, runs
from nbcore.report.chains import Stage
from nbcore.runs import layout
from nbcore.view import figures, proof


def of(stages: Sequence[Stage]) -> runs.Run | None:
    """The newest finished, undamaged export of the latest model of the chain that has one."""
    phases = [name for name, entry in config.TABLE.items() if entry.whole]
    made = [stage.run for stage in stages if stage.run]
    exports = [run for name in phases for run in (runs.listing(made[-1].store, name) if made else ()) if run.finished]
    for parent in reversed(made):
        for run in reversed(exports):
            with suppress(ValueError, OSError):  # a damaged one proves nothing
                if (run.info["parent"] or {}).get("id") == parent.id and not run.damage():
                    return run
    return None


def section(stages: Sequence[Stage]) -> str:
    """The part of the page; empty where nothing of the chain was exported."""
    run = of(stages)
    if run is None or not (run.path / layout.PARITY).is_file():
        return ""
    report = json.loads((run.path / layout.PARITY).read_text("utf-8"))
    drawn, words = proof.drawn(report), escape(proof.words(report)).replace("\n", "<br>")
    figure = figures.svg(drawn, "share of the adapter in each tensor, and differences of the logits") if drawn else ""
    return f"""<section><h2>What was exported</h2><figure>{figure}<figcaption>{words}</figcaption></figure>
<p class="quiet">Left: 1 is the whole update of a tensor. Right: filled, the largest difference; hollow, the mean.
<code>{escape(run.id)}</code></p></section>"""
