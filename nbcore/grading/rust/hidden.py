"""The hidden tests: what becomes of them in the program that is built, and how its report is read.

Each case is reported on stderr as it ends, on a line signed with a secret (text of the hidden module) and a nonce (read
from stdin, to its end, before any code of the candidate runs). The line has the values that its assertions told, and
what they should have been is known here alone (see telling.py).
"""

from __future__ import annotations

import functools
import re
import secrets
from collections.abc import Iterator
from typing import Any, NamedTuple

from nbcore.grading.rust.asserted import COIN, KEY, Told, Wanted
from nbcore.grading.rust.expected import Expected
from nbcore.grading.rust.shapes import NOTHING, Shape, Shown
from nbcore.grading.rust.syntax import attributes, edited, introduced, name_of, parse, part_of, text_of, walk
from nbcore.grading.rust.telling import HOLES, Rewriter

# Names of std in full, for what the task calls `str` or `Some` is its own affair. What std has compiled already is
# called, and nothing of std's is dropped: of each function that is made anew for the program, compiling takes its time.
_SAYS = r"""
use STD::fmt::Debug as DebugKEY; // for what `dyn ::` begins is a path in the edition of 2015
pub fn tell_KEY(value: &dyn DebugKEY) { say_KEY(STD::format_args!("\nSECRET {:?}\n", value)); }
fn report_KEY(nonce: &STD::primitive::str, number: STD::primitive::usize, well: STD::primitive::bool) {
    say_KEY(STD::format_args!("\nSECRET{} {} {}\n", nonce, number, if well { "ok" } else { "fail" }));
}
// Not by eprint!, whose output a nightly's `set_output_capture` gives to somebody else.
fn say_KEY(line: STD::fmt::Arguments<'_>) {
    STD::mem::forget(STD::io::Write::write_fmt(&mut STD::io::stderr(), line));
}
""".lstrip()
_PLAIN_ENDS = r"""
fn ends_KEY(case: fn()) -> STD::primitive::bool {
    match STD::panic::catch_unwind(case) {
        STD::result::Result::Ok(()) => true,
        STD::result::Result::Err(said) => { STD::mem::forget(said); false }
    }
}
""".lstrip()
_ENDS = r"""
trait EndedKEY { fn well(&self) -> STD::primitive::bool; }
impl EndedKEY for () { fn well(&self) -> STD::primitive::bool { true } }
impl EndedKEY for STD::process::ExitCode {
    fn well(&self) -> STD::primitive::bool { *self == STD::process::ExitCode::SUCCESS }
}
impl<T, E> EndedKEY for STD::result::Result<T, E> { fn well(&self) -> STD::primitive::bool { self.is_ok() } }
fn ends_KEY<T: EndedKEY>(case: fn() -> T) -> STD::primitive::bool {
    match STD::panic::catch_unwind(case) { STD::result::Result::Ok(end) => end.well(), _ => false }
}
fn panics_KEY<T>(case: fn() -> T, part: &STD::primitive::str) -> STD::primitive::bool {
    match STD::panic::catch_unwind(case) {
        STD::result::Result::Ok(_) => false,
        STD::result::Result::Err(said) => match said.downcast_ref::<STD::string::String>() {
            STD::option::Option::Some(text) => text.contains(part),
            _ => said.downcast_ref::<&STD::primitive::str>().map_or(part.is_empty(), |text| text.contains(part)),
        },
    }
}
""".lstrip()
# One thread for all cases: one for each, as libtest has it, costs a quarter more to compile.
_MAIN = """
pub fn main_KEY() {
let mut nonce = STD::mem::ManuallyDrop::new(STD::string::String::new());
STD::mem::forget(STD::io::Read::read_to_string(&mut STD::io::stdin(), &mut nonce));
if nonce.is_empty() { return; } // asked again, by the candidate
report_KEY(&nonce, COUNT + 1, true);
CHECKS
report_KEY(&nonce, COUNT, true);
}""".lstrip()


