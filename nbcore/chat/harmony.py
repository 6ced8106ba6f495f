"""Harmony, the chat format of gpt-oss, to the token: rows to ids, loss mask and text, and ids back to messages.

Control tokens are appended by id and content is encoded as plain text, so that no file or tool result can forge a turn.
Earlier turns stand without their thinking, as a model sees them when it answers, so each turn of the user is a sample
of its own. What is trained is exactly what the model must emit, its stop token included.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date as calendar_date
from typing import Any

from nbcore.chat import steps as conversation
from nbcore.chat import typescript
from nbcore.chat.actions import Action, Call, Final, Malformed, Parsed, Preamble, Rendered, Truncated
from nbcore.chat.harmony_parse import Stream, parse
from nbcore.chat.harmony_tokens import control, encode, speaks_harmony
from nbcore.chat.steps import Result, Step
from nbcore.chat.template import IGNORED
from nbcore.core.conversation import shortened

__all__ = [
    "Action",
    "Call",
    "Final",
    "Malformed",
    "Parsed",
    "Preamble",
    "Rendered",
    "Stream",
    "Truncated",
    "parse",
    "prompt",
    "render",
    "reply",
    "speaks_harmony",
]

REASONING = ("low", "medium", "high")
RECIPIENTS = ("channel", "role")


def render(
    tokenizer: Any,
    row: Mapping[str, Any],
    *,
    reasoning: str = "medium",
    date: str | None = None,
    recipient: str = "channel",
    system: bool = True,
) -> list[Rendered]:
    """One sample for each turn of the user, in order.

    `row` has `messages` (system or developer, user, assistant with `thinking`, `content` and `tool_calls`, tool) and
    `tools`; calls made side by side become one after the other, each with its result; an assistant's message with
    `"train": false` carries no loss. `date` is "2025-01-31", or None for none: the clock is never asked. `recipient`
    says where a call names its function: "channel" as the model itself writes it, "role" as openai-harmony does.
    `system`: whether Harmony's own system message, which speaks of OpenAI's model, is written.
    Raises ValueError with field, value and remedy.
    """
    told = conversation.read(row)
    samples = []
    for running in range(len(told.turns)):
        writer = _Writer(tokenizer, recipient)
        writer.opening(told, reasoning, date, system)
        for number, turn in enumerate(told.turns[: running + 1]):
            writer.turn(turn, running=number == running)
        samples.append(writer.rendered())
    return samples


def prompt(
    tokenizer: Any,
    row: Mapping[str, Any],
    *,
    reasoning: str = "medium",
    date: str | None = None,
    recipient: str = "channel",
    system: bool = True,
) -> list[int]:
    """Ids to generate the next action from: they end in <|start|>assistant. The row's last message is the user's or a
    tool's; else as in `render`."""
    told = conversation.read(row)
    if row["messages"][-1]["role"] not in ("user", "tool"):
        raise ValueError(
            f"messages: the last one is of the role {row['messages'][-1]['role']!r}; an action follows on the user's "
            "message or on the result of a call"
        )
    writer = _Writer(tokenizer, recipient)
    writer.opening(told, reasoning, date, system)
    for number, turn in enumerate(told.turns):
        writer.turn(turn, running=number == len(told.turns) - 1)
    writer.control("start")
    writer.words("assistant")
    return writer.ids


def reply(tokenizer: Any, emitted: list[int], text: str, function: str = "") -> list[int]:
    """Ids between what a model emitted and its next action: the end of a message that was cut, the result of a
    function, or without one the user's words, and <|start|>assistant."""
    writer = _Writer(tokenizer, "channel")
    if not emitted or emitted[-1] not in (writer.known.end, writer.known.call, writer.known.return_):
        writer.control("end")
    if function:
        writer.result(Result(function, text))
    else:
        writer.message("user", text)
    writer.control("start")
    writer.words("assistant")
    return writer.ids


