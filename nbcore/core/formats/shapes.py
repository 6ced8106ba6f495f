"""From a mapping in one of the shapes that people bring to a Row, a Document or a Task."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from nbcore.core import lines
from nbcore.core.conversation import BadRecord, shortened
from nbcore.core.formats import benchmarks
from nbcore.core.records import Document, Row, Task

QUESTION = ("instruction", "prompt", "question", "query")
ANSWER = ("output", "response", "completion", "answer")
INPUT = ("input", "context")
CHAT = ("messages", "conversations", "conversation")
TEXT = ("text", "content")
ROLES = {  # in `from` of ShareGPT and its many relatives
    **dict.fromkeys(("human", "user", "prompter"), "user"),
    **dict.fromkeys(("gpt", "assistant", "chatgpt", "model", "bot", "bing", "bard", "function_call"), "assistant"),
    "system": "system",
    **dict.fromkeys(("tool", "function", "function_response", "observation"), "tool"),
}
EXPECTED = {
    "rows": "instruction and output, prompt and completion, messages, or conversations",
    "documents": "text",
    "tasks": "id, prompt and tests",
}


def shape(record: Mapping[str, Any]) -> str | None:
    """The name of a mapping's format: task, messages, sharegpt, alpaca, prompt_completion or document."""
    if ("prompt" in record and "tests" in record) or benchmarks.benchmark(record):
        return "task"
    if chat := _first(record, CHAT):
        value = record[chat]
        turns = [turn for turn in value if isinstance(turn, Mapping)] if isinstance(value, list) else []
        from_value = any("from" in turn for turn in turns) or (not turns and chat != "messages")
        return "sharegpt" if from_value else "messages"
    if _question(record) and _first(record, ANSWER):
        return "alpaca" if "instruction" in record else "prompt_completion"
    return "document" if _first(record, TEXT) else None


def fits(record: Mapping[str, Any], kind: str) -> bool:
    """Whether a mapping has the fields of a kind of record: "rows", "documents" or "tasks"."""
    if kind == "rows":
        return bool(_first(record, CHAT) or (_question(record) and _first(record, ANSWER)))
    if kind == "documents":
        return bool(_first(record, TEXT))
    return ("prompt" in record and "tests" in record) or benchmarks.benchmark(record) is not None


def partly(record: Mapping[str, Any], kind: str) -> bool:
    """Whether a mapping has some field of a kind of record, so that it is one with something missing."""
    if kind == "rows":
        return bool(_first(record, (*QUESTION, *ANSWER)))
    return kind == "tasks" and ("prompt" in record or "tests" in record)


def converted(record: Any, kind: str) -> Row | Document | Task:
    """The record of a kind that a mapping stands for. Raises BadRecord."""
    if not isinstance(record, Mapping):
        raise BadRecord(f"{shortened(record)} is no mapping; a record has {EXPECTED[kind]}", "no_object")
    if kind == "tasks":
        if benchmarks.benchmark(record):
            record = benchmarks.task(record)
        return Task.parse(_with_id(record, record))
    if kind == "documents":
        return _document(record)
    return _row(record)


def document(text: str, name: str) -> Document:
    """A file of plain text as a document. Raises BadRecord."""
    return _checked_document({"id": digest(text), "text": text, "meta": {"path": name}})


