"""Extraction: one stated rule, no compiler needed."""

import shutil
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbcore.grading.grader import RustGrader
from nbcore.grading.rust.answer import defines, extract, target
from tests.grading.rust.answers import answers

ADD = "pub fn add(a: i64, b: i64) -> i64 {\n    a + b\n}\n"
SIGNATURE = "pub fn add(a: i64, b: i64) -> i64 {"


def fenced(code, tag="rust"):
    return f"```{tag}\n{code}```\n"


@pytest.mark.parametrize("tag", ["rust", "rs", "", "Rust", "rust,ignore", "rust edition=2021"])
def test_a_block_is_taken_out_of_its_prose(tag):
    assert extract(f"Sure:\n\n{fenced(ADD, tag)}\nDone.", SIGNATURE) == ADD


def test_the_last_block_that_defines_the_target_wins():
    """A draft stands before the answer, a use of it behind."""
    usage = "fn main() { add(1, 2); }\n"
    draft = "pub fn add(a: i64, b: i64) -> i64 { b + a }\n"
    stub = 'pub fn add(a: i64, b: i64) -> i64 { todo!("later") }\n'
    assert extract(fenced(draft) + fenced(ADD) + fenced(usage), SIGNATURE) == ADD
    assert extract(fenced(draft) + fenced(ADD) + fenced(stub), SIGNATURE) == ADD
    assert extract(fenced(usage) + fenced(stub), SIGNATURE) == stub


def test_a_last_block_that_ends_in_the_middle_is_the_answer_only_if_it_was_not_cut():
    """Cut off by the length of an answer it is no answer; closed by its fence it is one, for the compiler to refuse."""
    open_ended = ADD.replace("}", "")
    assert extract(fenced(ADD) + fenced(open_ended).removesuffix("```\n"), SIGNATURE) == ADD
    assert extract(fenced(ADD) + fenced(open_ended), SIGNATURE).rstrip().endswith(open_ended.rstrip())


def test_without_a_signature_the_tests_say_what_was_asked():
    usage = "fn main() { add(1, 2); }\n"
    assert extract(fenced(usage) + fenced(ADD) + fenced(usage), tests="#[test] fn main() { add(1, 2); }") == ADD
    assert extract(fenced(usage) + fenced(ADD)) == usage


def test_answers_of_every_form_give_the_program_that_a_reader_would_take():
    """What is left behind is an honest answer lost, what is taken along a compile error."""
    wrong = []
    known = list(answers())
    for name, program, answer, right in known:
        taken = extract(answer, program.signature, program.tests)
        if taken is None or (lines(taken) != lines(right) and taken.split() != right.split()):
            wrong.append(name)
        unsigned = extract(answer, None, program.tests)
        if unsigned != taken:
            wrong.append(f"{name}, without its signature")
    assert len(known) >= 200 and wrong == []


def lines(code):
    """The lines of a program in any order, for blocks may be joined in more than one."""
    return sorted(" ".join(line.split()) for line in code.split("\n") if line.strip())


@pytest.mark.skipif(shutil.which("rustc") is None, reason="rustc is not installed")
def test_what_is_taken_out_of_the_answers_compiles_and_passes():
    """Blocks that are joined in the wrong order, or twice, look right and are not."""
    taken = {(extract(answer, program.signature, program.tests), program) for _, program, answer, _ in answers()}
    given = sorted(taken, key=lambda one: one[0])
    samples = [
        {"id": code, "code": code, "tests": program.tests, "signature": program.signature} for code, program in given
    ]
    grader = RustGrader(lint=False)
    failed = [verdict["id"] for verdict in grader.grade(samples) if not verdict["passed"]]
    grader.close()
    assert failed == []


def body(text):
    return f"{SIGNATURE}\n    {text}\n}}\n"


