"""A row taken apart into turns of the user and the assistant's steps in each: one call with its result, or the answer.

Formats write one call at a time, so calls made side by side are put one after the other here, and none is lost.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from nbcore.chat import tools as offered
from nbcore.chat.frame import REASONING
from nbcore.core.conversation import shortened

ROLES = ("system", "developer", "user", "assistant", "tool")


class Result(NamedTuple):
    """What a function gave back."""

    function: str
    text: str


class Step(NamedTuple):
    """What the assistant does before somebody else speaks, and the result if it is a call."""

    thinking: str
    preamble: str
    """Words to the user before a call or an answer."""
    function: str
    """The name of the function that is called; empty where the step is the answer."""
    takes_text: bool
    """The call is plain text, not JSON."""
    text: str
    """The arguments as they are written, or the answer."""
    result: Result | None
    train: bool
    """Whether it carries loss."""


class Turn(NamedTuple):
    """A question and all that follows on it, up to the next one."""

    question: str
    steps: list[Step]


class Conversation(NamedTuple):
    """A row as all formats tell it."""

    instructions: str
    """The developer's; empty where there are none."""
    functions: dict[str, offered.Function]
    turns: list[Turn]


def messages_of(row: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The messages of a row, each with a role that is known and a text, in any order. Raises ValueError as `read`."""
    messages = row.get("messages") if isinstance(row, Mapping) else None
    if not isinstance(messages, list) or not messages:
        raise ValueError(f"'messages' is {shortened(messages)}; it must be a list of {{role, content}}")
    for place, message in enumerate(messages):
        _role(message, place)
        calls = message["role"] == "assistant" and bool(message.get("tool_calls"))
        _text(message, "content", place, optional=calls)
    return messages


def read(row: Mapping[str, Any]) -> Conversation:
    """The conversation of a row, which may be in the middle of a turn. Raises ValueError with field, value, remedy."""
    messages = messages_of(row)
    functions = offered.functions(row.get("tools"))
    instructions = ""
    turns: list[Turn] = []
    place = 0
    while place < len(messages):
        role = messages[place]["role"]
        if role in ("system", "developer"):
            if place:
                raise ValueError(f"messages[{place}].role is {role!r}; instructions are one message, the first")
            instructions = messages[place]["content"]
            place += 1
        elif role == "user":
            turns.append(Turn(messages[place]["content"], []))
            place += 1
        elif role == "tool":
            raise ValueError(f"messages[{place}] is the result of a call, but no call came before; drop it")
        elif not turns:
            raise ValueError(f"messages[{place}].role is 'assistant' before the user asked; begin with the user")
        elif turns[-1].steps and turns[-1].steps[-1].result is None:
            before = "its answer has ended the turn; make one message of the two, or drop one"
            if called := turns[-1].steps[-1].function:
                before = f"the call of {called!r} has no result; add the message of the role tool"
            raise ValueError(f"messages[{place}].role is 'assistant' again, and {before}")
        else:
            end = place + 1
            while end < len(messages) and messages[end]["role"] == "tool":
                end += 1
            turns[-1].steps.extend(_steps(messages, place, end, functions))
            place = end
    if not turns:
        raise ValueError("messages: there is none of the user; a conversation needs a question")
    return Conversation(instructions, functions, turns)


def _steps(messages: list, place: int, end: int, functions: dict[str, offered.Function]) -> list[Step]:
    """The steps of the assistant's message at `place`, whose results stand up to `end`."""
    message = messages[place]
    thinking = next(filter(None, (_text(message, name, place, optional=True) for name in REASONING)), "")
    train = message.get("train")
    train = True if train is None else train  # a table has the column in every message, empty in most
    if not isinstance(train, bool):
        raise ValueError(f"messages[{place}].train is {shortened(train)}; it must be true or false")
    calls = message.get("tool_calls") or []
    if not isinstance(calls, list):
        raise ValueError(f"messages[{place}].tool_calls is {shortened(calls)}; it must be a list of calls")
    content = message.get("content") or ""
    if not calls:
        if end > place + 1:
            raise ValueError(f"messages[{place + 1}] is the result of a call, but no call came before; drop it")
        return [Step(thinking, _text(message, "preamble", place, optional=True), "", False, content, None, train)]
    made = [_call(call, f"messages[{place}].tool_calls[{number}]") for number, call in enumerate(calls)]
    results = _results(made, messages, place, end)
    steps = []
    for number, ((_, name, written), result) in enumerate(zip(made, results, strict=True)):
        takes_text = name in functions and functions[name].takes_text
        first = number == 0
        steps.append(
            Step(thinking if first else "", content if first else "", name, takes_text, written, result, train)
        )
    return steps


def _call(call: Any, field: str) -> tuple[Any, str, str]:
    """(id or None, name, arguments as text) of a call."""
    function = call.get("function", call) if isinstance(call, Mapping) else None
    if not isinstance(function, Mapping):
        raise ValueError(f"{field} is {shortened(call)}; it must be {{'function': {{'name', 'arguments'}}}}")
    name, written = function.get("name"), function.get("arguments")
    offered.check_name(name, f"{field}.function.name")
    if written is None:
        written = {}
    if isinstance(written, Mapping):
        try:
            written = json.dumps(written, ensure_ascii=False, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise ValueError(
                f"{field}.function.arguments is {shortened(written)}, which is no JSON ({error}); write it as JSON can"
            ) from None
    if not isinstance(written, str):
        raise ValueError(f"{field}.function.arguments is {shortened(written)}; it must be a mapping, or JSON as text")
    return call.get("id"), name, offered.whole(written, f"{field}.function.arguments")


def _results(calls: list[tuple[Any, str, str]], messages: list, place: int, end: int) -> list[Result | None]:
    """The result of each call: the one that names its id, else its function, else the next one that names none."""
    given = {number: messages[number] for number in range(place + 1, end)}
    if not given:  # the row ends here, or the user spoke instead
        return [None for _ in calls]
    ids, names = [id_ for id_, _, _ in calls], [name for _, name, _ in calls]
    for number, result in given.items():
        id_, name = result.get("tool_call_id"), _text(result, "name", number, optional=True)
        for field, value, known in (("tool_call_id", id_, ids), ("name", "" if id_ and id_ in ids else name, names)):
            if value and None not in known and value not in known:
                raise ValueError(
                    f"messages[{number}].{field} is {shortened(value)}, which no call before it has; write that of its "
                    "call, or leave it out"
                )
    found: list[Result | None] = []
    for number, (id_, name, _) in enumerate(calls):
        by_id = [place for place, result in given.items() if id_ is not None and result.get("tool_call_id") == id_]
        unmarked = {place: result for place, result in given.items() if not _is_of_another(result, id_, calls)}
        by_name = [place for place, result in unmarked.items() if result.get("name") == name]
        unnamed = [place for place, result in unmarked.items() if not result.get("name")]
        match = next(iter([*by_id, *by_name, *unnamed]), None)
        if match is None:
            raise ValueError(
                f"messages[{place}].tool_calls[{number}] of {name!r} has no result, while other calls beside it have; "
                "add the message of the role tool, or drop the call"
            )
        found.append(Result(name, given.pop(match)["content"]))
    if given:
        left = next(iter(given))
        raise ValueError(f"messages[{left}] is the result of no call before it; name its tool_call_id, or drop it")
    return found


def _is_of_another(result: Mapping[str, Any], id_: Any, calls: list[tuple[Any, str, str]]) -> bool:
    named = result.get("tool_call_id")
    return named is not None and named != id_ and any(named == other for other, _, _ in calls)


def _role(message: Any, place: int) -> str:
    role = message.get("role") if isinstance(message, Mapping) else None
    if role not in ROLES:
        raise ValueError(f"messages[{place}] is {shortened(message)}; its role must be one of {', '.join(ROLES)}")
    return role


def _text(message: Mapping[str, Any], field: str, place: int, *, optional: bool = False) -> str:
    text = message.get(field)
    if text is None and optional:
        return ""
    if not isinstance(text, str):
        raise ValueError(f"messages[{place}].{field} is {shortened(text)}; it must be text")
    return offered.whole(text, f"messages[{place}].{field}")
