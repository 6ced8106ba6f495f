"""Rules about how code is written: marks of unfinished work, habits of other languages, documentation."""

from __future__ import annotations

import re
from typing import Any

from nbcore.config.filters import Filters
from nbcore.data.filters.text import Text
from nbcore.grading.rust import syntax

_GROUPS = (
    "warnings|unused|bad_style|nonstandard_style|future_incompatible|clippy|clippy::all|clippy::correctness|"
    "clippy::suspicious|clippy::complexity|clippy::perf|clippy::style"
)
MARKERS = {  # name -> (words of which one is always there, what it looks like)
    "todo": (("todo",), re.compile(r"\btodo\s*!\s*[(\[{]")),
    "unimplemented": (("unimplemented",), re.compile(r"\bunimplemented\s*!\s*[(\[{]")),
    "dbg": (("dbg",), re.compile(r"\bdbg\s*!\s*[(\[{]")),
    "unsafe": (("unsafe ", "unsafe{", "unsafe\n"), re.compile(r"\bunsafe\b")),
    # Of a file or module as a whole any group counts, of one item only those that hold nearly everything.
    "blanket_allow": (
        ("allow",),
        re.compile(
            rf"#\s*!\s*\[[^\]]*?\ballow\s*\((?:[^()]*[\s,])?(?:{_GROUPS})\s*[,)]"
            r"|#\s*\[[^\]]*?\ballow\s*\((?:[^()]*[\s,])?(?:warnings|clippy::all)\s*[,)]"
        ),
    ),
    "old_edition": (
        ("try!", "extern crate"),
        re.compile(
            r"\btry!\s*[(\[{]|^[ \t]*(?:pub\s+)?extern crate\s+(?!(?:alloc|core|std|test|proc_macro|self)\b)",
            re.MULTILINE,
        ),
    ),
}
_UNIDIOMATIC = [  # (a word that is always there, what it looks like)
    (".len", re.compile(r"\bfor\s+\w+\s+in\s+0\s*\.\.=?\s*[\w.]+\.len\s*\(\)")),
    ("while", re.compile(r"\bwhile\s+\w+\s*<=?\s*[\w.]+\.len\s*\(\)")),
    (".len", re.compile(r"\.len\s*\(\)\s*(?:==|!=|>)\s*0\b(?!\.)")),
    ("= true", re.compile(r"[=!]=\s*true\b")),
    ("= false", re.compile(r"[=!]=\s*false\b")),
    ("&", re.compile(r":\s*&\s*(?:'\w+\s+)?(?:Vec\s*<|String\b(?!\s*::))")),
    ("return", re.compile(r"^[ \t]+return\b[^;{}\n]*;\n\}", re.MULTILINE)),
    ("try!", re.compile(r"\btry\s*!\s*\(")),
    ("static mut", re.compile(r"\bstatic\s+mut\b")),
    (".unwrap", re.compile(r"\.unwrap\s*\(\)")),
    ("mem::", re.compile(r"\bmem\s*::\s*(?:transmute|uninitialized)\b")),
    ("if let", re.compile(r"\bif\s+let\s+(?:Some|Ok|Err)\s*\(\s*_\s*\)\s*=")),
    ("loop", re.compile(r"\bloop\s*\{\s*match\s+[\w.]+\.next\s*\(\)")),
    (" = ", re.compile(r"^[ \t]*(\w+)[ ]=[ ]\1[ ][-+*/%][ ]", re.MULTILINE)),
    ("fn ", re.compile(r"fn [a-z][a-z0-9]*[A-Z]\w*\s*[(<]")),
    ("let ", re.compile(r"let (?:mut )?[a-z][a-z0-9]*[A-Z]")),
    ("struct ", re.compile(r"\bstruct [a-z]")),
    ("enum ", re.compile(r"\benum [a-z]")),
]
_DOCUMENTABLE = {
    "function_item", "struct_item", "enum_item", "union_item", "trait_item", "const_item", "static_item", "type_item",
    "mod_item", "macro_definition",
}  # fmt: skip
_CONTAINERS = {"mod_item", "impl_item", "trait_item"}


def has(text: Text, name: str) -> bool:
    """Whether a marker stands in the code; what comments and strings say does not count."""
    words, pattern = MARKERS[name]
    return any(word in text.text for word in words) and pattern.search(text.code) is not None


def marker(text: Text, rules: Filters) -> str | None:
    """The first of the unwanted markers that stands in the code."""
    return next((name for name in rules.markers if has(text, name)), None)


def unidiomatic(text: Text, rules: Filters) -> str | None:
    if not rules.prefer_idiomatic:
        return None
    signs = sum(len(pattern.findall(text.code)) for word, pattern in _UNIDIOMATIC if word in text.text)
    return "unidiomatic" if signs > 1 and signs > rules.max_unidiomatic * text.code_lines else None


def documented_share(root: Any) -> float:
    """Share of the public items that have a doc comment; of all items where none is public; 0 where there is none.
    A comment about the file itself counts as one more documented item."""
    of_public, of_all = [], []
    waiting = [root]
    while waiting:
        for node, before in syntax.introduced(waiting.pop()):
            if node.type in _CONTAINERS and (body := node.child_by_field_name("body")) is not None:
                waiting.append(body)
            if node.type in _DOCUMENTABLE:
                documented = any(map(_documents, before))
                of_all.append(documented)
                if node.children and syntax.text_of(node.children[0]) == "pub":
                    of_public.append(documented)
    counted = of_public or of_all
    about_itself = any(
        child.type.endswith("_comment") and child.text.startswith((b"//!", b"/*!")) for child in root.children[:20]
    )
    if about_itself:
        counted = [*counted, True]
    return sum(counted) / len(counted) if counted else 0.0


def _documents(node: Any) -> bool:
    if node.type == "attribute_item":
        return re.match(rb"#\[\s*doc\s*=", node.text) is not None
    return node.text.startswith((b"///", b"/**")) and not node.text.startswith((b"////", b"/***", b"/**/"))
