"""Values that are made of others, as `{:?}` shows them: arrays, tuples, calls, collections, a task's own types."""

from __future__ import annotations

import re
from typing import Any

from nbcore.grading.rust.arithmetic import whole
from nbcore.grading.rust.literals import Expected, Inner, Unknown, only, plain, quoted, several
from nbcore.grading.rust.shapes import Shape
from nbcore.grading.rust.syntax import COMMENTS, expression, part_of, text_of

_MOST_REPEATED = 1000
_MAPS = ("HashMap", "HashSet", "BTreeMap", "BTreeSet")


def path_of(node: Any) -> str:
    """What a struct or a variant is named by in an expression that makes one, "" in any other."""
    if node.type in ("call_expression", "struct_expression"):
        node = node.child_by_field_name("function" if node.type == "call_expression" else "name")
    elif node.type not in ("identifier", "scoped_identifier"):
        return ""
    path = re.sub(r"::<[\w<>&', ]*>|\s", "", text_of(node))
    return re.sub(r"^(?:(?:crate|super|self)::)+", "", path)


def own(node: Any, shape: Shape, inner: Inner) -> Expected:
    """A value of a type that the task defines, as derived Debug shows it."""
    name, named = shape.shown, shape.fields != () and shape.fields[0] != ""
    if node.type == "struct_expression":
        values = {}
        for part in node.child_by_field_name("body").named_children:
            if part.type == "field_initializer":
                values[part_of(part, "field")] = inner(part.child_by_field_name("value"))
            elif part.type == "shorthand_field_initializer":
                values[text_of(part)] = inner(only(part))
            elif part.type not in COMMENTS:
                raise Unknown
        if set(values) != set(shape.fields) or not named:
            raise Unknown
        parts = [values[field]._replace(pattern=f"{field}: {values[field].pattern}") for field in shape.fields]
        return several(parts, rf"{name} \{{ {{}} \}}")
    given = []
    if node.type == "call_expression":
        given = [child for child in node.child_by_field_name("arguments").named_children if child.type not in COMMENTS]
    if len(given) != len(shape.fields) or named:
        raise Unknown
    return several([inner(child) for child in given], rf"{name}\({{}}\)") if given else Expected(name)


def array(node: Any, inner: Inner) -> Expected:
    parts = [child for child in node.children if child.type not in COMMENTS][1:-1]
    if any(part.type == "attribute_item" for part in parts):
        raise Unknown
    if len(parts) == 3 and parts[1].type == ";":
        count = whole(parts[2], inner)
        if not 0 <= count <= _MOST_REPEATED:
            raise Unknown
        return several([inner(parts[0])] * count, r"\[{}\]")
    return several([inner(part) for part in parts if part.is_named], r"\[{}\]")


def tuple_of(node: Any, inner: Inner) -> Expected:
    values = [inner(child) for child in node.named_children if child.type not in COMMENTS]
    return several(values, r"\({},\)" if len(values) == 1 else r"\({}\)")


def made_by_macro(node: Any, inner: Inner) -> Expected:
    if text_of(node.child_by_field_name("macro")) != "vec" or node.children[-1].type != "token_tree":
        raise Unknown
    if not (array := expression(f"[{text_of(node.children[-1])[1:-1]}]")):
        raise Unknown
    return inner(array)


