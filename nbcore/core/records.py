"""The records that the packages hand to each other: Task, Row, Document, Sample, Verdict, Completion, Pair.

All are TypedDicts: plain dicts at run time, so a line of JSON on disk and the record in memory are the same thing.
`parse` is the one check of a record that comes from a file or a person. It returns the record unchanged, or raises
ValueError with field, value and remedy in one line; its caller adds the file and the line.
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Mapping
from typing import Any, NotRequired, TypedDict

EDITIONS = ("2015", "2018", "2021", "2024")
LANGUAGES = ("rust", "python")
FOLLOWS = {  # the role of a message -> the roles that may come after it; None: before the first
    None: ("system", "user"),
    "system": ("user",),
    "user": ("assistant",),
    "assistant": ("user", "tool"),
    "tool": ("assistant", "tool"),
}
ORDER = "a conversation is system (if any), user, assistant, user, assistant and so on"
_short = reprlib.Repr()
_short.maxstring = _short.maxother = 60


class Task(TypedDict):
    """A function to write, with hidden tests. `tests` and `solution` are never shown to a policy."""

    id: str
    prompt: str
    tests: str
    signature: NotRequired[str | None]
    solution: NotRequired[str | None]
    edition: NotRequired[str | None]
    family: NotRequired[str]
    meta: NotRequired[dict[str, Any]]

    @staticmethod
    def parse(value: Any) -> Task:
        """The task, checked. Raises ValueError with field, value and remedy."""
        _has(value, "id", "prompt", "tests")
        for field in ("id", "prompt", "tests"):
            _text(value, field)
        for field in ("signature", "solution", "family"):
            _text(value, field, optional=True)
        _edition(value)
        _meta(value)
        return value


class Message(TypedDict):
    """One turn of a conversation."""

    role: str
    content: str


class Row(TypedDict):
    """A conversation to train on; the last message is the assistant's."""

    id: str
    messages: list[Message]
    meta: NotRequired[dict[str, Any]]

    @staticmethod
    def parse(value: Any) -> Row:
        """The row, checked. Raises ValueError with field, value and remedy."""
        if isinstance(value, Mapping) and "conversations" in value and "messages" not in value:
            raise ValueError(
                "'messages' is missing, and 'conversations' is ShareGPT's name for it: rename it, and in each message "
                "write role and content for from and value, user for human, assistant for gpt"
            )
        _has(value, "id", "messages")
        _text(value, "id")
        _meta(value)
        _conversation(value["messages"])
        return value


class Document(TypedDict):
    """Text for language modelling. A chat, as those that teach copying, has `messages` in the place of `text`."""

    id: str
    text: NotRequired[str]
    messages: NotRequired[list[Message]]
    source: NotRequired[str]

    @staticmethod
    def parse(value: Any) -> Document:
        """The document, checked. Raises ValueError with field, value and remedy."""
        _has(value, "id", "text")
        _text(value, "id")
        _text(value, "text")
        return value


class Sample(TypedDict):
    """What the grader takes: exactly one of `completion` and `code`, beside the tests."""

    id: str
    tests: str
    completion: NotRequired[str]
    code: NotRequired[str]
    signature: NotRequired[str | None]
    edition: NotRequired[str | None]
    language: NotRequired[str | None]

    @staticmethod
    def parse(value: Any) -> Sample:
        """The sample, checked. Raises ValueError with field, value and remedy.

        A completion or code may hold anything: it is for the compiler to refuse what a model wrote.
        """
        if not isinstance(value, Mapping):
            raise ValueError(f"a sample is a mapping, this is {type(value).__name__}")
        _text(value, "id")
        given = [field for field in ("completion", "code") if isinstance(value.get(field), str)]
        if len(given) != 1:
            raise ValueError("needs exactly one of 'completion' and 'code', as text")
        if not isinstance(value.get("tests"), str):
            raise ValueError(
                f"'tests' is {_short.repr(value.get('tests'))}; it must be Rust text with #[test] functions"
            )
        for field in ("tests", "signature"):
            _text(value, field, optional=True)
        _edition(value)
        if (value.get("language") or "rust") not in LANGUAGES:
            raise ValueError(
                f"'language' is {_short.repr(value['language'])}; it must be one of {', '.join(LANGUAGES)}"
            )
        if value.get("language") == "python":
            python_function(value.get("signature") or "")
        return value


