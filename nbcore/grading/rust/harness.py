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
from typing import Any, NamedTuple

from nbcore.grading.rust import ahead, hidden, shapes, signatures
from nbcore.grading.rust.lexer import blank
from nbcore.grading.rust.pins import pins
from nbcore.grading.rust.syntax import (
    attributes,
    bindings,
    conditional,
    imported,
    introduced,
    items,
    name_of,
    parse,
    part_of,
    text_of,
)

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
    "std::marker": "Copy Send Sync Sized PhantomData",
    "std::collections": "HashMap HashSet BTreeMap BTreeSet VecDeque BinaryHeap LinkedList",
    "std::time": "Duration Instant SystemTime",
    "std::rc": "Rc",
    "std::sync": "Arc Mutex RwLock OnceLock",
    "std::cell": "Cell RefCell",
    "std::any": "Any",
    "std::fmt": "Debug Display",
    "std::hash": "Hash Hasher",
    "std::num": "ParseIntError ParseFloatError",
    "std::str": "FromStr",
}
_HOME = {name: path for path, names in _STD.items() for name in names.split()}

# What must stay first in the file, in forms so plain that no reading of them can differ from the compiler's: text
# inserted after them cannot land inside a comment or a string.
_HEAD = re.compile(
    r"\s+|//[^\n]*\n|/\*(?:(?!/\*|\*/).)*\*/"
    r"|(?P<attr>#!\[(?P<name>[\w:]+)"
    r'(?:\s*\((?P<given>(?:[\w\s:,=]|"[^"\\\n]*"|\([\w\s:,=]*\))*)\)|\s*=\s*"[^"\\\n]*")?\s*\])',
    re.DOTALL,
)
_ATTRS = {"allow", "warn", "deny", "forbid", "expect", "doc", "feature", "no_std"}
_ATTRS |= {"recursion_limit", "type_length_limit"}
_MOOT = {"crate_type", "crate_name"}  # of a library that this will not be
_KINDS = ("struct_item", "enum_item", "union_item", "type_item", "const_item", "static_item", "mod_item")
_DEFINES = re.compile(r"\b(?:struct|enum)\b")
_SHEBANG = re.compile(r"#!/[\w/. -]*\r?\n")


class Source(NamedTuple):
    """What the compiler is given."""

    text: str
    ours: range
    """The lines that are not the candidate's."""
    module: str
    """Name of the hidden module, to be kept out of messages."""
    secret: str
    expects: tuple[tuple[hidden.Wanted, ...], ...]
    """For each case, what its assertions must tell."""
    flags: tuple[str, ...]


def build(code: str, tests: str, signature: str | None, edition: str, telling: bool = True) -> Source:
    """The source of one grading; not `telling`, its assertions panic rather than tell.

    Raises Mismatch when the candidate's head or its types are not what they must be.
    """
    code = code.removeprefix("\ufeff")
    at, top = _head(code)
    key = secrets.token_hex(8)
    module, real, secret = f"hidden_{key}", f"std_{key}", secrets.token_hex(16)
    asked = signatures.parsed(signature or "")
    mentioned, theirs, bound = _named(tests, signature or "")
    own_code = signatures.as_given(asked, signature or "", code[at:])
    head, rest = top, _rename_main(signatures.same_types(asked, own_code, real), f"own_main_{key}")
    uses, own = signatures.uses(asked, real)
    given, written = signatures.given(asked, signature or "")
    pinned, wrapped = pins(asked, written, signature or "", real)
    plain = frozenset(name for name, node in items(asked) if name in wrapped and not part_of(node, "type_parameters"))
    tree = parse(rest)
    own_types = _DEFINES.search(tests + (signature or "") + rest)
    known_shapes = shapes.shapes((asked, tree), parse(tests), mentioned) if own_types else ()
    shown = shapes.shown(asked, plain, known_shapes)
    prepared = hidden.functions(tests, telling, plain, known_shapes, signatures.constants(asked), shown)
    body, expects = prepared.drawn(key)
    defined = {name for name, _ in items(asked)}
    std = sorted((mentioned & _HOME.keys()) - own - defined - theirs)
    # What the tests name and the task does not define is the candidate's, but for a trait, which would bring its
    # methods along, and a constant of a name that the tests bind, which would turn the binding into a pattern.
    offered = defined | _offered(tree, bound) | ({*_defined(tree, ("trait_item",))} if not defined else set())
    from_candidate = sorted((mentioned & offered) - set(std) - own - wrapped - written - theirs)
    generated = f"""extern crate std as {real};
{"" if edition == "2015" else "".join(_crates(tree))}
mod {module} {{
{uses}
{"".join(f"use ::{real}{_HOME[name].removeprefix('std')}::{name};" for name in std)}
{f"use super::{{{', '.join(from_candidate)}}};" if from_candidate else ""}
{given}
{pinned}
{ahead.probes(asked, mentioned, own.union(std, from_candidate), real)}
{body}
{prepared.main(key, secret, real)}
}}
fn main() {{ {module}::main_{key}() }}"""
    first = head.count("\n") + 2
    text = f"{head}\n{generated}\n{rest}"
    inside = any(not any(told.value and told.apart for told in case.tells) for case in prepared.cases)
    flags = ("judged_inside",) if inside else ()
    return Source(text, range(first, first + generated.count("\n") + 1), module, secret, expects, flags)