def call(node: Any, inner: Inner) -> Expected:
    function, given = node.child_by_field_name("function"), node.child_by_field_name("arguments").named_children
    name = re.sub(r"::<[\w<>&', ]*>", "", text_of(function).replace(" ", ""))
    if function.type == "field_expression" and not given:
        whose = function.child_by_field_name("value")
        if name.endswith((".to_vec", ".to_owned")) and whose.type == "array_expression":
            return inner(whose)
        if name.endswith(".clone"):
            return inner(whose)
    elif name.endswith(".collect") and "::<Vec<" in text_of(function).replace(" ", ""):
        numbers = numbers_of(function.child_by_field_name("function").child_by_field_name("value"), inner)
        return Expected(rf"\[{', '.join(map(str, numbers))}\]")
    elif name.endswith("::new") and not given:
        kind = name.removesuffix("::new")
        if kind in ("Vec", "VecDeque", *_MAPS):
            return Expected(r"\{\}" if kind in _MAPS else r"\[\]")
        if kind == "String":
            return quoted("")
    elif (
        name.removesuffix("::from") in ("VecDeque", *_MAPS) and len(given) == 1 and given[0].type == "array_expression"
    ):
        return _collected(name.removesuffix("::from"), given[0], inner)
    elif len(given) == 1 and name in ("Some", "Ok", "Err"):
        return several([inner(given[0])], rf"{name}\({{}}\)")
    elif len(given) == 1 and (
        name in ("Box::new", "Rc::new", "Arc::new", "Cow::Borrowed", "Cow::Owned")
        or (name == "String::from" and given[0].type in ("string_literal", "raw_string_literal"))
    ):
        return inner(given[0])
    raise Unknown


def of_std(node: Any, inner: Inner) -> Expected:
    """A variant of std's that tests name."""
    if not (found := re.fullmatch(r"(?:(?:std|core)::)?(?:cmp::)?Ordering::(Less|Equal|Greater)", text_of(node))):
        raise Unknown
    return Expected(found[1])


def numbers_of(node: Any, inner: Inner) -> list[int]:
    """The numbers of a range of literals, as `0..3`, `1..=n` or `(0..3).rev()` has them."""
    if node.type == "parenthesized_expression":
        return numbers_of(only(node), inner)
    if node.type == "call_expression" and text_of(node).endswith(".rev()"):
        return numbers_of(node.child_by_field_name("function").child_by_field_name("value"), inner)[::-1]
    if node.type != "range_expression" or len(node.children) != 3:
        raise Unknown
    start, sign, end = node.children
    first, last = whole(start, inner), whole(end, inner) + (text_of(sign) == "..=")
    if last - first > _MOST_REPEATED:
        raise Unknown
    return list(range(first, last))


def _collected(kind: str, given: Any, inner: Inner) -> Expected:
    """A collection made from an array. A hashed one is shown in any order, and each entry must be there once."""
    if kind == "VecDeque":
        return inner(given)
    entries = {}
    parts = [child for child in given.named_children if child.type not in COMMENTS]
    for part in parts:
        pair = [child for child in part.named_children if child.type not in COMMENTS] if "Map" in kind else [part]
        if inner(part).numbers or len(pair) != 1 + ("Map" in kind):
            raise Unknown
        shown = [inner(child).pattern for child in pair]
        entries[_sorted_by(pair[0]) if kind.startswith("BTree") else shown[0]] = ": ".join(shown)
    if len(entries) < len(parts):
        raise Unknown  # which of two with one key counts is not for a text to say
    if kind.startswith("BTree"):
        return Expected(r"\{" + ", ".join(entries[key] for key in sorted(entries)) + r"\}")
    any_entry = "|".join(entries.values())
    each = "".join(rf"(?=.*(?:\{{|, ){entry}(?:, |\}}))" for entry in entries.values())
    more = rf"(?:{any_entry})(?:, (?:{any_entry})){{{len(entries) - 1}}}" if entries else ""
    return Expected(rf"(?s:{each})\{{{more}\}}")


def _sorted_by(key: Any) -> int | bytes:
    """What an entry of a sorted collection is sorted by. Raises Unknown for keys that are no numbers or strings."""
    text = text_of(key)
    if key.type == "call_expression" and text.endswith((".to_string()", ".to_owned()")):
        key = key.child_by_field_name("function").child_by_field_name("value")
    elif key.type == "call_expression" and text.startswith("String::from("):
        key = key.child_by_field_name("arguments").named_children[0]
    if key.type in ("string_literal", "char_literal") and text_of(key)[0] in "\"'":
        return plain(text_of(key)[1:-1]).encode()
    return whole(key)
