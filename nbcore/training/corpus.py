"""Documents to token rows: one document a row, never a window cut from a stream.

A small model trained on windows learns nothing it can use; rows aligned to documents are what makes it learn.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nbcore.chat import renderer, template
from nbcore.core.records import Document
from nbcore.training import packing
from nbcore.training.tokenizer import PAD


def encode(
    tokenizer: Any,
    documents: list[Document],
    max_tokens: int,
    overlong: str = "truncate",
    forbidden: tuple[str, ...] = (),
    fill: Callable[[Document], tuple[str, list[int]] | None] = lambda document: None,
) -> tuple[list[dict], dict[str, int]]:
    """([{"id", "input_ids", "labels"}], counts of documents, tokens and cuts). Loss falls on every token.

    Text that spells a control token is set apart and counted: it would be read as one. So is what carries no loss:
    blank text, a single token, or what max_tokens cuts down to one. A document of more than max_tokens is cut to them,
    or dropped, or raises, or is kept whole for packing to split (`overlong`: truncate, drop, raise, split); each is
    counted. `fill` gives (order, ids) of a text that is to be told as fill-in-the-middle, and `forbidden` are the marks
    that no text may hold then (data/fim.py); what would not fit with its marks stays as it is.
    Raises ValueError where no document is left.
    """
    end = tokenizer.convert_tokens_to_ids(PAD)
    if end is None or end == tokenizer.unk_token_id:
        end = tokenizer.eos_token_id
    control = [*template.control_tokens(tokenizer), *forbidden]  # Qwen's marks are no special tokens of it
    rows, counts = [], {"documents": 0, "tokens": 0, "cut": 0, "control_tokens_inside": 0}
    for document in documents:
        if "messages" in document:
            if renderer.has_tools(document):
                ids = renderer.chosen(tokenizer, document).render(document)[0].ids
            else:
                ids, _ = template.render(tokenizer, document["messages"])
            tokens = len(ids)
        elif any(token in document["text"] for token in control):
            counts["control_tokens_inside"] += 1
            continue
        else:
            text = tokenizer.encode(document["text"], add_special_tokens=False)
            ids, tokens = [*text, end], len(text) if document["text"].strip() else 0
        if min(tokens, max_tokens) < 2:  # the first token of a row is given, never predicted
            counts["too_short"] = counts.get("too_short", 0) + 1
            continue
        if len(ids) > max_tokens and overlong != "truncate":
            if overlong == "raise":
                raise ValueError(
                    f"corpus.overlong is 'raise': document {document['id']!r} has {len(ids)} tokens, and "
                    f"corpus.max_tokens is {max_tokens}; raise that, shorten the document, or choose drop or truncate"
                )
            counts[overlong] = counts.get(overlong, 0) + 1
            if overlong == "drop":
                continue
        if "messages" not in document and (filled := fill(document)):
            kind, inner = filled
            if len(inner) < max_tokens:  # else the middle, told last, would be cut off or part from its marks
                ids = [*inner, end]
            else:
                kind = "too_long"
            counts[f"fim_{kind}"] = counts.get(f"fim_{kind}", 0) + 1
        counts["documents"] += 1
        if overlong == "truncate":
            counts["cut"] += len(ids) > max_tokens
            ids = ids[:max_tokens]
        counts["tokens"] += len(ids)
        rows.append({"id": document["id"], "input_ids": ids, "labels": list(ids)})
    if not rows:
        raise ValueError(
            f"corpus: no document is left to train or measure on ({counts}); see corpus.sources, and "
            f"max_tokens, which is {max_tokens}"
        )
    if "too_short" in counts:
        print(
            f"corpus: {counts['too_short']} documents are blank or a single token and teach nothing: left out",
            flush=True,
        )
    return rows, counts


def rows(tokenizer: Any, documents: list[Document], config: Any, *filling: Any) -> tuple[list[dict], dict[str, Any]]:
    """`encode` as a phase's config says; where rows are to be packed, a long document stays whole for that."""
    wanted = config.corpus
    overlong = "split" if config.packing != "none" and wanted.overlong == "truncate" else wanted.overlong
    return encode(tokenizer, documents, wanted.max_tokens, overlong, *filling)


def shown(rows: list[dict], counts: dict[str, int], limit: int) -> dict[str, Any]:
    """What a notebook shows before the first step, of rows as they are trained and of what `encode` counted."""
    dropped = counts.get("drop", 0) + counts["control_tokens_inside"]
    return packing.counted(
        rows, limit, truncated=counts["cut"], dropped=dropped, fully_masked=counts.get("too_short", 0)
    )
