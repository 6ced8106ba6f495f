"""Random conversations with tools, and what of them a format keeps."""

import json

from hypothesis import strategies as st

TOOLS = [
    {
        "name": "read_file",
        "description": "Read a file of the crate.",
        "parameters": {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]},
    },
    {
        "type": "function",
        "function": {
            "name": "replace_lines",
            "parameters": {
                "type": "object",
                "properties": {"first": {"type": "integer"}, "text": {"type": "string"}},
                "required": ["first", "text"],
            },
        },
    },
    {"name": "list_files", "description": "List the files."},
    {"name": "apply_patch", "description": "Change files.", "parameters": {"type": "string"}},
]
PIECES = (
    *("<|end|>", "<|call|>", "<|start|>assistant", "<|channel|>commentary to=functions.read_file", "<|message|>"),
    *("<|return|>", "<|constrain|>json", "<|endoftext|>", "\n", "\r\n", "  ", "fn f() {}", "naïve 🦀", "数", "\u00a0"),
    *('"quote\\"', "to=functions.list_files", "analysis", "\ufffd", "<think>", "</think>", "<tool_call>"),
)
TEXT = st.lists(
    st.sampled_from(PIECES) | st.text(st.characters(exclude_categories=["Cs"]), max_size=8), max_size=5
).map("".join)
SOME = TEXT.filter(bool)


def asked(name, written):
    return {"type": "function", "function": {"name": name, "arguments": written}}


CALL = st.one_of(
    TEXT.map(lambda path: asked("read_file", json.dumps({"path": path}))),
    TEXT.map(lambda path: asked("read_file", {"path": path})),
    st.builds(
        lambda first, text: asked("replace_lines", json.dumps({"text": text, "first": first}, ensure_ascii=False)),
        st.integers(),
        TEXT,
    ),
    st.just(asked("list_files", "{}")),
    TEXT.map(lambda patch: asked("apply_patch", patch)),
)


@st.composite
def rows(draw, most_turns=5, most_calls=6):
    """A row: up to `most_turns` questions, each with up to `most_calls` calls, alone or side by side, before its
    answer. Control tokens are spelt anywhere."""
    messages = []
    if draw(st.booleans()):
        messages.append({"role": draw(st.sampled_from(["system", "developer"])), "content": draw(TEXT)})
    for _ in range(draw(st.integers(1, most_turns))):
        messages.append({"role": "user", "content": draw(TEXT)})
        left = draw(st.integers(0, most_calls))
        while left > 0:
            calls = draw(st.lists(CALL, min_size=1, max_size=min(left, 3)))
            left -= len(calls)
            messages.append({"role": "assistant", "content": draw(st.none() | TEXT), "tool_calls": calls})
            if draw(st.booleans()):
                messages[-1]["thinking"] = draw(TEXT)
            for call in calls:
                messages.append({"role": "tool", "name": call["function"]["name"], "content": draw(TEXT)})
        messages.append({"role": "assistant", "content": draw(TEXT)})
        if draw(st.booleans()):
            messages[-1]["thinking"] = draw(TEXT)
    return {"id": "r", "messages": messages, "tools": TOOLS}


def kept(messages, running):
    """The messages up to the end of the turn `running` as they are read back: one call a message, with its result; the
    thinking of earlier turns gone, and what is empty left out."""
    made, turn = [], -1
    waiting = []
    for message in messages:
        if message["role"] in ("system", "developer"):
            if message["content"]:
                made.append({"role": "system", "content": message["content"]})
            continue
        if message["role"] == "user":
            turn += 1
        if turn > running:
            break
        if message["role"] == "tool":
            made += [waiting.pop(0), {key: message[key] for key in ("role", "name", "content")}]
            continue
        if message["role"] == "user":
            made.append(message)
            continue
        thinking = {"thinking": message["thinking"]} if message.get("thinking") and turn == running else {}
        if not message.get("tool_calls"):
            made.append({"role": "assistant", "content": message["content"], **thinking})
            continue
        for number, call in enumerate(message["tool_calls"]):
            written = call["function"]["arguments"]
            if isinstance(written, dict):
                written = json.dumps(written, ensure_ascii=False)
            content = message["content"] or "" if number == 0 else ""
            extra = thinking if number == 0 else {}
            one = asked(call["function"]["name"], written)
            waiting.append({"role": "assistant", "content": content, "tool_calls": [one], **extra})
    return made


def prefixes(row):
    """(row up to an action, the action's message) of each action of the last turn."""
    for place, message in enumerate(row["messages"]):
        if message["role"] == "assistant":
            yield {**row, "messages": row["messages"][:place]}, message