class Case(NamedTuple):
    path: str
    panics: str | None
    """The literal that the message of the expected panic must contain."""
    tells: tuple[Told, ...] = ()
    plain: bool = True
    """It returns nothing, and ends well unless it panics."""

    def call(self, key: str) -> str:
        return f"ends_{key}({self.path})" if self.panics is None else f"panics_{key}({self.path}, {self.panics})"


class Prepared(NamedTuple):
    """The hidden tests as plain public functions, and the cases among them; ignored ones are left out."""

    text: str
    cases: tuple[Case, ...]
    coins: int = 0
    holes: bool = False
    """Expected values were taken out of the program's tables and names."""

    def drawn(self, key: str) -> tuple[str, tuple[tuple[Wanted, ...], ...]]:
        """The text for one build, and for each case what it must tell."""
        coins = [secrets.choice(("true", "false")) for _ in range(self.coins)]
        text = re.sub(f"{COIN}(\\d+){COIN}", lambda found: coins[int(found[1])], self.text.replace(KEY, key))

        def wanted(told: Told) -> Wanted:
            return told.value or Expected("true" if (coins[told.coin] == "true") == told.equal else "false")

        return text, tuple(tuple(map(wanted, case.tells)) for case in self.cases)

    def main(self, key: str, secret: str, real: str) -> str:
        """The program's own main: runs the cases and reports on each. A simpler one where all cases are plain."""
        plain = all(case.plain for case in self.cases)
        if plain:
            calls = ", ".join(case.path for case in self.cases)
            # A loop without iterators, whose code would have to be made for each program.
            checks = f"let cases: [fn(); COUNT] = [{calls}];\nlet mut number = 0;\nwhile number < COUNT {{"
            checks += " report_KEY(&nonce, number, ends_KEY(cases[number])); number += 1; }"
        else:
            calls = [f"report_KEY(&nonce, {number}, {case.call(key)});" for number, case in enumerate(self.cases)]
            checks = "\n".join(calls)
        text = _SAYS + HOLES * self.holes + (_PLAIN_ENDS if plain else _ENDS) + _MAIN.replace("CHECKS", checks)
        for word, meant in (("COUNT", str(len(self.cases))), ("STD", f"::{real}"), ("KEY", key), ("SECRET", secret)):
            text = text.replace(word, meant)
        return text


@functools.lru_cache(maxsize=4096)
def functions(
    tests: str,
    telling: bool = True,
    pinned: frozenset[str] = frozenset(),
    shapes: tuple[Shape, ...] = (),
    constants: tuple[tuple[str, str], ...] = (),
    shown: Shown = NOTHING,
) -> Prepared:
    """What is built of the hidden tests; `telling`: their assertions tell their values, rather than panic.

    pinned: functions whose types the signature fixes. shapes: how values of the program's own types are shown.
    constants: the task's own, by name, with the text of their values. shown: what is known of the functions' values.
    """
    tests = _moved(tests)
    rewriter = Rewriter(tests, pinned, shapes, constants, shown)
    raw, edits, found = tests.encode(errors="replace"), [], []

    def visit(parent: Any, path: tuple[str, ...]) -> None:
        for node, before in introduced(parent):
            marks = [(re.sub(r"\s", "", name), mark) for name, mark in attributes(before)]
            for name, mark in marks:
                if name in ("ignore", "should_panic") or _TEST.fullmatch(name):
                    edits.append((mark.parent.start_byte, mark.parent.end_byte, b""))
                elif name in ("cfg", "cfg_attr"):
                    edits.extend(_as_tests(mark))
            names = dict(marks)
            if not path and node.type == "inner_attribute_item":  # our module has others ahead of it
                edits.append((node.start_byte, node.end_byte, b""))
            elif node.type == "inner_attribute_item":
                edits.extend(_as_tests(node))
            elif node.type == "function_item" and any(map(_TEST.fullmatch, names)):
                _publish(node, edits)
                if "ignore" not in names:
                    case(node, path, names.get("should_panic"))
            elif node.type == "mod_item" and node.child_by_field_name("body") is not None:
                _publish(node, edits)
                visit(node.child_by_field_name("body"), (*path, name_of(node)))

    def case(node: Any, path: tuple[str, ...], panic: Any) -> None:
        found.append((node, "::".join((*path, name_of(node))), None if panic is None else _expected_panic(panic)))

    root = parse(tests)
    visit(root, ())
    main = [node for node in root.children if node.type == "function_item" and name_of(node) == "main"]
    if not found and len(main) == 1:  # as MultiPL-E writes them
        _publish(main[0], edits)
        case(main[0], (), None)
    edits += [(start, end, b"") for start, end in _docs_on_top(root)]
    told, tells = rewriter.rewrite([node for node, _, panics in found if telling and panics is None])
    cases = [
        Case(name, panics, tells.get(node.start_byte, ()), panics is None and not part_of(node, "return_type"))
        for node, name, panics in found
    ]
    return Prepared(edited(raw, edits + told).decode(), tuple(cases), rewriter.coins, rewriter.uses)


