"""Katas: small Rust functions composed from shared ops, generated from a seed, with held-out compositions.

A composition is a family and its ops; constants, types, names and wordings are surface. Its sha256 alone decides
the split, so no seed can move a held-out composition into training.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import itertools
import json
import random
from functools import cache, partial
from pathlib import Path

from nbcore.core.records import Task
from nbcore.tasks.katas.draw import expand, signature_of, slots_of, solution_of, surface, types_of, words_of
from nbcore.tasks.katas.families import FAMILIES
from nbcore.tasks.katas.family import Family
from nbcore.tasks.katas.inputs import Case, cases
from nbcore.tasks.katas.normal import normalised
from nbcore.tasks.katas.ops import TABLES, Op
from nbcore.tasks.katas.tests import modules_for

__all__ = ["SPLITS", "Task", "add_tests", "code", "document", "generate", "load", "more_cases", "normalised"]

SPLITS = ("train", "validation", "heldout", "unseen_family")
MOST_PROMPT, MOST_CODE = 220, 320  # characters; longer ones are drawn again
ASSET = Path(__file__).parents[2] / "assets" / "katas.jsonl.gz"
SHIPPED = {"train": 4800, "validation": 300, "heldout": 600, "unseen_family": 210}


def split_of(family: Family, op_names: tuple[str, ...]) -> str:
    """The split, from the composition alone."""
    if family.held_out:
        return "unseen_family"
    share = _hash(family, op_names) % 100
    return "train" if share < 82 else "validation" if share < 88 else "heldout"


def is_demonstrated(family: Family, ops: tuple[Op, ...]) -> bool:
    """Whether SFT may show solutions of a composition: one in ten of those whose every op is shown at all.

    A worked solution costs a person's time, and a test does not; so few have one.
    """
    return all(op.shown for op in ops) and _hash(family, tuple(op.name for op in ops)) // 100 % 10 == 0


def _hash(family: Family, op_names: tuple[str, ...]) -> int:
    return int(hashlib.sha256(" ".join((family.name, *op_names)).encode()).hexdigest()[:8], 16)


@cache
def compositions(family_name: str) -> tuple[tuple[str, bool, tuple[str, ...]], ...]:
    """(split, demonstrated, op names) of every composition of the family."""
    family = FAMILIES[family_name]
    rows = []
    for chosen in itertools.product(*(TABLES[slot].values() for slot in slots_of(family))):
        ops = dict(zip(slots_of(family), chosen, strict=True))
        names = tuple(op.name for op in chosen)
        twice = "m" in ops and ops["m"] is ops.get("n")  # both branches alike: clippy says so
        if types_of(family, ops) and not twice:
            rows.append((split_of(family, names), is_demonstrated(family, chosen), names))
    return tuple(rows)


def _make(key: str, family: Family, op_names: tuple[str, ...], split: str, shown: bool) -> Task:
    rng = random.Random(key)
    draw = surface(family, op_names, rng)
    asked, doc = words_of(draw, rng)
    signature, solution = signature_of(draw), solution_of(draw)
    prompt = f"{asked}\n{signature.removesuffix(' {')}"
    return {
        "id": "kata-" + hashlib.sha256(f"{prompt}\n{solution}".encode()).hexdigest()[:12],
        "family": family.name,
        "prompt": prompt,
        "signature": signature,
        "tests": "",
        "solution": solution,
        "edition": "2021",
        "meta": {
            "split": split,
            "composition": " ".join((family.name, *op_names)),
            "ops": list(op_names),
            "demonstrated": split == "train" and shown,
            "area": family.area,
            "doc": doc,
            "key": key,
        },
    }


@cache
def _choices(split: str | None, demonstrated: bool | None, family: str | None) -> tuple:
    """Per family with any, the compositions asked for."""
    rows = []
    for name in [family] if family else FAMILIES:
        chosen = tuple(
            row
            for row in compositions(name)
            if split in (None, row[0]) and demonstrated in (None, row[1] and row[0] == "train")
        )
        if chosen:
            rows.append((name, chosen))
    return tuple(rows)


def generate(
    seed: int, n: int, *, split: str | None = None, demonstrated: bool | None = None, family: str | None = None
) -> list[Task]:
    """`n` distinct tasks without tests. Families weigh the same, and compositions within one.

    The same arguments give the same tasks in any process. ValueError when the choice has fewer than `n` tasks.
    """
    if split not in (None, *SPLITS):
        raise ValueError(f"split {split!r}: choose one of {', '.join(SPLITS)}")
    if family not in (None, *FAMILIES):
        raise ValueError(f"family {family!r}: not one of the {len(FAMILIES)} kata families")
    choices = _choices(split, demonstrated, family)
    rng = random.Random(f"katas {seed} {split} {demonstrated} {family}")
    tasks: list[Task] = []
    seen: set[str] = set()
    for attempt in itertools.count():
        if len(tasks) == n:
            return tasks
        if not choices or attempt > 20 * n + 1000:
            raise ValueError(
                f"n={n}: only {len(tasks)} distinct katas for split={split}, family={family}; ask for fewer"
            )
        name, rows = rng.choice(choices)
        row_split, shown, op_names = rng.choice(rows)
        task = _make(f"{seed}/{attempt}", FAMILIES[name], op_names, row_split, shown)
        fits = len(task["prompt"]) <= MOST_PROMPT and len(code(task)) <= MOST_CODE
        if fits and task["id"] not in seen:
            seen.add(task["id"])
            tasks.append(task)


def code(task: Task) -> str:
    """The whole reference source."""
    return task["signature"] + task["solution"]


def document(task: Task) -> str:
    """The reference with its doc comment, as pretraining text."""
    return f"/// {task['meta']['doc']}\n{code(task)}\n"


def add_tests(tasks: list[Task], jobs: int = 2) -> list[Task]:
    """The tasks with tests, whose expected values come from running the references.

    Tasks that one constant answer would pass, such as the sum of the zeros, are left out. AssertionError when a
    reference does not compile or panics. Takes about a second per 60 tasks and job.
    """
    rows = []
    for task in tasks:
        draw = surface(FAMILIES[task["family"]], tuple(task["meta"]["ops"]), random.Random(task["meta"]["key"]))
        assert code(task) == signature_of(draw) + solution_of(draw), f"{task['id']} is not what its key makes"
        rows.append((code(task), cases(draw, task["meta"]["key"], partial(expand, draw=draw))))
    modules = modules_for(rows, jobs)
    return [task | {"tests": module} for task, module in zip(tasks, modules, strict=True) if module]


def more_cases(task: Task, rounds: int) -> list[Case]:
    """Further inputs of a shipped or generated kata: as many draws of its own generator as `rounds`, all different."""
    draw = surface(FAMILIES[task["family"]], tuple(task["meta"]["ops"]), random.Random(task["meta"]["key"]))
    filled = partial(expand, draw=draw)
    near = (0.4, 0.9)  # in turn: where two conditions are met at once, both numbers must be at their edges
    drawn = [
        case
        for number in range(rounds)
        for case in cases(draw, f"{task['meta']['key']} {number}", filled, near[number % len(near)])
    ]
    return list({(case.setup, case.value): case for case in drawn}.values())


def load(split: str | None = None, demonstrated: bool | None = None) -> list[Task]:
    """The shipped katas with their tests, all or those of one split; `demonstrated` ones are what SFT may show."""
    if split not in (None, *SPLITS):
        raise ValueError(f"split {split!r}: choose one of {', '.join(SPLITS)}")
    with gzip.open(ASSET, "rt", encoding="utf-8") as lines:
        tasks = [json.loads(line) for line in lines]
    return [
        task
        for task in tasks
        if split in (None, task["meta"]["split"]) and demonstrated in (None, task["meta"]["demonstrated"])
    ]


def ship(seed: int, out: Path, jobs: int = 2) -> list[Task]:
    """Write the asset: tested katas of every split, the same bytes for the same seed."""
    tasks = []
    for split, wanted in SHIPPED.items():
        # Negative, so that no corpus, whose seed is a config's, ever reads the very functions these tasks ask for.
        drawn = generate(-1 - seed, wanted + wanted // 10, split=split)  # some are left out for want of telling tests
        tasks += add_tests(drawn, jobs)[:wanted]
    text = "".join(json.dumps(task, ensure_ascii=False) + "\n" for task in tasks)
    out.write_bytes(gzip.compress(text.encode("utf-8"), compresslevel=9, mtime=0))
    return tasks


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Remake the shipped katas.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=ASSET)
    options = parser.parse_args()
    print(f"{len(ship(options.seed, options.out))} katas in {options.out}")
