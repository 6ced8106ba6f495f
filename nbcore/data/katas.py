"""Katas: small Rust functions composed from shared ops, generated from a seed, with held-out compositions.

A composition is a family and its ops; constants, types, names and wordings are surface. Its sha256 alone decides
the split, so no seed can move a held-out composition into training.
"""

from __future__ import annotations

import hashlib
import itertools
import random
import re
from dataclasses import dataclass
from functools import cache

from nbcore.data.kata_families import FAMILIES
from nbcore.data.kata_family import Family
from nbcore.data.kata_ops import TABLES, Op
from nbcore.data.kata_surface import KINDS, POOLS

SPLITS = ("train", "validation", "heldout", "unseen_family")
Task = dict

@dataclass(frozen=True)
class Draw:
    """One composition with its surface chosen: all that code, words and inputs are made from."""

    family: Family
    ops: dict[str, Op]
    constants: dict[str, int]  # by slot, and "K"
    names: dict[str, str]  # what $A, $B, $T, $f, ... stand for


def composition(family: Family, ops: dict[str, Op]) -> str:
    return " ".join([family.name, *(op.name for op in ops.values())])


def split_of(family: Family, ops: dict[str, Op]) -> str:
    """The split, from the composition alone."""
    if family.held_out:
        return "unseen_family"
    share = int(hashlib.sha256(composition(family, ops).encode()).hexdigest()[:8], 16) % 100
    return "train" if share < 82 else "validation" if share < 88 else "heldout"


def _slots(family: Family) -> list[str]:
    return family.slots.split()


def _types(family: Family, ops: dict[str, Op]) -> list[str]:
    allowed = family.types.split()
    if any(op.signed for op in ops.values()):
        allowed = [name for name in allowed if name.startswith("i")]
    if family.wide or any(op.wide for op in ops.values()):
        allowed = [name for name in allowed if name.endswith("64")]
    return allowed


@cache
def compositions(family_name: str) -> tuple[tuple[str, bool, tuple[str, ...]], ...]:
    """(split, demonstrated, op names) of every composition of the family."""
    family = FAMILIES[family_name]
    rows = []
    for chosen in itertools.product(*(TABLES[slot].values() for slot in _slots(family))):
        ops = dict(zip(_slots(family), chosen, strict=True))
        if _types(family, ops) and not ("m" in ops and "n" in ops and ops["m"].name == ops["n"].name):
            shown = all(op.shown for op in chosen)
            rows.append((split_of(family, ops), shown, tuple(op.name for op in chosen)))
    return tuple(rows)


def _closing(text: str, start: int) -> int:
    """The index of the parenthesis that closes the one at `start`."""
    depth = 0
    for at in range(start, len(text)):
        depth += (text[at] == "(") - (text[at] == ")")
        if depth == 0:
            return at
    raise AssertionError(f"unbalanced template: {text}")


def _arguments(text: str) -> list[str]:
    """Split at the commas outside any bracket."""
    parts, depth = [""], 0
    for char in text:
        depth += (char in "([{") - (char in ")]}")
        if char == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += char
    return [part.strip() for part in parts]


_PLACE = re.compile(r"\$(\w+)(?:\.(ret|init|step)\b)?")


def _expand(text: str, draw: Draw, rng: random.Random | None = None) -> str:
    """Fill a template: as code, or as words when an rng is there to choose between wordings."""
    out, at = [], 0
    while match := _PLACE.search(text, at):
        out.append(text[at : match.start()])
        name, attribute = match.groups()
        at = match.end()
        if name in draw.names:
            at = match.end(1)  # `.step` after a name is Rust, not ours
            out.append(draw.names[name])
            continue
        op = draw.ops[name]
        values = {"K": draw.constants[name]}
        called = text[at : at + 1] == "(" and not (rng is None and "{x}" not in (op.step if attribute else op.code))
        if called:
            end = _closing(text, at)
            arguments = [_expand(part, draw, rng) for part in _arguments(text[at + 1 : end])]
            values.update(zip("xyz", arguments, strict=False))
            at = end + 1
        out.append(_render(op, attribute, values, called, rng, draw))
    return "".join(out) + text[at:]


def _render(op: Op, attribute: str | None, values: dict, called: bool, rng: random.Random | None, draw: Draw) -> str:
    if rng is not None:
        said = rng.choice((*op.says, op.named) if called and op.named else op.says)
        return (said if not called or "{x}" in said else "{x} " + said).format(**values)
    if attribute == "ret":
        return _expand(op.ret, draw)
    return (getattr(op, attribute) if attribute else op.code).format(**values)


def _indent(text: str, depth: int) -> str:
    return "\n".join("    " * depth + line if line else line for line in text.split("\n"))


