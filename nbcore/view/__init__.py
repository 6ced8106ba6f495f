"""What a notebook displays: rows, masks, curves, comparisons, a config as table and as widgets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from nbcore.config import Phase
from nbcore.view.comparison import compare, compared, outcomes, p_value, points
from nbcore.view.config_table import Table, table
from nbcore.view.corpus import accounts, corpus, examples
from nbcore.view.episodes import episodes, repairs
from nbcore.view.expert_proof import experts
from nbcore.view.html import Html, Picture, plain
from nbcore.view.live import Live
from nbcore.view.profile import profile
from nbcore.view.proof import parity
from nbcore.view.viewers import (
    answers,
    before_after,
    curves,
    data_report,
    facts,
    mask,
    rates,
    rows,
    source,
    verdict_badge,
)

__all__ = [
    "Html",
    "Live",
    "Picture",
    "Table",
    "accounts",
    "answers",
    "before_after",
    "compare",
    "compared",
    "corpus",
    "curves",
    "data_report",
    "episodes",
    "examples",
    "experts",
    "facts",
    "mask",
    "outcomes",
    "p_value",
    "panel",
    "parity",
    "plain",
    "points",
    "profile",
    "rates",
    "repairs",
    "rows",
    "source",
    "table",
    "verdict_badge",
]


def panel(config: Phase, on_change: Callable[[Phase], Any], remember: Path | None = None) -> Any:
    """A widget panel over a valid config: a valid change calls `on_change(new config)`, a bad one is shown, not taken.

    With `remember`, changes are kept in that YAML file of dotted overrides and laid over `config` on creation.
    """
    from nbcore.view.widgets import Panel  # ipywidgets is slow to import, and only a notebook needs it

    return Panel(config, on_change, remember).widget
