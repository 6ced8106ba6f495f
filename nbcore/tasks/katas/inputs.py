"""Inputs for katas, simple ones first, as Rust source: what a test passes in and the value it then looks at."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

from nbcore.tasks.katas.surface import KINDS

LEVELS = (0, *[1] * 5, *[2] * 7)  # empty or zero, then single items, then rich ones
_TEXT = (
    "apple banana seas Rust code x1 area 42 Ends axes tea bus Ada queue moss a be sky 7up class Zoe idea pass glass "
    "entire alphabet adventures elephants"
)
WORDS = tuple(_TEXT.split())
KEYS = ("a", "b", "k", "z")


@dataclass(frozen=True)
class Case:
    """One call: statements, then the expression whose value is compared."""

    level: int
    setup: str
    value: str


def _text(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


class _Inputs:
    """Draws argument literals for one kata at one level, near its constants so that both sides of a test are met."""

    def __init__(self, draw, level: int, rng: random.Random, near: float):
        self.draw, self.level, self.rng, self.often = draw, level, rng, near
        self.type = draw.names["T"]
        self.signed = self.type.startswith("i")
        product = any(op.name == "product" for op in draw.ops.values())
        self.small = product or draw.family.wide  # keeps products and chained maps inside 64 bits
        self.most = 4 if product else 7  # items
        used = {slot: value for slot, value in draw.constants.items() if slot == "K" or "{K}" in draw.ops[slot].code}
        self.near = sorted({k + d for k in used.values() for d in (-1, 0, 1)} | {2 * k for k in used.values()})

    def number(self) -> int:
        if self.level == 0:
            return 0
        bound = 25 if self.small else 60
        value = self.rng.randint(0, self.rng.choice((9, 25, bound)))
        if self.rng.random() < self.often:
            value = min(self.rng.choice(self.near), bound)
        return -value if self.signed and self.rng.random() < 0.35 else value

    def numbers(self) -> list[int]:
        if self.level < 2:
            return [self.number() for _ in range(self.level)]
        numbers = [self.number() for _ in range(self.rng.randint(3, self.most))]
        if self.rng.random() < 0.5:  # a repeat, for what counts, groups or looks for runs
            numbers.insert(self.rng.randrange(len(numbers)), self.rng.choice(numbers))
        return numbers[: self.most]

    def edge(self) -> str:
        if self.level == 0 or self.rng.random() < 0.4:
            return str(self.number())
        end = self.rng.choice(("MAX", "MIN"))
        step = self.rng.choice((0, 1, 3, 9))
        sign = "-" if end == "MAX" else "+"
        return f"{self.type}::{end} {sign} {step}" if step else f"{self.type}::{end}"

    def text(self) -> str:
        if self.level == 0:
            return ""
        word = self.rng.choice(WORDS)
        if self.level == 1:
            return self.rng.choice((word, word, f" {word} ", word.upper()))
        words = self.rng.sample(WORDS, self.rng.randint(2, 4))
        words = [self.rng.choice((w, w, w + ",", w.capitalize(), w + "!")) for w in words]
        return self.rng.choice(("", "", " ")) + " ".join(words) + self.rng.choice(("", "", " ", "."))

    def entries(self) -> str:
        count = min(len(KEYS), (0, 1, 3)[self.level] + (self.level == 2 and self.rng.randint(0, 1)))
        keys = sorted(self.rng.sample(KEYS, count))
        return ", ".join(f"({_text(key)}.to_string(), {self.number()})" for key in keys)

    def literal(self, kind: str) -> str:
        """The value of a parameter, with the reference or the `mut` around it left to the caller."""
        rng, level = self.rng, self.level
        if kind in ("slice", "mutvec", "mutslice"):
            return ", ".join(map(str, self.numbers()))
        if kind in ("int", "mutint"):
            return str(self.number())
        if kind == "count":
            return str((0, rng.randint(1, 3), rng.randint(4, 6 if self.small else 12))[level])
        if kind == "edge":
            return self.edge()
        if kind == "opt":
            return "None" if level == 0 or rng.random() < 0.1 else f"Some({self.number()})"
        if kind == "res":
            return 'Err("no".to_string())' if level == 0 or rng.random() < 0.2 else f"Ok({self.number()})"
        if kind == "restt":
            return f"{'Err' if level == 0 or rng.random() < 0.4 else 'Ok'}({self.number()})"
        if kind == "str":
            return _text(self.text())
        if kind == "numstr":
            return _text(rng.choice(("{}", "{}", "{}", " {}", "{}x")).format(self.number()) if level else "")
        if kind == "pair":
            return f"({self.number()}, {self.number()})"
        if kind in ("map", "mutmap"):
            return self.entries()
        if kind == "key":
            return _text("q" if level == 0 else rng.choice(KEYS))
        raise AssertionError(f"no inputs for parameters of kind {kind}")

    def argument(self, kind: str, at: int) -> tuple[str, str, str]:
        """(setup, what is passed, what is looked at afterwards) for parameter number `at`."""
        value = self.literal(kind)
        if kind == "slice":
            return "", f"&[{value}]", ""
        if kind == "map":
            return "", f"&HashMap::from([{value}])" if value else "&HashMap::new()", ""
        if not KINDS[kind][0].startswith("&mut"):
            return "", value, ""
        made = {
            "mutvec": f"vec![{value}]",
            "mutslice": f"[{value}]" if value else f"[0{self.type}; 0]",
            "mutint": value,
            "mutmap": f"BTreeMap::from([{value}])" if value else "BTreeMap::new()",
        }[kind]
        looked = f"v{at}.to_vec()" if kind == "mutslice" else f"v{at}"
        return f"let mut v{at} = {made};\n", f"&mut v{at}", looked


def _case(draw, level: int, rng: random.Random, expand, near: float) -> Case:
    family, inputs = draw.family, _Inputs(draw, level, rng, near)
    given = [inputs.argument(kind, at) for at, kind in enumerate(family.params.split())]
    setup = "".join(made for made, _, _ in given)
    seen = [after for _, _, after in given if after]
    if not family.call:
        call = f"{draw.names['f']}({', '.join(passed for _, passed, _ in given)})"
        if not seen:
            return Case(level, setup, call)
        if not family.ret:
            return Case(level, f"{setup}{call};\n", seen[0])
        return Case(level, f"{setup}let result = {call};\n", f"(result, {', '.join(seen)})")
    template = expand(re.sub(r"\$(\d)", r"\\\1", family.call)).replace("\\", "$")
    template = re.sub(r"\$(\d)", lambda match: given[int(match[1])][1], template)
    before, _, value = template.rpartition(" ## ")
    return Case(level, setup + (before + "\n" if before else ""), value)


def cases(draw, key: str, expand, near: float = 0.4) -> list[Case]:
    """More cases than a kata needs, all different, simple ones first; `expand` fills a template for this kata. `near`
    is how often a number is one at the kata's constants."""
    rng = random.Random(f"inputs {key}")
    distinct: dict[tuple[str, str], Case] = {}
    for level in LEVELS:
        case = _case(draw, level, rng, expand, near)
        distinct.setdefault((case.setup, case.value), case)
    return list(distinct.values())
