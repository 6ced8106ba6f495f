"""The records that the packages hand to each other: Task, Row, Document, Sample, Verdict, Completion, Pair.

All are TypedDicts: plain dicts at run time, so a line of JSON on disk and the record in memory are the same thing.
`parse` is the one check of a record that comes from a file or a person. It returns the record unchanged, or raises
ValueError with field, value and remedy in one line; its caller adds the file and the line.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NotRequired, TypedDict

from nbcore.core.conversation import BadRecord, check_messages, check_text, check_tools, shortened

EDITIONS = ("2015", "2018", "2021", "2024")
LANGUAGES = ("rust", "python")


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
            check_text(value, field)
        for field in ("signature", "solution", "family"):
            check_text(value, field, optional=True)
        _edition(value)
        _meta(value)
        return value


class Message(TypedDict):
    """One turn of a conversation. Only an assistant that calls tools may leave `content` None."""

    role: str
    content: str | None
    tool_calls: NotRequired[list[dict[str, Any]]]
    """Of the assistant: [{"function": {"name", "arguments"}}]; the result comes as a message of the role tool."""
    tool_call_id: NotRequired[str]
    name: NotRequired[str]


class Row(TypedDict):
    """A conversation to train on; the last message is the assistant's."""

    id: str
    messages: list[Message]
    tools: NotRequired[list[dict[str, Any]]]
    """The tools that the assistant may call, each described by a mapping."""
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
        check_text(value, "id")
        _meta(value)
        if value.get("tools") is not None:
            check_tools(value["tools"])
        check_messages(value["messages"])
        return value


class Document(TypedDict):
    """Text for language modelling. A chat, as those that teach copying, has `messages` in the place of `text`.
    `meta` of source code: repo, path, revision, licence, tags."""

    id: str
    text: NotRequired[str]
    messages: NotRequired[list[Message]]
    source: NotRequired[str]
    meta: NotRequired[dict[str, Any]]
    """Where it comes from: repo, path, revision, licence, tags; whatever of these is known."""

    @staticmethod
    def parse(value: Any) -> Document:
        """The document, checked. Raises ValueError with field, value and remedy."""
        _has(value, "id", "text")
        check_text(value, "id")
        check_text(value, "text")
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
        check_text(value, "id")
        given = [field for field in ("completion", "code") if isinstance(value.get(field), str)]
        if len(given) != 1:
            raise ValueError("needs exactly one of 'completion' and 'code', as text")
        if not isinstance(value.get("tests"), str):
            raise ValueError(f"'tests' is {shortened(value.get('tests'))}; it must be Rust text with #[test] functions")
        for field in ("tests", "signature"):
            check_text(value, field, optional=True)
        _edition(value)
        if (value.get("language") or "rust") not in LANGUAGES:
            raise ValueError(f"'language' is {shortened(value['language'])}; it must be one of {', '.join(LANGUAGES)}")
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
    `truncated`: it ran into max_new_tokens before a stop token. `tokens`: how many it emitted, the stop token too.
    `seconds`: its share of the time that its batch took."""

    text: str
    truncated: bool
    reasoning: str
    tokens: NotRequired[int]
    seconds: NotRequired[float]


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
                raise ValueError(f"{field!r} is {shortened(value[field])}; it must be text")
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
        raise BadRecord(f"{shortened(value)} is no mapping; a line has {names}", "no_object")
    if missing := [field for field in fields if field not in value]:
        raise BadRecord(f"{missing[0]!r} is missing; a line has {names}", "missing_content")


def _meta(value: Mapping[str, Any]) -> None:
    if not isinstance(value.get("meta", {}), Mapping):
        raise ValueError(f"'meta' is {shortened(value['meta'])}; it must be a mapping, or left out")


def _edition(value: Mapping[str, Any]) -> None:
    if str(value.get("edition") or "2021") not in EDITIONS:
        raise ValueError(f"'edition' is {shortened(value['edition'])}; it must be one of {', '.join(EDITIONS)}")
