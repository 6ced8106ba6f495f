"""Documents to token rows: one document a row, never a window cut from a stream.

A small model trained on windows learns nothing it can use; rows aligned to documents are what makes it learn.
"""

from __future__ import annotations

from typing import Any

from nbcore.chat import template
from nbcore.core.records import Document
from nbcore.training.tokenizer import PAD


def encode(tokenizer: Any, documents: list[Document], max_tokens: int) -> tuple[list[dict], dict[str, int]]:
    """([{"id", "input_ids", "labels"}], counts of documents, tokens and cuts). Loss falls on every token.

    Text that spells a control token is set apart and counted: it would be read as one. So is what carries no loss:
    blank text, a single token, or what max_tokens cuts down to one. Raises ValueError where no document is left.
    """
    end = tokenizer.convert_tokens_to_ids(PAD)
    if end is None or end == tokenizer.unk_token_id:
        end = tokenizer.eos_token_id
    control = template.control_tokens(tokenizer)
    rows, counts = [], {"documents": 0, "tokens": 0, "cut": 0, "control_tokens_inside": 0}
    for document in documents:
        if "messages" in document:
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
        counts["documents"] += 1
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
