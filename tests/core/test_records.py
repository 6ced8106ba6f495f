"""Records: one check for each kind of line that a person may bring, and what it says."""

import json

import pytest

from nbcore.core.records import Document, Row, Sample, Task

TASK = {"id": "a", "prompt": "add", "tests": "#[test] fn t() {}"}
SAMPLE = {"id": "a", "code": "fn f() {}", "tests": "#[test] fn t() {}"}
ASKED, ANSWERED = {"role": "user", "content": "q"}, {"role": "assistant", "content": "fn a() {}"}


def row(*messages):
    return {"id": "a", "messages": list(messages)}


def said(role, content):
    return {"role": role, "content": content}


@pytest.mark.parametrize(
    ("parse", "value"),
    [
        (Task.parse, TASK),
        (Task.parse, TASK | {"signature": None, "solution": "a", "edition": 2021, "meta": {}, "more": [1]}),
        (Row.parse, row(ASKED, ANSWERED)),
        (Row.parse, row(said("system", ""), ASKED, ANSWERED, ASKED, ANSWERED)),
        (Row.parse, row(ASKED, ANSWERED, said("tool", "error[E0308]"), ANSWERED) | {"meta": {"from": "me"}}),
        (Document.parse, {"id": "a", "text": "fn a() {}\u2028", "licence": "MIT"}),
        (Sample.parse, SAMPLE | {"edition": None, "language": None, "signature": None}),
        (Sample.parse, {"id": "a", "completion": "\ud800\0", "tests": ""}),
        (Sample.parse, SAMPLE | {"language": "python", "signature": "def one():\n"}),
    ],
)
def test_a_good_record_comes_back_as_it_was_given(parse, value):
    """A check that rewrites what it checks would change every digest of data."""
    before = json.dumps(value)
    assert parse(value) is value and json.dumps(value) == before


@pytest.mark.parametrize(
    ("parse", "value", "words"),
    [
        (Task.parse, [1], r"\[1\] is no mapping; a line has id, prompt, tests"),
        (Task.parse, {"id": "a"}, "'prompt' is missing"),
        (Task.parse, TASK | {"id": 3}, "'id' is 3; it must be text"),
        (Task.parse, TASK | {"prompt": None}, "'prompt' is None; it must be text"),
        (Task.parse, TASK | {"tests": ["#[test]"]}, "'tests' is .*; it must be text"),
        (Task.parse, TASK | {"signature": 1}, "'signature' is 1; it must be text, or left out"),
        (Task.parse, TASK | {"solution": {}}, "'solution' is {}; it must be text, or left out"),
        (Task.parse, TASK | {"meta": None}, "'meta' is None; it must be a mapping, or left out"),
        (Task.parse, TASK | {"edition": "2022"}, "'edition' is '2022'; it must be one of 2015"),
        (Task.parse, TASK | {"tests": "a\ud800"}, "'tests' holds half of a surrogate pair, .* at 1, .*take it out"),
        (Task.parse, TASK | {"prompt": "a\0"}, "'prompt' holds a NUL character at 1; take it out"),
        (Document.parse, {"id": "a", "text": ["line", "line"]}, r"'text' is \['line', 'line'\]; it must be text"),
        (Document.parse, {"id": "a", "text": float("nan")}, "'text' is nan; it must be text"),
        (Document.parse, {"id": "\udc00", "text": ""}, "'id' holds half of a surrogate pair"),
        (Row.parse, {"id": "a"}, "'messages' is missing; a line has id, messages"),
        (Row.parse, {"id": "a", "conversations": []}, "'messages' is missing, and 'conversations' is ShareGPT's"),
        (Row.parse, row(), r"'messages' is \[\]; it must be a list of {role, content}"),
        (Row.parse, {"id": "a", "messages": "hi"}, "'messages' is 'hi'; it must be a list"),
        (Row.parse, {"id": "a", "messages": {"role": "user"}}, "it must be a list"),
        (Row.parse, row("hi"), r"'messages\[0\]' is 'hi'; it must be a mapping of role and content"),
        (Row.parse, row(said("human", "q"), ANSWERED), r"'messages\[0\].role' is 'human'; write user"),
        (Row.parse, row(ASKED, said("gpt", "q")), r"'messages\[1\].role' is 'gpt'; write assistant"),
        (Row.parse, row(said("narrator", "q")), "is 'narrator'; it must be one of system, developer, user"),
        (Row.parse, row(said(None, "q")), r"'messages\[0\].role' is None"),
        (Row.parse, row({"content": "q"}), r"'messages\[0\].role' is None"),
        (Row.parse, row(said(["user"], "q")), r"'messages\[0\].role' is \['user'\]"),
        (Row.parse, row(ASKED, said("system", "s"), ANSWERED), r"'messages\[1\].role' is 'system' after 'user'"),
        (Row.parse, row(ASKED, ASKED, ANSWERED), r"'messages\[1\].role' is 'user' after 'user'; a conversation is"),
        (Row.parse, row(ANSWERED, ASKED), r"'messages\[0\].role' is 'assistant' in the first message"),
        (Row.parse, row(ASKED), "'messages' ends with the role 'user'; the last message must be the assistant's"),
        (Row.parse, row(ASKED, said("assistant", None)), r"'messages\[1\].content' is None; it must be text"),
        (Row.parse, row(ASKED, said("assistant", 5)), r"'messages\[1\].content' is 5; it must be text"),
        (Row.parse, row(ASKED, said("assistant", [{"type": "text"}])), "content' is .*; it must be text"),
        (Row.parse, row(ASKED, {"role": "assistant"}), r"'messages\[1\].content' is None"),
        (Row.parse, row(ASKED, said("assistant", " \n\u2028")), r"'messages\[1\].content' is blank; an empty answer"),
        (Row.parse, row(ASKED, ANSWERED) | {"meta": "me"}, "'meta' is 'me'; it must be a mapping, or left out"),
        (Sample.parse, "x", "a sample is a mapping, this is str"),
        (Sample.parse, SAMPLE | {"completion": ""}, "exactly one of 'completion' and 'code'"),
        (Sample.parse, SAMPLE | {"tests": None}, "'tests' is None; it must be Rust text"),
        (Sample.parse, SAMPLE | {"id": "a\ud800"}, "'id' holds half of a surrogate pair"),
        (Sample.parse, SAMPLE | {"language": "c"}, "'language' is 'c'; it must be one of rust, python"),
        (Sample.parse, SAMPLE | {"language": "python"}, "signature defines no function: for Python"),
        (Sample.parse, SAMPLE | {"signature": 5}, "'signature' is 5; it must be text, or left out"),
    ],
)
def test_a_bad_record_is_one_line_with_field_value_and_remedy(parse, value, words):
    """Each of these ended in an AttributeError or a TypeError deep inside, or was trained on in silence."""
    with pytest.raises(ValueError, match=words) as caught:
        parse(value)
    assert "\n" not in str(caught.value) and str(caught.value).encode()


def test_a_long_value_is_shortened():
    """The one line is to be read: a whole corpus as a list must not fill the screen."""
    with pytest.raises(ValueError) as caught:
        Document.parse({"id": "a", "text": ["x" * 10_000] * 10_000})
    assert len(str(caught.value)) < 600
