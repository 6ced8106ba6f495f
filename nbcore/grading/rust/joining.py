"""What a block of an answer needs of the answer's other blocks: helpers, types, imports."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from nbcore.grading.rust.lexer import tokens
from nbcore.grading.rust.syntax import imported, introduced, name_of, parse, part_of, text_of

_MOST_BLOCKS = 100  # of an answer that anybody would read
_MOST_TEXT = 64 << 10  # characters of them; what is no Rust takes time by the square of its length to read


class _Item(NamedTuple):
    """One item of a block."""

    text: str
    kind: str
    names: frozenset[str]
    """What it defines or imports; of a trait, its methods too; of an impl, the type and the trait that it is for."""
    keys: frozenset[str]
    """What may be there only once in a program."""
    broken: bool


class _Block(NamedTuple):
    items: tuple[_Item, ...]
    whole: bool
    """It can be taken as it is: it parses, and has no program of its own."""


def join(blocks: Sequence[str], chosen: int) -> str:
    """The block `chosen` with what it needs of the others, each in its place.

    An item is needed when what is there so far mentions it and does not define it; of several, the nearest one before
    the block counts, then the first behind it. A block is taken whole where nothing in it is there twice.
    """
    if not 1 < len(blocks) <= _MOST_BLOCKS or sum(map(len, blocks)) > _MOST_TEXT:
        return blocks[chosen]
    read = {index: _read(text) for index, text in enumerate(blocks)}
    there = {key for item in read[chosen].items for key in item.keys}
    defined = {name for item in read[chosen].items if item.kind != "impl_item" for name in item.names}
    mentioned = _mentioned(blocks[chosen])
    taken: dict[int, set[int]] = {}
    order = [*range(chosen - 1, -1, -1), *range(chosen + 1, len(blocks))]
    more = True
    while more:
        more = False
        for index in order:
            items, own = read[index].items, taken.get(index, set())
            needed = {
                number
                for number, item in enumerate(items)
                if number not in own and not item.keys & there and _needed(item, mentioned, defined)
            }
            if not needed:
                continue
            if not own and read[index].whole and not any(item.keys & there for item in items):
                needed = set(range(len(items)))
            taken[index], more = own | needed, True
            for item in (items[number] for number in needed):
                there |= item.keys
                defined |= item.names if item.kind != "impl_item" else set()
                mentioned |= _mentioned(item.text)
    if not taken:
        return blocks[chosen]
    texts = {chosen: blocks[chosen]}
    for index, numbers in taken.items():
        items = read[index].items
        alone = read[index].whole and len(numbers) == len(items)
        texts[index] = blocks[index] if alone else "\n".join(items[number].text for number in sorted(numbers))
    ordered = sorted(texts, key=lambda index: (not _has_head(texts[index]), index))
    return "\n".join(texts[index].rstrip("\n") + "\n" for index in ordered)


def _needed(item: _Item, mentioned: set[str], defined: set[str]) -> bool:
    if item.broken or not item.keys:
        return False
    if item.kind == "impl_item":
        return bool(item.names & defined)
    if item.kind == "use_declaration":  # a star brings unknown names, and a trait is used without being named
        return not item.names or bool(item.names & mentioned) or all(name[:1].isupper() for name in item.names)
    return bool(item.names & mentioned)


def _read(text: str) -> _Block:
    root = parse(text)
    items = tuple(_items(root))
    main = any(item.kind == "function_item" and "main" in item.names for item in items)
    return _Block(items, not root.has_error and not main)


def _items(root: Any) -> Iterator[_Item]:
    for node, before in introduced(root):
        kind, broken = node.type, node.has_error
        text = "\n".join(text_of(part) for part in (*before, node))
        if kind == "use_declaration":
            names = frozenset(imported(node.child_by_field_name("argument"))) - {"_"}
            yield _Item(text, kind, names, names or frozenset([text_of(node)]), broken)
        elif kind == "impl_item":
            of, trait = _word(part_of(node, "type")), part_of(node, "trait")
            head = text_of(node).partition("{")[0]
            methods = [name_of(child) for child in _children(node) if child.type == "function_item"]
            keys = [head] if trait else [f"{of}::{name}" for name in methods] or [head]
            yield _Item(text, kind, frozenset(filter(None, (of, _word(trait)))), frozenset(keys), broken)
        elif kind == "macro_definition" or (kind.endswith("_item") and kind != "attribute_item"):
            names = frozenset(filter(None, [name_of(node)]))
            methods = (f".{name_of(child)}" for child in _children(node)) if kind == "trait_item" else ()
            yield _Item(text, kind, names | frozenset(methods), names, broken)


def _children(node: Any) -> list[Any]:
    body = node.child_by_field_name("body")
    return body.children if body is not None else []


def _word(path: str) -> str:
    """The last name of a path without what is generic about it: `Vec` of `std::vec::Vec<T>`."""
    return re.sub(r"<.*", "", path, flags=re.DOTALL).rpartition("::")[2].strip()


def _mentioned(text: str) -> set[str]:
    """The names in a program that are not of a path; fields and methods with their dot."""
    found, before = set(), ""
    for token in tokens(text):
        if token.kind == "word" and before != "::":
            found.add(f".{token.text}" if before == "." else token.text)
        if token.kind != "comment":
            before = "::" if token.text == before == ":" else token.text
    return found


def _has_head(text: str) -> bool:
    """Whether a block begins with attributes or docs of the whole file, which must stand in front of everything."""
    return re.match(r"\s*(?:#!\[|//!|/\*!)", text) is not None
