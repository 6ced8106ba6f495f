"""Whether what a run was trained on holds tasks that the gate measures with."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from nbcore import config as configs
from nbcore import runs
from nbcore.config import tasksets
from nbcore.core import formats, lines
from nbcore.core.records import Task
from nbcore.gates.asked import EvalSet
from nbcore.gates.gate_file import Gate
from nbcore.runs import choice, data_runs, inputs, layout
from nbcore.tasks import sets

KINDS = {"rows": "rows", "corpus.sources": "documents", "tasks.source": "tasks", "best_of_n.tasks.source": "tasks"}
KATAS = ("katas", "files", "copies", "calls")  # sources that are made of shipped training katas
COMMON = 3  # tasks of a set that say the same sentence: it is how they all ask, and none's own
TRAINED_ON = "train*.arrow"  # what a run that prepares data leaves for training
_CODE = re.compile(r"^[ \t]*(?:pub|fn|use|def|import|from)\b.*\n?|^.*[{};][ \t]*$\n?", re.MULTILINE)
Doing = Callable[[str, int, int], None]


class Found(NamedTuple):
    """What was looked through, and what was found there."""

    records: int
    hits: list[str]
    """In words: where, which task, by which rule."""
    unread: list[str]
    """Files that are not here any more, or cannot be read."""


def search(run: runs.Run, evaluation: runs.Run | None, gate: Gate, doing: Doing) -> Found:
    """Look for the tasks that the gate measures with in every file that the run, or one that it stands on, was trained
    on.

    The shipped katas keep their splits apart by composition, so of them only the ids are compared.
    """
    names = gate.sets if evaluation else [gate.eval_set.name]
    answered: dict[str, dict[str, dict]] = {name: {} for name in names}
    for row in evaluation.samples() if evaluation else ():
        if row.get("split") in answered:
            answered[row["split"]][row["id"]] = row
    ids = {id_ for rows in answered.values() for id_ in rows}
    if evaluation is None:
        ids = {task["id"] for task in sets.tasks(gate.eval_set.source, gate.eval_set.name, None, 0)}
    protected = None
    count, hits, unread = 0, [], []
    if any("prompt" not in row for row in answered[gate.eval_set.name].values()):
        unread.append(f"what {gate.eval_set.name} asks, which {evaluation.id} did not record")
    for link in choice.lineage(run):
        for where, text, id_ in _records(link, unread):
            count += 1
            if id_ in ids:
                hits.append(f"{where}: task {id_} itself")
            elif text:
                if protected is None:
                    doing("indexing the evaluation's tasks", 0, 0)
                    protected = _protected(evaluation, answered, gate.eval_set)
                found = protected.hits(text)
                hits += [f"{where}: task {found[0].id} ({found[0].rule})"] if found else []
            if count % 100 == 0:
                doing(f"looking for evaluation tasks in {link.id}", count, 0)
    if gone := choice.missing(run):
        unread.append(f"what {gone} was trained on, which is not here")
    return Found(count, hits, unread)


def _protected(evaluation: runs.Run | None, answered: Mapping[str, dict[str, dict]], wanted: EvalSet) -> Any:
    """The tasks of each set, indexed; what shipped training katas contain is no evidence."""
    from nbcore.data import decontaminate  # it needs numpy, and a report that only shows gates does not

    items = []
    for name, rows in answered.items():
        source, tasks = _tasks(evaluation, name, rows, wanted)
        said = _own_words(tasks) if source != "katas" else [task["prompt"].split("\n")[0] for task in tasks]
        for task, prompt in zip(tasks, said, strict=True):
            code = (task.get("signature") or "") + (task.get("solution") or "")
            items.append(decontaminate.Item(task["id"], name, prompt, code))
    return decontaminate.Protected(items, decontaminate.training_items())


def _own_words(tasks: list[Task]) -> list[str]:
    """The prompts without code, which has rules of its own, and without the sentences that stand in several of them,
    which training data may share innocently."""
    parts = [re.split(r"(?<=[.!?]) +|(?<=\n)", _CODE.sub("", task["prompt"])) for task in tasks]
    known = Counter(sentence for sentences in parts for sentence in {each.strip() for each in sentences})
    return [" ".join(each for each in said if not each.strip() or known[each.strip()] < COMMON) for said in parts]


def _tasks(
    evaluation: runs.Run | None, name: str, answered: Mapping[str, dict[str, Any]], wanted: EvalSet
) -> tuple[str, list[Task]]:
    """(source, tasks) of a set: as the evaluation drew them; of a file that is gone, what was asked."""
    if evaluation is None:
        return wanted.source, sets.tasks(wanted.source, name, None, 0)
    config = evaluation.config
    source, tasks, repaired = config.source, [], False
    try:
        named = [each for each in map(tasksets.resolve, config.tasksets) if each.name == name]
        for each in named:
            source, repaired = each.source, each.kind == "repairs"
            tasks = sets.of_set(each, config.seed).tasks
        tasks = tasks if named else sets.tasks(source, name, None, config.seed)
    except (OSError, ValueError, KeyError):
        pass
    # A fault that was repaired has an id of its own; its solution is that of the task that it was put into.
    known = [task for task in tasks if repaired or task["id"] in answered]
    rest = sorted(answered.keys() - {task["id"] for task in known})
    return source, known + [_as_task(answered[id_]) for id_ in rest if "prompt" in answered[id_]]


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
