"""Grade a file of samples into a file of verdicts: resumable, and a bad line costs only itself."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from nbcore.core import lines
from nbcore.core.records import Sample, Verdict
from nbcore.grading.rust import hidden, vacuous

TRIES = 3  # of a sample that we could not grade
CHUNK = 16  # graded between two writes: what a kill costs at most


class Bad(NamedTuple):
    """A line that is no sample."""

    line: int
    problem: str
    text: str


def read(path: Path, tested: bool = True) -> tuple[list[Sample], list[Bad]]:
    """The samples of a .jsonl file, and the lines that are none; where they are to be `tested`, also those whose tests
    would run nothing, or not all of them, for whatever is answered would pass.

    Raises FileNotFoundError, and ValueError where the file as a whole is no text.
    """
    good, bad, seen = [], [], {}
    for number, raw in lines.numbered(path, "IN", "give a .jsonl file of samples"):
        try:
            sample = Sample.parse(lines.value(raw))
            if tested and _is_rust(sample) and (problem := vacuous.problem(sample["tests"])):
                if not hidden.count(sample["tests"]):
                    problem = "'tests' runs nothing: it needs a #[test] function that is not ignored, or a main"
                raise ValueError(problem if problem.startswith("'") else f"the tests of {sample['id']!r} {problem}")
            if sample["id"] in seen:
                raise ValueError(f"'id' {sample['id']!r} stands on line {seen[sample['id']]} too; ids are unique")
        except ValueError as error:
            bad.append(Bad(number, str(error), raw.decode("utf-8", errors="replace")))
        else:
            seen[sample["id"]] = number
            good.append(sample)
    return good, bad


def _is_rust(sample: Sample) -> bool:
    return (sample.get("language") or "rust") == "rust"


def lines_of(path: Path, problems: Mapping[str, str]) -> list[Bad]:
    """The lines of a file of samples with these ids, as bad ones with these problems."""
    bad, left = [], dict(problems)
    for number, raw in lines.numbered(path, "IN", "give a .jsonl file of samples"):
        with contextlib.suppress(ValueError):  # a bad line of another kind, which was named already
            name = Sample.parse(lines.value(raw))["id"]
            if problem := left.pop(name, None):
                bad.append(Bad(number, problem, raw.decode("utf-8", errors="replace")))
    return bad


def done_ids(path: Path) -> set[str]:
    """Ids that have a verdict already; a line that a kill cut short is taken off the file first."""
    if not path.is_file():
        return set()
    raw = path.read_bytes()
    whole = raw[: raw.rfind(b"\n") + 1]
    try:
        verdicts = [json.loads(line) for line in whole.split(b"\n") if line.strip()]
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
    return raw.startswith(b'{"id"') and (b'"verdict"' in raw or not of_a_sample)


def set_aside(bad: list[Bad], out: Path) -> Path:
    """Write the bad lines, with number and problem, beside OUT."""
    path = out.with_name(f"{out.stem}.bad.jsonl")
    path.write_text("".join(json.dumps(line._asdict(), ensure_ascii=False) + "\n" for line in bad), "utf-8")
    return path


def grade(
    grader: Any,
    samples: list[Sample],
    out: Path,
    progress: Callable[[int], None],
    refused: dict[str, str] | None = None,
) -> Iterator[Verdict]:
    """Grade in chunks and append each to OUT at once; yields the verdicts.

    refused: is filled with the ids of samples that get no verdict, and why: their tests do not compile, or pass
    whatever is answered. Tests that stand in many lines are tried once; without it none are.

    An infra_error is our failure: it is tried three times, and then written down like any other, since a sample that
    always ends so would be graded again for ever.
    """
    tried: dict[tuple[str, ...], str | None] = {}
    for start in range(0, len(samples), CHUNK):
        chunk = samples[start : start + CHUNK]
        if refused is not None:
            _try_tests(grader, chunk, tried)
            wrong = {sample["id"]: problem for sample in chunk if (problem := tried.get(_tests_of(sample)))}
            refused |= wrong
            chunk = [sample for sample in chunk if sample["id"] not in wrong]
        verdicts = grader.grade(chunk, lambda done, _, start=start: progress(start + done))
        for _ in range(TRIES - 1):
            failed = [index for index, verdict in enumerate(verdicts) if verdict["verdict"] == "infra_error"]
            again = grader.grade([chunk[index] for index in failed], lambda *_: None) if failed else []
            for index, verdict in zip(failed, again, strict=True):
                verdicts[index] = verdict
        # Half of a surrogate pair in a program is no UTF-8; with a backslash it is JSON's own way to write it.
        with out.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.writelines(f"{json.dumps(verdict, ensure_ascii=False)}\n" for verdict in verdicts)
        progress(min(start + CHUNK, len(samples)))
        yield from verdicts


def _tests_of(sample: Sample) -> tuple[str, ...]:
    """What a trial of its tests depends on."""
    return tuple(str(sample.get(field) or "") for field in ("tests", "signature", "edition"))


def _try_tests(grader: Any, samples: list[Sample], tried: dict[tuple[str, ...], str | None]) -> None:
    """Add what a function that is not written yet shows of the tests of these samples; None where they are right."""
    new = {_tests_of(sample): sample for sample in samples if _is_rust(sample) and _tests_of(sample) not in tried}
    trials = [vacuous.trial(sample, str(number)) for number, sample in enumerate(new.values())]
    verdicts = grader.grade(trials, lambda *_: None) if trials else []
    for (key, sample), verdict in zip(new.items(), verdicts, strict=True):
        problem = vacuous.found(verdict, sample)
        tried[key] = problem and f"the tests of {sample['id']!r} {problem}"
