"""Grade a file of samples into a file of verdicts: resumable, and a bad line costs only itself."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from nbcore.grading.rust.compiler import EDITIONS

CHUNK = 16  # graded between two writes: what a kill costs at most


class Bad(NamedTuple):
    """A line that is no sample."""

    line: int
    problem: str
    text: str


def read(path: Path) -> tuple[list[dict], list[Bad]]:
    """The samples of a .jsonl file, and the lines that are none. Raises FileNotFoundError."""
    if not path.is_file():
        raise FileNotFoundError(f"IN: no file {path}; give a .jsonl file of samples")
    good, bad, seen = [], [], set()
    for number, raw in enumerate(path.read_bytes().splitlines(), 1):
        if not raw.strip():
            continue
        text = raw.decode("utf-8", errors="replace")
        try:
            sample = json.loads(raw)
            problem = _problem(sample, seen)
        except ValueError as error:
            problem = f"not JSON: {error}"
        if problem:
            bad.append(Bad(number, problem, text))
        else:
            seen.add(sample["id"])
            good.append(sample)
    return good, bad


def done_ids(path: Path) -> set[str]:
    """Ids that have a verdict already; a line that a kill cut short is taken off the file first."""
    if not path.is_file():
        return set()
    raw = path.read_bytes()
    whole = raw[: raw.rfind(b"\n") + 1]
    try:
        verdicts = [json.loads(line) for line in whole.splitlines() if line.strip()]
        ids = {verdict["id"] for verdict in verdicts if verdict["verdict"]}
        if raw and not ids and not _begins_a_verdict(raw):  # nothing here tells that the file is ours
            raise KeyError("verdict")
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"OUT: {path} exists and holds something else than verdicts; name another file") from None
    if whole != raw:
        with path.open("r+b") as file:
            file.truncate(len(whole))
    return ids


def _begins_a_verdict(raw: bytes) -> bool:
    """Whether a first line without its end could be a verdict cut short, rather than a whole line of something else."""
    with contextlib.suppress(ValueError):
        return "verdict" in json.loads(raw)
    of_a_sample = any(name in raw for name in (b'"code"', b'"completion"', b'"tests"'))
    return raw.startswith(b'{"id"') and not of_a_sample


def set_aside(bad: list[Bad], out: Path) -> Path:
    """Write the bad lines, with number and problem, beside OUT."""
    path = out.with_name(f"{out.stem}.bad.jsonl")
    path.write_text("".join(json.dumps(line._asdict(), ensure_ascii=False) + "\n" for line in bad), "utf-8")
    return path


def grade(grader: Any, samples: list[dict], out: Path, progress: Callable[[int], None]) -> Iterator[dict]:
    """Grade in chunks and append each to OUT at once; yields the verdicts.

    An infra_error is our failure: it is not written, so the next call tries it again.
    """
    for start in range(0, len(samples), CHUNK):
        chunk = samples[start : start + CHUNK]
        verdicts = grader.grade(chunk, lambda done, _, start=start: progress(start + done))
        with out.open("a", encoding="utf-8") as file:
            lines = [json.dumps(v, ensure_ascii=False) for v in verdicts if v["verdict"] != "infra_error"]
            file.writelines(f"{line}\n" for line in lines)
        progress(start + len(chunk))
        yield from verdicts


def _problem(sample: Any, seen: set) -> str | None:
    if not isinstance(sample, dict):
        return f"a sample is a mapping, this is {type(sample).__name__}"
    if not isinstance(sample.get("id"), str):
        return f"'id' is {sample.get('id')!r}; it must be text"
    if sample["id"] in seen:
        return f"'id' {sample['id']!r} stands on an earlier line too"
    if sum(isinstance(sample.get(name), str) for name in ("completion", "code")) != 1:
        return "needs exactly one of 'completion' and 'code', as text"
    if not isinstance(sample.get("signature"), str | None):
        return f"'signature' is {sample['signature']!r}; it must be text, or left out"
    if not isinstance(sample.get("tests"), str):
        return f"'tests' is {sample.get('tests')!r}; it must be Rust text with #[test] functions"
    if (sample.get("language") or "rust") not in ("rust", "python"):
        return f"'language' is {sample['language']!r}; it must be rust or python"
    if str(sample.get("edition") or "2021") not in EDITIONS:
        return f"'edition' is {sample['edition']!r}; it must be one of {', '.join(EDITIONS)}"
    return None
