"""Numbers that a text states, recomputed from the records that ship with it.

verified: the record gives the same number; differs: it gives another; unsupported: no record is named, or it is not
there. Recomputed are the table that `run` prints, from the records in docs/records/, and any number that is followed by
`<!-- audit FILE MODEL METRIC -->`, METRIC being pass@1, compile_rate, unseen, perplexity, n, unseen_n or documents. Of
a .json record MODEL and METRIC are its fields, MODEL a dash where the field stands at its top. Every other number that
looks like a result (a share, a difference, a p) is unsupported; in a block of code, where it has an interval.
"""

from __future__ import annotations

import functools
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from nbcore.core import environment
from nbcore.report import records

VERIFIED, DIFFERS, UNSUPPORTED = "verified", "differs", "unsupported"
RECORDS = "docs/records"
HEAD = re.compile(r"\s*phase\s{2,}compile rate\s{2,}pass@1\s{2,}Δ\s{2,}p\s{2,}unseen\s{2,}ppl\s*")
COLUMNS = ("compile rate", "pass@1", "Δ pass@1", "p", "unseen pass@1", "perplexity")
SPLITS = ("heldout", "heldout", "heldout", "heldout", "unseen_family", "perplexity")
TESTS = ("Wilson", "Wilson", "paired by task", "exact McNemar, Holm", "Wilson", "mean over tokens")
NUMBER = r"[-+−]?\d+(?:,\d{3})*(?:\.\d+)?"
# The number whole: 171 or 1,071 must not be verified as the 71 in it.
CLAIM = re.compile(rf"(?<![\w.,–−+-])({NUMBER})(\s*%)?\s*<!-- audit (\S+) (\S+) (\S+) -->")
MARK = re.compile(r"<!-- audit .*?-->")
RESULT = re.compile(
    rf"(?<![\w.,])({NUMBER}(?:(?:,\s|\s(?:and|or|to)\s|–){NUMBER})*)\s?(?:%|pp\b|percent\b|percentage points?\b)"
    r"|\b(p\s?[<=≤≈]?\s?(?:0?\.\d+|\d+(?:\.\d+)?[eE][-−]\d+))"
)
INTERVAL = re.compile(r"\d\s?%\s*\[\s*[-+−]?\d")
LEVEL = re.compile(r"\b(?:90|95|99)\s?%(?=[\s*]*(?:confidence |bootstrap |Wilson )?interval)")
AT_LEVEL = re.compile(r"\bat (?:90|95|99)\s?%")
METRICS = {
    "pass@1": ("heldout", "passed"),
    "compile_rate": ("heldout", "compiles"),
    "unseen": ("unseen_family", "passed"),
}
COUNTS = {"n": "heldout", "unseen_n": "unseen_family", "documents": "perplexity"}


class Stamp(NamedTuple):
    """One number, and what its record says of it."""

    state: str
    where: str
    number: str
    artefact: str
    """The record, with n, seed and test where it is known; what is missing where it is not."""
    now: str
    """The number as the record gives it; empty where none does."""

    def line(self) -> str:
        """For people."""
        again = f", recomputed {self.now}" if self.state == DIFFERS and self.now else ""
        return f"{self.state:<11} {self.where}  {self.number}{again}  ({self.artefact})"


def text(path: Path) -> list[Stamp]:
    """Every number of a text that states a result. Relative names of records count from the text's own folder, or from
    the repository."""
    stamps: list[Stamp] = []
    inside = fenced = False
    try:
        everything = path.read_text("utf-8").splitlines()
    except UnicodeDecodeError:
        raise ValueError(f"audit: {path} is no text in UTF-8; name a text, or a folder of runs") from None
    for number, line in enumerate(everything, 1):
        where = f"{path.name}:{number}"
        fenced ^= line.lstrip().startswith("```")
        if HEAD.fullmatch(line):
            inside = True
            continue
        inside = inside and bool(line.strip()) and not line.lstrip().startswith("```")
        if inside:
            stamps += _row(path, where, re.split(r"\s{2,}", line.strip()))
            continue
        claimed = list(CLAIM.finditer(line))
        stamps += [_claim(path, where, *match.groups()) for match in claimed]
        if len(MARK.findall(line)) > len(claimed):
            stamps.append(Stamp(UNSUPPORTED, where, "a mark of audit", "no number stands before it, or it is cut", ""))
        behind = everything[number] if number < len(everything) else ""
        if not (fenced or line.startswith("    ")) or INTERVAL.search(line):
            stamps += _unsupported(where, MARK.sub("", CLAIM.sub("", line)), behind)
    return stamps


