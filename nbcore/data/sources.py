"""Where documents, rows and tasks come from: the katas, the machine's Rust source, or a .jsonl file.

Everything is deterministic in (source, split, seed), so a resumed run sees exactly the data it began with.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from nbcore.data import katas, rust_source

VALIDATION_SHARE = 20  # of a source without splits of its own, one document in so many is held out, by its hash


def documents(counts: dict[str, int], split: str, seed: int) -> list[dict]:
    """Documents {"id", "text" or "messages", "source"} of a split ("train" or "heldout"), shuffled.

    `counts` says how many to draw from each source at most. Raises ValueError naming an empty source.
    """
    found = []
    for source, limit in counts.items():
        if source == "katas":
            chosen = [_document(task) for task in katas.generate(seed, limit, split=split)]
        elif source == "copies":
            chosen = [_copy(task) for task in katas.generate(seed + 1, limit, split=split)]
        elif source == "files":
            functions = katas.generate(seed + 2, 2 * limit, split=split)
            chosen = [_file(pair) for pair in zip(functions[::2], functions[1::2], strict=True)]
        else:
            everything = rust_source.documents()
            if source != "rust-src":
                everything = lines(source, ("id", "text"), "corpus.sources")
            chosen = [row for row in everything if _held_out(row["id"]) == (split == "heldout")]
            random.Random(seed).shuffle(chosen)
            chosen = [{**row, "source": source} for row in chosen[:limit]]
        if not chosen:
            raise ValueError(f"corpus.sources: {source!r} has no {split} documents")
        found += chosen
    random.Random(seed).shuffle(found)
    return found


def rows(source: str, limit: int | None, seed: int) -> list[dict]:
    """Rows {"id", "messages"} for SFT: the demonstrated training katas, or a .jsonl file."""
    if source == "katas":
        found = [demonstration(task) for task in katas.load("train", demonstrated=True)]
    else:
        found = lines(source, ("id", "messages"), "rows")
    return _drawn(found, limit, seed)


def tasks(source: str, split: str, limit: int | None, seed: int, *, undemonstrated: bool = False) -> list[dict]:
    """Tasks with hidden tests: the shipped katas of a split, or a .jsonl file (whose tasks are all of one split).

    `undemonstrated` keeps only those that SFT has no demonstration of, where the source tells.
    """
    found = katas.load(split) if source == "katas" else lines(source, ("id", "prompt", "tests"), "tasks.source")
    repeated = [id_ for id_, count in Counter(task["id"] for task in found).items() if count > 1]
    if repeated:  # its prompt would be graded by another task's tests
        raise ValueError(f"tasks.source: {source}: 'id' {repeated[0]!r} stands on more than one line; ids are unique")
    if undemonstrated:
        found = [task for task in found if not task.get("meta", {}).get("demonstrated")]
    return _drawn(found, limit, seed)


def question(task: dict) -> list[dict]:
    """The conversation that asks for a task's function. Tests and solution stay out of it."""
    return [{"role": "user", "content": task["prompt"]}]


def demonstration(task: dict) -> dict:
    """A row whose answer is the task's reference solution."""
    answer = {"role": "assistant", "content": katas.code(task)}
    return {"id": task["id"], "messages": [*question(task), answer], "meta": {"family": task["family"]}}


def sample(task: dict, completion: str) -> dict:
    """What the grader takes: a completion beside the task's hidden tests."""
    return {
        "id": task["id"],
        "completion": completion,
        "tests": task["tests"],
        "signature": task.get("signature"),
        "edition": task.get("edition", "2021"),
    }


def lines(path: str | Path, columns: Iterable[str], field: str) -> list[dict]:
    """Objects of a .jsonl file, each with these columns. `field` is the config field that named the file.

    Raises ValueError or FileNotFoundError naming field, file, line and column for the first that does not fit.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{field}: no file {path}; give a .jsonl file, or 'katas' for what is built in")
    found = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"{field}: {path}:{number}: not JSON ({error.msg})") from None
        if not isinstance(row, dict):
            raise ValueError(f"{field}: {path}:{number}: {line[:40]} is no mapping; a line has {', '.join(columns)}")
        missing = [column for column in columns if column not in row]
        if missing:
            raise ValueError(f"{field}: {path}:{number}: {missing[0]!r} is missing; a line has {', '.join(columns)}")
        if not isinstance(row["id"], str):
            raise ValueError(f"{field}: {path}:{number}: 'id' is {row['id']!r}; it must be text")
        found.append(row)
    if not found:
        raise ValueError(f"{field}: {path} is empty; it needs at least one line of JSON with {', '.join(columns)}")
    return found


def digest(rows: Iterable[dict]) -> str:
    """sha256 over the rows as canonical JSON: equal data, equal digest."""
    total = hashlib.sha256()
    for row in rows:
        total.update(json.dumps(row, sort_keys=True, ensure_ascii=False).encode())
    return total.hexdigest()


def in_share(identity: str, share: float) -> bool:
    """Whether a row belongs to a held-out share, by a hash of its id: stable whatever else is in the data."""
    return int(hashlib.sha256(identity.encode()).hexdigest()[:8], 16) < share * 2**32


def _held_out(identity: str) -> bool:
    return in_share(identity, 1 / VALIDATION_SHARE)


def _document(task: dict) -> dict:
    return {"id": task["id"], "text": katas.document(task), "source": "katas"}


def _file(tasks: tuple[dict, ...]) -> dict:
    text = "\n".join(katas.document(task) for task in tasks)
    return {"id": "file-" + "-".join(task["id"] for task in tasks), "text": text, "source": "files"}


def _copy(task: dict) -> dict:
    # Repeat a name, repeat a function, or write something with this signature: the chat frame and copying, which later
    # phases build on. The names alone are what makes a small model discover copying: in a row of twenty tokens the
    # one to copy is found by chance, in a row of a hundred it is not. No instruction is here: what words mean in code
    # is for those later phases to teach.
    code, signature = katas.code(task), task["signature"].removesuffix(" {")
    name = "fn " + signature.rpartition("fn ")[2].partition("(")[0].partition("<")[0]
    third = int(hashlib.sha256(task["id"].encode()).hexdigest(), 16) % 3
    asked, answer = ((name, name), (code, code), (signature, code))[third]
    messages = [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]
    return {"id": f"copy-{task['id']}", "messages": messages, "source": "copies"}


def _drawn(found: list[dict], limit: int | None, seed: int) -> list[dict]:
    if limit is None or limit >= len(found):
        return found
    return random.Random(seed).sample(found, limit)
