"""The widget panel behind `view.panel`. It uses only widgets and traits that ipywidgets 7.7 (Colab) and 8 share.

Numbers are text fields, because a bounded widget silently turns -3 into 1; here -3 is a clear error.
"""

from __future__ import annotations

import html
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import ipywidgets as widgets

from nbcore import config as configs
from nbcore.config import knobs
from nbcore.view.remembered import Remembered


class Panel:
    """Widgets for every value. `self.config` is always valid; after a bad value the widget shows the old one again."""

    def __init__(self, config: configs.Phase, on_change: Callable[[configs.Phase], Any], remember: Path | None):
        self.original, self.config, self.on_change = config, config, on_change
        self.remembered = Remembered(remember)
        self.config = self.remembered.apply(config)
        self.busy = False  # True while the panel itself, and not the person, writes to a widget
        self.fields = {leaf.path: _field(leaf) for leaf in knobs.leaves(self.config).values()}
        for path, field in self.fields.items():
            field.observe(lambda event, path=path: self._typed(path, event["new"]), names="value")
        self.line = widgets.HTML()
        self.forget = widgets.Button(description="forget", tooltip="Go back to the config as it was loaded")
        self.forget.on_click(lambda _: self._forget())
        self.widget = widgets.VBox([widgets.HBox([self.forget, self.line]), self._sections()])
        self._greet()

    def _sections(self) -> widgets.Accordion:
        sections: dict[str, list] = {}
        for leaf in knobs.leaves(self.config).values():
            section = leaf.path.rpartition(".")[0] or self.config.phase
            limits = knobs.allowed(leaf) if get_origin(leaf.annotation) is not Literal else ""
            words = " — ".join(html.escape(text) for text in (limits, leaf.help) if text)
            note = widgets.HTML(f"<span style='line-height:1.3'>{words}</span>")
            sections.setdefault(section, []).append(widgets.HBox([self.fields[leaf.path], note]))
        accordion = widgets.Accordion([widgets.VBox(rows) for rows in sections.values()])
        for index, name in enumerate(sections):
            accordion.set_title(index, name)
        accordion.selected_index = 0
        return accordion

    def _greet(self) -> None:
        notes = list(self.remembered.complaints)
        if self.remembered.values:
            kept = ", ".join(f"{path} = {knobs.as_text(value)}" for path, value in self.remembered.values.items())
            notes.insert(0, f"remembered from before: {kept}")
        self._say("; ".join(notes) or "as in the YAML", wrong=bool(self.remembered.complaints))
        if self.config != self.original:
            self.on_change(self.config)

    def _typed(self, path: str, value: Any) -> None:
        if self.busy:
            return
        leaf = knobs.leaves(self.config)[path]
        try:
            new = knobs.change(self.config, path, knobs.from_text(leaf, value) if isinstance(value, str) else value)
        except ValueError as error:
            self._show(path)
            self._say(f"not taken: {error}", wrong=True)
            return
        self.config = new
        self._show(path)
        self.on_change(new)
        taken = knobs.leaves(new)[path].value
        words = f"{path} = {knobs.as_text(taken) or 'none'}"
        try:
            self.remembered.put(path, taken, knobs.leaves(self.original)[path].value)
        except OSError as error:  # a full or read-only disk: the value counts all the same
            self._say(f"{words}, until this kernel ends: it could not be remembered ({error})", wrong=True)
            return
        self._say(f"{words}, kept in {self.remembered.path}" if self.remembered.path else words)

    def _forget(self) -> None:
        self.config = self.original
        for path in self.fields:
            self._show(path)
        self.on_change(self.config)
        try:
            self.remembered.forget()
        except OSError as error:
            self._say(f"as in the YAML, but what was remembered could not be deleted ({error})", wrong=True)
            return
        self._say("forgotten: as in the YAML")

    def _show(self, path: str) -> None:
        value, field = knobs.leaves(self.config)[path].value, self.fields[path]
        self.busy = True
        try:
            field.value = knobs.as_text(value) if isinstance(field, widgets.Text) else value
        finally:
            self.busy = False

    def _say(self, text: str, wrong: bool = False) -> None:
        self.line.value = f"<span style='color:{'#b3261e' if wrong else 'inherit'}'>{html.escape(text)}</span>"


def _field(leaf: configs.Leaf) -> Any:
    look = {
        "description": leaf.path.rpartition(".")[2],
        "style": {"description_width": "160px"},
        "layout": widgets.Layout(width="420px", flex="0 0 auto"),
    }
    if leaf.annotation is bool:
        return widgets.Checkbox(value=leaf.value, **look)
    if get_origin(leaf.annotation) is Literal:
        return widgets.Dropdown(options=list(get_args(leaf.annotation)), value=leaf.value, **look)
    return widgets.Text(value=knobs.as_text(leaf.value), continuous_update=False, **look)
