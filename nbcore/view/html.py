"""HTML and plain text side by side: what every view is made of. Whatever comes from data or a model is escaped."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Sequence
from typing import Any

from nbcore.view import figures

LONGEST = 1200  # characters of one field that are shown; the rest is only counted
PRE = (
    "margin:2px 0;background:transparent;white-space:pre-wrap;overflow-wrap:anywhere;"
    "font:12px/1.45 ui-monospace,Menlo,Consolas,monospace"
)
CELL = "text-align:left;vertical-align:top;padding:3px 14px 3px 0;border-bottom:1px solid #80879144"


class Html:
    """HTML for a notebook, text for everything else."""

    def __init__(self, markup: str, text: str):
        self.markup, self.text = markup, text

    def _repr_html_(self) -> str:
        return self.markup

    def __str__(self) -> str:
        return self.text

    __repr__ = __str__


class Picture(Html):
    """A figure as inline SVG; `.figure` is matplotlib's, to save or to change."""

    def __init__(self, figure: Any, text: str):
        super().__init__(figures.svg(figure, text), text)
        self.figure = figure


def plain(value: Any) -> str:
    """A value as text: floats in four digits, mappings and lists as JSON."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict | list):
        value = json.loads(json.dumps(value, default=str), parse_float=lambda text: float(f"{float(text):.4g}"))
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def clip(text: str) -> str:
    """The beginning of a long text, with how much was left out."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text) - LONGEST} more characters)"


def pre(text: str) -> str:
    """Markup that shows a text with its line breaks and spaces; the text is escaped."""
    return f'<pre style="{PRE}">{html.escape(text)}</pre>'


def grid(head: Sequence[str], lines: Iterable[Sequence[str | Html]]) -> str:
    """Markup of a table; a text is escaped, an `Html` is taken as it is. `head` may be empty."""
    cells = [[cell.markup if isinstance(cell, Html) else html.escape(cell) for cell in line] for line in lines]
    top = "".join(f'<th style="{CELL}">{html.escape(name)}</th>' for name in head)
    body = "".join("<tr>" + "".join(f'<td style="{CELL}">{cell}</td>' for cell in line) + "</tr>" for line in cells)
    return f'<table style="border-collapse:collapse">{f"<tr>{top}</tr>" if head else ""}{body}</table>'


def aligned(lines: Sequence[Sequence[str]]) -> str:
    """A table as plain text, its columns aligned."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = ([cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in lines)
    return "\n".join("  ".join(cells).rstrip() for cells in padded)