def _unsupported(where: str, line: str, behind: str) -> Iterator[Stamp]:
    """The numbers of a line that state a result and name no record; the level of an interval is none."""
    whole = f"{line} {behind.strip()}"
    levels = {match.start() for match in LEVEL.finditer(whole)}
    if re.search(r"\bintervals?\b", line, re.IGNORECASE):
        levels |= {match.end() - len(match[0].removeprefix("at ")) for match in AT_LEVEL.finditer(line)}
    for match in RESULT.finditer(line):
        if match[2]:
            yield Stamp(UNSUPPORTED, where, match[2].strip(), "no record is named", "")
        for said in re.finditer(NUMBER, match[1] or ""):
            if match.start(1) + said.start() not in levels:
                unit = match[0].removeprefix(match[1]).strip()
                yield Stamp(UNSUPPORTED, where, f"{said[0]} {unit}", "no record is named", "")


def _row(path: Path, where: str, cells: list[str]) -> Iterator[Stamp]:
    """The cells of one line of the table."""
    model, *stated = cells
    if len(stated) != len(COLUMNS):
        words = f"the row has {len(cells)} cells, and the table {len(COLUMNS) + 1}"
        yield Stamp(UNSUPPORTED, where, " ".join(cells), words, "")
        return
    known = sorted({*(path.parent / RECORDS).glob("*.jsonl.gz"), *(environment.REPO / RECORDS).glob("*.jsonl.gz")})
    for file in known:
        found, table = _table(file, file.stat().st_mtime_ns)
        if model in found.rows:
            n = Counter(row["split"] for row in found.rows[model])
            seed = next(each["seed"] for each in found.models if each["model"] == model)
            for at, (said, now) in enumerate(zip(stated, table[model], strict=True)):
                if said == now == "–":
                    continue
                artefact = f"{file.name}, n {n[SPLITS[at]]}, seed {seed}, {TESTS[at]}"
                state = VERIFIED if said == now else DIFFERS
                yield Stamp(state, where, f"{model} {COLUMNS[at]} {said}", artefact, now)
            return
    for at, said in enumerate(stated):
        yield Stamp(UNSUPPORTED, where, f"{model} {COLUMNS[at]} {said}", f"no records of {model} in {RECORDS}/", "")


@functools.lru_cache(maxsize=8)
def _table(file: Path, _changed: int) -> tuple[records.Records, dict[str, list[str]]]:
    found = records.read(file)
    return found, records.table(found)


def _claim(path: Path, where: str, said: str, percent: str | None, file: str, model: str, metric: str) -> Stamp:
    """One number with the record that it names."""
    named = next((each for each in (path.parent / file, environment.REPO / file) if each.is_file()), None)
    missing = f"no {metric} of {model} in {file}" if named else f"no file {file}"
    try:
        value, n = _recorded(named, model, metric, bool(percent)) if named else (None, "")
    except ValueError as error:
        value, missing = None, str(error)
    if value is None:
        return Stamp(UNSUPPORTED, where, said, missing, "")
    now = f"{value:.{len(said.partition('.')[2])}f}"
    plain = said.replace(",", "").replace("−", "-")
    state = VERIFIED if float(plain) == float(now) else DIFFERS
    name = metric if model == "-" else f"{model} {metric}"
    return Stamp(state, where, f"{name} {said}", f"{file}{n}", now)


def _recorded(named: Path, model: str, metric: str, percent: bool) -> tuple[float | None, str]:
    """(the number in the unit that it is stated in, of how many) of a record; (None, "") where it has no such number.
    Raises ValueError for a file that holds no records."""
    if named.suffix == ".json":
        value: Any = json.loads(named.read_text("utf-8"))
        of = value
        for key in (metric,) if model == "-" else (*model.split("."), metric):
            of, value = value, value.get(key) if isinstance(value, dict) else None
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None, ""
        return value * (100 if percent else 1), f", n {of['n']}" if "n" in of else ""
    found = records.read(named)
    if model not in found.rows:
        return None, ""
    if metric in METRICS:
        rate = found.rate(model, *METRICS[metric])
        return (100 * rate.value, f", n {rate.n}") if rate and percent else (None, "")
    if percent:
        return None, ""
    if metric in COUNTS:
        return sum(row["split"] == COUNTS[metric] for row in found.rows[model]), ""
    return (found.perplexity(model) if metric == "perplexity" else None), ""
