"""What is left of Rust code and of an instruction when its surface is taken off, so that a disguised copy is known.

Of a function: the types of its signature, and of its body the operators, keywords, methods, paths and literals, in
order. Comments, names of its own, type annotations, `let`, `return` and lines that only print are left out. Functions
are found wherever they stand: in a module, an impl, a test, a comment, or in the middle of prose.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import NamedTuple

MOST_TOKENS = 2000  # of one function; a longer one is cut there
_FUNCTION = re.compile(r"\bfn\s+(?:r#)?(\w+)\s*(?=[<(])")
_TOKEN = re.compile(
    r"""//[^\n]*|/\*.*?\*/|b?r(\#*)".*?"\1|[bc]?"(?:[^"\\]|\\.)*"|b?'(?:[^'\\\n]|\\[^\n]{1,8}?)'|'[A-Za-z_]\w*"""
    r"""|0[xob][\da-fA-F_]+\w*|\d[\d_]*(?:\.\d[\d_]*)?(?:e[+-]?\d+)?(?:_?[iuf](?:8|16|32|64|128|size))?"""
    r"""|[^\W\d]\w*|::|->|=>|\.\.=|\.\.|&&|\|\||[<>=!+\-*/%^&|]=|\S""",
    re.DOTALL,
)
_NUMBER_SUFFIX = re.compile(r"_?[iuf](?:8|16|32|64|128|size)$")
_NOISE_TEXT = "let mut return ref pub { } ( ) ; , : & = | < > [ ] # :: . ? unsafe const static as in"
_NOISE = frozenset(_NOISE_TEXT.split())
_TYPES_TEXT = (
    "i8 i16 i32 i64 i128 isize u8 u16 u32 u64 u128 usize f32 f64 bool char str String Vec Option Result Box HashMap "
    "HashSet BTreeMap BTreeSet VecDeque Self self"
)
_TYPES = frozenset(_TYPES_TEXT.split())
_KEYWORDS_TEXT = "if else for while loop match break continue move true false"
_KEYWORDS = frozenset(_KEYWORDS_TEXT.split())
_PRINTING_TEXT = "println eprintln print eprint debug info trace warn error log"
_PRINTING = frozenset(_PRINTING_TEXT.split())
_COMPARED = {"<", ">"}


class Function(NamedTuple):
    """`types`: of the parameters and the result, as text. `body`: what is left of the body, in order."""

    name: str
    types: str
    body: tuple[str, ...]


def tokens(code: str, start: int = 0) -> Iterator[str]:
    """The tokens of Rust code from an offset on, without comments."""
    for match in _TOKEN.finditer(code, start):
        if not match[0].startswith(("//", "/*")):
            yield match[0]


def functions(text: str) -> Iterator[Function]:
    """Every function with a body in the text, methods and nested ones among them."""
    matches = list(_FUNCTION.finditer(text))
    for match, following in itertools.zip_longest(matches, matches[1:]):
        if following and "{" not in text[match.end() : following.start()]:
            continue  # the head alone, as an instruction gives it
        head: list[str] = []
        body: list[str] = []
        depth = 0
        for token in tokens(text, match.end()):
            if depth == 0 and token in (";", "}"):
                break  # a declaration in a trait, or no code at all
            if token == "{":
                depth += 1
            (body if depth else head).append(token)
            if token == "}":
                depth -= 1
                if depth == 0:
                    break
            if len(body) + len(head) > MOST_TOKENS:
                break
        if body:
            yield Function(match[1], types_of(head), significant(body))


def types_of(head: list[str]) -> str:
    """The types in a function's parameters and result: what a renamed parameter leaves as it was."""
    kept = []
    for token, after in zip(head, [*head[1:], ""], strict=True):
        parameter = after == ":" and re.match(r"[^\W\d]", token)
        if not parameter and not token.startswith("'") and token not in {"mut", "pub", ","}:
            kept.append(token)
    return re.sub(r"\(&?self", "(", "".join(kept), count=1)  # a function put into an impl is still the same


def significant(code: list[str]) -> tuple[str, ...]:
    """The operators, keywords, methods, paths, macros and literals of tokens, in order."""
    kept: list[str] = []
    place = 0
    while place < len(code):
        token, after = code[place], code[place + 1] if place + 1 < len(code) else ""
        before = code[place - 1] if place else ""
        if token in _PRINTING and after == "!":
            place = _past_parentheses(code, place + 2)
            continue
        if token == "dbg" and after == "!":
            place += 2
            continue
        if token == "::" and after == "<":
            place = _past_angles(code, place + 1)
            continue
        if token == ":" and "let" in code[max(0, place - 3) : place]:
            while place < len(code) and code[place] not in ("=", ";"):
                place += 1
            continue
        if word := _kept(token, before, after):
            kept.append(word)
        place += 1
    return tuple(kept)


def words(text: str) -> list[str]:
    """The words of an instruction in lower case: names in back-quotes become one placeholder, numbers stay."""
    without_names = re.sub(r"`[^`\n]{1,80}`", " NAME ", text)
    return re.findall(r"[a-z]+|\d+", without_names.lower())


def _kept(token: str, before: str, after: str) -> str:
    if token[0].isdigit():
        return "." if before == "." and token.isdigit() else _literal(token)
    if token.endswith(('"', "'")):
        return token
    if token in _KEYWORDS:
        return token
    if token[0] == "_" or token[0].isalpha():
        if before == "." and after == "::":
            return token  # a method with its type arguments
        if token in _TYPES or token in _NOISE or after == "::":
            return ""
        if after == "!" or (after == "(" and before in (".", "::")):
            return token
        if after == "(":
            return "CALL"  # of a name that may have been changed
        return "." if before == "." else ""
    if token.startswith("'") or token in _NOISE - _COMPARED:
        return ""
    return "" if token in _COMPARED and (before in ("Vec", "Option", "::") or after == ">") else token


def _literal(token: str) -> str:
    plain = token.replace("_", "").lower()
    if not plain.startswith("0x"):
        plain = _NUMBER_SUFFIX.sub("", plain)
    try:
        return str(int(plain, 0))
    except ValueError:
        pass
    try:
        return f"{float(plain):g}"
    except ValueError:
        return plain


def _past_parentheses(code: list[str], place: int) -> int:
    depth = 0
    while place < len(code):
        depth += {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}.get(code[place], 0)
        place += 1
        if depth == 0:
            break
    return place


def _past_angles(code: list[str], place: int) -> int:
    """Past the type arguments that begin there; `>=` may close one, as in `let v: Vec<i64>= ...`."""
    depth = 0
    while place < len(code) and code[place] not in (";", "{"):
        depth += {"<": 1, ">": -1, ">=": -1}.get(code[place], 0)
        place += 1
        if depth == 0:
            break
    return place
