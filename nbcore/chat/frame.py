"""What a chat template writes around an answer: how it opens and ends, and where reasoning is.

Templates differ in all of that and do not declare it, so the frame is read off what a template makes of a known answer.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

QUESTION, ANSWER = "nbcore-question", "nbcore-answer"  # words that no template writes by itself
CODE = "fn f(a: &[u8]) -> bool {\n    a == \"<b>\" && 'c' < D\n}\n\n// e  f"

REASONING = ("reasoning_content", "thinking", "reasoning")  # what rows and templates call it beside the answer

# How models mark reasoning in the text of an answer. The first is used with or without the template's help (Qwen,
# DeepSeek, GLM, Nemotron …); the others (Mistral, Gemma, Cohere) count where the template speaks of them.
MARKS = (
    ("<think>", "</think>"),
    ("[THINK]", "[/THINK]"),
    ("<|channel>", "<channel|>"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
)


class Frame(NamedTuple):
    """What stands around an answer in a tokenizer's chat template."""

    opening: str | None
    """Text between the generation prompt and the answer, often empty; None where the template does not render an
    answered conversation as a continuation of its own generation prompt, so that nothing can be trained with it."""
    closing: str
    """Text between the answer and the token that ends the turn, usually empty."""
    end: int | None
    """Id of the token that ends the turn; None where the template writes none."""
    marks: tuple[tuple[str, str], ...]
    """(opening, closing) marks of reasoning that may occur in an answer."""
    begun: tuple[str, str] | None
    """The marks of the reasoning that the generation prompt itself has opened and not closed."""
    keeps: bool
    """Whether code comes through as it was given, line breaks, quotes and all."""


def frame(tokenizer: Any) -> Frame:
    """The frame of a tokenizer's chat template. Raises ValueError where the template fails on a plain conversation."""
    return _frame(tokenizer, str(tokenizer.chat_template), len(tokenizer), tokenizer.eos_token_id)


def leaves_out(tokenizer: Any, what: str) -> bool:
    """Whether a chat template passes in silence over an answer's "reasoning", or over a first message of the role
    "system" or "developer", tried on known ones. One that refuses them says so itself."""
    return _leaves_out(tokenizer, str(tokenizer.chat_template), what)


def with_reasoning(message: dict, text: str) -> dict:
    """The message with `text` as its reasoning under the three names that templates have for it."""
    return message | dict.fromkeys(REASONING, text)


def reasons(tokenizer: Any) -> bool:
    """Whether a chat template speaks of reasoning, so that a model may write much before its answer begins."""
    words = (*(opening for opening, _ in MARKS), "<|channel|>analysis")
    return any(word in str(tokenizer.chat_template) for word in words)


@functools.lru_cache(maxsize=64)
def _leaves_out(tokenizer: Any, _template: str, what: str) -> bool:
    word = f"nbcore-{what}"
    said = [{"role": "user", "content": QUESTION}, {"role": "assistant", "content": ANSWER}]
    if what == "reasoning":
        said[-1] = with_reasoning(said[-1], word)
    else:
        said = [{"role": what, "content": word}, *said]
    try:
        return word not in rendered(tokenizer, said)
    except ValueError:
        return False


@functools.lru_cache(maxsize=16)
def _frame(tokenizer: Any, template: str, _size: int, _eos: int | None) -> Frame:
    # The last two arguments are there for the cache alone: a tokenizer that was changed has another frame.
    asked = [{"role": "user", "content": QUESTION}]
    prompt = rendered(tokenizer, asked, add_generation_prompt=True)
    if QUESTION not in prompt:  # templates for images look into a list of parts and pass over plain text
        raise ValueError(
            f"chat template of {tokenizer.name_or_path!r}: it leaves out what the user says, as plain text at least; "
            f"{REMEDY}"
        )
    whole = rendered(tokenizer, [*asked, {"role": "assistant", "content": ANSWER}])
    opening = None
    if whole.startswith(prompt) and ANSWER in whole[len(prompt) :]:
        opening = whole[len(prompt) :].partition(ANSWER)[0]
    after = whole.rpartition(ANSWER)[2] if ANSWER in whole else ""
    places = {token: after.find(token) for token in _added(tokenizer) if token in after}
    first = min(places, key=lambda token: (places[token], -len(token)), default=None)
    marks = (MARKS[0], *(pair for pair in MARKS[1:] if pair[0] in template))
    turn = prompt.rpartition(QUESTION)[2]
    begun = [pair for pair in marks if pair[0] in turn and pair[1] not in turn.rpartition(pair[0])[2]]
    code = rendered(tokenizer, [{"role": role, "content": CODE} for role in ("user", "assistant")])
    return Frame(
        opening=opening,
        closing=after[: places[first]] if first else "",
        end=tokenizer.convert_tokens_to_ids(first) if first else None,
        marks=marks,
        begun=begun[0] if begun else None,
        keeps=code.count(CODE) >= 2,
    )


def rendered(tokenizer: Any, messages: list[dict], *, tokenize: bool = False, **options: Any) -> Any:
    """The text, or the list of ids, that the chat template makes of messages.

    Raises ValueError, in one line, where the template refuses them.
    """
    try:
        made = tokenizer.apply_chat_template(messages, tokenize=tokenize, return_dict=False, **options)
    except Exception as error:  # a template is a program of somebody else: whatever it ends in, it has refused
        raise ValueError(
            f"chat template of {tokenizer.name_or_path!r}: it cannot render these messages "
            f"({' '.join(str(error).split()) or type(error).__name__}); {REMEDY}"
        ) from None
    return list(made) if tokenize else made


REMEDY = (
    "choose another model.base, or a local copy of this one whose chat_template.jinja is mended "
    "(trl/chat_templates has training variants)"
)


def control_tokens(tokenizer: Any) -> list[str]:
    """Every token that steers a conversation: the named special ones, those merely added as special (Phi-3's <|end|>,
    Llama's <|eot_id|> have no name), and the one that ends a turn."""
    added = [token.content for token in tokenizer.added_tokens_decoder.values() if token.special]
    end = frame(tokenizer).end
    ends = [] if end is None else [tokenizer.convert_ids_to_tokens(end)]
    return list(dict.fromkeys([*tokenizer.all_special_tokens, *added, *ends]))


def _added(tokenizer: Any) -> list[str]:
    # Gemma adds runs of line breaks and spaces as tokens: those end nothing.
    added = [token.content for token in tokenizer.added_tokens_decoder.values()]
    return [token for token in dict.fromkeys([*tokenizer.all_special_tokens, *added]) if token.strip()]
