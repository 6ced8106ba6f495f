"""What a Rust program is made of, read from its syntax tree: documentation, structure, idioms, and its own tests.

Counts of a tree-sitter parse, so strings and comments do not count as code, and code that does not compile counts too.
"""

from __future__ import annotations

import re
from typing import Any

from nbcore.grading.rust.answer import target
from nbcore.grading.rust.syntax import attributes, parse, text_of, walk_introduced

_ITEMS = tuple(f"{kind}_item" for kind in ("function", "struct", "enum", "trait", "const", "static", "type", "mod"))
_ITERATOR = re.compile(
    "map|filter|filter_map|flat_map|fold|sum|product|collect|any|all|find|zip|enumerate|take_while|skip_while|take|skip"
    "|rev|chain|position|min_by_key|max_by_key|windows|chunks|scan|count"
)
_STOP = re.compile(
    "a|an|and|are|as|at|be|by|for|from|function|given|if|in|into|is|it|its|of|on|or|return|returns|rust|should|takes"
    "|than|that|the|then|this|to|when|which|with|write"
)
_MOST_DOC_LINES = 20
_MOST_DOC_WORDS = 60  # of one item: more is no better, and much more is spam


def structure(code: str, prompt: str = "") -> dict[str, Any]:
    """Counts and rates of one program.

    functions, structs, enums, impls, traits, tests, unsafe, unwraps: counts. documented: share of the public items
    with a doc comment of their own, None without a public item. idioms: share of four present (iterator chains, `?`,
    pattern matching, derive). coverage: share of the prompt's words that the code or its comments mention, None
    without a prompt. flags: "doc_spam", and what is wrong with its own tests.
    """
    root = parse(code)
    pairs = list(walk_introduced(root))
    nodes = [node for node, _ in pairs]
    kinds = [node.type for node in nodes]
    calls = [_called(node) for node in nodes if node.type == "call_expression"]
    docs = [_doc(before) for node, before in pairs if node.type in _ITEMS and _is_public(node)]
    chains = sum(bool(_ITERATOR.fullmatch(name)) for name in calls)
    used = {
        "iterator_chains": chains > 0,
        "question_mark": "try_expression" in kinds,
        "pattern_matching": bool({"match_expression", "let_condition", "let_chain"} & set(kinds)),
        "derive": any(name == "derive" for _, before in pairs for name, _ in attributes(before)),
    }
    tests, flags = own_tests(code, None)
    return {
        "lines": sum(bool(line.strip()) for line in code.split("\n")),
        "functions": kinds.count("function_item"),
        "structs": kinds.count("struct_item"),
        "enums": kinds.count("enum_item"),
        "impls": kinds.count("impl_item"),
        "traits": kinds.count("trait_item"),
        "tests": tests,
        "unsafe": kinds.count("unsafe_block"),
        "unwraps": sum(name in ("unwrap", "expect") for name in calls),
        "documented": sum(bool(doc) for doc in docs) / len(docs) if docs else None,
        "idioms": sum(used.values()) / len(used),
        "coverage": _coverage(code, prompt) if prompt else None,
        "flags": flags + ["doc_spam"] * any(map(_is_spam, docs)),
    }


def own_tests(code: str, signature: str | None) -> tuple[int, list[str]]:
    """How many tests the program brings that could show anything, and flags for those that cannot.

    That they call the target and are not ignored is seen here; what they are worth, only by the mutants they kill.
    """
    functions = [pair for pair in walk_introduced(parse(code)) if pair[0].type == "function_item"]
    marked = [(node, {name for name, _ in attributes(before)}) for node, before in functions]
    tests = [(node, names) for node, names in marked if "test" in names]
    live = [node for node, names in tests if "ignore" not in names]
    goal = target(signature)
    calling = [node for node in live if goal is None or re.search(rf"\b{goal}\s*\(", text_of(node))]
    flags = ["own_tests_ignored"] * (bool(tests) and not live)
    flags += ["own_tests_do_not_call_target"] * (bool(live) and not calling)
    return len(calling), flags


def noted(code: str, signature: str | None) -> list[str]:
    """Flags of own tests that can show nothing, and of spammed docs; quick where there are neither tests nor docs."""
    flags = own_tests(code, signature)[1] if re.search(r"\btest\b", code) else []
    spam = code.count("///") > _MOST_DOC_LINES and any(
        _is_spam(_doc(before)) for _, before in walk_introduced(parse(code))
    )
    return flags + ["doc_spam"] * spam


def documentation(code: str) -> float:
    """The share of public items that are documented, 0..1; a spammed comment counts for nothing."""
    pairs = walk_introduced(parse(code))
    docs = [_doc(before) for node, before in pairs if node.type in _ITEMS and _is_public(node)]
    return sum(bool(doc) and not _is_spam(doc) for doc in docs) / len(docs) if docs else 0.0


def _called(node) -> str:
    function = node.child_by_field_name("function")
    if function is not None and function.type == "generic_function":
        function = function.child_by_field_name("function")
    field = function.child_by_field_name("field") if function is not None else None
    return text_of(field) if field is not None else ""


def _is_public(node) -> bool:
    return any(child.type == "visibility_modifier" for child in node.children)


def _doc(before: list[Any]) -> str:
    """The doc comment among what introduces an item, its marks removed."""
    texts = [text_of(node).strip() for node in before if node.type.endswith("_comment")]
    doc = [text for text in texts if text.startswith(("///", "/**")) and not text.startswith(("////", "/***"))]
    return " ".join(text.strip("/*! \n") for text in doc).strip()


def _is_spam(doc: str) -> bool:
    words = re.findall(r"\w+", doc.lower())
    return len(words) > _MOST_DOC_WORDS and len(set(words)) < len(words) / 3


def _coverage(code: str, prompt: str) -> float:
    asked = {word for word in re.findall(r"[a-z]{3,}", prompt.lower()) if not _STOP.fullmatch(word)}
    said = set(re.findall(r"[a-z]{3,}", re.sub(r"_|(?<=[a-z])(?=[A-Z])", " ", code).lower()))
    return sum(word in said for word in asked) / len(asked) if asked else 1.0
