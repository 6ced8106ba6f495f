"""Harmony's control tokens in a vocabulary, and text that never becomes one of them."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

from nbcore.core.conversation import shortened

NAMES = ("start", "end", "message", "channel", "constrain", "return", "call")


class Control(NamedTuple):
    """Ids of Harmony's control tokens, by the names they have between the bars."""

    start: int
    end: int
    message: int
    channel: int
    constrain: int
    return_: int
    call: int
    forbidden: frozenset[int]
    """Ids of every token that steers a conversation, these seven among them: none may stand in a text."""
    padding: frozenset[int]
    """Ids that may fill up what comes behind a stop token."""


def speaks_harmony(tokenizer: Any) -> bool:
    """Whether a vocabulary has all of Harmony's control tokens."""
    return not _missing(tokenizer)


def control(tokenizer: Any) -> Control:
    """The control tokens of a vocabulary. Raises ValueError where it lacks one."""
    return _control(tokenizer, len(tokenizer), tokenizer.pad_token_id, tokenizer.eos_token_id)


@functools.lru_cache(maxsize=16)
def _control(tokenizer: Any, _size: int, pad: int | None, eos: int | None) -> Control:
    # The size is there for the cache alone: a tokenizer that was given more tokens has others to forbid.
    if missing := _missing(tokenizer):
        raise ValueError(
            f"tokenizer {tokenizer.name_or_path!r} has no token {missing[0]}, so it does not speak Harmony; "
            "render its rows through its own chat template"
        )
    seven = [tokenizer.convert_tokens_to_ids(_token(name)) for name in NAMES]
    special = {id_ for id_, token in tokenizer.added_tokens_decoder.items() if token.special}
    ends = {pad, eos, tokenizer.convert_tokens_to_ids("<|endoftext|>")}
    return Control(
        *seven,
        forbidden=frozenset({*seven, *special, *tokenizer.all_special_ids}),
        padding=frozenset(ends - {None, tokenizer.unk_token_id}),
    )


def encode(tokenizer: Any, text: str, forbidden: frozenset[int]) -> list[int]:
    """Ids of plain text: what spells a control token is spelt with ordinary tokens. Raises ValueError for text that no
    file could hold."""
    return list(_encode(tokenizer, text, forbidden, len(tokenizer)))


@functools.lru_cache(maxsize=1024)  # headers, instructions and lists of tools are the same in row after row
def _encode(tokenizer: Any, text: str, forbidden: frozenset[int], size: int) -> tuple[int, ...]:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"messages: a text holds half of a surrogate pair, {text[error.start]!r} at {error.start}; take it out"
        ) from None
    ids = tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)
    if forbidden.isdisjoint(ids):
        return tuple(ids)
    # A token may be added without being marked as special, and then that option does not split it: it is cut in two.
    place = next(number for number, id_ in enumerate(ids) if id_ in forbidden)
    spelt = tokenizer.convert_ids_to_tokens(ids[place])
    before, found, after = text.partition(spelt)
    if not found or len(spelt) < 2:
        raise ValueError(f"tokenizer {tokenizer.name_or_path!r}: it makes a control token of {shortened(text)}")
    pieces = (before + spelt[:1], spelt[1:] + after)
    return tuple(id_ for piece in pieces for id_ in _encode(tokenizer, piece, forbidden, size))


def decode(tokenizer: Any, ids: list[int]) -> str:
    """The text of ids, with nothing left out and nothing tidied."""
    return tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)


def _token(name: str) -> str:
    return f"<|{name}|>"


def _missing(tokenizer: Any) -> list[str]:
    absent = (None, tokenizer.unk_token_id)
    return [_token(name) for name in NAMES if tokenizer.convert_tokens_to_ids(_token(name)) in absent]
