"""Programs told apart from a reference: both are run on generated inputs, in the jail, and their values compared.

Which inputs tell them apart becomes tests. Whether those tests are right is for the grader to say afterwards, since a
program could print the values of another.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from nbcore.core.records import Sample, Task
from nbcore.grading.grader import RustGrader
from nbcore.grading.rust import crate
from nbcore.tasks import checking, inputs
from nbcore.tasks.katas.inputs import Case
from nbcore.tasks.katas.tests import LIT, module

INPUTS = 100  # generated for a task: the budget of a program that nothing tells apart
ADDED = "more_tests"  # the module that holds them
_SHOWN = re.compile(r"panicked at [^\n]*\n<<<(.*)>>>\Z", re.DOTALL)
_ENDS = ("tests_failed", "pass")  # a run that came to its end; any other shows nothing of single inputs
Progress = Callable[[str, int, int], None]


class Told(NamedTuple):
    """What became of one program that the tests of its task accept."""

    apart: bool | None
    """Whether some input tells it from the reference; None where no input could be made or run."""
    inputs: int
    """How many were tried."""


class Differences(NamedTuple):
    """Where programs differ from their task's reference; all by task id."""

    cases: dict[str, list[Case]]
    right: dict[str, dict[int, str]]
    """The reference's value of each case that it has one of."""
    differ: dict[str, dict[str, set[int]]]
    """By the name of a program, the cases on which it has another value, or none."""

    def tests(self, names: set[str]) -> dict[str, list[tuple[Case, str]]]:
        """The fewest (case, value) of each task that tell those of these programs apart that can be."""
        found = {}
        for id_, programs in self.differ.items():
            chosen = {name: at for name, at in programs.items() if name in names and at}
            if chosen:
                found[id_] = _fewest(self.cases[id_], self.right[id_], chosen)
        return found


def values(grader: RustGrader, asked: Sequence[tuple[str, str, Sequence[Case]]]) -> list[dict[int, str] | None]:
    """Of each (program, edition, cases) the values of its cases, as Rust expressions; those that panicked are missing.
    None where it could not be run, or did not come to an end."""
    said = grader.own_tests([crate.job({"src/lib.rs": _text(*each)}, "src/lib.rs", each[1]) for each in asked])
    found: list[dict[int, str] | None] = []
    for verdict in said:
        if not verdict["compiles"] or verdict["verdict"] not in _ENDS:
            found.append(None)
            continue
        shown = {error["code"]: _SHOWN.search(error["message"]) for error in verdict["errors"] if error["code"]}
        found.append({int(name.rpartition("_")[2]): match[1] for name, match in shown.items() if match})
    return found


def apart(
    grader: RustGrader,
    tasks: Mapping[str, Task],
    programs: Mapping[str, tuple[str, str]],
    seed: int,
    progress: Progress = lambda words, done, total: None,
) -> tuple[dict[str, Told], Differences]:
    """({name of a program: Told}, on which inputs they differ from the reference).

    `programs` are (task id, source) of those that the tests accept. A reference that panics on an input does not have
    it as a test, since nothing says what is right there.
    """
    wanted = sorted({id_ for id_, _ in programs.values()})
    cases = {id_: made for id_ in wanted if (made := inputs.cases(tasks[id_], INPUTS, seed))}
    right: dict[str, dict[int, str]] = {}
    for start in range(0, len(cases), 16):
        progress("running references", start, len(cases))
        some = list(cases)[start : start + 16]
        asked = [(checking.solution(tasks[id_]), _edition(tasks[id_]), cases[id_]) for id_ in some]
        right |= {id_: shown for id_, shown in zip(some, values(grader, asked), strict=True) if shown}
    differ: dict[str, dict[str, set[int]]] = {}
    told: dict[str, Told] = {name: Told(None, 0) for name in programs}
    names = [name for name, (id_, _) in programs.items() if id_ in right]
    for start in range(0, len(names), 16):
        progress("running programs that were accepted", start, len(names))
        some = names[start : start + 16]
        asked = [(programs[name][1], _edition(tasks[programs[name][0]]), cases[programs[name][0]]) for name in some]
        for name, shown in zip(some, values(grader, asked), strict=True):
            id_ = programs[name][0]
            if shown is not None:
                other = {at for at, value in right[id_].items() if shown.get(at) != value}
                told[name] = Told(bool(other), len(right[id_]))
                differ.setdefault(id_, {})[name] = other
    return told, Differences(cases, right, differ)


def sharpened(
    grader: RustGrader, tasks: Sequence[Task], more: Mapping[str, list[tuple[Case, str]]]
) -> tuple[list[Task], int]:
    """(the tasks with a second test module where there is more to test, how many such modules were left out).

    A module that the reference does not pass, because its program is built otherwise in the grader, is left out.
    """
    longer = {
        task["id"]: f"{task['tests'].rstrip()}\n\n{module(more[task['id']], ADDED)}"
        for task in tasks
        if more.get(task["id"])
    }
    own = {task["id"]: task for task in tasks}
    samples: list[Sample] = [
        {
            **{"id": id_, "code": checking.solution(own[id_]), "tests": tests},
            **{"signature": own[id_].get("signature"), "edition": own[id_].get("edition")},
        }
        for id_, tests in longer.items()
    ]
    right = {verdict["id"] for verdict in grader.grade(samples) if verdict["passed"]}
    made = [{**task, "tests": longer[task["id"]]} if task["id"] in right else task for task in tasks]
    return made, len(longer) - len(right)


def _fewest(cases: Sequence[Case], right: Mapping[int, str], differ: Mapping[str, set[int]]) -> list[tuple[Case, str]]:
    """Few inputs that tell all programs apart that can be: always the one that tells most of those that are left."""
    left, chosen = {name: set(each) for name, each in differ.items() if each}, []
    while left:
        counts = {at: sum(at in each for each in left.values()) for each in left.values() for at in each}
        best = min(counts, key=lambda at: (-counts[at], at))
        chosen.append(best)
        left = {name: each for name, each in left.items() if best not in each}
    return [(cases[at], right[at]) for at in sorted(chosen)]


def _text(source: str, edition: str, cases: Sequence[Case]) -> str:
    """A crate whose every test panics with the value of a case."""
    shows = "".join(
        f"    #[test]\n    fn case_{at}() {{ {case.setup}let shown = {case.value}; "
        'panic!("<<<{}>>>", Lit::lit(&shown)); }\n'
        for at, case in enumerate(cases)
    )
    return f"{LIT}mod program {{\n{source}\npub mod run {{\nuse super::*;\nuse crate::Lit;\n{shows}}}\n}}\n"


def _edition(task: Any) -> str:
    return task.get("edition") or "2021"
