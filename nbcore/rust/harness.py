"""One source out of a candidate and its hidden tests, such that the candidate can neither see nor replace them.

    #![the candidate's own inner attributes]
    extern crate std as …;                 the real std, whatever the candidate calls by that name
    mod hidden_… {                         ahead of the candidate: its macros come too late
        use …std::{assert_eq, Vec, …};     what the tests mention and std has
        use super::{Point, …};             what they mention and only the candidate can have; never a glob
        fn add(p0: i64, p1: i64) -> i64 { super::add(p0, p1) }      pins the exact signature
        mod tests { … }
        pub fn main() { … }                reports case by case, each line signed with a secret and a nonce
    }
    fn main() { hidden_…::main() }
    the candidate

The secret is text of the hidden module, the nonce comes on stdin and is read to its end before any code of the
candidate runs: to forge a line takes both, and safe code can read neither.
"""

from __future__ import annotations

import functools
import re
import secrets
from collections.abc import Iterator
from typing import NamedTuple

from nbcore.rust.screen import blank
from nbcore.rust.syntax import attributes, items, name_of, parse, part_of, text_of

_STD = {
    "std": "assert assert_eq assert_ne debug_assert debug_assert_eq debug_assert_ne panic vec format matches "
    "unreachable todo unimplemented print println eprint eprintln write writeln dbg concat stringify",
    "std::primitive": "bool char f32 f64 i8 i16 i32 i64 i128 isize u8 u16 u32 u64 u128 usize str",
    "std::option::Option": "Some None",
    "std::result::Result": "Ok Err",
    "std::option": "Option",
    "std::result": "Result",
    "std::vec": "Vec",
    "std::string": "String ToString",
    "std::boxed": "Box",
    "std::borrow": "ToOwned Cow",
    "std::clone": "Clone",
    "std::cmp": "PartialEq Eq PartialOrd Ord Ordering Reverse",
    "std::convert": "From Into AsRef AsMut TryFrom TryInto",
    "std::default": "Default",
    "std::iter": "Iterator IntoIterator Extend DoubleEndedIterator ExactSizeIterator FromIterator",
    "std::ops": "Fn FnMut FnOnce Drop",
    "std::mem": "drop",
    "std::marker": "Copy Send Sync Sized",
    "std::collections": "HashMap HashSet BTreeMap BTreeSet VecDeque BinaryHeap",
    "std::rc": "Rc",
    "std::sync": "Arc Mutex",
    "std::cell": "Cell RefCell",
    "std::any": "Any",
    "std::fmt": "Debug Display",
    "std::num": "ParseIntError",
}
_HOME = {name: path for path, names in _STD.items() for name in names.split()}

# What must stay first in the file, in forms so plain that no reading of them can differ from the compiler's: text
# inserted after them cannot land inside a comment or a string.
_HEAD = re.compile(
    r"\s+|//[^\n]*\n|/\*(?:(?!/\*|\*/).)*\*/"
    r'|(?P<attr>#!\[(?P<name>[\w:]+)(?:\s*\((?:[\w\s:,=]|"[^"\\\n]*")*\)|\s*=\s*"[^"\\\n]*")?\s*\])',
    re.DOTALL,
)
_ATTRS = {"allow", "warn", "deny", "forbid", "expect", "doc", "feature", "no_std"}
_ATTRS |= {"recursion_limit", "type_length_limit"}
_MOST_NESTED = 50
_REPORT_LINE = re.compile(rb"^test result: |^test \S+ \.\.\. ok|^[0-9a-f]{16,} \d+ (?:ok|fail)\r?$", re.MULTILINE)
_SHEBANG = re.compile(r"#!/[\w/. -]*\r?\n")


class Source(NamedTuple):
    """What the compiler is given."""

    text: str
    ours: range
    """The lines that are not the candidate's."""
    module: str
    """Name of the hidden module, to be kept out of messages."""
    secret: str
    cases: int


class Mismatch(ValueError):
    """The candidate is not of the form that was asked for; `flag` names how."""

    def __init__(self, flag: str, message: str):
        super().__init__(message)
        self.flag = flag


