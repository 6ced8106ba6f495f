"""Metadata comments: what an answer's code is, told in a header before it, for studies with a control without one.

    // function: first_large
    // algorithm: loop find: sq gt k, mod k
    // time: O(n)
    // space: O(1)

A kata names its family and operations. Of any other code only what its syntax tells is said: a cost that depends on
functions that are not there, or on recursion, is left out rather than guessed. n is the size of the input.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from nbcore.core.records import Row, Task
from nbcore.grading.rust.syntax import name_of, parse, part_of, text_of, walk
from nbcore.tasks import katas

_FENCE = re.compile(r"^(```(?:rust|rs)[^\n]*\n)(.*?)^```", re.MULTILINE | re.DOTALL)
_LOOPS = ("for_expression", "while_expression", "loop_expression")
_PIECES = re.compile("split|split_whitespace|lines|chunks|split_terminator")  # no longer together than the whole
_SOURCES = re.compile(
    f"{_PIECES.pattern}|iter|iter_mut|into_iter|chars|bytes|char_indices|windows|drain|keys|values|values_mut|matches"
)
_WHOLE = re.compile(  # methods of slices, strings and maps that visit all of them
    "contains|reverse|to_vec|to_(ascii_)?(upper|lower)case|replace|retain|join|concat|dedup|extend|trim(_\\w+)?|repeat"
    "|parse|sum|starts_with|ends_with|find|eq_ignore_ascii_case"
)
_CHAINED = re.compile(  # adapters and consumers, which cost nothing on an Option and n on an iterator
    "map|filter|filter_map|flat_map|fold|sum|product|collect|any|all|find|zip|enumerate|take_while|skip_while|take|skip"
    "|rev|position|min|max|min_by_key|max_by_key|min_by|max_by|count|last|nth|step_by|chain|for_each|cloned|copied|scan"
    "|partition|unzip|try_fold|reduce|next|next_back"
)
_CONSTANT = re.compile(  # other methods of std that do not depend on the size of anything
    "abs|pow|clamp|signum|rem_euclid|div_euclid|is_(some|none|ok|err)(_and|_none_or)?|(checked|wrapping|saturating"
    "|overflowing)_\\w+|len|is_empty|push|pop|get|get_mut|first|last|unwrap(_or|_or_else|_or_default)?|expect|ok|err"
    "|map_or|map_or_else|map_err|and_then|or|or_else|and|xor|ok_or|ok_or_else|as_ref|as_mut|as_deref|as_str|as_bytes"
    "|as_slice|copied|cloned|contains_key|entry|or_insert|or_default|is_(ascii_)?(alpha|alphanumeric|alphabetic|numeric"
    "|uppercase|lowercase|whitespace|digit|punctuation)|to_digit|swap|replace|take|cmp|then|then_some|to_string|borrow"
    "|abs_diff|isqrt|is_multiple_of|leading_zeros|trailing_zeros|count_ones|is_positive|is_negative|as_any|into|eq|ne"
)
_SORTS = re.compile(r"sort\w*")
_KATAS = {"vec_insert_front": ("O(n)", "O(1)")}  # (time, space) of families whose syntax does not tell
_ALLOCATES = re.compile(
    r"\b(collect|to_vec|vec!|Vec::|String::|HashMap::|HashSet::|BTreeMap::|push|push_str|to_uppercase|to_lowercase"
    r"|to_ascii_uppercase|to_ascii_lowercase|to_string|to_owned|format!|replace|repeat|join|concat)"
)
_RECURSES = "recursion"


class Metadata(NamedTuple):
    """What a header says; None is not said."""

    function: str
    algorithm: str | None
    time: str | None
    space: str | None

    def header(self) -> str:
        """The comment lines, the last one ended."""
        said = {name: value for name, value in self._asdict().items() if value}
        return "".join(f"// {name}: {value}\n" for name, value in said.items())


def of(code: str, task: Task | None = None) -> Metadata | None:
    """What can be told of the code's first public function, or its first; None where it has none or does not parse."""
    root = parse(code)
    functions = [node for node in root.children if node.type == "function_item" and node.child_by_field_name("body")]
    methods = [node for node in walk(root) if node.type == "function_item" and node.child_by_field_name("body")]
    public = [node for node in functions if text_of(node).startswith("pub")]
    chosen = (public or functions or sorted(methods, key=lambda node: node.start_byte))[:1]
    if root.has_error or not chosen:
        return None
    function = chosen[0]
    kata = task is not None and task.get("meta", {}).get("ops") is not None
    time = None if not kata and _is_hidden(function) else _steps(function)
    told = _KATAS.get(task["family"]) if kata else None
    time, space = told or (time, _space(function, time))
    return Metadata(name_of(function), _words_of(task) if kata else _shape(function), time, space)


def with_header(row: Row, task: Task | None = None) -> Row:
    """The row with the header before the code of its last answer: in its first Rust block, or where the whole answer is
    code. A row whose answer holds no function is handed back as it is."""
    *before, answer = row["messages"]
    content = answer["content"] or ""  # None where the answer is a call of a tool
    block = _FENCE.search(content)
    code = block[2] if block else content
    if (told := of(code, task)) is None:
        return row
    at = block.start(2) if block else 0
    return row | {"messages": [*before, answer | {"content": content[:at] + told.header() + content[at:]}]}


def commented(rows: list[Row]) -> tuple[list[Row], int]:
    """Every row with its header, and how many have got one; rows whose id is a kata's are told from that."""
    known = {task["id"]: task for task in katas.load("train")}
    made = [with_header(row, known.get(row["id"])) for row in rows]
    return made, sum(new is not old for new, old in zip(made, rows, strict=True))


