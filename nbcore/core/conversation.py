"""What a conversation to train on must be, and what is said of one that is not."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from typing import Any

FOLLOWS = {  # the role of a message -> the roles that may come after it; None: before the first
    None: ("system", "developer", "user"),
    "system": ("user",),
    "developer": ("user",),
    "user": ("assistant",),
    "assistant": ("user", "tool"),
    "tool": ("assistant", "tool"),
}
ORDER = "a conversation is system (if any), user, assistant, user, assistant and so on"
_short = reprlib.Repr()
_short.maxstring = _short.maxother = 60


class BadRecord(ValueError):
    """A record that is of no use. The message names field, value and remedy; `reason` is a code to count by."""

    def __init__(self, message: str, reason: str):
        super().__init__(message)
        self.reason = reason


def shortened(value: Any) -> str:
    """A value as an error shows it: one line, however long it is."""
    return _short.repr(value)


def check_text(value: Mapping[str, Any], field: str, *, optional: bool = False, name: str | None = None) -> None:
    """Raises BadRecord where a field is no text that a UTF-8 file can hold."""
    text, name = value.get(field), name or field
    if optional and text is None:
        return
    if not isinstance(text, str):
        left_out = ", or left out" if optional else ""
        reason = "missing_content" if text is None else "content_not_text"
        raise BadRecord(f"{name!r} is {shortened(text)}; it must be text{left_out}", reason)
    if "\0" in text:
        raise BadRecord(f"{name!r} holds a NUL character at {text.index(chr(0))}; take it out", "bad_characters")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BadRecord(
            f"{name!r} holds half of a surrogate pair, {text[error.start]!r} at {error.start}, which no file can hold; "
            "take it out",
            "bad_characters",
        ) from None


def check_messages(messages: Any) -> None:
    """Raises BadRecord where messages are no conversation that ends with an answer to train on."""
    if not isinstance(messages, list) or not messages:
        empty = messages is None or messages == []
        raise BadRecord(
            f"'messages' is {shortened(messages)}; it must be a list of {{role, content}}",
            "missing_content" if empty else "unknown_shape",
        )
    before = None
    for number, message in enumerate(messages):
        name = f"messages[{number}]"
        if not isinstance(message, Mapping):
            raise BadRecord(
                f"'{name}' is {shortened(message)}; it must be a mapping of role and content", "unknown_shape"
            )
        _check_role(message.get("role"), before, name)
        _check_content(message, name)
        before = message["role"]
    if before != "assistant":
        raise BadRecord(
            f"'messages' ends with the role {before!r}; the last message must be the assistant's, which is trained",
            "ends_without_assistant",
        )


def check_tools(tools: Any) -> None:
    """Raises BadRecord where the tools that a conversation offers are no list of mappings."""
    if not isinstance(tools, list) or not all(isinstance(tool, Mapping) for tool in tools):
        raise BadRecord(
            f"'tools' is {shortened(tools)}; it must be a list of mappings that describe tools, or left out",
            "bad_tools",
        )


def _check_role(role: Any, before: str | None, name: str) -> None:
    if not isinstance(role, str) or role not in FOLLOWS:
        meant = {"human": "user", "gpt": "assistant", "model": "assistant", "bot": "assistant"}.get(str(role))
        remedy = f"write {meant}" if meant else f"it must be one of {', '.join(filter(None, FOLLOWS))}"
        raise BadRecord(f"'{name}.role' is {shortened(role)}; {remedy}", "unknown_role")
    if role in FOLLOWS[before]:
        return
    place = f"after {before!r}" if before else "in the first message"
    reason = "wrong_order"
    if role == "system":
        reason = "system_not_first"
    elif role == before == "user":
        reason = "two_user_messages"
    elif role == "assistant" and before in (None, "system"):
        reason = "begins_with_assistant"
    raise BadRecord(f"'{name}.role' is {role!r} {place}; {ORDER}", reason)


def _check_content(message: Mapping[str, Any], name: str) -> None:
    role, calls = message["role"], message.get("tool_calls")
    if role == "assistant" and calls:
        _check_calls(calls, name)
        check_text(message, "content", name=f"{name}.content", optional=True)
        return
    check_text(message, "content", name=f"{name}.content")
    # An empty result of a tool says something. An empty system message is what many exports write for none.
    if role in ("user", "assistant") and not message["content"].strip():
        what = "an empty answer teaches nothing" if role == "assistant" else "it asks nothing"
        raise BadRecord(f"'{name}.content' is blank; {what}: fill it, or drop the line", "blank_content")


def _check_calls(calls: Any, name: str) -> None:
    for call in calls if isinstance(calls, list) else [calls]:
        function = call.get("function", call) if isinstance(call, Mapping) else None
        if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
            raise BadRecord(
                f"'{name}.tool_calls' is {shortened(calls)}; it must be a list of "
                '{"function": {"name": …, "arguments": …}}',
                "bad_tool_calls",
            )
    if not isinstance(calls, list):
        raise BadRecord(f"'{name}.tool_calls' is {shortened(calls)}; it must be a list", "bad_tool_calls")
