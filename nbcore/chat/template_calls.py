"""What a model did, read back from the text that its chat template writes calls in.

How a call looks is tried on a known one, as everything else about a template is. Read are the calls that hold one JSON
object with name and arguments (Qwen 2.5 and 3, Llama 3, SmolLM, Hermes); for others a template is refused.
"""

from __future__ import annotations

import functools
import json
from typing import Any, NamedTuple

from nbcore.chat import steps as conversation
from nbcore.chat import template, template_tools
from nbcore.chat import tools as offered
from nbcore.chat.actions import Action, Final, Malformed, Parsed, Truncated, call_message, called
from nbcore.chat.frame import REMEDY, control_tokens, frame

_NAME, _ARGUMENTS = "nbcore_function", {"nbcore_argument": "nbcore-value"}
_MARK = "nbcore-emitted"
_PYTHON = "<|python_tag|>"  # with which Llama may begin a call


class _Form(NamedTuple):
    opening: str
    """What stands before the JSON object; empty where nothing does."""
    closing: str
    name: str
    """The key under which it has the function's name."""
    arguments: str


def parse(tokenizer: Any, ids: list[int], tools: list[dict] | None = None, stops: list[int] | None = None) -> Parsed:
    """(messages, action) of what a model emitted after the prompt, as harmony.parse gives them; never raises for ids.
    It ended at one of the `stops`, as in template.read: a publisher may end calls otherwise than answers (Llama 3).

    An answer that only begins like a call is Malformed, and so are several calls in one message: one at a time can be
    answered. Raises ValueError for a template whose calls are no JSON.
    """
    functions = offered.functions(tools)
    form = _form(tokenizer, str(tokenizer.chat_template)) if functions else None
    turn = template.read(tokenizer, ids, stops)
    text, thinking = turn.text, {"thinking": turn.reasoning} if turn.reasoning else {}
    begin = _begin(form, text) if form else -1
    if begin < 0:
        action = Truncated(text) if turn.truncated else Final(text)
        return Parsed([{"role": "assistant", "content": text, **thinking}], action)
    preamble, written = text[:begin].strip(), text[begin:].removeprefix(_PYTHON).removeprefix(form.opening).lstrip()
    if turn.truncated:
        return Parsed([{"role": "assistant", "content": preamble, **thinking}], Truncated(written))
    message, action = _call(form, functions, written)
    messages = [message | {"content": preamble, **thinking}] if message else []
    return Parsed(messages, action)


def reply(
    tokenizer: Any,
    emitted: list[int],
    tools: list[dict] | None,
    text: str,
    function: str = "",
    stops: list[int] | None = None,
) -> list[int]:
    """Ids between what a model emitted and its next action: what the template writes between any call of `function` (or
    without one, any answer) and the generation prompt, with `text` as its result (or as the user's next message).

    What was emitted stays as it was sampled. A text that spells a control token gets a space within it. Raises
    ValueError for a template that no tools can be used with.
    """
    functions, around = offered.functions(tools), frame(tokenizer)
    for token in control_tokens(tokenizer):
        text = text.replace(token, f"{token[:1]} {token[1:]}") if len(token.strip()) > 1 else text
    if function:
        takes_text = functions[function].takes_text
        written = _MARK if takes_text else json.dumps({"argument": _MARK})
        step = conversation.Step("", "", function, takes_text, written, conversation.Result(function, text), True)
        turns = [conversation.Turn("question", [step])]
    else:
        answer = conversation.Step("", "", "", False, _MARK, None, True)
        turns = [conversation.Turn("question", [answer]), conversation.Turn(text, [])]
    told = conversation.Conversation("", functions, turns)
    whole = template_tools.seen_before(tokenizer, told, len(turns) - 1, len(turns[-1].steps))
    end = tokenizer.convert_ids_to_tokens(around.end) if around.end is not None else ""
    _, found, tail = whole.partition(_MARK)[2].partition(end) if end else ("", "", "")
    if not found:
        raise ValueError(
            f"chat template of {tokenizer.name_or_path!r}: no token ends a call before its result; {REMEDY}"
        )
    ends = template.stop_ids(tokenizer) if stops is None else stops
    closed = [] if emitted and emitted[-1] in ends else [around.end]
    return closed + tokenizer.encode(tail, add_special_tokens=False)


def _begin(form: _Form, text: str) -> int:
    """Where a call begins; -1 in an answer."""
    if form.opening:
        return text.find(form.opening)
    bare = text.strip().removeprefix(_PYTHON).lstrip()
    return 0 if bare.startswith("{") and f'"{form.name}"' in bare else -1


def _call(form: _Form, functions: dict[str, offered.Function], written: str) -> tuple[dict[str, Any] | None, Action]:
    """(message, action) of the JSON of a call and what stands behind it; no message where it is none."""
    try:
        made, end = json.JSONDecoder().raw_decode(written)
    except (ValueError, RecursionError) as error:
        return None, Malformed(f"a call that is no JSON: {' '.join(str(error).split())}", written)
    if not isinstance(made, dict) or not isinstance(made.get(form.name), str):
        return None, Malformed(f"a call without {form.name!r}; it is an object of that and {form.arguments!r}", written)
    name, arguments = made[form.name], made.get(form.arguments, {})
    if isinstance(arguments, str):  # some models quote the object once more
        text = arguments
    elif name in functions and functions[name].takes_text and isinstance(arguments, dict):
        text = arguments.get(template_tools.TEXT) if len(arguments) == 1 else None
    else:
        text = json.dumps(arguments, ensure_ascii=False)
    if not isinstance(text, str):
        return None, Malformed(f"a call of {name[:80]!r} without {template_tools.TEXT!r}, or with more", written)
    message, rest = call_message(name, text), written[end:].strip().removeprefix(form.closing).strip()
    if rest:
        return message, Malformed("more than one call, or words behind it: make one call, and nothing after it", rest)
    return message, called(functions, name, text)


@functools.lru_cache(maxsize=16)
def _form(tokenizer: Any, _template: str) -> _Form:
    schema = {"type": "object", "properties": {"nbcore_argument": {"type": "string"}}}
    functions = {_NAME: offered.Function(_NAME, "nbcore-description", schema)}
    step = conversation.Step("", "", _NAME, False, json.dumps(_ARGUMENTS), None, True)
    told = conversation.Conversation("", functions, [conversation.Turn("question", [step])])
    ids = tokenizer.encode(template_tools.emitted(tokenizer, told, 0, 0), add_special_tokens=False)
    text = template.read(tokenizer, ids).text
    start = text.find("{")
    try:
        made, end = json.JSONDecoder().raw_decode(text[start:]) if start >= 0 else ({}, 0)
    except ValueError:
        made, end = {}, 0
    names = [key for key, value in made.items() if value == _NAME]
    arguments = [key for key, value in made.items() if value in (_ARGUMENTS, json.dumps(_ARGUMENTS))]
    if not names or not arguments:
        raise ValueError(
            f"chat template of {tokenizer.name_or_path!r}: it writes no calls that hold a JSON object of name and "
            f"arguments, so that calls cannot be read back; {REMEDY}"
        )
    return _Form(text[:start].strip(), text[start + end :].strip(), names[0], arguments[0])
