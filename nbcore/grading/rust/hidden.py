"""The hidden tests: what becomes of them in the program that is built, and how its report is read.

Each case is reported on stderr as it ends, on a line signed with a secret (text of the hidden module) and a nonce (read
from stdin, to its end, before any code of the candidate runs).
"""

from __future__ import annotations

import functools
import re
from typing import NamedTuple

from nbcore.grading.rust.syntax import name_of, parse, text_of

_REPORT_LINE = re.compile(rb"^test result: |^test \S+ \.\.\. ok|^[0-9a-f]{16,} \d+ (?:ok|fail)\r?$", re.MULTILINE)
# One thread for all cases: one for each, as libtest has it, costs a quarter more to compile.
# Names of std in full, for what the task calls `str` or `Some` is its own affair.
MAIN = r"""
trait EndedKEY { fn well(&self) -> STD::primitive::bool; }
impl EndedKEY for () { fn well(&self) -> STD::primitive::bool { true } }
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
fn report_KEY(nonce: &STD::primitive::str, what: &STD::primitive::str, well: STD::primitive::bool) {
    let line = STD::format!("\nSECRET{} {} {}\n", nonce, what, if well { "ok" } else { "fail" });
    let _ = STD::io::Write::write_all(&mut STD::io::stderr(), line.as_bytes());
}""".strip()


class Case(NamedTuple):
    path: str
    panics: str | None
    """What the message of the expected panic must contain, as Rust has it between quotes."""

    def call(self, key: str) -> str:
        return f"ends_{key}({self.path})" if self.panics is None else f'panics_{key}({self.path}, "{self.panics}")'


@functools.lru_cache(maxsize=4096)
def functions(tests: str) -> tuple[str, tuple[Case, ...]]:
    """The hidden tests as plain public functions, and the cases among them; ignored ones are left out."""
    raw, edits, cases = tests.encode(errors="replace"), [], []

    def walk(parent, path: tuple[str, ...]) -> None:
        marks: list[str] = []
        for node in parent.children:
            if node.type == "attribute_item":
                mark = re.sub(r"\s", "", text_of(node)) if "expected" not in text_of(node) else text_of(node)
                if mark in ("#[test]", "#[cfg(test)]", "#[ignore]") or "should_panic" in mark or "ignore" in mark:
                    edits.append((node.start_byte, node.end_byte, b""))
                marks.append(mark)
            elif node.type in ("line_comment", "block_comment"):
                continue
            else:
                if node.type == "function_item" and "#[test]" in marks:
                    _publish(node, edits)
                    expected = next((mark for mark in marks if "should_panic" in mark), None)
                    if not any(mark.startswith("#[ignore") for mark in marks):
                        part = re.search(r'expected\s*=\s*"((?:[^"\\]|\\.)*)"', expected or "")
                        panics = None if expected is None else part[1] if part else ""
                        cases.append(Case("::".join((*path, name_of(node))), panics))
                elif node.type == "mod_item" and node.child_by_field_name("body") is not None:
                    _publish(node, edits)
                    walk(node.child_by_field_name("body"), (*path, name_of(node)))
                marks = []

    walk(parse(tests), ())
    for start, end, text in sorted(edits, reverse=True):
        raw = raw[:start] + text + raw[end:]
    return raw.decode(), tuple(cases)


def _publish(node, edits: list) -> None:
    if not any(child.type == "visibility_modifier" for child in node.children):
        edits.append((node.start_byte, node.start_byte, b"pub "))


def count(tests: str) -> int:
    """How many cases a verdict on these tests is about."""
    return len(functions(tests)[1])


def read(stderr: bytes, secret: str, nonce: str, cases: int) -> tuple[int, bool, bool]:
    """(cases that went well, whether every case was reported once and then the end, whether others wrote reports).

    The first line says that it has begun; the end mark is the line numbered as one case more.
    """
    text = stderr.decode(errors="replace")
    lines = re.findall(rf"^{secret}{nonce} (\w+) (ok|fail)$", text, re.MULTILINE)
    passed = sum(end == "ok" for number, end in dict(lines).items() if number.isdecimal() and int(number) < cases)
    complete = [number for number, _ in lines] == ["begun", *map(str, range(cases + 1))]
    return passed, complete, looks_forged(text.replace(secret, "~").encode())


def begun(stderr: bytes, secret: str, nonce: str) -> bool:
    """Whether the program came as far as its hidden main: what happens later is the candidate's doing."""
    return f"{secret}{nonce} begun ok".encode() in stderr


def looks_forged(output: bytes) -> bool:
    """Whether a program printed what looks like a test report: ours or libtest's."""
    return bool(_REPORT_LINE.search(output))
