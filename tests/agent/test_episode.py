"""Episodes: what the tools answer, that wrong calls are answered and never raise, and that no hostile agent scores."""

import json
import random
import time
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbcore.agent import problems
from nbcore.agent.episode import Budget, Episode, advance, settle
from nbcore.agent.folder import Folder, Refused
from nbcore.agent.patch import applied
from nbcore.agent.problem import Problem
from nbcore.chat import actions
from nbcore.grading.grader import Limits, RustGrader
from tests.agent import hostile

CASES = "".join(f"#[test] fn case_{n}() {{ assert_eq!(double({n}), {2 * n}); }}\n" for n in (1, 2, 3, 4))
TASK = {
    "id": "double",
    "prompt": f"Write a function that doubles.\n{hostile.HEAD[:-2]}",
    "signature": hostile.HEAD,
    "tests": f"#[cfg(test)]\nmod tests {{\nuse super::*;\n{CASES}}}\n",
    "solution": f"{hostile.HEAD}\n    value * 2\n}}\n",
}
PROBLEM = problems.of_task(TASK, "double-1", "constant", hostile.WRONG)


@pytest.fixture(scope="module")
def grader():
    limits = Limits(run_cpu_s=1, run_wall_s=2, compile_cpu_s=4)
    with_ = RustGrader(jobs=1, lint=False, limits=limits)
    yield with_
    with_.close()


def played(episode: Episode, calls, grader) -> list[str]:
    answers = []
    for name, arguments in calls:
        if episode.done:
            break
        answers += advance([(episode, episode.call(name, arguments))], grader)
    return answers


def test_a_fault_is_seen_repaired_and_the_hidden_tests_say_so(grader, tmp_path):
    episode = Episode.begun(PROBLEM, tmp_path / "a")
    calls = [("list_files", ""), ("read_file", {"path": "src/lib.rs"}), ("cargo_test", "{}")]
    listed, text, tested = played(episode, calls, grader)
    assert listed == "src/lib.rs (3 lines)" and text == hostile.WRONG.rstrip()
    assert tested.startswith("0 of 2 visible tests pass") and "left: 3\n right: 2" in tested
    before = episode.copy(tmp_path / "b")
    patch = "*** Begin Patch\n*** Update File: src/lib.rs\n@@\n-    value * 3\n+    value * 2\n*** End Patch"
    changed, fine, _ = played(episode, [("apply_patch", patch), ("cargo_test", "{}"), ("finish", "{}")], grader)
    assert changed == "changed src/lib.rs" and fine == "all 2 visible tests pass"
    assert [verdict["passed"] for verdict in settle([episode, before], grader)] == [True, False]
    assert (episode.steps, episode.valid, episode.done) == (6, 6, "finish")


def test_compile_errors_are_of_the_crate_alone(grader, tmp_path):
    """Unbalanced braces made rustc quote the lines of the tests behind them."""
    episode = Episode.begun(PROBLEM, tmp_path / "a", Budget(steps=20))
    for code in (f"{hostile.HEAD}\n value", f"{hostile.HEAD} missing }}\n", f"{hostile.WRONG}/*"):
        answer = played(episode, [("write_file", code), ("cargo_test", "{}")], grader)[1]
        assert answer.startswith("the crate does not compile") and "assert" not in answer and "case_" not in answer
    renamed = played(episode, [("write_file", "pub fn other() {}"), ("cargo_test", "{}")], grader)[1]
    assert "cannot find function `double`" in renamed and "assert_eq" not in renamed
    warned = "pub struct lower;\npub fn other() {}"  # a warning about the crate hid all errors about the tests
    assert "cannot find function `double`" in played(episode, [("write_file", warned), ("cargo_test", "{}")], grader)[1]
    swallowed = played(episode, [("write_file", f"{hostile.WRONG}#[cfg(any())]"), ("cargo_test", "{}")], grader)[1]
    assert swallowed.startswith("no test was built")  # and not: all 0 visible tests pass


@pytest.mark.parametrize("name", hostile.WITHOUT_CARGO)
def test_a_hostile_agent_never_scores_and_never_raises(name, grader, tmp_path):
    outside = tmp_path / "outside.rs"
    outside.write_text("secret")
    episode = Episode.begun(PROBLEM, tmp_path / "crate")
    answers = played(episode, hostile.WITHOUT_CARGO[name], grader)
    assert all(isinstance(answer, str) and len(answer) < 7_000 for answer in answers)
    assert "root:" not in "".join(answers) and "secret" not in "".join(answers)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["crate", "outside.rs"]
    assert episode.folder.names() == ["src/lib.rs"] and episode.done
    assert not settle([episode], grader)[0]["passed"]


