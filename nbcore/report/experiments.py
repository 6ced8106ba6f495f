"""The experiments of a store: a section of the page, from their records alone."""

from __future__ import annotations

from html import escape
from pathlib import Path

from nbcore.runs import commit, layout
from nbcore.view import experiment as shown
from nbcore.view import figures


def section(store: str | Path) -> str:
    """The part of the page; empty where the store holds no experiment that has ended."""
    parts = []
    ended = (each for each in (Path(store) / layout.EXPERIMENTS).glob("*") if (each / layout.EXPERIMENT).is_file())
    for folder in sorted(ended):
        try:
            record = commit.read_sealed(folder / layout.EXPERIMENT)
        except (OSError, ValueError) as error:  # a changed byte: its numbers are nobody's
            parts.append(f"<p><b>{escape(folder.name)}</b> damaged: {escape(str(error))}</p>")
            continue
        said = "".join(f"<p>{escape(sentence)}</p>" for sentence in shown.verdicts(record))
        drawn = figures.svg(shown.figure(record), f"differences found by the experiment {record['name']}")
        words = escape(f"{record['question']} {shown.note(record)}")
        parts.append(f"<h3>{escape(record['name'])}</h3>{said}<figure>{drawn}<figcaption>{words}</figcaption></figure>")
    return f"<section><h2>Experiments</h2>{''.join(parts)}</section>" if parts else ""