def build(code: str, tests: str, signature: str | None, edition: str) -> Source:
    """The source of one grading. Raises Mismatch when the candidate's head or its types are not what they must be."""
    code = code.removeprefix("\ufeff")
    at = _head(code)
    key = secrets.token_hex(8)
    module, real, secret = f"hidden_{key}", f"std_{key}", secrets.token_hex(16)
    head, rest = code[:at], _rename_main(code[at:], f"own_main_{key}")
    body, cases = _testing(tests)
    has, asked = _names(rest), parse(_closed(signature or ""))
    _same_types(asked, rest)
    uses, own = _trusted_uses(asked, real)
    pins, pinned = _pins(asked)
    mentioned = set(re.findall(r"[A-Za-z_]\w*", blank(f"{tests}\n{signature or ''}")))
    defined = {name for name, _ in items(asked)} | pinned
    std = sorted((mentioned & _HOME.keys()) - own - defined)
    theirs = {name for name, _ in items(parse(tests))}
    from_candidate = sorted((mentioned & (has | defined)) - set(std) - own - pinned - theirs)
    checks = "".join(f"report_{key}(&nonce, {number}, {case.call(key)});\n" for number, case in enumerate(cases))
    generated = f"""extern crate std as {real};
{"" if edition == "2015" else "extern crate std; extern crate core;"}
mod {module} {{
{uses}
{"".join(f"use ::{real}{_HOME[name].removeprefix('std')}::{name};" for name in std)}
{f"use super::{{{', '.join(from_candidate)}}};" if from_candidate else ""}
{pins}
{body}
{_MAIN.replace("STD", f"::{real}").replace("KEY", key).replace("SECRET", secret)}
pub fn main_{key}() {{
let mut nonce = ::{real}::string::String::new();
if ::{real}::io::Read::read_to_string(&mut ::{real}::io::stdin(), &mut nonce).is_err() {{ return; }}
{checks}report_{key}(&nonce, {len(cases)}, true);
}}
}}
fn main() {{ {module}::main_{key}() }}"""
    first = head.count("\n") + 2
    text = f"{head}\n{generated}\n{rest}"
    return Source(text, range(first, first + generated.count("\n") + 1), module, secret, len(cases))


# Names of std in full, for what the task calls `str` or `Some` is its own affair.
_MAIN = r"""
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
fn report_KEY(nonce: &STD::string::String, number: STD::primitive::u32, well: STD::primitive::bool) {
    let line = STD::format!("\nSECRET{} {} {}\n", nonce, number, if well { "ok" } else { "fail" });
    let _ = STD::io::Write::write_all(&mut STD::io::stderr(), line.as_bytes());
}""".strip()


class _Case(NamedTuple):
    path: str
    panics: str | None
    """What the message of the expected panic must contain, as Rust has it between quotes."""

    def call(self, key: str) -> str:
        return f"ends_{key}({self.path})" if self.panics is None else f'panics_{key}({self.path}, "{self.panics}")'


def _head(code: str) -> int:
    """Where the inner attributes, inner docs and shebang end."""
    at = hoisted = 0
    if code.startswith("#!") and not code.startswith("#!["):
        if not (found := _SHEBANG.match(code)):
            raise Mismatch("inner_attribute", "the first line begins like a shebang but is none")
        at = hoisted = found.end()
    while found := _HEAD.match(code, at):
        if found["attr"] and found["name"] not in _ATTRS:
            break
        at = found.end()
        if found["attr"] or found[0].startswith(("//!", "/*!")):
            hoisted = at
        elif re.match(r"///(?!/)|/\*\*(?![*/])", found[0]):  # documents the item that follows
            break
    if found := re.compile(r"#\s*!\s*\[\s*\w*").match(code, at):
        raise Mismatch("inner_attribute", f"inner attribute {found[0]} is not accepted here, or not in that form")
    return hoisted


def _rename_main(code: str, name: str) -> str:
    """The candidate's own main under another name: the program's is ours."""
    if not re.search(r"\bmain\b", code):
        return code
    raw = code.encode(errors="surrogatepass")
    for node in parse(code).children:
        if node.type == "function_item" and name_of(node) == "main":
            named = node.child_by_field_name("name")
            raw = raw[: named.start_byte] + name.encode() + raw[named.end_byte :]
            break
    return raw.decode(errors="surrogatepass")


def _closed(signature: str) -> str:
    """A signature with the braces closed that it leaves open."""
    text = blank(signature)
    if "{" not in text:
        return signature + " {}"
    return signature + "\n}" * (text.count("{") - text.count("}"))


def _names(code: str) -> set[str]:
    """What a file defines or imports at its top level, whatever the configuration."""
    root = parse(code)
    names = {name for name, node in items(root) if not _conditional(node)}
    for node in root.children:
        if node.type == "use_declaration":
            names |= set(_imported(node.child_by_field_name("argument")))
    return names


def _imported(node, depth: int = 0) -> Iterator[str]:
    if node is None or depth > _MOST_NESTED:
        return
    if node.type == "identifier":
        yield text_of(node)
    elif node.type == "scoped_identifier":
        yield name_of(node)
    elif node.type == "use_as_clause":
        yield text_of(node.child_by_field_name("alias"))
    elif node.type in ("use_list", "scoped_use_list"):
        for child in node.named_children:
            if child != node.child_by_field_name("path"):
                if child.type == "self":
                    yield text_of(node.parent.child_by_field_name("path")).rpartition("::")[2]
                yield from _imported(child, depth + 1)