@pytest.mark.slow
def test_hostile_programs_never_score_and_never_harm(grader, tmp_path):
    """Together, as they would be in training: what one does may not touch the next, which is honest."""
    episodes = {name: Episode.begun(PROBLEM, tmp_path / str(number)) for number, name in enumerate(hostile.WITH_CARGO)}
    for step in range(4):
        pairs = [
            (episode, episode.call(*hostile.WITH_CARGO[name][step]))
            for name, episode in episodes.items()
            if not episode.done and step < len(hostile.WITH_CARGO[name])
        ]
        for answer in advance(pairs, grader):
            assert "root:" not in answer and "/tmp/" not in answer and len(answer) < 7_000
    settle(list(episodes.values()), grader)
    assert not [name for name, episode in episodes.items() if episode.verdict["passed"]]
    honest = Episode.begun(PROBLEM, tmp_path / "honest")
    played(honest, [("write_file", TASK["solution"]), ("finish", "{}")], grader)
    assert settle([honest], grader)[0]["passed"]


def test_links_in_a_folder_are_not_followed(tmp_path):
    folder = Folder.made(tmp_path / "crate", {"src/lib.rs": "x"})
    (tmp_path / "secret.rs").write_text("secret")
    (tmp_path / "crate" / "src" / "link.rs").symlink_to(tmp_path / "secret.rs")
    (tmp_path / "crate" / "out").symlink_to(tmp_path)
    assert folder.names() == ["src/lib.rs"]
    for path in ("src/link.rs", "out/secret.rs"):
        with pytest.raises(Refused):
            folder.read(path)
        with pytest.raises(Refused):
            folder.write(path, "y")
    assert (tmp_path / "secret.rs").read_text() == "secret"
    assert folder.copy(tmp_path / "copy").names() == ["src/lib.rs"]


@given(
    st.sampled_from(["list_files", "read_file", "search", "write_file", "apply_patch", "replace_lines", "reset", "x"]),
    st.text(),
)
@settings(max_examples=60, deadline=None)
def test_any_call_is_answered_with_text(tmp_path_factory, name, written):
    episode = Episode.begun(PROBLEM, tmp_path_factory.mktemp("any") / "crate")
    assert isinstance(advance([(episode, episode.call(name, written))], None)[0], str)


NEARLY = (
    *("*** Update File: src/lib.rs", "*** Update File: ", "*** Add File: src/lib.rs", "*** End Patch", "*** ", "***"),
    *(
        "@@",
        "@@ fn",
        " pub fn double(value: i64) -> i64 {",
        "-    value * 3",
        "+    value * 2",
        " }",
        "-",
        "+",
        " ",
        "",
    ),
)


@given(st.lists(st.sampled_from(NEARLY), max_size=7), st.sampled_from(["", " ", "\t"]))
@settings(max_examples=150, deadline=None)
def test_a_patch_that_is_nearly_right_is_answered_with_text(tmp_path_factory, lines, before):
    """Where spaces stood before its end, an exception ended the episode, and the training that it was a part of."""
    episode = Episode.begun(PROBLEM, tmp_path_factory.mktemp("any") / "crate")
    patch = "\n".join(["*** Begin Patch", NEARLY[0], *lines, f"{before}*** End Patch"])
    assert isinstance(advance([(episode, episode.call("apply_patch", patch))], None)[0], str)


def test_arguments_that_json_cannot_hold_are_answered(tmp_path):
    """Other trainers hand over what their own parser made of a call."""
    deep: dict = {}
    for _ in range(100_000):
        deep = {"path": deep}
    episode = Episode.begun(PROBLEM, tmp_path / "a")
    for arguments in (deep, {"path": {1}}, {"path": b"src/lib.rs"}):
        assert advance([(episode, episode.call("read_file", arguments))], None)[0].startswith("error: the arguments")


def test_a_call_that_no_worker_survived_is_answered(grader, tmp_path, monkeypatch):
    """Where the kernel killed every worker over it, nothing was told, and an exception ended the training."""
    grader.forget()  # the other tests ask for the same
    monkeypatch.setattr(grader.pool, "judge", lambda jobs: ((key, None) for key in jobs))
    episode = Episode.begun(PROBLEM, tmp_path / "a")
    for answer in played(episode, [("cargo_test", "{}"), ("cargo_check", "{}")], grader):
        assert "could not run on this machine" in answer