@functools.lru_cache(maxsize=4096)
def _named(tests: str, signature: str) -> tuple[set[str], set[str], set[str]]:
    """The names that a task mentions, those that its tests define or import, and those that they bind."""
    tested = parse(tests)
    mentioned = set(re.findall(r"[A-Za-z_]\w*", blank(f"{tests}\n{signature}")))
    return mentioned, {name for name, _ in items(tested)} | _imports(tested), bindings(tested)


def _head(code: str) -> tuple[int, str]:
    """Where the inner attributes, inner docs and shebang end, and their text."""
    at = hoisted = 0
    moot = []
    if code.startswith("#!") and not code.startswith("#!["):
        if not (shebang := _SHEBANG.match(code)):
            raise signatures.Mismatch("inner_attribute", "the first line begins like a shebang but is none")
        at = hoisted = shebang.end()
    while part := _HEAD.match(code, at):
        if part["attr"] and not _names(part) <= _ATTRS | _MOOT:
            break
        at = part.end()
        if part["attr"] or part[0].startswith(("//!", "/*!")):
            hoisted = at
            moot += [part.span()] if part["name"] in _MOOT else []
        elif re.match(r"///(?!/)|/\*\*(?![*/])", part[0]):  # documents the item that follows
            break
    if other := re.compile(r"#\s*!\s*\[\s*\w*").match(code, at):
        raise signatures.Mismatch(
            "inner_attribute", f"inner attribute {other[0]} is not accepted here, or not in that form"
        )
    text = code[:hoisted]
    for start, end in moot:
        text = text[:start] + re.sub(r"[^\n]", " ", text[start:end]) + text[end:]
    return hoisted, text


def _names(attribute: re.Match[str]) -> set[str]:
    """The name of an inner attribute, or of those that a `cfg_attr` stands for."""
    if attribute["name"] != "cfg_attr":
        return {attribute["name"]}
    condition = re.match(r"\s*\w+\s*(?:\([\w\s:,=]*\)|=\s*\"[^\"]*\")?\s*,", attribute["given"] or "")
    given = (attribute["given"] or "")[condition.end() :] if condition else ""
    return set(re.findall(r"(?:^|,)\s*(\w+)", re.sub(r"\([^)]*\)", "", given))) or {"cfg_attr"}


def _rename_main(code: str, name: str) -> str:
    """The candidate's own main, or mains, under another name: the program's is ours. A candidate that denies dead code
    is not held to what only its main uses."""
    if not re.search(r"\bmain\b", code):
        return code
    raw = code.encode(errors="replace")
    for node in reversed(parse(code).children):
        if node.type == "function_item" and name_of(node) == "main":
            named = node.child_by_field_name("name")
            kept = b"#[allow(dead_code)] " + raw[node.start_byte : named.start_byte] + name.encode()
            raw = raw[: node.start_byte] + kept + raw[named.end_byte :]
    return raw.decode()


def _crates(root: Any) -> Iterator[str]:
    """Declarations that make another crate of that name a second one; the candidate's own such line is as good."""
    pairs = introduced(root)
    own = [" ".join(text_of(node).split()) for node, before in pairs if not conditional(before)]
    for declaration in ("extern crate std;", "extern crate core;"):
        if declaration not in own:
            yield declaration


def _offered(tree: Any, bound: set[str]) -> set[str]:
    """What a candidate defines that its tests may name."""
    exported = {
        name_of(node)
        for node, before in introduced(tree)
        if node.type == "macro_definition" and any(name == "macro_export" for name, _ in attributes(before))
    }
    others = _defined(tree, _KINDS) | _imports(tree) | exported
    return _defined(tree, ("function_item",)) | (others - bound)


def _defined(root: Any, kinds: tuple[str, ...]) -> set[str]:
    """What a file defines at its top level, whatever the configuration."""
    return {name_of(node) for node, before in introduced(root) if node.type in kinds and not conditional(before)}


def _imports(root: Any) -> set[str]:
    """The names that the imports at a file's top level bring."""
    found = [node.child_by_field_name("argument") for node in root.children if node.type == "use_declaration"]
    return {name for argument in found for name in imported(argument)} - {"_"}