_TEST = re.compile(r"(?:::)?(?:(?:core|std)::prelude::(?:v1|rust_20\d\d)::)?test")


def _as_tests(mark: Any) -> Iterator[tuple[int, int, bytes]]:
    """Edits of a condition so that it is what it would be were this libtest's build."""
    for node in walk(mark):
        if node.type == "identifier" and text_of(node) == "test":
            yield node.start_byte, node.end_byte, b"all()"


def _expected_panic(mark: Any) -> str:
    """The literal that a panic's message must contain, as the attribute has it; an empty one where it does not say."""
    literals = [node for node in walk(mark) if node.type in ("string_literal", "raw_string_literal")]
    return text_of(literals[0]) if literals else '""'


def _moved(tests: str) -> str:
    """The tests with `crate` for the module that they stand in now: what that names is the task's."""
    if "crate" not in tests:
        return tests
    named = [node for node in walk(parse(tests)) if node.type == "crate" and node.parent.type != "visibility_modifier"]
    edits = [(node.start_byte, node.end_byte, f"crate::hidden_{KEY}".encode()) for node in named]
    return edited(tests.encode(errors="replace"), edits).decode()


def _docs_on_top(root: Any) -> Iterator[tuple[int, int]]:
    """Inner docs of the file that the tests were."""
    for node in root.children:
        if node.type in ("line_comment", "block_comment") and text_of(node).startswith(("//!", "/*!")):
            yield node.start_byte, node.end_byte


def _publish(node, edits: list) -> None:
    if not any(child.type == "visibility_modifier" for child in node.children):
        edits.append((node.start_byte, node.start_byte, b"pub "))


def count(tests: str) -> int:
    """How many cases a verdict on these tests is about."""
    return len(functions(tests).cases)


class Read(NamedTuple):
    """What the report of a run says."""

    passed: int
    complete: bool
    """Every case was reported once and in order, then the end, each that ended well with all that it had to tell."""
    forged: bool
    """Somebody else than our main wrote signed lines: it must have read the secrets from memory."""


def _fits(wanted: Wanted, told: str) -> bool:
    return wanted.fits(told)


def read(stderr: bytes, secret: str, nonce: str, expects: tuple[tuple[Wanted, ...], ...]) -> Read:
    """A value is told on a line that has the secret and a space, a case on one that has the nonce as well.

    The first line says that it has begun, numbered as two cases more than there are; the last, as one more.
    """
    text = stderr.decode(errors="replace")
    lines = re.findall(rf"^{secret}(?: (.*)|{nonce} (\d{{1,9}}) (ok|fail))$", text, re.MULTILINE)
    numbers, told, passed, complete = [], [], 0, True
    for value, number, end in lines:
        if not number:
            told.append(value)
            continue
        numbers.append(int(number))
        if end == "ok" and int(number) < len(expects):
            wanted = expects[int(number)]
            complete &= len(told) == len(wanted)
            passed += len(told) == len(wanted) and all(map(_fits, wanted, told))
        told = []
    complete &= numbers == [len(expects) + 1, *range(len(expects) + 1)]
    return Read(passed, complete, len(set(numbers)) < len(numbers))


def begun(stderr: bytes, secret: str, nonce: str) -> bool:
    """Whether the program came as far as its hidden main: what happens later is the candidate's doing."""
    return f"{secret}{nonce} ".encode() in stderr