def test_hidden_tests_that_could_not_be_run_are_run_again(grader, tmp_path, monkeypatch):
    """A call of cargo was tried three times, and what decides about the episode once."""
    judged, asked = grader.pool.judge, []

    def unlucky(jobs):
        asked.append(len(jobs))
        return ((key, None) for key in jobs) if len(asked) < 3 else judged(jobs)

    monkeypatch.setattr(grader.pool, "judge", unlucky)
    episode = Episode.begun(PROBLEM, tmp_path / "a")
    played(episode, [("write_file", f"{TASK['solution']}\n// anew")], grader)
    assert settle([episode], grader)[0]["passed"] and asked == [1, 1, 1]


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=12), st.randoms())
@settings(max_examples=50, deadline=None)
def test_a_patch_of_whole_context_gives_what_it_says(lines, rng):
    random.Random(rng.random())
    at = rng.randrange(len(lines))
    body = [f"{'-' if number == at else ' '}{line}" for number, line in enumerate(lines)]
    body.insert(at + 1, "+new")
    patch = "\n".join(["*** Begin Patch", "*** Update File: a.rs", "@@", *body, "*** End Patch"])
    text = "\n".join(lines) + "\n"
    assert applied(patch, lambda _: text)["a.rs"] == "\n".join([*lines[:at], "new", *lines[at + 1 :]]) + "\n"


@pytest.mark.parametrize(
    ("patch", "made"),
    [
        ("@@ -1,2 +1,2 @@\n     a\n-    b\n+    c", "    a\r\n    c\r\n\td\r\n"),
        ("@@\n a\n-b\n+    c\n    d\n*** End of File", "    a\r\n    c\r\n\td\r\n"),
        ("@@ -2 +2 @@ a\n-b\n+    c", "    a\r\n    c\r\n\td\r\n"),
        ("@@\n-a\n-b\n-d\n-", ""),
    ],
)
def test_a_patch_of_other_spaces_changes_what_it_says_and_nothing_else(patch, made):
    """Lines of context were written as the patch had them, and a file of Windows got lines of both kinds."""
    text = "    a\r\n    b\r\n\td\r\n"
    whole = f"*** Begin Patch\n*** Update File: a.rs\n{patch}\n*** End Patch"
    assert applied(whole, lambda _: text)["a.rs"] == made


TWICE = (
    "impl A {\n    fn add_all() -> i64 {\n        1\n    }\n    fn add() -> i64 {\n        1\n    }\n}\n"
    "impl B {\n    fn add() -> i64 {\n        1\n    }\n}\n"
)


@pytest.mark.parametrize(
    ("patch", "before"),
    [
        ("@@ fn add\n-        1\n+        2", "impl A {\n    fn add_all() -> i64 {\n        1\n    }\n    fn add()"),
        ("@@ impl B {\n@@     fn add() -> i64 {\n-        1\n+        2\n", "impl B"),
        ("@@ impl B {\n     fn add() -> i64 {\n-        1\n+        2\n\\ No newline at end of file", "impl B"),
    ],
)
def test_a_patch_changes_the_place_that_its_names_lead_to(patch, before):
    """`@@ fn add` changed add_all, which stands above; two @@ lines, as gpt-oss writes them, and the empty line before
    the end were refused."""
    made = applied(f"*** Begin Patch\n*** Update File: a.rs\n{patch}\n*** End Patch", lambda _: TWICE)["a.rs"]
    at = TWICE.index("1", TWICE.index(before) + len(before))
    assert made == f"{TWICE[:at]}2{TWICE[at + 1 :]}"


@pytest.mark.parametrize(
    ("patch", "words"),
    [
        ("*** Update File: a.rs\n@@\n-d\n+D\n@@\n-a\n+A", "in the order of the file"),
        ("*** Update File: a.rs\n@@ d\n-a\n+A", "in the order of the file"),
        ("*** Update File: a.rs\n@@\n-x\n+A", "stand nowhere in the file; the first is 'x'"),
        ("*** Update File: a.rs\n@@\n-c\n+A", "more than once"),
        ("*** Delete File: a.rs", "line 2 of the patch is .*no file is deleted or moved"),
        (
            "*** Update File: a.rs\n*** Move to: b.rs\n@@\n-a\n+A",
            "line 3 of the patch is .*no file is deleted or moved",
        ),
    ],
)
def test_what_is_wrong_with_a_patch_is_said(patch, words):
    """Of hunks in another order it was said that their lines stand nowhere, and of a move that it changes nothing."""
    with pytest.raises(Refused, match=words):
        applied(f"*** Begin Patch\n{patch}\n*** End Patch", lambda _: "a\nb\nc\nc\nd\n")


