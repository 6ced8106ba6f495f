"""Where documents and rows come from: the katas, the machine's Rust source, or files that a person brings.

Everything is deterministic in (source, split, seed), so a resumed run sees exactly the data it began with.
"""

from __future__ import annotations

import hashlib
import random
from typing import Any

from nbcore.config import prompt_form
from nbcore.config.data import GENERATED
from nbcore.core.formats import loading
from nbcore.core.records import Document, Row, Task
from nbcore.data import calls, rust_source
from nbcore.tasks import katas, sets

ADAPTER_SEED = 100  # added to the seed: pretraining draws with that, and the same katas twice teach nothing new
VALIDATION_SHARE = 20  # of a source without splits of its own, one document in so many is held out, by its hash


def documents(counts: dict[str, int], split: str, seed: int, report: dict[str, Any] | None = None) -> list[Document]:
    """Documents {"id", "text" or "messages", "source"} of a split ("train" or "heldout"), shuffled.

    `counts` says how many to draw from each source at most. `report` gets "set_aside", how many documents of files were
    bad, by reason, where any were. Raises ValueError naming an empty source.
    """
    collected = []
    for source, limit in counts.items():
        if source in GENERATED:
            chosen = generated(source, limit, split, seed)
        else:
            if source == "rust-src":
                everything = rust_source.documents()
            else:
                everything = loading.load(source, "documents", "corpus.sources").told(report)
            chosen = [row for row in everything if _held_out(row["id"]) == (split == "heldout")]
            random.Random(seed).shuffle(chosen)
            # No other field of the file: where a line has `messages` too, they would be read instead of its text.
            chosen = [{"id": row["id"], "text": row["text"], "source": source} for row in chosen[:limit]]
        if not chosen:
            raise ValueError(
                f"corpus.sources: {source!r} has no {split} documents; one in {VALIDATION_SHARE} is held out, by a "
                "hash of its id: give more documents"
            )
        collected += chosen
    random.Random(seed).shuffle(collected)
    return collected


def generated(source: str, count: int, split: str, seed: int) -> list[Document]:
    """So many documents of a split of 'katas', 'files' (two katas, one after the other), or of chats: 'copies', or
    'calls' with tools."""
    if source == "katas":
        return [_document(task) for task in katas.generate(seed, count, split=split)]
    if source == "copies":
        return [_copy(task) for task in katas.generate(seed + 1, count, split=split)]
    if source == "calls":
        return [calls.document(task) for task in katas.generate(seed + 3, count, split=split)]
    functions = katas.generate(seed + 2, 2 * count, split=split)
    return [_file(pair) for pair in zip(functions[::2], functions[1::2], strict=True)]


def rows(
    source: str, limit: int | None, seed: int, form: str = prompt_form.BARE, counts: dict[str, Any] | None = None
) -> list[Row]:
    """Rows {"id", "messages"} for SFT: the demonstrated training katas, asked in a prompt form, or those of a file or
    folder in any common format. `counts` gets "set_aside", how many rows of it were bad, by reason, where any were."""
    if source == "katas":
        loaded = [demonstration(task, form) for task in katas.load("train", demonstrated=True)]
    else:
        loaded = loading.load(source, "rows", "rows").told(counts)
    return sets.drawn(loaded, limit, seed)


def demonstration(task: Task, form: str = prompt_form.BARE) -> Row:
    """A row whose answer is the task's reference solution: the code alone where the task is asked barely, else in the
    one ```rust block that chat models answer in and the shipped form asks for."""
    code = katas.code(task)
    content = code if form == prompt_form.BARE else f"```rust\n{code}\n```"
    answer = {"role": "assistant", "content": content}
    return {"id": task["id"], "messages": [*sets.question(task, form), answer], "meta": {"family": task["family"]}}


def in_share(identity: str, share: float) -> bool:
    """Whether a row belongs to a held-out share, by a hash of its id: stable whatever else is in the data."""
    return int(hashlib.sha256(identity.encode()).hexdigest()[:8], 16) < share * 2**32


def _held_out(identity: str) -> bool:
    return in_share(identity, 1 / VALIDATION_SHARE)


def _document(task: Task) -> Document:
    return {"id": task["id"], "text": katas.document(task), "source": "katas"}


def _file(tasks: tuple[Task, ...]) -> Document:
    text = "\n".join(katas.document(task) for task in tasks)
    return {"id": "file-" + "-".join(task["id"] for task in tasks), "text": text, "source": "files"}


def _copy(task: Task) -> Document:
    # Three kinds of chat: repeat a name, repeat a function, write something with this signature. They teach the chat
    # frame and copying, which later phases build on. A small model discovers copying from the names: in a row of twenty
    # tokens it hits on the right one by chance, in a row of a hundred it does not. None holds an instruction: what
    # words mean in code is taught by the later phases.
    code, signature = katas.code(task), task["signature"].removesuffix(" {")
    name = "fn " + signature.rpartition("fn ")[2].partition("(")[0].partition("<")[0]
    third = int(hashlib.sha256(task["id"].encode()).hexdigest(), 16) % 3
    asked, answer = ((name, name), (code, code), (signature, code))[third]
    messages = [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]
    return {"id": f"copy-{task['id']}", "messages": messages, "source": "copies"}