class Verdict(TypedDict):
    """What the grader says of one sample; grading/verdicts.py has the kinds."""

    id: str
    verdict: str
    passed: bool
    compiles: bool
    tests_passed: int
    tests_total: int
    clippy_warnings: int
    lints: dict[str, int]
    errors: list[dict[str, Any]]
    flags: list[str]
    code: str | None
    """The program that was judged, as it was taken out of the completion; None where there was none, or one too long
    to be read."""
    cpu_ms: float
    wall_ms: float
    cached: bool
    isolation: str


class Completion(TypedDict):
    """What a model answered: `text` is its final answer, `reasoning` what it wrote before, which is never graded.
    `truncated`: it ran into max_new_tokens before a stop token."""

    text: str
    truncated: bool
    reasoning: str


class Pair(TypedDict):
    """Two answers to one task, the one to prefer and the one not to."""

    id: str
    prompt: str
    chosen: str
    rejected: str

    @staticmethod
    def parse(value: Any) -> Pair:
        """The pair, checked. Raises ValueError with field, value and remedy. A model's answers may hold anything."""
        fields = ("id", "prompt", "chosen", "rejected")
        _has(value, *fields)
        for field in fields:
            if not isinstance(value[field], str):
                raise ValueError(f"{field!r} is {_short.repr(value[field])}; it must be text")
        return value


def python_function(prompt: str) -> str:
    """The function that a Python prompt asks for: the last it defines. Raises ValueError where it defines none."""
    names = re.findall(r"^(?:async )?def (\w+)", prompt, re.MULTILINE)
    if not names:
        raise ValueError(
            "signature defines no function: for Python it is the prompt that the completion goes on from; give it"
        )
    return names[-1]


def _has(value: Any, *fields: str) -> None:
    names = ", ".join(fields)
    if not isinstance(value, Mapping):
        raise ValueError(f"{_short.repr(value)} is no mapping; a line has {names}")
    if missing := [field for field in fields if field not in value]:
        raise ValueError(f"{missing[0]!r} is missing; a line has {names}")


def _text(value: Mapping[str, Any], field: str, *, optional: bool = False, name: str | None = None) -> None:
    text, name = value.get(field), name or field
    if optional and text is None:
        return
    if not isinstance(text, str):
        left_out = ", or left out" if optional else ""
        raise ValueError(f"{name!r} is {_short.repr(text)}; it must be text{left_out}")
    if "\0" in text:
        raise ValueError(f"{name!r} holds a NUL character at {text.index(chr(0))}; take it out")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"{name!r} holds half of a surrogate pair, {text[error.start]!r} at {error.start}, which no file can hold; "
            "take it out"
        ) from None


def _meta(value: Mapping[str, Any]) -> None:
    if not isinstance(value.get("meta", {}), Mapping):
        raise ValueError(f"'meta' is {_short.repr(value['meta'])}; it must be a mapping, or left out")


def _edition(value: Mapping[str, Any]) -> None:
    if str(value.get("edition") or "2021") not in EDITIONS:
        raise ValueError(f"'edition' is {_short.repr(value['edition'])}; it must be one of {', '.join(EDITIONS)}")


def _conversation(messages: Any) -> None:
    if not isinstance(messages, list) or not messages:
        raise ValueError(f"'messages' is {_short.repr(messages)}; it must be a list of {{role, content}}")
    before = None
    for number, message in enumerate(messages):
        name = f"messages[{number}]"
        if not isinstance(message, Mapping):
            raise ValueError(f"'{name}' is {_short.repr(message)}; it must be a mapping of role and content")
        role = message.get("role")
        if not isinstance(role, str) or role not in FOLLOWS:
            meant = {"human": "user", "gpt": "assistant", "model": "assistant", "bot": "assistant"}.get(str(role))
            remedy = f"write {meant}" if meant else f"it must be one of {', '.join(filter(None, FOLLOWS))}"
            raise ValueError(f"'{name}.role' is {_short.repr(role)}; {remedy}")
        if role not in FOLLOWS[before]:
            place = f"after {before!r}" if before else "in the first message"
            raise ValueError(f"'{name}.role' is {role!r} {place}; {ORDER}")
        _text(message, "content", name=f"{name}.content")
        if role == "assistant" and not message["content"].strip():
            raise ValueError(f"'{name}.content' is blank; an empty answer teaches nothing: fill it, or drop the line")
        before = role
    if before != "assistant":
        raise ValueError(
            f"'messages' ends with the role {before!r}; the last message must be the assistant's, which is trained"
        )
