"""A config as a table: every value with its bounds and its meaning."""

from __future__ import annotations

import html

from nbcore import config as configs
from nbcore.config import knobs


class Table:
    """Every value of a config with its bounds and its help; what differs from the schema's default is marked."""

    def __init__(self, config: configs.Phase):
        defaults = {leaf.path: leaf.value for leaf in configs.leaves(type(config)())}
        self.title = f"{config.phase} · {config.name} · {configs.digest(config)}"
        # A list of models or a dict may have no default leaf; then it counts as changed.
        self.rows = [
            (
                leaf.path,
                knobs.as_text(leaf.value) or "none",
                leaf.value != defaults.get(leaf.path, ...),
                knobs.allowed(leaf),
                leaf.help,
            )
            for leaf in knobs.leaves(config).values()
        ]

    def __str__(self) -> str:
        width = max(len(path) for path, *_ in self.rows)
        lines = (f"{'*' if changed else ' '} {path:<{width}}  {value}" for path, value, changed, *_ in self.rows)
        return "\n".join([self.title, *lines])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        cell = "<td style='text-align:left;vertical-align:top'>"
        rows = "".join(
            f"<tr>{cell}<code>{html.escape(path)}</code></td>"
            f"{cell}{'<b>' if changed else ''}{html.escape(value)}{'</b>' if changed else ''}</td>"
            f"{cell}{html.escape(bounds)}</td>{cell}{html.escape(help_)}</td></tr>"
            for path, value, changed, bounds, help_ in self.rows
        )
        head = "".join(f"<th style='text-align:left'>{name}</th>" for name in ("field", "value", "allowed", "meaning"))
        caption = f"{html.escape(self.title)} — bold: differs from the schema's default"
        return f"<table><caption>{caption}</caption><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def table(config: configs.Phase) -> Table:
    """The whole config to look at: HTML in a notebook, plain text through `print`."""
    return Table(config)