TOKEN = SIGNATURE + '\n    let _ = "<|im_end|>"; // </think> is text\n    let _ = "</think>";\n    a + b\n}\n'
PLUS = """trait Plus {
    fn plus(self, b: i64) -> i64;
}
impl Plus for i64 {
    fn plus(self, b: i64) -> i64 {
        self + b
    }
}
"""
IN_MODULE = "mod sums {\n    pub fn plus(a: i64, b: i64) -> i64 {\n        a + b\n    }\n}\n"
ONE_LINE = "pub fn add(a: i64, b: i64) -> i64 { a + b }"
OWN_TESTS = "#[cfg(test)]\nmod tests {\n    use super::*;\n    #[test]\n    fn t() { assert_eq!(add(1, 2), 3); }\n}\n"
ODD = {
    "reasoning that never ends": ("<think>\nhm\n" + fenced(ADD), None),
    "reasoning alone": ("<think>x</think>\n", None),
    "a call in Harmony, and no answer": ("<|channel|>commentary<|message|>" + fenced(ADD), None),
    "marks of an answer": (f"<answer>\n{ADD}</answer>\n", ADD),
    "HTML": (f"<pre><code>\n{ADD}</code></pre>", ADD),
    "a closing fence with a tag": (f"```rust\n{ADD}```rust\nDone.", ADD),
    "a fence behind words": (f"The answer: ```rust\n{ADD}```\nok", ADD),
    "a fence on one line behind words": (f"The answer: ```{ONE_LINE}``` there", ONE_LINE),
    "tokens and marks that are text of the program": (fenced(TOKEN) + "<|im_end|>", TOKEN),
    "a trait for a method": (fenced(PLUS) + fenced(body("a.plus(b)")), f"{PLUS}\n{body('a.plus(b)')}"),
    "a module": (
        fenced(IN_MODULE) + fenced(body("sums::plus(a, b)")),
        f"{IN_MODULE}\n{body('sums::plus(a, b)')}",
    ),
    "own tests in a block of their own": (fenced(ADD) + "Tests:\n" + fenced(OWN_TESTS), ADD),
    "indented code": ("Answer:\n\n    " + ADD.replace("\n", "\n    ").rstrip() + "\n\nThat is all there is.", ADD),
    "bare code, then a usage": (ADD + "\nUsage:\n\n" + fenced("fn main() { add(1, 2); }\n"), ADD),
    "bare code, then its output": (ADD + "\nOutput:\n```\n3\n```", ADD),
    "a bare stub, then the answer": (f"Given:\n{body('todo!()')}\nAnswer:\n{fenced(ADD)}", ADD),
    "a file for a tag": (fenced(ADD, "src/lib.rs"), ADD),
    "another turn": (fenced(ADD) + "<|eot_id|>assistant\n" + fenced(body("0")), ADD),
    "a tilde that closes what the prompt opened": (f"{ADD}~~~\nbye", ADD),
    "a trait of the same method": (fenced("trait Add {\n    fn add(a: i64) -> i64;\n}\n") + fenced(ADD), ADD),
    "marks of HTML in its docs": (
        f"/// <pre>\n/// fn f() {{}}\n/// </pre>\n{ADD}",
        f"/// <pre>\n/// fn f() {{}}\n/// </pre>\n{ADD}",
    ),
    "marks of HTML in a string": (
        f'const A: &str = "<pre>fn f() {{}}</pre>";\n{ADD}',
        f'const A: &str = "<pre>fn f() {{}}</pre>";\n{ADD}',
    ),
    "HTML beside the answer": (fenced(ADD) + fenced("<pre>fn add(a) {}</pre>\n", "html"), ADD),
    "JSON beside the answer": (fenced('{"a": "fn add(a) {}"}\n', "json") + fenced(ADD), ADD),
    "JSON without code": ('{"fn": ["add("]}', '{"fn": ["add("]}'),
    "a type named s": (fenced(f"fn f<s>(x: Vec<s>) {{}}\n{ADD}"), f"fn f<s>(x: Vec<s>) {{}}\n{ADD}"),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_answers(name):
    answer, right = ODD[name]
    taken = extract(answer, SIGNATURE)
    assert taken == right or (taken and right and taken.split() == right.split())


@pytest.mark.parametrize("cut", ["pub fn add(a: i64) -> &&fn from(value", "x.len().min(3", "and so on"])
def test_code_that_is_cut_stays_as_it_is(cut):
    """A model that ran out of tokens in its second function must not pass by its first."""
    assert extract(f"{ADD}\n{cut}", SIGNATURE) == f"{ADD}\n{cut}"


def test_other_languages_do_not_count_beside_rust():
    assert extract(fenced("[package]\n", "toml") + fenced(ADD), SIGNATURE) == ADD
    assert extract(fenced("def add(): ...\n", "python")) == "def add(): ...\n"


def test_unclosed_fence_runs_to_the_end():
    assert extract("Here:\n```rust\n" + ADD, SIGNATURE) == ADD


def test_a_fence_inside_a_doc_comment_does_not_close_the_block():
    documented = "/// Adds.\n///\n/// ```\n/// assert_eq!(1, 1);\n/// ```\n" + ADD
    assert extract(fenced(documented), SIGNATURE) == documented


def test_without_a_fence_the_text_counts_if_it_has_a_function():
    assert extract(ADD, SIGNATURE) == ADD
    assert extract("I cannot do that.", SIGNATURE) is None
    assert extract("") is None
    assert extract("```rust\n```\n") is None


def test_a_bare_body_is_not_completed_into_a_function():
    assert extract("    a + b\n}\n", SIGNATURE) is None
    assert extract(fenced("a + b\n"), SIGNATURE) == "a + b\n"


def test_a_name_in_a_comment_or_a_string_defines_nothing():
    assert not defines('// fn add(\nlet s = "fn add("; /* fn add( */', "add")
    assert defines("fn add<T>(a: T)", "add")
    assert target("use x;\nfn helper() {}\npub fn add(a: u8) -> u8 {") == "add"
    assert target(None) is None


@settings(deadline=None)  # a busy machine is no fault
@given(st.text(), st.none() | st.text())
def test_extraction_never_raises(completion, signature):
    found = extract(completion, signature)
    assert found is None or found.strip()


@settings(deadline=None)  # a busy machine is no fault
@given(st.lists(st.sampled_from(["```", "```rust", "~~~", "fn f() {}", "prose", '"', "/*", "*/", "'a", 'r#"', "\r"])))
def test_extraction_never_raises_on_fence_soup(lines):
    extract("\n".join(lines), "fn f() {")


@settings(deadline=None)  # a busy machine is no fault
@given(st.text(alphabet="abc(){};=\n ", max_size=200))
def test_extraction_leaves_plain_code_alone(body):
    code = f"fn f() {{ {body} }}"
    assert extract(code, "fn f() {") == code
    assert extract(extract(fenced(code + "\n"))) == code + "\n"


def test_extraction_is_linear():
    pieces = [
        "```\n",
        "#" + " " * 10**5,
        "```" + " " * 10**5 + "`",
        "'",
        '"',
        "> ",
        "- ",
        "1. ",
        "a ",
        "a" + " " * 10**5,
    ]
    pieces += [
        "<think>\n",
        "</think>\n",
        "<think>a</think>",
        '"<|im_end|>',
        "<|end|>",
        "```rust\n/*\n",
        "/* ```\n",
        "~~~\n",
    ]
    pieces += [
        "fn f(",
        "fn f() {",
        "fn f();\n",
        "```rust\nfn f() {}\n",
        "```rust\nfn f() {}\n```\n",
        "x ```rust\n",
        "use a;\n",
        "<pre>",
        "<pre><code>fn f()",
        "\\begin{minted}{rust}\n",
        "```json\n",
        '{"a":',
        "[",
    ]
    for piece in pieces:
        started = time.process_time()
        extract(piece * max(1, 200_000 // len(piece)), "fn f(")
        assert time.process_time() - started < 2, piece[:20]
