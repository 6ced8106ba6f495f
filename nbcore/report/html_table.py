"""A table of the page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape


def of_html(head: Sequence[str], lines: Iterable[Sequence[str]], kind: str) -> str:
    """A table in HTML, of the class `kind`. The cells are HTML already; the names in `head` are escaped here."""
    top = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    body = "".join(
        f'<tr><th scope="row">{line[0]}</th>' + "".join(f"<td>{cell}</td>" for cell in line[1:]) + "</tr>"
        for line in lines
    )
    return f'<div class="wide"><table class="{kind}"><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def of_text(head: Sequence[str], lines: Iterable[Sequence[str]], kind: str) -> str:
    """The same of cells that are text."""
    return of_html(head, [[escape(cell) for cell in line] for line in lines], kind)
