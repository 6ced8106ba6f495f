"""Which of two ways a model takes from messages to tokens and back, decided here and nowhere else.

Rows with tools are written in Harmony where the vocabulary has its control tokens, as gpt-oss's and the seedling's do:
no Jinja template of it keeps all calls and all reasoning. Every other model takes its own chat template, and so do rows
without tools.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from nbcore.chat import dates, harmony, steps, template, template_calls, template_tools
from nbcore.chat.actions import Parsed, Rendered
from nbcore.chat.harmony_tokens import control


class Renderer(Protocol):
    """What every phase may ask of either way."""

    def describe(self) -> str:
        """Which way it is, for people."""

    def render(self, row: Mapping[str, Any]) -> list[Rendered]:
        """The samples of a row to train on. Raises ForgedToken for a row that no sample can be made of, ValueError for
        rows that none can."""

    def prompt(self, row: Mapping[str, Any]) -> list[int]:
        """Ids to generate the next action from."""

    def parse(self, ids: list[int], tools: list[dict] | None = None, stops: list[int] | None = None) -> Parsed:
        """(messages, action) of what a model emitted after such a prompt; never raises for ids. `stops` are those at
        which it was stopped; without them those that tokenizer and template name."""

    def stops(self, generation_config: Any = None) -> list[int]:
        """Ids at which an action ends."""

    def reply(
        self,
        emitted: list[int],
        text: str,
        function: str = "",
        tools: list[dict] | None = None,
        stops: list[int] | None = None,
    ) -> list[int]:
        """Ids between what a model emitted and its next action: a function's result, or without one the user's words.
        So prompt + emitted + reply is the next prompt, and no sampled token is ever encoded again."""


@dataclass(frozen=True)
class Harmony:
    """OpenAI's format, to the token."""

    tokenizer: Any
    reasoning: str = "medium"
    date: str | None = None
    system: bool = True

    def describe(self) -> str:
        if not self.system:
            return "Harmony (without its system message)"
        return f"Harmony (reasoning {self.reasoning}, {f'date {self.date}' if self.date else 'no date'})"

    def render(self, row: Mapping[str, Any]) -> list[Rendered]:
        said = {"reasoning": self.reasoning, "date": self.date, "system": self.system}
        return harmony.render(self.tokenizer, row, **said)

    def prompt(self, row: Mapping[str, Any]) -> list[int]:
        said = {"reasoning": self.reasoning, "date": self.date, "system": self.system}
        return harmony.prompt(self.tokenizer, row, **said)

    def parse(self, ids: list[int], tools: list[dict] | None = None, stops: list[int] | None = None) -> Parsed:
        return harmony.parse(self.tokenizer, ids, tools)  # whose ends are Harmony's own, as in `stops`

    def stops(self, generation_config: Any = None) -> list[int]:
        known = control(self.tokenizer)  # not <|end|>: after a thought the model goes on to its action
        return sorted({known.call, known.return_, *known.padding})

    def reply(
        self,
        emitted: list[int],
        text: str,
        function: str = "",
        tools: list[dict] | None = None,
        stops: list[int] | None = None,
    ) -> list[int]:
        return harmony.reply(self.tokenizer, emitted, text, function)


@dataclass(frozen=True)
class Template:
    """The chat template of the tokenizer."""

    tokenizer: Any

    def describe(self) -> str:
        return f"the chat template of {self.tokenizer.name_or_path!r}"

    def render(self, row: Mapping[str, Any]) -> list[Rendered]:
        if has_tools(row):
            return template_tools.render(self.tokenizer, row)
        ids, labels = template.render(self.tokenizer, _plain(row))
        text = self.tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return [Rendered(ids, labels, text)]

    def prompt(self, row: Mapping[str, Any]) -> list[int]:
        if has_tools(row):
            return template_tools.prompt(self.tokenizer, row)
        return template.prompt_ids(self.tokenizer, _plain(row))

    def parse(self, ids: list[int], tools: list[dict] | None = None, stops: list[int] | None = None) -> Parsed:
        return template_calls.parse(self.tokenizer, ids, tools, stops)

    def stops(self, generation_config: Any = None) -> list[int]:
        return template.stop_ids(self.tokenizer, generation_config)

    def reply(
        self,
        emitted: list[int],
        text: str,
        function: str = "",
        tools: list[dict] | None = None,
        stops: list[int] | None = None,
    ) -> list[int]:
        return template_calls.reply(self.tokenizer, emitted, tools, text, function, stops)


def _plain(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The messages, in whatever order the template takes them, with the developer's under the name that templates have
    for it. Raises ValueError for what is no row, and for words before an answer, which templates would pass over."""
    messages = steps.messages_of(row)
    if any(message.get("preamble") for message in messages):
        raise ValueError("messages: 'preamble' is written in Harmony alone; put it into the content, or drop it")
    if messages[0]["role"] != "developer":
        return messages
    return [messages[0] | {"role": "system"}, *messages[1:]]


def has_tools(row: Mapping[str, Any]) -> bool:
    """Whether a row offers tools, calls them, or has a result of one. What is no row has none, which who renders it
    says."""
    messages = row.get("messages") if isinstance(row, Mapping) else None
    if not isinstance(messages, list):
        return False
    said = [message for message in messages if isinstance(message, Mapping)]
    return bool(row.get("tools")) or any(each.get("tool_calls") or each.get("role") == "tool" for each in said)


def _writes_a_system_message(tokenizer: Any) -> bool:
    """Whether a model knows Harmony's system message: gpt-oss's template writes it. The seedling's does not, and it
    would take a quarter of a context that is as short as the seedling's."""
    return not tokenizer.chat_template or "# Valid channels:" in tokenizer.chat_template


def chosen(tokenizer: Any, row: Mapping[str, Any], date: str | None = None) -> Renderer:
    """The renderer of a row for a model; `date` is what Harmony's system message says, "2025-01-31". None is the day
    that chat templates are given then, so that a model reads one date in rows with tools and without."""
    if has_tools(row) and harmony.speaks_harmony(tokenizer):
        return Harmony(tokenizer, date=date or dates.SHIPPED, system=_writes_a_system_message(tokenizer))
    return Template(tokenizer)
