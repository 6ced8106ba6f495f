"""Whether a text holds an item that the project is evaluated on: the protected set.

It is the shipped katas that no training phase sees (held out, unseen families), HumanEval and HumanEval-X Rust, which
lie in assets/protected, and a person's own task files. A text hits an item by one of these rules:

- `function`: a function of the text does all that the item's does, in the same order, whatever its names, types'
  annotations, comments, layout and printed lines, and little else (fingerprints.py).
- `ngram`: 13 tokens of code in a row, or 10 where two or more such runs are shared, with own names numbered.
- `signature`: a function with the item's name and types, where no training kata has that name.
- `instruction`: 10 words in a row of the item's instruction; of one below 40 words the whole of it, if it has 7.
- `minhash`: a Jaccard similarity of at least 0.5 with the item's prompt and solution.

Training katas combine the same operations as the held-out ones, by design, and no composition is in two splits. So
what a shipped training kata contains (a run of tokens or words, a whole function) is the allow-list: no evidence.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from nbcore.core import environment, formats
from nbcore.data import dedup, fingerprints
from nbcore.tasks import katas

PUBLIC = environment.REPO / "nbcore/assets/protected"
FIELD = "protect"
LONG, SHORT = 13, 10  # tokens in a row
LIKE = 0.5  # Jaccard
LEAST_WEIGHT = 3  # of a function that is known by what it does; below, it is anybody's one-liner
SAYS_ENOUGH = 8  # of one that is also known with other types, or with things added
SPLIT_WEIGHT = 16  # of one that is also known when its parts are in another order
LEAST_WORDS = 7
WHOLE = 40  # words: a shorter instruction is found only where the whole of it stands


class Hit(NamedTuple):
    """`id` and `set` of the protected item, the rule, and what of the item was found, as text."""

    id: str
    set: str
    rule: str
    protected_text: str


class Item(NamedTuple):
    id: str
    set: str
    prompt: str
    code: str


class Protected:
    """The protected items, indexed. `sha256` tells two protected sets apart; `items` is what is in it."""

    def __init__(self, items: Sequence[Item], generic: Sequence[Item] = ()):
        self.items = list(items)
        plain = json.dumps([list(item) for item in items], ensure_ascii=True)
        self.sha256 = hashlib.sha256(plain.encode()).hexdigest()
        self._runs: dict[tuple, int] = {}
        self._word_runs: dict[tuple, list[int]] = defaultdict(list)
        self._signatures: dict[tuple[str, str], int] = {}
        self._functions: dict[str, list[tuple[int, fingerprints.Function]]] = defaultdict(list)
        self._minima: dict[int, list[int]] = defaultdict(list)
        allowed = _Generic(generic)
        self._allowed_functions = allowed.functions
        for number, item in enumerate(self.items):
            known = list(fingerprints.functions(item.code))
            for run in {*_runs(known, LONG), *_runs(known, SHORT)} - allowed.runs:
                self._runs.setdefault(run, number)
            for run in set(_word_runs(item.prompt)) - allowed.word_runs:
                self._word_runs[run].append(number)
            for function in known[-1:]:
                if function.name not in allowed.names and len(function.types) > 4:
                    self._signatures.setdefault((function.name, function.types), number)
                if _weight(function.body) >= LEAST_WEIGHT:
                    self._functions[max(function.body, key=lambda word: (len(word), word))].append((number, function))
        self._whole = [dedup.shingles(item.prompt + "\n" + item.code) for item in self.items]
        for number, shingles in enumerate(self._whole):
            for value in shingles.tolist():
                self._minima[value].append(number)

    @classmethod
    def of_the_project(cls, files: Iterable[str | Path] = ()) -> Protected:
        """The katas kept from training, the shipped public sets, and the tasks of these files or folders. Raises
        ValueError naming a file that holds none."""
        items = [*_kata_items(), *_public_items()]
        for file in formats.files(list(map(str, files)), FIELD) if files else ():
            items += task_items(file)
        return cls(items, training_items())

    def hits(self, text: str) -> list[Hit]:
        """What of the protected set the text holds, one hit an item, by the first rule that finds it."""
        found: dict[int, tuple[str, str]] = {}
        for view in _views(text):
            functions = complete = list(fingerprints.functions(view))
            body = fingerprints.significant(list(fingerprints.tokens(view))) if not functions else ()
            if body:
                functions = [fingerprints.Function("", "", body)]  # a solution without its head
            for function in functions:
                for number in self._same(function):
                    found.setdefault(number, ("function", self.items[number].code))
                number = self._signatures.get((function.name, function.types), None)
                if number is not None:
                    found.setdefault(number, ("signature", f"{function.name}{function.types}"))
            self._by_runs(view, complete, found)
            self._by_whole(view, complete, found)
        return [
            Hit(self.items[number].id, self.items[number].set, rule, shown) for number, (rule, shown) in found.items()
        ]

    def _same(self, function: fingerprints.Function) -> Iterator[int]:
        """Items whose function is this one with at most a few things added."""
        if (function.types, function.body) in self._allowed_functions:
            return
        for word in set(function.body):
            for number, protected in self._functions.get(word, ()):
                wanted = protected.body
                room = len(wanted) * 3 // 2 + 2
                same_types = function.types in ("", protected.types)
                if _weight(wanted) < SAYS_ENOUGH and not (same_types and wanted == function.body):
                    continue
                if not len(wanted) <= len(function.body) <= room:
                    continue
                # An expression that was split into statements does the same in another order.
                split = same_types and _weight(wanted) >= SPLIT_WEIGHT and not Counter(wanted) - Counter(function.body)
                if split or _in_order(wanted, function.body):
                    yield number

    def _by_runs(self, view: str, functions: list[fingerprints.Function], found: dict[int, tuple[str, str]]) -> None:
        shorter: dict[int, set] = defaultdict(set)
        for size in (LONG, SHORT):
            for run in _runs(functions, size):
                number = self._runs.get(run)
                if number is not None and size == LONG:
                    found.setdefault(number, ("ngram", " ".join(run)))
                elif number is not None:
                    shorter[number].add(run)
        for number, runs in shorter.items():
            if len(runs) > 1:
                found.setdefault(number, ("ngram", " ".join(min(runs))))
        spoken = set(_word_runs(view))
        for run in sorted(spoken & self._word_runs.keys()):
            for number in self._word_runs[run]:
                prompt = self.items[number].prompt
                if len(fingerprints.words(prompt)) >= WHOLE or spoken.issuperset(_word_runs(prompt)):
                    found.setdefault(number, ("instruction", prompt))

    def _by_whole(self, view: str, functions: list[fingerprints.Function], found: dict[int, tuple[str, str]]) -> None:
        if functions and all((function.types, function.body) in self._allowed_functions for function in functions):
            return  # nothing but what training katas do
        shingles = dedup.shingles(view)
        shared: dict[int, int] = defaultdict(int)
        for value in shingles.tolist():
            for number in self._minima.get(value, ()):
                shared[number] += 1
        for number, count in shared.items():
            if count >= LIKE * (len(shingles) + len(self._whole[number]) - count):
                found.setdefault(number, ("minhash", self.items[number].code))


def task_items(file: str | Path) -> list[Item]:
    """The items of a file of tasks in any of the formats that are read. ValueError names the file and the line that is
    none: a task that is skipped here would be trained on."""
    items = []
    for task in formats.read(Path(file), "tasks", FIELD):
        if isinstance(task, formats.SetAside):
            raise ValueError(f"{FIELD}: {file}:{task.line} is no task ({task.reason}); mend the line or take it out")
        code = (task.get("signature") or "") + (task.get("solution") or "")
        items.append(Item(task["id"], Path(file).name, task["prompt"], code))
    if not items:
        raise ValueError(f"{FIELD}: {file} holds no task")
    return items


@cache
def training_items() -> tuple[Item, ...]:
    """The shipped training katas, whose content is no evidence."""
    return tuple(_items_of("train"))


@cache
def _kata_items() -> tuple[Item, ...]:
    return tuple(item for split in ("heldout", "unseen_family") for item in _items_of(split))


@cache
def _public_items() -> tuple[Item, ...]:
    return tuple(item for file in sorted(PUBLIC.glob("*.jsonl.gz")) for item in task_items(file))


def _items_of(split: str) -> list[Item]:
    tasks = katas.load(split)
    return [Item(task["id"], f"katas {split}", task["prompt"].split("\n")[0], katas.code(task)) for task in tasks]


class _Generic:
    """What training katas contain, which is evidence of nothing."""

    def __init__(self, items: Sequence[Item]):
        self.word_runs = {run for item in items for run in _word_runs(item.prompt)}
        known = [function for item in items for function in fingerprints.functions(item.code)]
        self.runs = {*_runs(known, LONG), *_runs(known, SHORT)}
        self.names = {function.name for function in known}
        self.functions = {(function.types, function.body) for function in known}


def _views(text: str) -> list[str]:
    """The text, and where it is JSON with code in strings, the code with its line ends."""
    if "\\n" in text and "fn " in text:
        return [text, text.replace("\\n", "\n").replace('\\"', '"').replace("\\t", "\t")]
    return [text]


def _runs(functions: Iterable[fingerprints.Function], size: int) -> Iterator[tuple[str, ...]]:
    """Runs of `size` significant tokens."""
    for function in functions:
        body = function.body
        for start in range(len(body) - size + 1):
            run = body[start : start + size]
            if len(set(run)) > size // 2:
                yield run


def _word_runs(text: str) -> Iterator[tuple[str, ...]]:
    """Runs of words, at least half of them words: the digits from 0 to 9 stand in a row in many files."""
    return (
        run for run in _all_word_runs(text) if 2 * sum(word.isalpha() and len(word) > 1 for word in run) >= len(run)
    )


def _all_word_runs(text: str) -> Iterator[tuple[str, ...]]:
    for line in re.split(r"\n\s*\n", text):
        spoken = fingerprints.words(line)
        if LEAST_WORDS <= len(spoken) < SHORT:
            yield tuple(spoken)
        for start in range(len(spoken) - SHORT + 1):
            yield tuple(spoken[start : start + SHORT])


def _weight(body: Sequence[str]) -> int:
    """How much a body says: a name or a number of its own twice what an operator or keyword does."""
    return sum(2 if len(word) > 2 or word.isdigit() else 1 for word in body)


def _in_order(wanted: Sequence[str], body: Sequence[str]) -> bool:
    """Whether all that is wanted stands in the body, in this order."""
    rest = iter(body)
    return all(word in rest for word in wanted)
