"""From a completion to code."""

from __future__ import annotations

import re

from nbcore.grading.rust.lexer import blank

_FENCE = re.compile(r"[ \t]{0,3}(`{3,}|~{3,})([^\n`]*)$")
_TAGS = {"", "rust", "rs"}


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
