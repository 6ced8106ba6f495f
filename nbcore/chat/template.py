"""Messages to token ids through the tokenizer's own chat template, with a mask of what is trained.

Trained is exactly what the model must emit: everything after the generation prompt, its stop token included.
"""

from __future__ import annotations

from typing import Any

IGNORED = -100  # label of a token that carries no loss, as in transformers


class ForgedToken(ValueError):
    """Content spells a control token."""


def prompt_ids(tokenizer: Any, messages: list[dict]) -> list[int]:
    """Ids that stand before the assistant's answer, generation prompt included."""
    refuse_control_tokens(tokenizer, messages)
    return list(tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=True, return_dict=False))


def render(tokenizer: Any, messages: list[dict]) -> tuple[list[int], list[int]]:
    """(input_ids, labels) of a conversation whose last message is the assistant's; labels are -100 but there.

    Raises ValueError where the template does not continue its own prompt: its mask could not be trusted.
    """
    if not messages or messages[-1]["role"] != "assistant":
        raise ValueError("messages: the last one must be the assistant's")
    prompt = prompt_ids(tokenizer, messages[:-1])
    refuse_control_tokens(tokenizer, messages[-1:])
    whole = list(tokenizer.apply_chat_template(messages, tokenize=True, return_dict=False))
    if whole[: len(prompt)] != prompt:
        raise ValueError(
            "chat template: the rendered conversation does not start with its own generation prompt; "
            "this tokenizer needs a renderer of its own"
        )
    while whole[-1] not in stop_ids(tokenizer):  # templates like to add a newline that nobody should learn to emit
        whole.pop()
        if len(whole) <= len(prompt):
            raise ValueError(f"chat template: no stop token ({tokenizer.eos_token}) after the assistant's message")
    return whole, [IGNORED] * len(prompt) + whole[len(prompt) :]


def stop_ids(tokenizer: Any) -> list[int]:
    """Ids that end a turn: the tokenizer's own end of sequence, and Harmony's where the vocabulary has them."""
    known = [tokenizer.convert_tokens_to_ids(token) for token in ("<|return|>", "<|call|>", "<|endoftext|>")]
    return sorted({tokenizer.eos_token_id, *(i for i in known if i is not None and i != tokenizer.unk_token_id)})


def answer(tokenizer: Any, completion_ids: list[int]) -> tuple[str, bool]:
    """(text, truncated) of what a model emitted after the generation prompt.

    The text ends before the stop token and begins behind Harmony's header of the final channel. Decoding with
    special tokens skipped would leave the header's word "final" glued to the code.
    """
    stops = stop_ids(tokenizer)
    end = next((index for index, token in enumerate(completion_ids) if token in stops), None)
    text = tokenizer.decode(completion_ids[:end], skip_special_tokens=False)
    return text.removeprefix("<|channel|>final<|message|>"), end is None


def refuse_control_tokens(tokenizer: Any, messages: list[dict]) -> None:
    """Content that spells a control token would become one, and could forge a turn: refuse it.

    Raises ForgedToken, a ValueError, naming the token.
    """
    for message in messages:
        for token in tokenizer.all_special_tokens:
            if token in message["content"]:
                raise ForgedToken(f"messages: content of the {message['role']} holds the control token {token!r}")
