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

    Text that spells a control token is set apart and counted: it would be read as one.
    """
    end = tokenizer.convert_tokens_to_ids(PAD)
    if end is None or end == tokenizer.unk_token_id:
        end = tokenizer.eos_token_id
    rows, counts = [], {"documents": 0, "tokens": 0, "cut": 0, "control_tokens_inside": 0}
    for document in documents:
        if "messages" in document:
            ids, _ = template.render(tokenizer, document["messages"])
        elif any(token in document["text"] for token in tokenizer.all_special_tokens):
            counts["control_tokens_inside"] += 1
            continue
        else:
            ids = [*tokenizer.encode(document["text"], add_special_tokens=False), end]
        counts["documents"] += 1
        counts["cut"] += len(ids) > max_tokens
        ids = ids[:max_tokens]
        counts["tokens"] += len(ids)
        rows.append({"id": document["id"], "input_ids": ids, "labels": list(ids)})
    if not rows:
        raise ValueError(f"corpus: no document is left to train or measure on ({counts}); see corpus.sources")
    return rows, counts
