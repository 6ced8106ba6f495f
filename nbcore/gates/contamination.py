"""Whether what a run was trained on holds tasks that the gate measures with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from nbcore import config as configs
from nbcore import runs
from nbcore.core import formats, lines
from nbcore.core.records import Task
from nbcore.gates.asked import EvalSet
from nbcore.runs import choice, data_runs, inputs, layout
from nbcore.tasks import sets

KINDS = {"rows": "rows", "corpus.sources": "documents", "tasks.source": "tasks", "best_of_n.tasks.source": "tasks"}
KATAS = ("katas", "files", "copies", "calls")  # sources that are made of shipped training katas
TRAINED_ON = "train*.arrow"  # what a run that prepares data leaves for training
Doing = Callable[[str, int, int], None]


class Found(NamedTuple):
    """What was looked through, and what was found there."""

    records: int
    hits: list[str]
    """In words: where, which task, by which rule."""
    unread: list[str]
    """Files that are not here any more, or cannot be read."""


def search(run: runs.Run, evaluation: runs.Run | None, wanted: EvalSet, doing: Doing) -> Found:
    """Look for the tasks of the evaluation in every file that the run, or one that it stands on, was trained on.

    The shipped katas keep their splits apart by composition, so of them only the ids are compared.
    """
    answered = {}
    if evaluation:
        answered = {row["id"]: row for row in evaluation.samples() if row.get("split") == wanted.name}
    ids = answered.keys() or {task["id"] for task in _tasks(evaluation, answered, wanted)}
    protected = None
    count, hits, unread = 0, [], []
    for link in choice.lineage(run):
        for where, text, id_ in _records(link, unread):
            count += 1
            if id_ in ids:
                hits.append(f"{where}: task {id_} itself")
            elif text:
                if protected is None:
                    doing("indexing the evaluation's tasks", 0, 0)
                    protected = _protected(_tasks(evaluation, answered, wanted), wanted.name)
                found = protected.hits(text)
                hits += [f"{where}: task {found[0].id} ({found[0].rule})"] if found else []
            if count % 100 == 0:
                doing(f"looking for evaluation tasks in {link.id}", count, 0)
    return Found(count, hits, unread)


def _protected(tasks: list[Task], name: str) -> Any:
    """The tasks, indexed; what shipped training katas contain is no evidence."""
    from nbcore.data import decontaminate  # it needs numpy, and a report that only shows gates does not

    items = []
    for task in tasks:
        code = (task.get("signature") or "") + (task.get("solution") or "")
        items.append(decontaminate.Item(task["id"], name, task["prompt"].split("\n")[0], code))
    return decontaminate.Protected(items, decontaminate.training_items())


def _tasks(evaluation: runs.Run | None, answered: dict[str, dict[str, Any]], wanted: EvalSet) -> list[Task]:
    """The tasks of the gate's set: as the evaluation drew them; of a file that is gone, what was asked."""
    if evaluation is None:
        return sets.tasks(wanted.source, wanted.name, None, 0)
    config = evaluation.config
    try:
        tasks = sets.tasks(config.source, wanted.name, None, config.seed)
    except (OSError, ValueError, KeyError):
        tasks = []
    known = [task for task in tasks if task["id"] in answered]
    rest = answered.keys() - {task["id"] for task in known}
    return known + [_as_task(answered[id_]) for id_ in sorted(rest)]


def _as_task(row: dict[str, Any]) -> Task:
    return {"id": row["id"], "prompt": row["prompt"], "signature": "", "solution": "", "tests": "", "family": ""}


def _records(run: runs.Run, unread: list[str]) -> Iterator[tuple[str, str, str | None]]:
    """(where, text, id) of each record that a run was trained on; "" for text where only the id matters."""
    own = run.path / layout.ROLLOUTS
    for row in lines.read(own) if own.is_file() else ():
        yield f"{run.id}/{own.name}", "", row["id"]
    entry = configs.TABLE[run.phase]
    if entry.leaves and not entry.trains:  # what it left counts: of what it read, it took such tasks out
        for path in sorted((run.path / entry.leaves).glob(TRAINED_ON)):
            yield from _prepared(run, path)
        return
    if prepared := run.info.get(data_runs.FIELD):
        yield from _records(runs.Run(run.store / prepared["id"]), unread)
    for field, files in run.info.get("inputs", {}).items():
        for name in files if field in inputs.FILES else ():
            path = inputs.located(name)
            if path is None:
                unread.append(f"{field}: {name}")
                continue
            try:
                yield from _of_file(field, name, path)
            except (OSError, ValueError) as error:
                unread.append(f"{field}: {name} ({error})")


def _of_file(field: str, name: str, path: Path) -> Iterator[tuple[str, str, str | None]]:
    if field not in KINDS:  # pairs: JSON lines of our own
        for number, row in enumerate(lines.read(path), 1):
            yield f"{field}: {name}:{number}", _text(row), row.get("task") or row.get("id")
        return
    for number, record in enumerate(formats.read(path, KINDS[field], field), 1):
        if not isinstance(record, formats.SetAside):
            yield f"{field}: {name}, record {number}", _text(record), record.get("id")


def _prepared(run: runs.Run, path: Path) -> Iterator[tuple[str, str, str | None]]:
    from datasets import Dataset

    for number, row in enumerate(Dataset.from_file(str(path)), 1):
        # What is made of the shipped training katas shares parts with the held-out ones, by design, and no composition.
        text = "" if row.get("source") in KATAS else _text(row)
        yield f"{run.id}/{path.name}, row {number}", text, row.get("id")


def _text(value: Any) -> str:
    """All text of a record, code with its line ends."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return "\n".join(filter(None, (_text(each) for name, each in value.items() if name not in ("id", "meta"))))
    if isinstance(value, list):
        return "\n".join(filter(None, map(_text, value)))
    return ""
