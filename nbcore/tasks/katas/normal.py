"""Code with its surface taken off, so that two katas that differ only in names, types and constants look the same."""

from __future__ import annotations

import re

# Kept as they are; every other name that the code itself introduces is numbered in order of appearance.
_KNOWN = """
    as break const continue crate else enum extern false fn for if impl in let loop match mod move mut pub ref return
    self Self static struct super trait true type unsafe use where while dyn std String Vec Option Some None Result Ok
    Err Box HashMap HashSet BTreeMap BTreeSet Ordering Fn FnMut Iterator From Into AsRef Ord PartialOrd Copy Clone
    Debug PartialEq ParseIntError Item str char bool derive matches format vec
"""
_INTEGERS = "i8 i16 i32 i64 i128 isize u8 u16 u32 u64 u128 usize"
KNOWN, INTEGERS = frozenset(_KNOWN.split()), frozenset(_INTEGERS.split())
TOKEN = re.compile(
    r"""//[^\n]*|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)'|'[a-z]\w*|\d+|[A-Za-z_]\w*|::|\.\.=?|->|=>|[<>=!+\-*/%^&|]=|\S""",
)


def normalised(code: str) -> str:
    """The tokens of `code` with own names as v0, v1, ..., integer types as T and constants above 2 as K.

    A name after a dot or a path is kept unless the code declares it: it is the standard library's.
    """
    tokens = [token for token in TOKEN.findall(code) if not token.startswith("//")]
    own: dict[str, str] = {}
    for before, token in zip(["", *tokens], tokens, strict=False):
        introduced = re.match(r"[A-Za-z_]", token) and before not in (".", "::")
        if introduced and token not in KNOWN and token not in INTEGERS and token != "_":
            own.setdefault(token, f"v{len(own)}")
    out = []
    for before, token in zip(["", *tokens], tokens, strict=False):
        if token.isdigit():
            token = "K" if int(token) > 2 and before != "." else token
        elif token.startswith('"'):
            token = re.sub(r"\{(\w+)\}", lambda match: f"{{{own.get(match[1], match[1])}}}", token)
        elif token in INTEGERS:
            token = "T"
        out.append(own.get(token, token))
    return " ".join(out)
