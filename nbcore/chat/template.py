"""Messages to token ids through the tokenizer's own chat template, with a mask of what is trained, and back.

The model is trained on exactly what it must emit: everything after the generation prompt, up to the token that ends its
turn. What is read back is only the final answer; reasoning is kept apart, so that no draft is graded.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from nbcore.chat.frame import REASONING, REMEDY, Frame, control_tokens, frame, leaves_out, rendered, with_reasoning
from nbcore.core.conversation import shortened

IGNORED = -100  # label of a token that carries no loss, as in transformers

# What divides the messages of Harmony, and of a format like it: header, <|message|>, text, <|end|>.
_DIVIDER = re.compile(r"(<\|(?:start|message|end|eom)\|>)")


class ForgedToken(ValueError):
    """Content spells a control token, or a mark of reasoning that would be read as one."""


class Turn(NamedTuple):
    """What a model emitted after the generation prompt, taken apart."""

    text: str
    """The final answer; empty where there is none, as in reasoning that never ended."""
    truncated: bool
    """No token that ends the turn was reached."""
    reasoning: str
    """What came before the final answer; never graded."""


def prompt_ids(tokenizer: Any, messages: list[dict]) -> list[int]:
    """Ids that stand before the assistant's answer, generation prompt included.

    Raises ForgedToken for content that spells a control token, ValueError where the template refuses the messages.
    """
    refuse_control_tokens(tokenizer, messages)
    refuse_left_out(tokenizer, messages)
    return rendered(tokenizer, messages, tokenize=True, add_generation_prompt=True)


def render(tokenizer: Any, messages: list[dict], tools: list[dict] | None = None) -> tuple[list[int], list[int]]:
    """(input_ids, labels) of a conversation whose last message is the assistant's; elsewhere all labels are -100.

    What is trained reads back as the answer: `answer` of the trained ids is the message's text, white space at its ends
    apart, which some templates trim. An answer with `"train": false` carries no loss, and reasoning beside it is
    trained in front of it. Raises ValueError naming tokenizer and remedy where the template cannot be trained
    with, where there are tools or calls of them, and ForgedToken for a single message that would not read back.
    """
    _refuse_tools(messages, tools)
    if not messages or messages[-1]["role"] != "assistant":
        raise ValueError("messages: the last one must be the assistant's")
    around = _trainable(tokenizer)
    prompt = prompt_ids(tokenizer, messages[:-1])
    messages = [*messages[:-1], _answered(messages[-1])]
    refuse_control_tokens(tokenizer, messages[-1:])
    refuse_left_out(tokenizer, messages[-1:])
    whole = rendered(tokenizer, messages, tokenize=True)
    trained = whole[len(prompt) :]
    if whole[: len(prompt)] != prompt:
        # The text may still begin with the prompt's, but have one token across the boundary: "\n" and "\n" are "\n\n".
        # A model that generates gets the prompt as fixed tokens, so the answer is tokenised by itself here too.
        before = rendered(tokenizer, messages[:-1], add_generation_prompt=True)
        text = rendered(tokenizer, messages)
        if not text.startswith(before):
            raise ValueError(
                f"chat template of {tokenizer.name_or_path!r}: the rendered conversation does not start with its own "
                f"generation prompt, so its mask could not be trusted; {REMEDY}"
            )
        trained = tokenizer.encode(text[len(before) :], add_special_tokens=False)
    if around.end not in trained:
        raise ForgedToken("messages: the template renders this answer without the token that ends a turn")
    trained = trained[: trained.index(around.end) + 1]  # what a template writes behind it is not the model's to emit
    _refuse_unreadable(tokenizer, messages[-1], trained)
    labels = [IGNORED for _ in trained] if messages[-1].get("train") is False else trained
    return prompt + trained, [IGNORED for _ in prompt] + labels


def stop_ids(tokenizer: Any, generation_config: Any = None) -> list[int]:
    """Every id that ends a turn, for whoever generates or trims: those that the model's publisher names in its
    generation config (an int or a list), the tokenizer's end of sequence, the template's end of a turn, and Harmony's
    where the vocabulary has them."""
    known = [tokenizer.convert_tokens_to_ids(token) for token in ("<|return|>", "<|call|>", "<|endoftext|>")]
    harmony = {id_ for id_ in known if id_ is not None and id_ != tokenizer.unk_token_id}
    return sorted({*turn_ends(tokenizer, generation_config), *harmony})


def turn_ends(tokenizer: Any, generation_config: Any = None) -> list[int]:
    """The ids that publisher, tokenizer and template themselves name as the end of a turn: a part of `stop_ids`."""
    published = generation_config.eos_token_id if generation_config is not None else None
    if published is None or isinstance(published, int):
        published = [published]
    named = {*published, tokenizer.eos_token_id, frame(tokenizer).end}
    return sorted(named - {None})


def answer(tokenizer: Any, completion_ids: list[int], stops: list[int] | None = None) -> tuple[str, bool]:
    """(text, truncated) of what a model emitted after the generation prompt: its final answer, and whether it was cut.

    `stops` are the ids that end a turn; without them the tokenizer's and the template's own.
    """
    return read(tokenizer, completion_ids, stops)[:2]


def read(tokenizer: Any, completion_ids: list[int], stops: list[int] | None = None) -> Turn:
    """A completion taken apart into final answer and reasoning. It ends before the first of the `stops`."""
    stops = stop_ids(tokenizer) if stops is None else stops
    end = next((index for index, token in enumerate(completion_ids) if token in stops), None)
    # Special tokens stay: skipped, they would leave the word "final" of Harmony's header glued to the code. Spaces stay
    # too: some tokenizers tidy up what they decode, which is for prose.
    text = tokenizer.decode(completion_ids[:end], skip_special_tokens=False, clean_up_tokenization_spaces=False)
    around = frame(tokenizer)
    if end is not None:
        text = text.removesuffix(around.closing)
    text, drafts = _final_message(text, around)
    text, thoughts = _behind_reasoning(text, around)
    return Turn(text, end is None, "\n".join(part for part in (drafts, thoughts) if part))


def gone_on(tokenizer: Any, completion_ids: list[int], stops: list[int]) -> Turn:
    """What went on from a bare text, as `read` gives it: all of it, for where no template was used none is looked for.
    It keeps the space that SentencePiece tokenizers take off what they decode: in Python that is an indentation."""
    end = next((index for index, token in enumerate(completion_ids) if token in stops), None)
    before = tokenizer.encode("a", add_special_tokens=False)
    whole, known = (
        tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        for ids in ([*before, *completion_ids[:end]], before)
    )
    return Turn(whole.removeprefix(known), end is None, "")


def refuse_control_tokens(tokenizer: Any, messages: list[dict]) -> None:
    """Raises ForgedToken, a ValueError, for content that spells a control token: tokenised it would become that token,
    and could forge a turn."""
    tokens = control_tokens(tokenizer)
    for message in messages:
        texts = {name: text for name, text in message.items() if isinstance(text, str)}  # content, reasoning, and so on
        for name, text in texts.items():
            for token in tokens:
                if token in text:
                    raise ForgedToken(f"messages: {name} of the {message['role']} holds the control token {token!r}")


def refuse_left_out(tokenizer: Any, messages: list[dict]) -> None:
    """Raises ValueError for instructions or reasoning that the template would pass over without a word: a model would
    be trained, and asked, as if they were not there."""
    if not messages:
        return
    first = messages[0]
    what, told = first["role"], first["content"].strip() if first["role"] in ("system", "developer") else ""
    if what == "assistant":
        what, told = "reasoning", any(first.get(name) for name in REASONING)
    if told and leaves_out(tokenizer, what):
        raise ValueError(
            f"messages: {what!r} cannot be rendered by the chat template of {tokenizer.name_or_path!r}, which leaves "
            f"it out; take it out of the rows, or {REMEDY}"
        )


def _answered(message: dict) -> dict:
    """The assistant's message, its reasoning under every name that a template may read. Raises ValueError for what is
    no reasoning, and no choice of what is trained."""
    if not isinstance(message.get("train"), bool | None):  # a table fills in None
        raise ValueError(f"messages: train is {shortened(message['train'])}; it must be true or false")
    for name in REASONING:
        if message.get(name):
            if not isinstance(message[name], str):
                raise ValueError(f"messages: {name} is {shortened(message[name])}; it must be text")
            return with_reasoning(message, message[name])
    return message


def _refuse_tools(messages: list[dict], tools: list[dict] | None) -> None:
    # Many templates leave out what they do not know: the model would learn to answer calls that it never sees.
    if tools or any(message.get("tool_calls") for message in messages):
        what = "'tools'" if tools else "'tool_calls'"
        raise ValueError(
            f"messages: {what} cannot be rendered for training yet; take the rows with tools out of the file, or write "
            "call and result as plain content"
        )


def _trainable(tokenizer: Any) -> Frame:
    """The frame of a template that can be trained with; ValueError with the reason and the remedy for any other."""
    around, name = frame(tokenizer), tokenizer.name_or_path
    if around.opening is None:
        raise ValueError(
            f"chat template of {name!r}: it does not render an answered conversation as its own generation prompt "
            f"followed by the answer, so what to train is unknown; {REMEDY}"
        )
    if around.end is None:
        raise ValueError(f"chat template of {name!r}: no token ends the assistant's turn; {REMEDY}")
    if not around.keeps:
        raise ValueError(f"chat template of {name!r}: it changes code, its line breaks, quotes, < or case; {REMEDY}")
    return around


def _refuse_unreadable(tokenizer: Any, message: dict, trained: list[int]) -> None:
    around, content = frame(tokenizer), message["content"]
    # A row may hold reasoning in the text of its answer: then the answer is what follows it.
    meant, _ = _behind_reasoning(content, around._replace(begun=None))
    empty = bool(content.strip()) and not meant.strip()
    if empty or answer(tokenizer, trained)[0].strip() != meant.strip():
        marked = any(mark in content for pair in around.marks for mark in pair)
        why = f"holds a mark of reasoning, such as {around.marks[0][0]}, without an answer behind it"
        why = why if marked else "cannot be written by its tokenizer as it is"
        raise ForgedToken(f"messages: content of the assistant would not read back as its answer; it {why}")


def _final_message(text: str, around: Frame) -> tuple[str, str]:
    """(text of the last final message, the other messages) where the template writes an answer as a message with a
    header, as Harmony does; final is what has the header that the template gives an answer. Other text stays whole."""
    opening = around.opening or ""
    if not opening.endswith("<|message|>") or not ("<|message|>" in text or "<|channel|>" in text):
        return text, ""  # another format, or a small model that left the header out, but not the answer
    final, others = "", ""
    for header, body in _messages(text):
        # The first word decides: "<|channel|>final <|constrain|>json" is a final message, too.
        if header.split()[:1] == opening.removesuffix("<|message|>").split()[:1]:
            final = body
        else:
            others += body + "\n"
    return final, others.strip()


def _messages(text: str) -> list[tuple[str, str]]:
    """(header without its role, text) of each message in Harmony's format; a cut one has what there is of it."""
    messages: list[tuple[str, str]] = []
    header, inside = "", False
    for piece in _DIVIDER.split(text):
        if inside and piece in ("<|end|>", "<|eom|>"):
            header, inside = "", False
        elif inside:  # another divider is out of place in a text: it stays, for the compiler to refuse
            messages[-1] = (messages[-1][0], messages[-1][1] + piece)
        elif piece == "<|message|>":
            messages.append((header.strip().removeprefix("assistant"), ""))
            inside = True
        elif piece == "<|start|>":
            header = ""
        else:
            header += piece
    return messages


def _behind_reasoning(text: str, around: Frame) -> tuple[str, str]:
    """(what stands behind the last block of reasoning, what stands before): text without any is all answer, and where
    a block is never closed there is no answer."""
    opening, reasoning = around.opening or "", ""
    for begin, end in around.marks:
        before, closed, after = text.rpartition(end)
        if closed:
            reasoning = before.removeprefix(begin).strip()
            text = after.removeprefix(opening.rpartition(end)[2]).lstrip("\n")
        if begin in text or (around.begun == (begin, end) and not closed):
            return "", f"{reasoning}\n{text}".strip()
    return text.removeprefix(opening), reasoning
