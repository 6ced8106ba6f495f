"""One kata drawn: templates filled with ops, constants, names and a type, as code and as words."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

from nbcore.tasks.katas.family import Family
from nbcore.tasks.katas.ops import TABLES, Op
from nbcore.tasks.katas.surface import KINDS, POOLS


@dataclass(frozen=True)
class Draw:
    """One composition with its surface chosen: all that code, words and inputs are made from."""

    family: Family
    ops: dict[str, Op]
    constants: dict[str, int]  # by slot, and "K"
    names: dict[str, str]  # what $A, $B, $T, $f, ... stand for


def slots_of(family: Family) -> list[str]:
    return family.slots.split()


def types_of(family: Family, ops: dict[str, Op]) -> list[str]:
    allowed = family.types.split()
    # Clippy wants `is_multiple_of` where it knows a type as unsigned, which it does outside closures.
    multiple = family.area != "iterators" and any(op.tags == "multiple" for op in ops.values())
    if multiple or any(op.signed for op in ops.values()):
        allowed = [name for name in allowed if name.startswith("i")]
    if family.wide or any(op.wide for op in ops.values()):
        allowed = [name for name in allowed if name.endswith("64")]
    return allowed


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


def expand(text: str, draw: Draw, rng: random.Random | None = None) -> str:
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
            arguments = [expand(part, draw, rng) for part in _arguments(text[at + 1 : end])]
            values.update(zip("xyz", arguments, strict=False))
            at = end + 1
        out.append(_render(op, attribute, values, called, rng, draw))
    return "".join(out) + text[at:]


def _render(op: Op, attribute: str | None, values: dict, called: bool, rng: random.Random | None, draw: Draw) -> str:
    if rng is not None:
        said = rng.choice((*op.says, op.named) if called and op.named else op.says)
        return (said if not called or "{x}" in said else "{x} " + said).format(**values)
    if attribute == "ret":
        return expand(op.ret, draw)
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


def surface(family: Family, op_names: tuple[str, ...], rng: random.Random) -> Draw:
    ops = {slot: TABLES[slot][name] for slot, name in zip(slots_of(family), op_names, strict=True)}
    constants = dict(zip([*ops, "K"], rng.sample(range(3, 21), len(ops) + 1), strict=True))
    constants |= {slot: rng.randint(3, 6) for slot, op in ops.items() if "small" in op.tags}  # as lengths go
    names = {"T": rng.choice(types_of(family, ops)), "K": str(constants["K"])}
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


def signature_of(draw: Draw) -> str:
    family = draw.family
    if family.head:
        text = family.head
    else:
        kinds = family.params.split()
        parameters = ", ".join(f"${letter}: {KINDS[kind][0]}" for letter, kind in zip("ABC", kinds, strict=False))
        text = f"pub fn $f({parameters})" + (f" -> {family.ret} {{" if family.ret else " {")
    uses = "".join(f"use {use};\n" for use in family.uses.split())
    return (uses + "\n" if uses else "") + expand(text, draw)


def solution_of(draw: Draw) -> str:
    depth = 2 if draw.family.tail.count("}") == 2 else 1
    body = "\n".join(_broken(line) for line in expand(draw.family.body, draw).split("\n") if line.strip())
    return f"\n{_indent(body, depth)}\n{draw.family.tail}"


IMPERATIVES = ("Return", "Compute", "Give", "Write a function that returns")
DECLARATIVES = ("Returns", "Computes", "Gives")
NOUNS = ("Ok", "Err", "Some", "None")


def _third_person(sentence: str) -> str:
    verb, rest = sentence.split(" ", 1)
    rest = re.sub(r"\b(and|then) (return|give|make|turn)\b", r"\1 \2s", rest)
    if verb.endswith("y") and verb[-2] not in "aeiou":
        return f"{verb[:-1]}ies {rest}"
    return f"{verb}{'es' if verb.endswith(('sh', 'ch', 'ss', 'x')) else 's'} {rest}"


def words_of(draw: Draw, rng: random.Random) -> tuple[str, str]:
    """The instruction and the doc phrase: the same meaning, independently worded."""
    quoted = {name: f"`{value}`" if name in "ABCDEGH" else value for name, value in draw.names.items()}
    spoken = Draw(draw.family, draw.ops, draw.constants, quoted)
    said = []
    for starts in (IMPERATIVES, DECLARATIVES):
        template = rng.choice(draw.family.says)
        sentence = re.sub(r",? +(?=[,.]|$)|(?<= ) +", "", expand(template, spoken, rng)).strip()
        if template.startswith("$j") or (template[0].isupper() and template.split()[0].strip(",") not in NOUNS):
            said.append(_third_person(sentence) if starts is DECLARATIVES else sentence)
        else:
            said.append(f"{rng.choice(starts)} {sentence}")
    return said[0] + ".", said[1] + "."
