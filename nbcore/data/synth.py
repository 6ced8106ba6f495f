"""Rows from the training katas in the formats that people bring, to try the other commands with."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path
from typing import Any

from nbcore.core.records import Row, Task
from nbcore.data import sources
from nbcore.tasks import katas, sets

FORMATS = ("messages", "alpaca", "sharegpt", "csv")


def synth(count: int, out: str | Path, format: str = "messages", seed: int = 0) -> int:
    """Write `count` rows of the training katas to a file; the same arguments give the same bytes. Returns the count.

    JSON lines, or one JSON list where the file is called .json; CSV with a header for "csv". Raises ValueError for what
    cannot be asked for, and for a file that is there with other content.
    """
    if format not in FORMATS:
        raise ValueError(f"format: {format!r}; choose one of {', '.join(FORMATS)}")
    if count < 1:
        raise ValueError(f"count: {count}; ask for one row or more")
    out = Path(out).expanduser()
    if out.is_dir() or not out.absolute().parent.is_dir():
        raise ValueError(f"--out: {out} is no file in a folder that exists; name another, or make the folder")
    if out.suffix in (".gz", ".zst", ".parquet"):
        raise ValueError(f"--out: {out}: rows are written as plain text; name a .jsonl, .json or .csv file")
    tasks = _drawn(count, seed)
    content = _written([sources.demonstration(task) for task in tasks], format, out.suffix == ".json").encode()
    if out.exists() and out.read_bytes() not in (b"", content):
        raise ValueError(f"--out: {out} is there already with other content; name another file, or remove it")
    fresh = out.with_name(f".{out.name}.new")
    fresh.write_bytes(content)
    os.replace(fresh, out)
    return len(tasks)


def _drawn(count: int, seed: int) -> list[Task]:
    """Shipped training katas, which the decontamination knows as what may be trained on; for more than there are,
    others of the training compositions."""
    shipped = katas.load("train")
    tasks = sets.drawn(shipped, min(count, len(shipped) - 1), seed)
    if len(tasks) == count:
        return tasks
    known = {task["id"] for task in tasks}
    try:
        others = [task for task in katas.generate(seed, count, split="train") if task["id"] not in known]
    except ValueError as error:
        raise ValueError(f"count: {count} rows are more than the katas have ({error})") from None
    return [*tasks, *others[: count - len(tasks)]]


def _written(rows: list[Row], format: str, as_list: bool) -> str:
    records = [_record(row, format) for row in rows]
    if format == "csv":
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, list(records[0]))
        writer.writeheader()
        writer.writerows(records)
        return text.getvalue()
    if as_list:
        return json.dumps(records, ensure_ascii=False, indent=1) + "\n"
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)


def _record(row: Row, format: str) -> dict[str, Any]:
    question, answer = (message["content"] for message in row["messages"])
    match format:
        case "alpaca":
            return {"instruction": question, "input": "", "output": answer}
        case "sharegpt":
            turns = [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]
            return {"id": row["id"], "conversations": turns}
        case "csv":
            return {"instruction": question, "output": answer}
        case _:
            return row
