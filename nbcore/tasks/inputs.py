"""Inputs for a function, by the types in its signature and near the constants of its reference.

A kata's own generator knows its families, methods and closures; any other function has the general one: integers, bool,
char, strings, and options, results, tuples, arrays, vectors, slices, maps and sets of them, by value or by reference.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

from nbcore.core.records import Task
from nbcore.grading.rust.answer import target
from nbcore.grading.rust.signatures import parsed
from nbcore.grading.rust.syntax import name_of, parse, part_of, text_of, walk
from nbcore.tasks import checking, katas
from nbcore.tasks.katas.families import FAMILIES
from nbcore.tasks.katas.inputs import LEVELS, Case

ROUNDS = 12  # draws of a kata's own generator, a dozen inputs each
INTEGER = re.compile(r"([iu])(8|16|32|64|128|size)")
ENDS = re.compile(r"\b(?:checked|wrapping|saturating|overflowing)_|\b(?:MAX|MIN)\b")
TEXTS = ("", "a", "Rust", "  two words ", "x1", "42", "-7", "noon", "ÀÉ ß", "a,b;c", "AAB", "the cat the dog")
LIMIT = 40  # as far as integers go that are near no constant: sums and products of such stay inside every type


class Unknown(ValueError):
    """A type that no inputs can be made for."""


def cases(task: Task, most: int, seed: int = 0) -> list[Case]:
    """At most `most` different inputs of a task's function, none where its parameters are of other types.

    The ends of a type are tried only where the reference speaks of them: elsewhere a right program may overflow.
    """
    meta = task.get("meta") or {}
    if task.get("family") in FAMILIES and "key" in meta and "ops" in meta:
        drawn = katas.more_cases(task, ROUNDS)  # alone: what a kata does not promise is no fault
    else:
        drawn = _typed(task, most, seed)
    found = list({(case.setup, case.value): case for case in drawn}.values())
    random.Random(f"{seed} {task['id']}").shuffle(found)
    return sorted(found[:most], key=lambda case: case.level)


def _typed(task: Task, most: int, seed: int) -> list[Case]:
    name, reference = target(task.get("signature")), checking.solution(task)
    if name is None or reference is None:
        return []
    functions = [node for node in parsed(task["signature"]).children if node.type == "function_item"]
    asked = next((node for node in functions if name_of(node) == name), None)
    if asked is None or part_of(asked, "type_parameters"):
        return []
    parameters = asked.child_by_field_name("parameters").named_children
    kinds = [part_of(node, "type") for node in parameters if node.type == "parameter"]
    if len(kinds) != len(parameters):
        return []
    drawn, returns = _Drawn(reference, random.Random(f"inputs {seed} {task['id']}")), part_of(asked, "return_type")
    try:
        return [drawn.case(name, kinds, bool(returns), LEVELS[at % len(LEVELS)]) for at in range(most)]
    except Unknown:
        return []


class _Drawn:
    """Draws arguments as Rust expressions."""

    def __init__(self, reference: str, rng: random.Random):
        self.rng, self.ends, self.level = rng, bool(ENDS.search(reference)), 0
        nodes = list(walk(parse(reference)))
        literals = [text_of(node) for node in nodes if node.type == "integer_literal"]
        numbers = {int(digits) for text in literals if (digits := re.sub(r"_|[iu].*", "", text)).isdecimal()}
        self.near = sorted({number + step for number in numbers for step in (-1, 0, 1)} | {2 * n for n in numbers})
        strings = [text_of(node)[1:-1] for node in nodes if node.type == "string_literal"]
        self.texts = [*TEXTS, *(text for text in strings if "\\" not in text and len(text) < LIMIT)]

    def case(self, name: str, kinds: Sequence[str], returns: bool, level: int) -> Case:
        """A call with arguments of these types; what a `&mut` holds afterwards is looked at, too."""
        self.level, setup, passed, seen = level, "", [], []
        for at, kind in enumerate(kinds):
            changed = re.fullmatch(r"&\s*(?:'\w+\s+)?mut\s+(.+)", kind, re.DOTALL)
            if not changed:
                passed.append(self.value(kind))
                continue
            setup += f"let mut v{at}: {_owned(changed[1])} = {self.value(_owned(changed[1]))};\n"
            passed.append(f"&mut v{at}")
            seen.append(f"v{at}")
        call = f"{name}({', '.join(passed)})"
        if not seen:
            return Case(level, setup, call)
        if not returns:
            return Case(level, f"{setup}{call};\n", seen[0] if len(seen) == 1 else f"({', '.join(seen)})")
        return Case(level, f"{setup}let result = {call};\n", f"(result, {', '.join(seen)})")

    def value(self, kind: str) -> str:
        """A value of a type. Raises Unknown."""
        kind, rng = kind.strip(), self.rng
        if match := re.fullmatch(r"&\s*(?:'\w+\s+)?(.+)", kind, re.DOTALL):
            inner = match[1].strip()
            if inner == "str":
                return self.text()
            if inner.startswith("[") and ";" not in inner:
                return f"&{self.items(inner[1:-1], '[', ']')}"
            return f"&{self.value(inner)}"
        if match := INTEGER.fullmatch(kind):
            return self.number(kind)
        if kind in ("bool", "char", "String"):
            plain = {"bool": ("true", "false"), "char": ("'a'", "'Z'", "'0'", "' '", "'é'")}
            return rng.choice(plain[kind]) if kind in plain else f"{self.text()}.to_string()"
        if kind.startswith("(") and kind.endswith(")"):
            parts = _split(kind[1:-1])
            return f"({', '.join(map(self.value, parts))}{',' if len(parts) == 1 else ''})"
        if match := re.fullmatch(r"\[(.+);\s*(\d+)\]", kind, re.DOTALL):
            return f"[{', '.join(self.value(match[1]) for _ in range(int(match[2])))}]"
        if match := re.fullmatch(r"(?:[a-z]+::)*(\w+)<(.+)>", kind, re.DOTALL):
            return self.generic(match[1], _split(match[2]))
        raise Unknown(kind)

    def generic(self, name: str, inside: Sequence[str]) -> str:
        """A value of one of std's types."""
        if name == "Option":
            value = f"Some({self.value(inside[0])})"
            return "None" if self.level == 0 or self.rng.random() < 0.15 else value
        if name == "Result" and len(inside) == 2:
            wrong = self.level == 0 or self.rng.random() < 0.3
            return f"Err({self.value(inside[1])})" if wrong else f"Ok({self.value(inside[0])})"
        if name == "Box":
            return f"Box::new({self.value(inside[0])})"
        if name in ("Vec", "VecDeque"):
            made = self.items(inside[0], "vec![", "]")
            return made if name == "Vec" else f"std::collections::VecDeque::from({made})"
        if name in ("HashMap", "BTreeMap", "HashSet", "BTreeSet"):
            one = f"({', '.join(inside)})" if name.endswith("Map") else inside[0]
            items = self.items(one, "[", "]")
            path = f"std::collections::{name}"
            return f"{path}::new()" if items == "[]" else f"{path}::from({items})"
        raise Unknown(name)

    def items(self, kind: str, begin: str, end: str) -> str:
        """None, one or several values between brackets."""
        count = (0, 1, self.rng.randint(2, 6))[self.level]
        made = [self.value(kind) for _ in range(count)]
        if count > 1 and self.rng.random() < 0.5:  # a repeat, for what counts, groups or looks for runs
            made[self.rng.randrange(count)] = self.rng.choice(made)
        return begin + ", ".join(made) + end

    def number(self, kind: str) -> str:
        """An integer: near a constant of the reference in half of the draws, where it has any."""
        rng, signed = self.rng, kind.startswith("i")
        if self.ends and rng.random() < 0.2:
            step = rng.choice((0, 1, 2))
            return rng.choice((f"{kind}::MAX - {step}", f"{kind}::MIN + {step}"))
        value = rng.randint(0, rng.choice((3, 9, LIMIT)))
        if self.near and rng.random() < 0.5:
            value = rng.choice(self.near)
        value = -value if signed and rng.random() < 0.3 else value
        bits = 64 if kind.endswith("size") else int(kind[1:])
        low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
        return str(min(max(value, low), high))

    def text(self) -> str:
        """A string literal."""
        text = "" if self.level == 0 else self.rng.choice(self.texts)
        if self.level == 2 and self.rng.random() < 0.5:
            text += self.rng.choice(("", " ")) + self.rng.choice(self.texts)
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _owned(kind: str) -> str:
    """What stands behind a `&mut`, as a type that a variable can have."""
    kind = kind.strip()
    if kind.startswith("[") and ";" not in kind:
        return f"Vec<{kind[1:-1]}>"
    if kind == "str":
        raise Unknown(kind)
    return kind


def _split(text: str) -> list[str]:
    """Parts between the commas outside any bracket."""
    parts, depth = [""], 0
    for char in text:
        depth += (char in "<([") - (char in ">)]")
        if char == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += char
    return [part.strip() for part in parts if part.strip()]
