"""Fill-in-the-middle: a document cut in three, told in another order, to learn to write what lies between.

PSM: prefix mark, prefix, suffix mark, suffix, middle mark, middle.
SPM: prefix mark, suffix mark, suffix, middle mark, prefix and middle as one text.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, NamedTuple

PSM, SPM = "psm", "spm"


class Marks(NamedTuple):
    """The three control tokens, by name or by id."""

    prefix: Any
    middle: Any
    suffix: Any


QWEN = Marks("<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>")  # the seedling's tokenizer has these names, too
STARCODER = Marks("<fim_prefix>", "<fim_middle>", "<fim_suffix>")


class Cut(NamedTuple):
    """prefix + middle + suffix is the document, to the character; `order` is PSM or SPM."""

    order: str
    prefix: str
    middle: str
    suffix: str


def names(tokenizer: Any) -> Marks:
    """The names of the tokenizer's own marks.

    Raises ValueError where it has none, or where one of them is not a single id.
    """
    vocabulary = tokenizer.get_vocab()
    for marks in (QWEN, STARCODER):
        if not all(name in vocabulary for name in marks):
            continue
        for name in marks:
            if tokenizer.encode(name, add_special_tokens=False) != [vocabulary[name]]:
                raise ValueError(
                    f"corpus.fim_rate: {name!r} is not a single id of this tokenizer; register it as a special token, "
                    "or set corpus.fim_rate=0"
                )
        return marks
    raise ValueError(
        f"corpus.fim_rate: the tokenizer has neither {', '.join(QWEN)} nor {', '.join(STARCODER)}; take a base "
        "model that was trained with them (Qwen2.5-Coder, StarCoder2), or set corpus.fim_rate=0"
    )


def cut(text: str, identity: str, seed: int, rate: float) -> Cut | None:
    """A document's two cuts, drawn by its id and the seed alone; None for the share that stays as it is.

    Cuts fall between any two characters, at the beginning or at the end, so a part may be empty.
    """
    draw = random.Random(f"fim:{seed}:{identity}")
    if draw.random() >= rate:
        return None
    order = draw.choice((PSM, SPM))
    first, second = sorted((draw.randint(0, len(text)), draw.randint(0, len(text))))
    return Cut(order, text[:first], text[first:second], text[second:])


def encode(tokenizer: Any, parts: Cut, marks: Marks) -> list[int]:
    """Token ids of a cut document, without an end. Raises ValueError where the text holds one of the marks."""
    whole = parts.prefix + parts.middle + parts.suffix
    for name in marks:
        if name in whole:
            raise ValueError(f"text: holds the control token {name!r}, which would be read as a mark; take it out")
    prefix, middle, suffix = tokenizer.convert_tokens_to_ids(list(marks))

    def ids(text: str) -> list[int]:
        return tokenizer.encode(text, add_special_tokens=False)

    if parts.order == PSM:
        return [prefix, *ids(parts.prefix), suffix, *ids(parts.suffix), middle, *ids(parts.middle)]
    return [prefix, suffix, *ids(parts.suffix), middle, *ids(parts.prefix + parts.middle)]


def filling(tokenizer: Any, rate: float, seed: int) -> tuple[tuple[str, ...], Callable[[Any], Any]]:
    """(marks that no text may hold, document -> (order, ids) or None): what a corpus is encoded with.

    Raises ValueError where the tokenizer has no marks and the rate is not 0.
    """
    if rate == 0:
        return (), lambda document: None
    marks = names(tokenizer)

    def fill(document: Any) -> tuple[str, list[int]] | None:
        parts = cut(document["text"], document["id"], seed, rate)
        return None if parts is None else (parts.order, encode(tokenizer, parts, marks))

    return tuple(marks), fill
