"""Rules about who wrote a file: a program that says so in its head, or one that binds a foreign library."""

from __future__ import annotations

import re

from nbcore.config.filters import Filters
from nbcore.data.filters.text import Text

_HEAD_LINES = 40
_TOOLS = (
    "bindgen|cbindgen|prost|prost-build|tonic|tonic-build|protoc|rust-protobuf|protobuf|flatc|capnpc|lalrpop|uniffi|"
    "sea-orm-codegen|diesel|svd2rust|windows-bindgen|openapi-generator|graphql-client|grpcio|cargo-workspaces|wit-bindgen"
)
_BY_A_PROGRAM = re.compile(
    rf"""(?<![\w.@])@generated\b(?!-|\.\w)
    |\bDO\ NOT\ (?:EDIT|MODIFY)\b
    |\b(?i:do\ not|don't|dont)\ (?i:(?:hand|manually|directly)[ -]?)?(?i:edit|modify|change)
        (?i:\ (?:this|the)\ (?:file|generated|code)|\ (?:by\ hand|manually|directly))\b
    |\b(?i:this\ (?:\w+\ ){{0,2}}(?:file|code|module)\ (?:is|was|has\ been)
        \ (?:\w+\ )?(?:auto-?\ ?|machine[ -])?generated)
    |\b(?i:the\ following\ code\ (?:is|was)\ (?:automatically\ )?generated\ by)\b
    |\b(?i:(?:code|file)\ (?:auto|automatically|machine)[ -]?generated\ (?:by|from|with|using))\b
    |\b(?i:generated\ (?:automatically\ )?(?:by|with|using|from))\ (?:the\ )?[`'"]?(?i:(?:rust-)?(?:{_TOOLS}))\b
    |^(?:\#|//!?|/\*+!?|\*)\s*(?i:(?:auto-?\ ?|automatically\ |machine[ -]|code\ )generated|
        generated\ (?:automatically|by|from|with|using|on|at))\b
    """,
    re.VERBOSE,
)
_SERVICE = re.compile(r"^/// Generated (?:client|server) implementations\.\n(?:#\[.*\n)*pub mod \w+", re.MULTILINE)
_FOREIGN = re.compile(
    r"""^[ \t]*(?:pub[ \t]+)?(?:unsafe[ \t]+)?extern[ \t]*(?:"[^"\n]*")?[ \t]*\{[^}]*\}?
    |^[ \t]*\#\[repr\((?:C|transparent)\b[^\n]*\n(?:[ \t]*(?:\#\[|//)[^\n]*\n)*
        [ \t]*pub[ \t]+(?:struct|union|enum)\b[^{;\n]*(?:\{[^}]*\}|;)?
    |^[ \t]*pub[ \t]+const[ \t]+\w+[ \t]*:[ \t]*(?:[ui](?:8|16|32|64|128|size)|f32|f64|[\w:]*\bc_\w+|&(?:'static[ \t]+)?
        (?:\[u8;[^\]\n]*\]|\[u8\]|CStr|[\w:]*\bCStr))[ \t]*=[^;\n]*;
    |^[ \t]*pub[ \t]+type[ \t]+\w+[ \t]*=[ \t]*(?:\*(?:mut|const)\b|[\w:]*\bc_\w+
        |(?:::)?(?:core|std)::option::Option<unsafe)
        [^;]*;
    |^[ \t]*pub[ \t]+static[ \t]+(?:mut[ \t]+)?\w+[ \t]*:[^;=\n]*;""",
    re.VERBOSE | re.MULTILINE,
)


def generated(text: Text, rules: Filters) -> str | None:
    if not rules.drop_generated:
        return None
    if any(map(_BY_A_PROGRAM.search, _head_comments(text))) or (
        "/// Generated " in text.text and _SERVICE.search(text.text)
    ):
        return "generated"
    return None


def _head_comments(text: Text) -> list[str]:
    """The comments among a file's first lines, without those that document an item: these speak of the item."""
    comments, in_block = [], False
    for line in text.lines[:_HEAD_LINES]:
        line = line.strip()
        starts_block = line.startswith("/*")
        if in_block or starts_block or (line.startswith("//") and not re.match(r"///(?!/)", line)):
            comments.append(line)
        in_block = (in_block or starts_block) and "*/" not in line
    return comments


def foreign(text: Text, rules: Filters) -> str | None:
    if not any(word in text.text for word in ("extern", "repr(C", "pub const")):
        return None
    lines = sum(1 + match[0].strip("\n").count("\n") for match in _FOREIGN.finditer(text.code))
    return "ffi_bindings" if lines > rules.max_ffi_lines * text.code_lines else None
