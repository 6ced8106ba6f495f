"""Metadata comments: what a header says, where it stands, and that it leaves the program what it was."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbcore.data import metadata
from nbcore.grading.grader import RustGrader
from nbcore.tasks import katas, sets


def row(content):
    return {
        "id": "r",
        "messages": [{"role": "user", "content": "do"}, {"role": "assistant", "content": content}],
        "meta": {"kept": True},
    }


def answer(made):
    return made["messages"][-1]["content"]


def test_a_kata_is_told_by_its_family_and_operations():
    task = next(task for task in katas.load("train") if task["family"] == "slice_sorted_by")
    said = metadata.of(katas.code(task), task)
    assert said.header().splitlines() == [
        f"// function: {said.function}",
        f"// algorithm: slice sorted by: {', '.join(task['meta']['ops']).replace('_', ' ')}",
        "// time: O(n log n)",
        "// space: O(n)",
    ]


@pytest.mark.parametrize(
    ("family", "time", "space"),
    [
        ("iter_map_quant", "O(n)", "O(1)"),
        ("vec_insert_front", "O(n)", "O(1)"),
        ("str_words", "O(n)", "O(n)"),
        ("option_map", "O(1)", "O(1)"),
        ("map_index", "O(n)", "O(n)"),
        ("tuple_swap", "O(1)", "O(1)"),
    ],
)
def test_the_cost_of_a_kata(family, time, space):
    task = next(task for task in katas.load("train") if task["family"] == family)
    said = metadata.of(katas.code(task), task)
    assert (said.time, said.space) == (time, space)


@pytest.mark.parametrize(
    ("code", "time", "space"),
    [
        ("pub fn f(x: &[i64]) -> i64 { x.iter().map(|a| x.iter().filter(|b| *b > a).count() as i64).sum() }", "O(n^2)",
         "O(1)"),
        ("fn f(x: Option<i64>) -> Option<i64> { x.map(|y| y + 1) }", "O(1)", "O(1)"),
        ("fn f(n: u64) -> u64 { if n < 2 { n } else { f(n - 1) + f(n - 2) } }", None, None),
        ("fn f(x: &[i64]) -> i64 { helper(x) }", None, None),
        ("fn f(x: Theirs) -> i64 { x.whatever() }", None, None),
        ("fn f(mut n: u64) -> u64 { while n != 1 { n = if n % 2 == 0 { n / 2 } else { 3 * n + 1 } } n }", None, None),
        ("fn f(x: &[i64]) -> Vec<i64> { x.iter().rev().copied().collect() }", "O(n)", "O(n)"),
    ],
)  # fmt: skip
def test_of_other_code_only_what_its_syntax_tells_is_said(code, time, space):
    """Collatz, recursion and functions from elsewhere: no guess."""
    said = metadata.of(code)
    assert (said.function, said.time, said.space) == ("f", time, space)
    assert ("// time" in said.header()) == (time is not None)


def test_the_header_stands_before_the_code_and_nowhere_else():
    code = "fn one() -> i64 { 1 }\n"
    assert answer(metadata.with_header(row(code))).endswith(f"// space: O(1)\n{code}")
    chat = f"Here:\n```rust\n{code}```\nDone."
    made = answer(metadata.with_header(row(chat)))
    assert made.startswith("Here:\n```rust\n// function: one\n") and made.endswith(f"{code}```\nDone.")
    for content in ("Sure, I will.", "fn broken( {", "```python\ndef f(): pass\n```", "struct Only;"):
        assert metadata.with_header(row(content)) == row(content)


@given(st.text(max_size=120))
def test_whatever_the_answer_nothing_of_it_is_lost(text):
    made = answer(metadata.with_header(row(f"{text}\nfn one() -> i64 {{ 1 }}\n")))
    kept = [line for line in made.split("\n") if not line.startswith("// ")]
    assert kept == [line for line in f"{text}\nfn one() -> i64 {{ 1 }}\n".split("\n") if not line.startswith("// ")]


@pytest.mark.slow
def test_katas_still_pass_with_their_headers():
    tasks = [task for task in katas.load("train", demonstrated=True)][:12]
    rows = [{"id": task["id"], "messages": [{"role": "assistant", "content": katas.code(task)}]} for task in tasks]
    made, count = metadata.commented(rows)
    grader = RustGrader(jobs=1, lint=False)
    verdicts = grader.grade([sets.sample(task, answer(row)) for task, row in zip(tasks, made, strict=True)])
    grader.close()
    assert count == 12 and all(verdict["passed"] for verdict in verdicts)
    assert all(answer(row).startswith("// function: ") for row in made)
