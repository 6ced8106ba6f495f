"""A config leaf by leaf: table, widget panel, sweep space and a notebook's parameters cell.

All four are views of `config.leaves`: none holds a value of its own, and whatever a person types goes through
`config.load`, so a knob accepts exactly what the YAML accepts.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from nbcore import config as configs
from nbcore.knobs.views import HEADLINES, Dimension, parameters_source, space, table

__all__ = ["HEADLINES", "Dimension", "panel", "parameters_source", "space", "table"]


def panel(config: configs.Phase, on_change: Callable[[configs.Phase], Any], remember: Path | None = None) -> Any:
    """A widget panel over a valid config: a valid change calls `on_change(new config)`, a bad one is shown, not taken.

    With `remember`, changes are kept in that YAML file of dotted overrides and laid over `config` on creation.
    """
    from nbcore.knobs.widgets import Panel  # ipywidgets only where there is a person to turn something

    return Panel(config, on_change, remember).widget
