"""From a completion to code, and what is refused or noted before it is compiled.

A text screen is a cheap first filter: a macro can get round it. The sandbox and the report carry the verdict.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_FENCE = re.compile(r"[ \t]{0,3}(`{3,}|~{3,})([^\n`]*)$")
_TAGS = {"", "rust", "rs"}
_MAX_BRACKETS = 20_000

_LEXEME = re.compile(
    r"""(?P<comment>//[^\n]*)
    |(?P<block>/\*)
    |(?P<raw>\b[bc]?r(?P<hashes>\#*)")
    |(?P<string>\b[bc]?"|")
    |(?P<char>'(?:\\(?:u\{[^}'\n]*\}|x[0-9a-fA-F]{2}|.)|[^\\'\n])')""",
    re.VERBOSE,
)
_STRING_END = re.compile(r'(?:[^"\\]|\\.)*+"?', re.DOTALL)
_BLOCK_EDGE = re.compile(r"/\*|\*/")

# The patterns see text in which a run of white space is one space; each is linear on any input.
# Rejected. Aliases count (`use std::include_str as f`), so the names without the `!` do as well.
_FORBIDDEN = {
    "file_macro": r"\binclude\s?!(?!=)|\b(?:std|core)\s?::\s?include\b|\binclude_(?:str|bytes)\b"
    r"|\#\s?!?\s?\[[^\]\#]*\bpath\s?=",
    # Both that every known use of rust-lang/rust#25860 needs: through that hole safe code reads any memory.
    "soundness_hole": r"^(?=.*&\s?'\w+ &\s?'\w+)(?=.*\bfor\s?<[^>]*>\s?fn\b)",
    "env_macro": r"\boption_env\b|\benv\s?!(?!=)",
    "cfg_tool": r"\bclippy\b(?!\s?::)",  # right only where the linter looks
}
# Noted, not refused: honest programs may say these too.
_NOTED = {
    "process_exit": r"\bprocess\s?::\s?(?:\{[^{}]*\b)?(?:exit|abort)\b",
    "panic_hook": r"\bset_hook\b",
    "spawns_process": r"\bCommand\s?::\s?new\b",
    "unsafe": r"\bunsafe\b|\basm\s?!",
    "unsafe_attr": r"\b(?:no_mangle|export_name|link_section)\b",
    "std_macro_shadow": r"\bmacro_rules\s?!\s?(?:debug_)?(?:assert(?:_eq|_ne)?|panic)\b|\bextern\scrate\sself\b",
}
_FORBIDDEN_RE = {flag: re.compile(pattern) for flag, pattern in _FORBIDDEN.items()}
_NOTED_RE = {flag: re.compile(pattern) for flag, pattern in _NOTED.items()}


class Screening(NamedTuple):
    """What the text alone shows: every flag, and those among them for which it is refused."""

    flags: list[str]
    refused: list[str]


def screen(code: str, source_kb: int) -> Screening:
    """Flags of `code`; over-long and over-nested sources, file, environment and tool tricks are refused."""
    if len(code.encode(errors="surrogatepass")) > source_kb << 10:
        return Screening(["too_long"], ["too_long"])  # and nothing more is read of it
    text = re.sub(r"\s+", " ", blank(code))
    refused = [flag for flag, pattern in _FORBIDDEN_RE.items() if pattern.search(text)]
    if sum(text.count(bracket) for bracket in "([{") > _MAX_BRACKETS:
        refused.append("too_many_brackets")
    return Screening(refused + [flag for flag, pattern in _NOTED_RE.items() if pattern.search(text)], refused)


def extract(completion: str, signature: str | None = None) -> str | None:
    """The one rule: first ```rust, ```rs or untagged block that defines the target function, else the first block.

    An unclosed fence runs to the end; without any fence the whole text counts if it contains `fn`; else None.
    The target is the last function named in `signature`. A bare body is never completed into a function.
    """
    blocks = [block for block in _blocks(completion) if block[1].strip()]
    if not blocks:
        return completion if re.search(r"\bfn\b", completion) and not _has_fence(completion) else None
    rust = [code for tag, code in blocks if tag in _TAGS] or [code for _, code in blocks]
    if (name := target(signature)) is not None:
        return next((code for code in rust if defines(code, name)), rust[0])
    return rust[0]


def target(signature: str | None) -> str | None:
    """Name of the function a task asks for: the last one in its signature."""
    names = re.findall(r"\bfn\s+(\w+)", blank(signature or ""))
    return names[-1] if names else None


def defines(code: str, name: str) -> bool:
    """Whether `code` has a function of that name outside comments and strings."""
    return re.search(rf"\bfn\s+{re.escape(name)}\s*[<(]", blank(code)) is not None


def blank(code: str) -> str:
    """`code` with comments, strings and characters replaced by spaces, its line breaks kept. Linear in its length."""
    parts, at = [], 0
    while found := _LEXEME.search(code, at):
        end = _end(code, found)
        parts += [code[at : found.start()], re.sub(r"[^\n]", " ", code[found.start() : end])]
        at = end
    return "".join(parts) + code[at:]


def _end(code: str, found: re.Match[str]) -> int:
    """Where the comment or literal that `found` opens is over."""
    if found["block"]:
        depth, end = 1, found.end()
        while depth and (edge := _BLOCK_EDGE.search(code, end)):  # Rust's block comments nest
            depth += 1 if edge[0] == "/*" else -1
            end = edge.end()
        return len(code) if depth else end
    if found["raw"]:
        close = code.find('"' + found["hashes"], found.end())
        return len(code) if close < 0 else close + 1 + len(found["hashes"])
    if found["string"]:
        return _STRING_END.match(code, found.end()).end()
    return found.end()


def _has_fence(text: str) -> bool:
    return any(_FENCE.match(line) for line in text.split("\n"))


def _blocks(text: str) -> list[tuple[str, str]]:
    """Fenced blocks as (tag, code), the tag in lower case without attributes such as `,ignore`."""
    blocks: list[tuple[str, str]] = []
    fence, tag, lines = "", "", []
    for line in text.split("\n"):
        mark = _FENCE.match(line.rstrip("\r"))
        if not fence:
            if mark:
                fence, tag, lines = mark[1], re.split(r"[\s,{:]", mark[2].strip().lower())[0], []
        elif mark and mark[1].startswith(fence) and not mark[2].strip():
            blocks.append((tag, "".join(f"{kept}\n" for kept in lines)))
            fence = ""
        else:
            lines.append(line)
    if fence:
        blocks.append((tag, "\n".join(lines)))
    return blocks