class _Writer:
    """Ids, labels and text of one sample as they grow."""

    def __init__(self, tokenizer: Any, recipient: str):
        if recipient not in RECIPIENTS:
            raise ValueError(f"recipient is {shortened(recipient)}; it must be one of {', '.join(RECIPIENTS)}")
        self.tokenizer, self.recipient = tokenizer, recipient
        self.known = control(tokenizer)
        self.ids: list[int] = []
        self.labels: list[int] = []
        self.text = ""
        self.trained = False

    def rendered(self) -> Rendered:
        return Rendered(self.ids, self.labels, self.text)

    def control(self, name: str) -> None:
        self._append([self.known._asdict()["return_" if name == "return" else name]], f"<|{name}|>")

    def words(self, text: str) -> None:
        self._append(encode(self.tokenizer, text, self.known.forbidden), text)

    def message(self, header: str, content: str, end: str = "end", channel: str = "") -> None:
        """<|start|>header<|channel|>channel<|message|>content<|end|>; the channel section only where there is one."""
        self.control("start")
        self.words(header)
        if channel:
            self.control("channel")
            self.words(channel)
        self.control("message")
        self.words(content)
        self.control(end)

    def opening(self, told: conversation.Conversation, reasoning: str, date: str | None, system: bool) -> None:
        """Harmony's system message, and the developer's where there are instructions or tools."""
        functions = told.functions.values()
        if system:
            self.message("system", _system(reasoning, date, bool(functions)))
        parts = [f"# Instructions\n\n{told.instructions}"] if told.instructions else []
        if functions:
            parts.append(typescript.section(functions))
        if parts:
            self.message("developer", "\n\n".join(parts))

    def turn(self, turn: conversation.Turn, *, running: bool) -> None:
        self.message("user", turn.question)
        for step in turn.steps:
            self._action(step, running)
            if step.result is not None:
                self.result(step.result)

    def _action(self, step: Step, running: bool) -> None:
        self.control("start")
        self.words("assistant")  # so far the prompt's
        self.trained = running and step.train
        if running and step.thinking:
            self._before("analysis", step.thinking)
        if step.preamble:
            self._before("commentary", step.preamble)
        if step.function:
            self._call(step)
        else:
            self.control("channel")
            self.words("final")
            self.control("message")
            self.words(step.text)
            self.control("return" if running else "end")
        self.trained = False

    def _before(self, channel: str, text: str) -> None:
        """A message on the way to a call or an answer; the model itself opens the next one."""
        self.control("channel")
        self.words(channel)
        self.control("message")
        self.words(text)
        self.control("end")
        self.control("start")
        self.words("assistant")

    def _call(self, step: Step) -> None:
        to = f" to=functions.{step.function}"
        if self.recipient == "role":
            self.words(to)
        self.control("channel")
        self.words(f"commentary{to}" if self.recipient == "channel" else "commentary")
        if not step.takes_text:
            self.words(" ")
            self.control("constrain")
            self.words("json")
        self.control("message")
        self.words(step.text)
        self.control("call")

    def result(self, result: Result) -> None:
        self.message(f"functions.{result.function} to=assistant", result.text, channel="commentary")

    def _append(self, ids: Iterable[int], text: str) -> None:
        for id_ in ids:
            self.ids.append(id_)
            self.labels.append(id_ if self.trained else IGNORED)
        self.text += text


def _system(reasoning: str, date: str | None, with_functions: bool) -> str:
    """Harmony's system message, as openai-harmony writes it."""
    if reasoning not in REASONING:
        raise ValueError(f"reasoning is {shortened(reasoning)}; it must be one of {', '.join(REASONING)}")
    top = ["You are ChatGPT, a large language model trained by OpenAI.", "Knowledge cutoff: 2024-06"]
    if date is not None:
        top.append(f"Current date: {_day(date)}")
    channels = "# Valid channels: analysis, commentary, final. Channel must be included for every message."
    if with_functions:
        channels += "\nCalls to these tools must go to the commentary channel: 'functions'."
    return "\n\n".join(["\n".join(top), f"Reasoning: {reasoning}", channels])


def _day(date: Any) -> str:
    try:
        day = calendar_date.fromisoformat(date).isoformat()
    except (TypeError, ValueError):
        day = None
    if day is None or day != date:
        raise ValueError(f"date is {shortened(date)}; write it as 2025-01-31, or leave it out")
    return day