def digest(content: Any) -> str:
    """An id made of the content: it stays the same wherever in a file the record stands."""
    text = json.dumps(content, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _row(record: Mapping[str, Any]) -> Row:
    row: dict[str, Any] = {}
    if chat := _first(record, CHAT):
        messages = _messages(_unpacked(record[chat]))
        # Whatever else a line of `messages` has stays, as `meta` does: it is our own format.
        row = dict(record) if chat == "messages" else {}
        messages = _behind_system(record.get("system"), messages) if chat != "messages" else messages
    else:
        messages = _asked_and_answered(record)
    for name in ("tools", "meta"):
        if record.get(name) is not None:
            row[name] = _unpacked(record[name]) if name == "tools" else record[name]
        else:
            row.pop(name, None)
    row = _with_id({**row, "messages": messages}, {"messages": messages, "tools": row.get("tools")}, record.get("id"))
    return Row.parse(row)


def _asked_and_answered(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    question, answer = _question(record), _first(record, ANSWER)
    if not question and not answer:
        names = ", ".join(map(str, list(record)[:8]))
        raise BadRecord(f"its fields are {shortened(names)}; a row has {EXPECTED['rows']}", "unknown_shape")
    if not question or not answer:
        missing = "an answer (output, response …)" if question else "a question (instruction, prompt …)"
        raise BadRecord(f"{missing} is missing", "missing_content")
    asked, answered = record[question], record[answer]
    if isinstance(asked, list) and isinstance(answered, list):  # TRL's conversational prompt and completion
        return _messages([*asked, *answered])
    for name, text in ((question, asked), (answer, answered)):
        if not isinstance(text, str):
            reason = "missing_content" if text is None else "content_not_text"
            raise BadRecord(f"{name!r} is {shortened(text)}; it must be text", reason)
    given = _first(record, INPUT)
    if given and given != question and record[given] is not None:
        if not isinstance(record[given], str):
            raise BadRecord(f"{given!r} is {shortened(record[given])}; it must be text", "content_not_text")
        asked = f"{asked}\n\n{record[given]}" if record[given].strip() else asked
    turns = [{"role": "user", "content": asked}, {"role": "assistant", "content": answered}]
    return [*_before(record), *turns]


def _before(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The system message and the earlier turns that some Alpaca files have."""
    system, history = record.get("system"), _unpacked(record.get("history") or [])
    messages = [{"role": "system", "content": system}] if system else []
    for turn in history if isinstance(history, list) else [history]:
        if not isinstance(turn, list) or len(turn) != 2:
            raise BadRecord(
                f"'history' has {shortened(turn)}; it must be pairs of question and answer", "unknown_shape"
            )
        messages += [{"role": "user", "content": turn[0]}, {"role": "assistant", "content": turn[1]}]
    return messages


def _messages(turns: Any) -> list[dict[str, Any]]:
    if not isinstance(turns, list):
        return turns  # what it must be is said by Row.parse
    return [_message(turn, number) for number, turn in enumerate(turns)]


def _behind_system(system: Any, messages: Any) -> Any:
    """The messages behind the system message that stands beside them, where they have none of their own."""
    if not isinstance(system, str) or not system.strip() or not isinstance(messages, list):
        return messages
    first = messages[0] if messages else None
    if isinstance(first, Mapping) and first.get("role") == "system":
        return messages
    return [{"role": "system", "content": system}, *messages]


def _message(turn: Any, number: int) -> Any:
    if not isinstance(turn, Mapping):
        return turn
    message = {name: value for name, value in turn.items() if value is not None or name in ("role", "content")}
    if "from" in turn and "role" not in turn:
        speaker = str(message.pop("from", None)).strip().lower()
        if speaker not in ROLES:
            said = f"'conversations[{number}].from' is {shortened(turn['from'])}"
            raise BadRecord(f"{said}; it must be one of human, gpt, system, tool", "unknown_role")
        value = message.pop("value", message.get("content"))
        call = _call(value) if speaker == "function_call" else None
        message = {**message, "role": ROLES[speaker], "content": None if call else value}
        if call:
            message["tool_calls"] = [{"type": "function", "function": call}]
    if isinstance(message.get("tool_calls"), str):
        message["tool_calls"] = _unpacked(message["tool_calls"])
    if message.get("tool_calls") and "content" not in message:
        message["content"] = None
    if isinstance(message.get("content"), list):
        message["content"] = _joined(message["content"], number)
    return message


def _joined(parts: list[Any], number: int) -> str:
    """Content that comes as a list of text parts, as one text."""
    texts = []
    for part in parts:
        text = part.get("text") if isinstance(part, Mapping) and part.get("type", "text") == "text" else part
        if not isinstance(text, str):
            said = f"'messages[{number}].content' has {shortened(part)}"
            raise BadRecord(f"{said}; it must be text, or parts of text", "content_not_text")
        texts.append(text)
    return "".join(texts)


def _call(value: Any) -> dict[str, Any] | None:
    call = _unpacked(value)
    return call if isinstance(call, dict) and isinstance(call.get("name"), str) else None


def _unpacked(value: Any) -> Any:
    """JSON that a table or a line holds as text; anything else as it is."""
    if not isinstance(value, str):
        return value
    try:
        [unpacked] = lines.value(f"[\n{value}]".encode())
    except ValueError:  # no JSON: it is content, and what it must be is said where it is checked
        return value
    return unpacked if isinstance(unpacked, list | dict) else value


def _document(record: Mapping[str, Any]) -> Document:
    name = _first(record, TEXT)
    if name is None:
        raise BadRecord("'text' is missing; a document has text", "unknown_shape")
    made = record if name == "text" else {**record, "text": record[name]}
    return _checked_document(_with_id(made, record[name]))


def _checked_document(record: Mapping[str, Any]) -> Document:
    parsed = Document.parse(record)
    if not parsed["text"].strip():
        raise BadRecord("'text' is blank; it teaches nothing: fill it, or drop it", "blank_content")
    return parsed


def _with_id(record: Mapping[str, Any], content: Any, given: Any = None) -> Any:
    """The record with the id that it was given, or else with one made of its content."""
    given = record.get("id") if given is None else given
    if isinstance(given, str) and given.strip():
        return record if record.get("id") == given else {"id": given, **record}
    if isinstance(given, int) and not isinstance(given, bool):
        return {**record, "id": str(given)}
    return {"id": digest(content), **{name: value for name, value in record.items() if name != "id"}}


def _first(record: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    return next((name for name in names if name in record), None)


def _question(record: Mapping[str, Any]) -> str | None:
    return _first(record, QUESTION) or ("input" if "input" in record else None)