def _broken(line: str) -> str:
    """A line that continues a chain, one call a line as rustfmt has it."""
    if not line.lstrip().startswith("."):
        return line
    indent, rest, depth, calls = line[: len(line) - len(line.lstrip())], line.lstrip(), 0, []
    for char in rest:
        if char == "." and depth == 0:
            calls.append(indent)
        depth += (char in "([{") - (char in ")]}")
        calls[-1] += char
    return "\n".join(calls)


def _surface(family: Family, op_names: tuple[str, ...], rng: random.Random) -> Draw:
    ops = {slot: TABLES[slot][name] for slot, name in zip(_slots(family), op_names, strict=True)}
    constants = dict(zip([*ops, "K"], rng.sample(range(3, 21), len(ops) + 1), strict=True))
    names = {"T": rng.choice(_types(family, ops)), "K": str(constants["K"])}
    taken: set[str] = set()
    for letter, kind in zip("ABC", family.params.split(), strict=False):
        pool = [word for word in POOLS[KINDS[kind][1]] if word not in taken]
        names[letter] = rng.choice(pool)
        taken.add(names[letter])
    names["f"] = f"{rng.choice(POOLS['verb'])}_{rng.choice(POOLS['noun'])}"
    names["S"], names["Q"] = rng.sample(POOLS["type"], 2)
    names["D"], names["E"] = rng.sample([word for word in POOLS["field"] if word not in taken], 2)
    names["G"], names["H"] = rng.sample(POOLS["variant"], 2)
    return Draw(family, ops, constants, names)


def _signature(draw: Draw) -> str:
    family = draw.family
    if family.head:
        text = family.head
    else:
        kinds = family.params.split()
        parameters = ", ".join(f"${letter}: {KINDS[kind][0]}" for letter, kind in zip("ABC", kinds, strict=False))
        text = f"pub fn $f({parameters})" + (f" -> {family.ret} {{" if family.ret else " {")
    uses = "".join(f"use {use};\n" for use in family.uses.split())
    return (uses + "\n" if uses else "") + _expand(text, draw)


def _solution(draw: Draw) -> str:
    depth = 2 if draw.family.tail.count("}") == 2 else 1
    body = "\n".join(_broken(line) for line in _expand(draw.family.body, draw).split("\n") if line.strip())
    return f"\n{_indent(body, depth)}\n{draw.family.tail}"


IMPERATIVES = ("Return", "Compute", "Give", "Write a function that returns")
DECLARATIVES = ("Returns", "Computes", "Gives")
NOUNS = ("Ok", "Err", "Some", "None")


def _third_person(sentence: str) -> str:
    verb, rest = sentence.split(" ", 1)
    if verb.endswith("y") and verb[-2] not in "aeiou":
        return f"{verb[:-1]}ies {rest}"
    return f"{verb}{'es' if verb.endswith(('sh', 'ch', 'ss', 'x')) else 's'} {rest}"


def _words(draw: Draw, rng: random.Random) -> tuple[str, str]:
    """The instruction and the doc phrase: the same meaning, independently worded."""
    quoted = {
        name: f"`{value}`" if name in "ABCDEGH" else value
        for name, value in draw.names.items()
    }
    spoken = Draw(draw.family, draw.ops, draw.constants, quoted)
    said = []
    for starts in (IMPERATIVES, DECLARATIVES):
        template = rng.choice(draw.family.says)
        sentence = re.sub(r",? +(?=[,.]|$)|(?<= ) +", "", _expand(template, spoken, rng)).strip()
        if template.startswith("$j") or (template[0].isupper() and template.split()[0] not in NOUNS):
            said.append(_third_person(sentence) if starts is DECLARATIVES else sentence)
        else:
            said.append(f"{rng.choice(starts)} {sentence}")
    return said[0] + ".", said[1] + "."


def _make(key: str, family: Family, op_names: tuple[str, ...], split: str, shown: bool) -> tuple[Task, Draw]:
    rng = random.Random(key)
    draw = _surface(family, op_names, rng)
    asked, doc = _words(draw, rng)
    signature, solution = _signature(draw), _solution(draw)
    prompt = f"{asked}\n{signature.removesuffix(' {')}"
    task = {
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
    return task, draw


@cache
def _choices(split: str | None, demonstrated: bool | None, family: str | None) -> tuple:
    """Per family with any, the compositions asked for."""
    rows = []
    for name in [family] if family else FAMILIES:
        found = tuple(
            row
            for row in compositions(name)
            if split in (None, row[0]) and demonstrated in (None, row[1] and row[0] == "train")
        )
        if found:
            rows.append((name, found))
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
        task, _ = _make(f"{seed}/{attempt}/{name}/{'.'.join(op_names)}", FAMILIES[name], op_names, row_split, shown)
        if task["id"] not in seen:
            seen.add(task["id"])
            tasks.append(task)


def code(task: Task) -> str:
    """The whole reference source."""
    return task["signature"] + task["solution"]


def document(task: Task) -> str:
    """The reference with its doc comment, as pretraining text."""
    return f"/// {task['meta']['doc']}\n{code(task)}\n"
