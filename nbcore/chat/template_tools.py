"""Rows with tools through a Hugging Face chat template, with a mask that re-rendered prefixes prove.

What the template makes of the messages up to an action, with its generation prompt, is what the model sees; what it
adds with the action is what the model must emit. A template that leaves out tools, calls, results or reasoning is
refused: the model would learn to act on what it never sees.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from nbcore.chat import steps as conversation
from nbcore.chat import tools as offered
from nbcore.chat.actions import Rendered
from nbcore.chat.frame import REMEDY, frame, rendered, with_reasoning
from nbcore.chat.template import IGNORED, refuse_control_tokens, refuse_left_out

TEXT = "text"  # the one argument of a function that takes text: templates write calls as JSON


class _Piece(NamedTuple):
    text: str
    trained: bool


def render(tokenizer: Any, row: Mapping[str, Any]) -> list[Rendered]:
    """The samples of a row, as harmony.render makes them: one for each turn of the user; one for each action where the
    template rewrites what stands before the next action, as those do that drop earlier reasoning.

    Raises ForgedToken for content that spells a control token, and ValueError, naming the template, where it cannot
    show tools, or where what it makes of an action does not continue its own prompt.
    """
    told = conversation.read(row)
    _refuse_what_is_lost(tokenizer, told)
    _refuse_forged(tokenizer, row)
    return [sample for number in range(len(told.turns)) for sample in _turn(tokenizer, told, number)]


def prompt(tokenizer: Any, row: Mapping[str, Any]) -> list[int]:
    """Ids to generate the next action from: those of the actions before it stay as they were sampled."""
    told = conversation.read(row)
    _refuse_what_is_lost(tokenizer, told)
    _refuse_forged(tokenizer, row)
    last = len(told.turns) - 1
    place = len(told.turns[last].steps)
    pieces = _pieces(tokenizer, told, last, place)
    before = seen_before(tokenizer, told, last, place)
    if pieces is None or not before.startswith("".join(piece.text for piece in pieces)):
        return _encode(tokenizer, before)
    pieces.append(_Piece(before[sum(len(piece.text) for piece in pieces) :], False))
    return [id_ for piece in pieces for id_ in _encode(tokenizer, piece.text)]


def _refuse_what_is_lost(tokenizer: Any, told: conversation.Conversation) -> None:
    """Raises ValueError where the template would leave out a part of the conversation."""
    refuse_left_out(tokenizer, [{"role": "system", "content": told.instructions}])
    steps = [step for turn in told.turns for step in turn.steps]
    has = {
        "tools": bool(told.functions),
        "tool_calls": any(step.function for step in steps),
        "thinking": any(step.thinking for step in steps),
        "content beside tool_calls": any(step.preamble and step.function for step in steps),
        "preamble": any(step.preamble and not step.function for step in steps),
    }
    lost = lost_by(tokenizer, str(tokenizer.chat_template)) | {"preamble"}  # a key of Harmony's rows alone
    for what in has:
        if has[what] and what in lost:
            raise ValueError(
                f"messages: {what!r} cannot be rendered for training by the chat template of "
                f"{tokenizer.name_or_path!r}, which leaves it out; take it out of the rows, or {REMEDY}"
            )


@functools.lru_cache(maxsize=16)
def lost_by(tokenizer: Any, _template: str) -> frozenset[str]:
    """What of a conversation with tools a tokenizer's chat template does not write, tried on a known one: "tools",
    "tool_calls" (or their results), "thinking", "content beside tool_calls"."""
    words = {
        "tools": ("nbcore_function", "nbcore-description", "nbcore_argument"),
        "tool_calls": ("nbcore_function", "nbcore-value", "nbcore-result"),
        "thinking": ("nbcore-thinking",),
        "content beside tool_calls": ("nbcore-preamble",),
    }
    schema = {"type": "object", "properties": {"nbcore_argument": {"type": "string"}}, "required": ["nbcore_argument"]}
    functions = {"nbcore_function": offered.Function("nbcore_function", "nbcore-description", schema)}
    call = conversation.Step(
        *("", "", "nbcore_function", False, '{"nbcore_argument": "nbcore-value"}'),
        conversation.Result("nbcore_function", "nbcore-result"),
        True,
    )
    answer = conversation.Step("", "", "", False, "answer", None, True)
    lost = set()
    for what, wanted in words.items():
        steps = [call, answer]
        if what == "tools":
            steps = [answer]
        elif what == "thinking":
            steps[0] = call._replace(thinking="nbcore-thinking")
        elif what == "content beside tool_calls":
            steps[0] = call._replace(preamble="nbcore-preamble")
        told = conversation.Conversation("", functions, [conversation.Turn("question", steps)])
        messages, tools = _messages(told, 0, len(steps))
        try:
            text = rendered(tokenizer, messages, tools=tools)
        except (ValueError, TypeError, KeyError, AttributeError):  # what a template does with what it does not expect
            lost.add(what)
            continue
        if what == "tool_calls":  # the name stands among the tools, too
            text = text.rpartition("question")[2]
        if not all(word in text for word in wanted):
            lost.add(what)
    return frozenset(lost)


def _turn(tokenizer: Any, told: conversation.Conversation, number: int) -> list[Rendered]:
    steps = told.turns[number].steps
    pieces = _pieces(tokenizer, told, number, len(steps))
    if pieces is not None:
        return [_sample(tokenizer, pieces)] if pieces else []
    samples = []
    for place, step in enumerate(steps):
        before = seen_before(tokenizer, told, number, place)
        action = _Piece(emitted(tokenizer, told, number, place), step.train)
        samples.append(_sample(tokenizer, [_Piece(before, False), action]))
    return samples


def _pieces(tokenizer: Any, told: conversation.Conversation, number: int, count: int) -> list[_Piece] | None:
    """The first `count` actions of a turn and what stands before each; None where the template rewrites that later."""
    pieces: list[_Piece] = []
    text = ""
    for place in range(count):
        before = seen_before(tokenizer, told, number, place)
        if not before.startswith(text):
            return None
        action = emitted(tokenizer, told, number, place)
        pieces += [_Piece(before[len(text) :], False), _Piece(action, told.turns[number].steps[place].train)]
        text = before + action
    return pieces


def seen_before(tokenizer: Any, told: conversation.Conversation, number: int, place: int) -> str:
    """What the model sees before the action at `place` of a turn."""
    messages, tools = _messages(told, number, place)
    return rendered(tokenizer, messages, tools=tools, add_generation_prompt=True)


def emitted(tokenizer: Any, told: conversation.Conversation, number: int, place: int) -> str:
    """What the model must emit there, the token that ends its turn included."""
    before = seen_before(tokenizer, told, number, place)
    messages, tools = _messages(told, number, place + 1, without_last_result=True)
    whole = rendered(tokenizer, messages, tools=tools)
    if not whole.startswith(before):
        raise ValueError(
            f"chat template of {tokenizer.name_or_path!r}: an action does not continue its own generation prompt, so "
            f"its mask could not be trusted; {REMEDY}"
        )
    added, written = whole[len(before) :], frame(tokenizer).end
    end = tokenizer.convert_ids_to_tokens(written) if written is not None else None
    if end is None or end not in added:
        raise ValueError(
            f"chat template of {tokenizer.name_or_path!r}: no token ends the action of the assistant; {REMEDY}"
        )
    return added.partition(end)[0] + end


def _sample(tokenizer: Any, pieces: list[_Piece]) -> Rendered:
    ids: list[int] = []
    labels: list[int] = []
    for piece in pieces:
        made = _encode(tokenizer, piece.text)
        ids += made
        labels += made if piece.trained else [IGNORED for _ in made]
    return Rendered(ids, labels, "".join(piece.text for piece in pieces))


def _encode(tokenizer: Any, text: str) -> list[int]:
    return tokenizer.encode(text, add_special_tokens=False)


def _messages(
    told: conversation.Conversation, number: int, count: int, *, without_last_result: bool = False
) -> tuple[list[dict], list[dict] | None]:
    """(messages, tools) as chat templates take them, up to the first `count` steps of a turn."""
    told_how = bool(told.instructions.strip())  # many exports write a blank system message for none
    messages = [{"role": "system", "content": told.instructions}] if told_how else []
    for place, turn in enumerate(told.turns[: number + 1]):
        messages.append({"role": "user", "content": turn.question})
        for step in turn.steps if place < number else turn.steps[:count]:
            id_ = f"call{len(messages):05d}"  # nine letters and digits, as Mistral's templates want it
            messages.append(_assistant(step, id_))
            if step.result is not None:
                result = {"role": "tool", "name": step.result.function, "tool_call_id": id_}
                messages.append(result | {"content": step.result.text})
    if without_last_result and messages[-1]["role"] == "tool":
        messages.pop()
    tools = [_tool(function) for function in told.functions.values()]
    return messages, tools or None


def _assistant(step: conversation.Step, id_: str) -> dict[str, Any]:
    thinking = with_reasoning({}, step.thinking) if step.thinking else {}
    if not step.function:
        return {"role": "assistant", "content": step.text, **thinking}
    arguments: Any = {TEXT: step.text}
    if not step.takes_text:
        try:
            arguments = json.loads(step.text)
        except ValueError:
            arguments = None
    if not isinstance(arguments, dict):
        raise ValueError(
            f"messages: arguments of a call of {step.function!r} are {step.text[:60]!r}; a chat template needs a JSON "
            "object there"
        )
    call = {"type": "function", "id": id_, "function": {"name": step.function, "arguments": arguments}}
    return {"role": "assistant", "content": step.preamble, "tool_calls": [call], **thinking}


def _tool(function: offered.Function) -> dict[str, Any]:
    parameters = function.parameters if function.parameters is not None else offered.NOTHING
    if function.takes_text:
        parameters = {"type": "object", "properties": {TEXT: dict(parameters)}, "required": [TEXT]}
    described = {"name": function.name, "description": function.description, "parameters": parameters}
    return {"type": "function", "function": described}


def _refuse_forged(tokenizer: Any, row: Mapping[str, Any]) -> None:
    """Raises ForgedToken where any text of a row, those of its tools among them, spells a control token."""
    whole = {"messages": row["messages"], "tools": row.get("tools") or []}
    for field, value in whole.items():
        for text in _strings(value):
            refuse_control_tokens(tokenizer, [{"role": field, "text": text}])


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        return [text for key, item in value.items() for text in [*_strings(key), *_strings(item)]]
    if isinstance(value, list):
        return [text for item in value for text in _strings(item)]
    return []
