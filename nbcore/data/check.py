"""What is wrong with rows before they are trained on, and how long they are in tokens."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from nbcore.chat import actions, renderer, steps, template
from nbcore.core.output import shown
from nbcore.data import dedup, formats
from nbcore.data.prepare import evaluation_tasks
from nbcore.data.splits import content_digest
from nbcore.data.spool import Spool, Texts, text_of

Tell = Callable[[str, int, int], None]
SPLIT_NAMES = ("train", "validation", "valid", "val", "dev", "test")
TRIAL = [{"role": "user", "content": "question"}, {"role": "assistant", "content": "answer"}]


class Finding(NamedTuple):
    """One kind of thing that was found, and where."""

    what: str
    wrong: bool
    """False for what is only worth knowing, such as near copies within one split."""
    places: list[str]
    """One line each: "train: row kata-12", "rows.jsonl:7: not_json"."""


class Checked(NamedTuple):
    """What `check` says of a file or a folder."""

    lengths: dict[str, dict[str, int]]
    """Split or file -> rows, and in tokens: total, trained, shortest, median, p95, longest."""
    findings: list[Finding]

    @property
    def wrong(self) -> list[Finding]:
        """The findings that should keep one from training on these rows."""
        return [finding for finding in self.findings if finding.wrong and finding.places]


class Part(NamedTuple):
    """The rows of one split, as indexes into the spool. `asked` is False for a file beside the one that was named."""

    name: str
    asked: bool
    indexes: list[int]


def check(
    file: str | Path,
    tokenizer: Any,
    tell: Tell = lambda words, done, total: None,
    protect: Iterable[str | Path] = (),
) -> Checked:
    """Look through a file of rows in any format, a prepared folder, or another folder of rows.

    A folder's train, validation and test files are compared with each other; so is a file of such a name with those
    beside it. `protect`: files of more tasks that no row may hold. Raises ValueError where there is not one row, and
    for a tokenizer whose chat template cannot be trained with.
    """
    template.render(tokenizer, TRIAL)  # otherwise every row would be refused for the template's fault
    path = Path(file).expanduser()
    with tempfile.TemporaryDirectory() as folder:
        spool = Spool(Path(folder) / "rows")
        parts, bad = _read(_named_parts(path), spool, tell)
        if not any(part.indexes for part in parts if part.asked):
            raise ValueError(f"FILE: {path} has not one usable row; {bad[0] if bad else 'it is empty'}")
        lengths, masks = _lengths(spool, parts, tokenizer, tell)
        findings = [
            Finding("rows that cannot be used", True, bad),
            *masks,
            *_copies(spool, parts, tell),
            Finding("evaluation tasks inside", True, _contaminated(spool, parts, protect, tell)),
        ]
        spool.close()
    return Checked(lengths, findings)


def _named_parts(path: Path) -> list[tuple[str, bool, list[Path]]]:
    """(name, whether it was asked for, files) of each part to compare."""
    if path.is_dir():
        splits = [(each.name.partition(".")[0], True, [each]) for each in _splits_in(path)]
        return splits or [(path.name, True, list(formats.files([path])))]
    if path.name.partition(".")[0] in SPLIT_NAMES:
        splits = _splits_in(path.resolve().parent)
        return [(each.name.partition(".")[0], each == path.resolve(), [each]) for each in splits]
    return [(path.name.partition(".")[0], True, list(formats.files([path])))]


def _splits_in(folder: Path) -> list[Path]:
    """The files of a folder that are called like splits, in the order of the names above."""
    files = [each for each in folder.iterdir() if each.is_file() and each.name.partition(".")[0] in SPLIT_NAMES]
    return sorted(files, key=lambda each: (SPLIT_NAMES.index(each.name.partition(".")[0]), each.name))


def _read(named: list[tuple[str, bool, list[Path]]], spool: Spool, tell: Tell) -> tuple[list[Part], list[str]]:
    """The rows of each part, and a line about each row of the parts asked for that cannot be used."""
    parts, bad = [], []
    for name, asked, files in named:
        indexes: list[int] = []
        for number, path in enumerate(files):
            tell(f"reading {shown(path.name)}", number, len(files))
            if path.stat().st_size == 0:
                continue  # prepare leaves an empty file where a split got no row
            try:
                for record in formats.read(path, "rows", field="FILE"):
                    if isinstance(record, formats.SetAside):
                        line = f":{record.line}" if record.line is not None else ""
                        bad += [f"{path.name}{line}: {record.reason}: {record.text[:60]}"] if asked else []
                    else:
                        indexes.append(spool.append(record))
            except formats.Unreadable as error:
                if len(files) == 1 and asked:
                    raise
                bad.append(str(error))
        parts.append(Part(name, asked, indexes))
    return parts, bad


def _lengths(
    spool: Spool, parts: Sequence[Part], tokenizer: Any, tell: Tell
) -> tuple[dict[str, dict[str, int]], list[Finding]]:
    """The lengths of each part in tokens, and the rows on which nothing would be trained."""
    lengths, forged, refused, masked, wrong = {}, [], [], [], []
    for name, asked, indexes in parts:
        if not asked:
            continue
        counts, trained = [], 0
        for done, index in enumerate(indexes):
            if done % 100 == 0:
                tell(f"counting the tokens of {shown(name)}", done, len(indexes))
            row = spool[index]
            place = f"{name}: row {row['id']}"
            try:
                samples = renderer.chosen(tokenizer, row).render(row)  # of a row with tools one for each turn
            except template.ForgedToken as error:
                forged.append(f"{place}: {error}")
                continue
            except ValueError as error:
                refused.append(f"{place}: {error}")
                continue
            answered = sum(label != template.IGNORED for sample in samples for label in sample.labels)
            masked += [] if answered else [place]
            wrong += [f"{place}: {reason}" for reason in _wrong_calls(row)]
            trained += answered
            counts += [len(sample.ids) for sample in samples]
        lengths[name] = {"rows": len(indexes), **_quantiles(counts), "trained": trained}
    return lengths, [
        Finding("rows with a control token in their text", True, forged),
        Finding("rows that the chat template refuses", True, refused),
        Finding("rows without a token to train", True, masked),
        Finding("calls that cannot be read, or that no tool of their row takes", False, wrong),
    ]


def _wrong_calls(row: dict[str, Any]) -> list[str]:
    """What is wrong with calls that carry loss: a model would learn to call what is not there."""
    if not renderer.has_tools(row):
        return []
    try:
        read = steps.read(row)
    except ValueError as error:  # a template may take what cannot be told apart into calls and results
        return [str(error)]
    trained = [step for turn in read.turns for step in turn.steps if step.function and step.train]
    calls = [actions.called(read.functions, step.function, step.text) for step in trained]
    return [call.reason for call in calls if isinstance(call, actions.Malformed)]


def _quantiles(counts: list[int]) -> dict[str, int]:
    if not counts:
        return dict.fromkeys(("tokens", "shortest", "median", "p95", "longest"), 0)
    ordered = sorted(counts)
    return {
        "tokens": sum(ordered),
        "shortest": ordered[0],
        "median": round(statistics.median(ordered)),
        "p95": ordered[round(0.95 * (len(ordered) - 1))],
        "longest": ordered[-1],
    }


def _copies(spool: Spool, parts: Sequence[Part], tell: Tell) -> list[Finding]:
    """Copies within a part, and what one part has in common with another: copies, near copies, questions."""
    part_of = {index: part for part in parts for index in part.indexes}
    order = list(part_of)
    contents: dict[bytes, list[int]] = {}
    questions: dict[bytes, list[int]] = {}
    for place, index in enumerate(order):
        if place % 1000 == 0:
            tell("comparing rows with each other", place, len(order))
        messages, tools = spool[index]["messages"], spool[index].get("tools")
        contents.setdefault(content_digest(messages, tools), []).append(index)
        questions.setdefault(content_digest(messages[:-1]), []).append(index)
    tell("comparing rows with each other", 0, 0)
    near = [[order[place] for place in group] for group in dedup.near(Texts(spool, order))]

    def told(group: list[int], across: bool) -> list[str]:
        """The members that repeat an earlier one of the same part, or with `across` of another part."""
        lines, first = [], {}  # the first member of each part
        for index in group:
            part = part_of[index]
            earlier = [other for name, other in first.items() if (name != part.name) == across]
            # A leak concerns both its parts; it is told where one of them was asked for.
            if earlier and (part.asked or (across and any(part_of[other].asked for other in earlier))):
                same = f"{part_of[earlier[0]].name}: row {spool[earlier[0]]['id']}"
                lines.append(f"{part.name}: row {spool[index]['id']} is like {same}")
            first.setdefault(part.name, index)
        return lines

    copies = [line for group in contents.values() for line in told(group, across=False)]
    leaks = [line for group in [*contents.values(), *questions.values(), *near] for line in told(group, across=True)]
    close = [line for group in near for line in told(group, across=False)]
    return [
        Finding("copies of another row", True, copies),
        Finding("leaks between splits", True, list(dict.fromkeys(leaks))),
        Finding("near copies within a split", False, [line for line in close if line not in set(copies)]),
    ]


def _contaminated(spool: Spool, parts: Sequence[Part], protect: Iterable[str | Path], tell: Tell) -> list[str]:
    protected = evaluation_tasks(tuple(map(str, protect)))
    found = []
    for name, asked, indexes in parts:
        for done, index in enumerate(indexes if asked else ()):
            if done % 100 == 0:
                tell(f"looking for evaluation tasks in {shown(name)}", done, len(indexes))
            row = spool[index]
            if hits := protected.hits(text_of(row)):
                found.append(f"{name}: row {row['id']} holds {hits[0].id} of {hits[0].set} ({hits[0].rule})")
    return found
