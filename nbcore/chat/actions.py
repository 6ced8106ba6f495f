"""What a renderer makes of a row, and what it reads out of a model's tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from nbcore.chat import tools as offered
from nbcore.chat.template import IGNORED


class Rendered(NamedTuple):
    """One sample: the conversation up to the end of one turn, of which that turn's actions are trained."""

    ids: list[int]
    labels: list[int]
    """The id where it is trained, elsewhere -100; as long as `ids`."""
    text: str
    """What the ids say, to be read: control tokens and content that spells one look alike."""


@dataclass(frozen=True)
class Call:
    """A function is called, and its arguments fit it."""

    name: str
    arguments: Any
    """A dict; or the text, of a function that takes text."""
    raw: str
    """The arguments as the model wrote them."""


@dataclass(frozen=True)
class Preamble:
    """Words to the user, such as a plan, after which the model goes on."""

    text: str


@dataclass(frozen=True)
class Final:
    """The answer."""

    text: str


@dataclass(frozen=True)
class Truncated:
    """The tokens end before the action does; `text` is what there is of its last message."""

    text: str = ""


@dataclass(frozen=True)
class Malformed:
    """No legal action: nothing was called, and nothing was answered."""

    reason: str
    """What is wrong, in a line that a model or a person can be answered with."""
    text: str = ""
    """What stood there, control tokens spelt out."""


Action = Call | Preamble | Final | Truncated | Malformed


class Parsed(NamedTuple):
    """What ids say."""

    messages: list[dict[str, Any]]
    """In the form of rows. Of an assistant: content, and thinking, tool_calls and preamble where there are any. A
    message that is no legal one is not among them; a call of an unknown function, or one whose arguments do not fit,
    is, so that it can be answered."""
    action: Action
    """What the assistant did last."""


def call_message(name: str, written: str) -> dict[str, Any]:
    """A call as a row has it."""
    call = {"type": "function", "function": {"name": name, "arguments": written}}
    return {"role": "assistant", "content": "", "tool_calls": [call]}


def called(functions: dict[str, offered.Function], name: str, written: str) -> Call | Malformed:
    """The call of a function by the arguments that a model wrote; Malformed where there is no such function, or where
    they do not fit it."""
    if name not in functions:
        return Malformed(f"{name[:80]!r} is no function; there are {', '.join(functions) or 'none'}", written)
    try:
        return Call(name, offered.arguments(functions[name], written), written)
    except offered.BadArguments as error:
        return Malformed(str(error), written)


def cut(sample: Rendered, length: int, *, within: bool) -> Rendered:
    """The beginning of a sample, at most `length` tokens; where an action may not be cut `within`, up to the last that
    ends there, and empty where none does."""
    end = length
    if not within:
        following = [*sample.labels[1:], IGNORED]
        ends = [
            place + 1
            for place, (label, after) in enumerate(zip(sample.labels, following, strict=True))
            if label != IGNORED and after == IGNORED and place < length
        ]
        end = ends[-1] if ends else 0
    return Rendered(sample.ids[:end], sample.labels[:end], sample.text)
