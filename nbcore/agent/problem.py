"""A crate to repair: what is in its folder, what its tests are, and what becomes of it in the end.

The tests are never in the folder. `cargo_test` adds the visible ones when it builds; the hidden ones decide. A
function with hidden tests (a kata, HumanEval-X) is judged by the grader, which no program can talk round. A crate is
judged by its own tests, which a program could call passed; so only bodies of functions may differ from what was given
(guard.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from nbcore.agent import guard
from nbcore.core.records import Sample
from nbcore.grading.grader import RustGrader
from nbcore.grading.rust import crate
from nbcore.grading.rust.forbidden import FILE_MACROS, screen
from nbcore.grading.rust.lexer import code_tokens

_SOURCE_KB = 256
_MOST_SAID = 40  # tokens of what a macro says of the file that it reads
_READERS = FILE_MACROS | {"include", "path"}
_READ = "file_macro"  # the screen's word for reading a file as the crate is compiled


@dataclass(frozen=True)
class Problem:
    """A crate with one fault."""

    id: str
    source: str
    """The task or crate that it was made of."""
    kind: str
    """Of fault: a kind of data/faults.py, or of compile_faults.py."""
    prompt: str
    """What the crate is to do, for the model."""
    files: dict[str, str]
    """By path: what the folder holds."""
    working: dict[str, str]
    """The same without the fault: what a scripted agent knows, and no model is shown."""
    visible: dict[str, str]
    """By path: what is added to a file for `cargo_test`, and to new files of tests."""
    tests: str = ""
    """Hidden tests of a function; empty for a crate."""
    signature: str | None = None
    hidden: dict[str, str] = field(default_factory=dict)
    """By path: what is added to a file for the hidden tests of a crate."""
    only: tuple[str, ...] = ()
    """The visible tests of a crate, by name; empty: all that are added."""
    total: int = 0
    """How many hidden tests a crate has."""
    suite: str = ""
    """The file of tests/ that a crate is judged by; empty: its unit tests."""
    name: str = ""
    """Of the crate, in Rust, where there is a suite."""
    root: str = "src/lib.rs"
    edition: str = "2021"
    features: tuple[str, ...] = ()
    vendored: dict[str, str] = field(default_factory=dict)
    """By path: the files of the crates that it needs, which are built and not shown."""
    dependencies: tuple[dict[str, Any], ...] = ()
    """What each of them is (rust/crate.py), in the order of building."""
    needs: dict[str, str] = field(default_factory=dict)
    """What the crate calls those that it names itself -> their ids."""
    package: tuple[str, ...] = ()
    """Its name and version, for what it asks of them as it is built."""

    @property
    def function(self) -> bool:
        """Whether it is one function with hidden tests, not a crate with its own."""
        return bool(self.tests)

    def record(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> Problem:
        """From what `record` gave, or a line of JSON."""
        sequences = {name: tuple(record.get(name, ())) for name in ("only", "features", "dependencies", "package")}
        return cls(**{**record, **sequences})

    def check(self, texts: Mapping[str, str]) -> dict[str, Any]:
        """The job for `cargo_check`."""
        return self._job(dict(texts), self.root, told=True, check=True)

    def test(self, texts: Mapping[str, str]) -> dict[str, Any]:
        """The job for `cargo_test`."""
        return self._tested(added(texts, self.visible), told=True, only=self.only)

    def final_test(self, texts: Mapping[str, str]) -> dict[str, Any]:
        """The job for the hidden tests of a crate."""
        return self._tested(added(texts, self.hidden))

    def _tested(self, files: dict[str, str], **options: Any) -> dict[str, Any]:
        library = (self.root, self.name) if self.suite else None
        return self._job(files, self.suite or self.root, library=library, **options)

    def _job(self, files: dict[str, str], root: str, **options: Any) -> dict[str, Any]:
        built = [crate.Dependency(**one) for one in self.dependencies]
        options |= {"dependencies": built, "needs": self.needs, "package": self.package}
        return crate.job(self.vendored | files, root, self.edition, self.features, **options)

    def refused(self, texts: Mapping[str, str]) -> str:
        """What of these texts is not compiled at all: it reads files, the environment, or leaves safe Rust where the
        crate did not; empty where all of it is."""
        for name, text in texts.items():
            if text == self.files.get(name):
                continue
            before = screen(self.files.get(name, ""), _SOURCE_KB, self.edition).refused
            known = {*before, "unterminated"}  # which the compiler says in better words
            if new := [flag for flag in screen(text, _SOURCE_KB, self.edition).refused if flag not in known]:
                return f"{name}: {', '.join(new)}"
            if _READ in before and Counter(_read(text, self.edition)) - Counter(_read(self.files[name], self.edition)):
                return f"{name}: {_READ}"  # other files than those it read: its tests, among them
        return ""


def _read(code: str, edition: str) -> Iterator[str]:
    """What of a text reads files as it is compiled: each macro or attribute with what it says of the file."""
    known = code_tokens(code, edition)
    for at, token in enumerate(known):
        if token.text in _READERS:
            said = known[at : at + _MOST_SAID]
            end = next((one.end for one in said if one.text in (")", "]", "}", ";")), len(code))
            yield "".join(code[one.start : one.end] for one in said if one.end <= end)


def added(texts: Mapping[str, str], tests: Mapping[str, str]) -> dict[str, str]:
    """Texts with tests behind them."""
    return dict(texts) | {name: f"{texts.get(name, '')}\n{text}" for name, text in tests.items()}


def judge(grader: RustGrader, pairs: Sequence[tuple[Problem, Mapping[str, str]]]) -> list[dict[str, Any]]:
    """What the hidden tests say of what an agent left, in order: {"verdict", "passed", "why", "tests_passed"}."""
    answers: dict[int, dict[str, Any]] = {}
    samples: dict[int, Sample] = {}
    jobs: dict[int, dict[str, Any]] = {}
    for number, (problem, texts) in enumerate(pairs):
        why = "the root of the crate is gone" if problem.root not in texts else problem.refused(texts)
        if why:
            answers[number] = _rejected(why)
        elif problem.function:
            samples[number] = {
                **{"id": str(number), "code": texts[problem.root], "tests": problem.tests},
                **{"signature": problem.signature, "edition": problem.edition},
            }
        else:
            jobs[number] = problem.final_test(texts)
    said = dict(zip(samples, grader.grade(list(samples.values())) if samples else [], strict=True))
    said |= zip(jobs, grader.own_tests(list(jobs.values())) if jobs else [], strict=True)
    for number, verdict in said.items():
        problem = pairs[number][0]
        # After the tests: what passed them is Rust, and is read in time.
        if verdict["passed"] and not problem.function and (why := guard.forbidden(problem.files, pairs[number][1])):
            answers[number] = _rejected(why)
            continue
        passed = verdict["passed"] and (problem.function or verdict["tests_passed"] == problem.total)
        kind = verdict["verdict"] if passed or not verdict["passed"] else "early_exit"
        why = verdict["errors"][0]["message"] if verdict["errors"] else ""
        answers[number] = {"verdict": kind, "passed": passed, "why": why, "tests_passed": verdict["tests_passed"]}
    return [answers[number] for number in range(len(pairs))]


def _rejected(why: str) -> dict[str, Any]:
    return {"verdict": "rejected", "passed": False, "why": why, "tests_passed": 0}
