"""card.md of a prepared folder: where its rows come from and what became of each, for people."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from nbcore.core.output import shown

EXAMPLES = 3  # of each reason
_MARKUP = re.compile(r"([\\`*_\[\]#!|~$@]|(?<=:)//|(?<=www)\.)")  # the last two would be links, without any marks


def text(report: dict[str, Any], set_aside: Path, dropped: Path) -> str:
    """The card, in Markdown, all of it counted from the report and the lists of what was left out."""
    shares = " · ".join(f"{split} {share:g}" for split, share in report["ratios"].items())
    parts = [
        "# Data card",
        f"{report['read']} rows read = {report['kept']} kept + {report['set_aside']} set aside + "
        f"{sum(report['dropped'].values())} dropped.",
        f"Split by a hash of each row's content (seed {report['seed']}; {shares}). Near copies, and rows that ask the "
        f"same question, stand in one split; there are {report['near_duplicate_groups']} groups of near copies.",
        table(("split", "rows"), report["splits"].items()),
        "## Files",
        table(
            ("file", "format", "read", "kept", "set aside", "dropped"),
            (
                (name, of["format"], of["read"], of["kept"], of["set_aside"], sum(of["dropped"].values()))
                for name, of in report["files"].items()
            ),
        ),
    ]
    for title, counts, path in (
        ("Set aside", report["set_aside_reasons"], set_aside),
        ("Dropped", report["dropped"], dropped),
    ):
        if counts:
            parts += [f"## {title}", table(("reason", "rows"), sorted(counts.items())), *_examples(path, counts)]
    if "protected_sha256" in report:
        parts.append(f"Compared with the evaluation sets whose sha256 is {report['protected_sha256']}.")
    return "\n\n".join(parts) + "\n"


def escaped(value: Any) -> str:
    """A value as one line of Markdown that shows as it is written: no markup, link, HTML or line break of its own."""
    return _MARKUP.sub(r"\\\1", html.escape(shown(str(value)), quote=False))


def table(head: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """A table in Markdown; every cell is escaped."""
    names = list(head)
    lines = [names, ["---"] * len(names), *([escaped(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _examples(path: Path, reasons: Iterable[str]) -> list[str]:
    """For each reason, the first rows that were left out for it."""
    blocks = []
    for reason in sorted(reasons):
        chosen = list(islice((row for row in rows(path) if row["reason"] == reason), EXAMPLES))
        lines = [f"- in {escaped(place(row))}: {escaped(row['text'])}" for row in chosen]
        blocks.append("\n".join([f"{escaped(reason)}, for example", "", *lines]))
    return blocks


def place(row: dict[str, Any]) -> str:
    """Where a row that was left out stood: file and line, or file and id."""
    if row.get("line") is not None:
        return f"{row['file']}:{row['line']}"
    return f"{row['file']}, row {row['id']}" if "id" in row else row["file"]


def rows(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a list of rows that were left out."""
    with path.open(encoding="ascii") as file:
        yield from map(json.loads, file)