def test_a_patch_of_many_lines_that_are_alike_is_placed_at_once():
    """40 seconds of the trainer's own time for one call, in which every other episode waited."""
    hunks = "\n".join(["@@ a", *[" a"] * 499, "-a", "+b"] * 50)
    begun = time.process_time()
    applied(f"*** Begin Patch\n*** Update File: a.rs\n{hunks}\n*** End Patch", lambda _: "a\n" * 131_000)
    assert time.process_time() - begun < 10


def test_no_line_is_told_as_no_file(tmp_path):
    """An empty line that was asked for was told as "the file is empty", and so was a place between two lines."""
    episode = Episode.begun(replace(PROBLEM, files={"src/lib.rs": "a\n\nb\n", "src/b.rs": ""}), tmp_path / "a")
    asked = [{"first": 2, "last": 2}, {"first": 3, "last": 2}, {"first": 1, "last": 2}, {"path": "src/b.rs"}]
    line, between, two, none = played(episode, [("read_file", one) for one in asked], None)
    assert (line, two, none) == ("the line is empty", "a\n", "the file is empty")
    assert between == "error: src/lib.rs has 3 lines, and you asked for 3 to 2"


@pytest.mark.parametrize("text", ["c\n", "c", "c\r\n"])
def test_replaced_lines_end_as_those_of_the_file(text, tmp_path):
    """A file of Windows got lines of both kinds."""
    episode = Episode.begun(replace(PROBLEM, files={"src/lib.rs": "a\r\nb\r\n"}), tmp_path / "a")
    given = {"path": "src/lib.rs", "first": 2, "last": 2, "text": text}
    assert played(episode, [("replace_lines", given)], None)[0].startswith("changed")
    assert episode.folder.texts() == {"src/lib.rs": "a\r\nc\r\n"}


def test_lines_are_those_of_rustc(tmp_path):
    """A form feed or U+2028 in a comment moved the numbers that read_file and search told, not those of the tools."""
    episode = Episode.begun(PROBLEM, tmp_path / "a")
    code = hostile.WRONG.replace("3", "3 // a\x0cb\u2028c")
    calls = [("write_file", code), ("read_file", {"first": 3, "numbers": True}), ("search", {"text": "c"})]
    _, read, found = played(episode, calls, None)
    assert read == "3 }" and found == "src/lib.rs:2: value * 3 // a\x0cb\u2028c"
    replaced = '{"path": "src/lib.rs", "first": 3.0, "last": 3.0, "text": "} // end"}'
    assert played(episode, [("replace_lines", replaced), ("read_file", {"first": 3})], None)[1] == "} // end"


def test_budgets_end_an_episode(tmp_path):
    episode = Episode.begun(PROBLEM, tmp_path / "a", Budget(steps=2, tokens=100))
    look = episode.call("list_files", "{}")
    assert "used up" not in advance([(episode, look)], None, [10])[0]
    assert "the budget of 2 steps is used up" in advance([(episode, look)], None, [10])[0]
    with pytest.raises(ValueError, match="has ended"):
        advance([(episode, look)], None)
    other = Episode.begun(PROBLEM, tmp_path / "b", Budget(tokens=5))
    advance([(other, actions.Truncated())], None, [10])
    assert (other.done, other.valid) == ("tokens", 0)


def test_an_endless_program_costs_the_same_on_a_busy_machine(tmp_path):
    """By the clock it cost four seconds, or a minute and so the whole episode where others were at work."""
    episode = Episode.begun(PROBLEM, tmp_path / "a")
    spent = []
    for wall_ms in (4_000.0, 60_000.0):
        before = episode.seconds
        verdict = {"compiles": True, "passed": False, "verdict": "run_timeout", "wall_ms": wall_ms, "cpu_ms": 4_000.0}
        assert "never ends" in episode.told("cargo_test", verdict, Limits())
        spent.append(episode.seconds - before)
    assert spent[0] == spent[1] >= 4


def test_a_problem_is_the_same_from_its_record():
    assert Problem.of_record(json.loads(json.dumps(PROBLEM.record()))) == PROBLEM