def _trusted_uses(asked, real: str) -> tuple[str, set[str]]:
    """The imports from std that the task itself gives, from the real std, and the names they bring."""
    uses, own = [], set()
    for node in asked.children:
        argument = node.child_by_field_name("argument") if node.type == "use_declaration" else None
        if argument is not None and re.match(r"(?:::)?\s*std\b", text_of(argument)):
            uses.append("use ::" + real + re.sub(r"^(?:::)?\s*std\b", "", text_of(argument)) + ";")
            own |= set(_imported(argument))
    return "".join(uses), own


def _pins(asked) -> tuple[str, set[str]]:
    """Code that compiles only against the exact signature, and the names of the functions it defines.

    A free function is called through a wrapper of the same signature; a method is assigned to a pointer of its type.
    """
    pins, names = [], set()
    for name, node in items(asked):
        if node.type == "function_item":
            names.add(name)
            pins.append(_wrapper(node, name))
    for node in asked.children:
        if node.type == "impl_item" and node.child_by_field_name("type_parameters") is None:
            pins += filter(None, (_method(node, item) for item in node.child_by_field_name("body").children))
    return "\n".join(pins), names


def _wrapper(node, name: str) -> str:
    kinds = [
        part_of(child, "type")
        for child in node.child_by_field_name("parameters").named_children
        if child.type == "parameter"
    ]
    takes = ", ".join(f"p{number}: {kind}" for number, kind in enumerate(kinds))
    gives = f" -> {part_of(node, 'return_type')}" if part_of(node, "return_type") else ""
    where = " ".join(text_of(child) for child in node.children if child.type == "where_clause")
    given = ", ".join(f"p{number}" for number in range(len(kinds)))
    return f"fn {name}{part_of(node, 'type_parameters')}({takes}){gives} {where} {{ super::{name}({given}) }}"


def _method(block, node) -> str | None:
    if node.type != "function_item" or node.child_by_field_name("type_parameters") is not None:
        return None
    whose, of = part_of(block, "type"), part_of(block, "trait")
    kinds = []
    for child in node.child_by_field_name("parameters").named_children:
        if child.type == "self_parameter":
            borrowed = re.match(r"(&\s*(?:mut\b)?)?", text_of(child))[0]
            kinds.append(f"{borrowed} {whose}")
        elif child.type == "parameter":
            kinds.append(part_of(child, "type"))
    gives = part_of(node, "return_type") or "()"
    pointer = f"fn({', '.join(kinds)}) -> {gives}"
    if "impl " in pointer or "'" in pointer:
        return None
    pointer = re.sub(r"\bSelf\b", whose, pointer)
    return f"const _: {pointer} = <{whose}{f' as {of}' if of else ''}>::{name_of(node)};"


def _conditional(node) -> bool:
    return any(re.match(r"#\s*\[\s*cfg", text) for text in attributes(node))


def _derived(root) -> dict[str, set[str]]:
    """What each struct and enum at the top level derives; one that is there only at times derives nothing."""
    found = {}
    for name, node in items(root):
        if node.type in ("struct_item", "enum_item"):
            derives = re.findall(r"#\s*\[\s*derive\s*\(([^)]*)\)", " ".join(attributes(node)))
            found[name] = set() if _conditional(node) else set(re.findall(r"\w+", " ".join(derives)))
    return found


def _same_types(asked, code: str) -> None:
    """A type that the task derives equality for must derive it too: one written by hand may call all things equal."""
    wanted = [name for name, derives in _derived(asked).items() if "PartialEq" in derives]
    given = _derived(parse(code)) if wanted else {}
    for name in wanted:
        if "PartialEq" not in given.get(name, ()):
            raise Mismatch("signature_mismatch", f"`{name}` must derive PartialEq, as the task has it")


@functools.lru_cache(maxsize=4096)
def _testing(tests: str) -> tuple[str, tuple[_Case, ...]]:
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
                        cases.append(_Case("::".join((*path, name_of(node))), panics))
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
    return len(_testing(tests)[1])


def read(stderr: bytes, secret: str, nonce: str, cases: int) -> tuple[int, bool, bool]:
    """(cases that went well, whether every case was reported once and then the end, whether others wrote reports).

    The end mark is the line numbered as one case more.
    """
    text = stderr.decode(errors="replace")
    lines = re.findall(rf"^{secret}{nonce} (\d+) (ok|fail)$", text, re.MULTILINE)
    passed = sum(end == "ok" for number, end in dict(lines).items() if int(number) < cases)
    complete = [int(number) for number, _ in lines] == list(range(cases + 1))
    return passed, complete, looks_forged(text.replace(secret, "~").encode())


def looks_forged(output: bytes) -> bool:
    """Whether a program printed what looks like a test report: ours or libtest's."""
    return bool(_REPORT_LINE.search(output))