def _words_of(task: Task) -> str:
    operations = ", ".join(name.replace("_", " ") for name in task["meta"]["ops"])
    return f"{task['family'].replace('_', ' ')}: {operations}"


def _shape(function: Any) -> str:
    """The algorithm as far as the syntax tells it."""
    nodes = list(walk(function.child_by_field_name("body")))
    called = [_called(node) for node in nodes if node.type == "call_expression"]
    shapes = []
    if name_of(function) in called:
        shapes.append(_RECURSES)
    if any(name.startswith("sort") for name in called):
        shapes.append("sort")
    if any(node.type in _LOOPS for node in nodes):
        shapes.append("loop")
    chains = [node for node in nodes if node.type == "call_expression" and _is_chain(_receiver(node))]
    if chain := [name for name in map(_called, reversed(chains)) if _CHAINED.fullmatch(name)]:
        shapes.append(f"chain of {', '.join(dict.fromkeys(chain))}")
    if any(node.type == "match_expression" for node in nodes):
        shapes.append("match")
    return "; ".join(shapes) or "direct computation"


def _called(call: Any) -> str:
    """The name of the function or method that is called; "" where it is an expression."""
    function = call.child_by_field_name("function")
    if function is not None and function.type == "generic_function":
        function = function.child_by_field_name("function")
    if function is None:
        return ""
    if function.type == "field_expression":
        return part_of(function, "field")
    return text_of(function) if function.type == "identifier" else name_of(function)


def _receiver(call: Any) -> Any:
    """What a method is called on; None where a function is called."""
    function = call.child_by_field_name("function")
    if function is not None and function.type == "generic_function":
        function = function.child_by_field_name("function")
    return (
        function.child_by_field_name("value") if function is not None and function.type == "field_expression" else None
    )


def _is_chain(node: Any) -> bool:
    """Whether an expression is an iterator: a source or a range, and adapters behind it."""
    source = _source(node)
    return source is not None


def _source(node: Any) -> str | None:
    """The method that an iterator chain begins with, "range" for a range; None for what is no chain."""
    while node is not None and node.type == "call_expression":
        if _SOURCES.fullmatch(_called(node)):
            return _called(node)
        node = _receiver(node)
    ranged = node is not None and node.type == "parenthesized_expression"
    return "range" if ranged and any(child.type == "range_expression" for child in node.named_children) else None


def _steps(function: Any) -> str | None:
    """The time it takes by its loops and chains, without the functions that it calls; None where it cannot be told."""
    if any(_called(node) == name_of(function) for node in walk(function) if node.type == "call_expression"):
        return None
    if any(node.type == "loop_expression" for node in walk(function)):
        return None
    depth, sorts, halves = _depth(function.child_by_field_name("body"))
    if halves and depth:
        return None
    if halves:
        return "O(log n)"
    if sorts:
        return "O(n log n)" if depth <= 1 and sorts == 1 else None
    return ["O(1)", "O(n)", "O(n^2)"][depth] if depth <= 2 else f"O(n^{depth})"


def _depth(root: Any) -> tuple[int, int, int]:
    """(how deep loops and chains are nested, at which depth something is sorted, how many loops halve their way)."""
    deepest, sorts, halves = 0, 0, 0
    waiting = [(root, 0)]
    while waiting:
        node, depth = waiting.pop()
        inner = depth
        if node.type in _LOOPS and _halving(node):
            halves += 1
        elif node.type in _LOOPS:
            inner = depth + 1
        called = _called(node) if node.type == "call_expression" else ""
        receiver = _receiver(node) if called else None
        if _WHOLE.fullmatch(called) and receiver is not None and not _is_chain(receiver):
            deepest = max(deepest, depth + 1)
        if called.startswith("sort"):
            deepest, sorts = max(deepest, depth + 1), max(sorts, depth + 1)
        if _CHAINED.fullmatch(called) and _is_chain(receiver):
            deepest = max(deepest, depth + 1)
            pieces = _PIECES.fullmatch(_source(receiver)) is not None
            function, arguments = (node.child_by_field_name(field) for field in ("function", "arguments"))
            waiting += [(function, depth), (arguments, depth if pieces else depth + 1)]
            continue
        deepest = max(deepest, inner)
        waiting += [(child, inner) for child in node.children]
    return deepest, sorts, halves


def _halving(loop: Any) -> bool:
    kinds = ("compound_assignment_expr", "assignment_expression")
    changes = [text_of(node) for node in walk(loop) if node.type in kinds]
    return loop.type == "while_expression" and any(re.search(r"/=|>>=|=.*(?:/|>>) *\d", text) for text in changes)


def _is_hidden(function: Any) -> bool:
    """Whether its cost depends on what is not to be seen here: a function or method of somebody else's, a macro, or how
    often a condition holds."""
    for node in walk(function):
        name = _called(node) if node.type == "call_expression" else ""
        if name and _receiver(node) is None:
            called = node.child_by_field_name("function")
            if called.type == "identifier" and name[:1].islower():
                return True
        elif name and not any(known.fullmatch(name) for known in (_SOURCES, _WHOLE, _CHAINED, _CONSTANT, _SORTS)):
            return True
        if node.type in ("while_expression", "loop_expression", "macro_invocation", "unsafe_block"):
            return True
    return False


def _space(function: Any, time: str | None) -> str | None:
    """Of what it makes, its result included. None where the time cannot be told either."""
    if time is None or (
        time not in ("O(1)", "O(log n)", "O(n)", "O(n log n)") and _ALLOCATES.search(text_of(function))
    ):
        return None
    return "O(n)" if time != "O(1)" and _ALLOCATES.search(text_of(function)) else "O(1)"
