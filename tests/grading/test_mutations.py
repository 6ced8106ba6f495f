"""Take one wall out of the grader: some test of it turns red, as tests/runs/test_mutations.py does it to the store."""

import shutil

import pytest

from tests.mutation import Mutation, copied, fits, suite_as_it_is, suite_with

pytestmark = pytest.mark.skipif(shutil.which("rustc") is None, reason="rustc is not installed")

TESTS = "tests/grading"
RUST = "grading/rust"
MODULES = "test_grader.py::test_what_a_signature_gives_in_a_module_is_pinned_too"
MUTATIONS = {
    "what is expected is in the program": Mutation(
        f"{RUST}/telling.py",
        "_whole",
        'f"if false {{ {self._lets(part.checked, at, holes)}{part.checked} }}"',
        'f"{{ {self._lets(part.checked, at, holes)}{part.checked} }}"',
        "rust/test_telling.py::test_the_program_does_not_hold_what_is_expected",
    ),
    "tables keep their answers": Mutation(
        f"{RUST}/telling.py",
        "rewrite",
        "self._holes([*follower.slots.values()], texts, calls)",
        "[]",
        "rust/test_reached.py::test_no_form_leaves_what_it_expects_in_the_program",
    ),
    "a name in the program is no secret less": Mutation(
        f"{RUST}/telling.py",
        "_told",
        "not any(_is_held(part, name) for name in held)",
        "True",
        "rust/test_reached.py::test_right_programs_pass_and_wrong_ones_fail",
    ),
    "loops that are left are followed": Mutation(
        f"{RUST}/reached.py",
        "_loop",
        "any(one.type in _LEAVES for one in walk(body))",
        "False",
        "rust/test_reached.py::test_right_programs_pass_and_wrong_ones_fail",
    ),
    "any word is another value": Mutation(
        f"{RUST}/likeness.py",
        "fits",
        "(not self.kind or kind_of(told) == self.kind)",
        "True",
        "rust/test_reached.py::test_what_is_like_a_value_is_shown_as_one",
    ),
    "a truth is whatever it says": Mutation(
        f"{RUST}/asserted.py",
        "_condition",
        'held = f"let no_{KEY}: std_{KEY}::primitive::bool = !({text});"',
        'held = f"let no_{KEY} = !({text});"',
        "rust/test_reached.py::test_a_truth_is_a_bool",
    ),
    "a truth has always one sense": Mutation(
        f"{RUST}/hidden.py",
        "drawn",
        'secrets.choice(("true", "false"))',
        '"true"',
        "rust/test_telling.py::test_a_forger_that_knows_both_secrets_must_still_know_the_answers",
    ),
    "any number is near": Mutation(
        f"{RUST}/tolerance.py",
        "fits",
        "away < rounded(self.within)",
        "True",
        "rust/test_telling.py::test_a_number_that_must_be_near_another_is_told",
    ),
    "any value will do": Mutation(
        f"{RUST}/hidden.py",
        "read",
        "all(map(_fits, wanted, told))",
        "True",
        "test_grader.py::test_missing_test_lines_are_failed_tests",
    ),
    "any order, any number": Mutation(
        f"{RUST}/hidden.py",
        "read",
        "complete &= numbers == [len(expects) + 1, *range(len(expects) + 1)]",
        "pass",
        "test_grader.py::test_missing_test_lines_are_failed_tests",
    ),
    "equality by hand has a shape": Mutation(
        f"{RUST}/shapes.py",
        "_of",
        '{"Debug", "PartialEq"} <= traits',
        "True",
        "rust/test_telling.py::test_values_that_their_text_does_not_tell_are_not_guessed",
    ),
    "two types of one name": Mutation(
        f"{RUST}/shapes.py",
        "shapes",
        "[] if name in found else whole",
        "whole",
        "rust/test_telling.py::test_of_two_types_with_one_name_none_is_read",
    ),
    "an entry twice": Mutation(
        f"{RUST}/composed.py",
        "_collected",
        'rf"(?s:{each})\\{{{more}\\}}"',
        'rf"\\{{{more}\\}}"',
        "rust/test_telling.py::test_a_hashed_collection_is_told_in_any_order_and_each_entry_once",
    ),
    "modules are not pinned": Mutation(f"{RUST}/pins.py", "pins", "signatures.modules(asked)", "()", MODULES),
    "types in modules are as they come": Mutation(f"{RUST}/signatures.py", "_scopes", "modules(asked)", "()", MODULES),
    "shown as it likes": Mutation(
        f"{RUST}/signatures.py",
        "_type_edits",
        "kind == name and trait in missing",
        "False",
        "test_grader.py::test_a_value_is_told_as_the_task_shows_it",
    ),
    "derived by whatever has the name": Mutation(
        f"{RUST}/signatures.py",
        "_type_edits",
        "asked_for & there.keys() & _DERIVED.keys()",
        "()",
        "test_given.py::test_what_the_task_gives_is_the_tasks",
    ),
    "a method stands ahead": Mutation(
        f"{RUST}/ahead.py",
        "probes",
        'f"#[no_implicit_prelude] mod ahead {{ {asks} }}" if found else ""',
        '""',
        "test_given.py::test_what_the_task_gives_is_the_tasks",
    ),
    "a result becomes the right type": Mutation(
        f"{RUST}/pins.py",
        "_exactly",
        'f"let it = [{value}]; let [it]: [{kind}; 1] = it; it"',
        "value",
        "test_given.py::test_what_the_task_gives_is_the_tasks",
    ),
    "attributes that link": Mutation(
        f"{RUST}/forbidden.py",
        "_refused",
        "_LINKING.isdisjoint(inside)",
        "True",
        "rust/test_forbidden.py",
    ),
    "unsafe attributes": Mutation(
        f"{RUST}/forbidden.py", "_refused", "after not in _AFTER_UNSAFE", "False", "rust/test_forbidden.py"
    ),
    "files by their macro": Mutation(
        f"{RUST}/forbidden.py", "_refused", "word in FILE_MACROS", "False", "rust/test_forbidden.py"
    ),
    "long answers as any other": Mutation(
        f"{RUST}/joining.py",
        "join",
        "sum(map(len, blocks)) > _MOST_TEXT",
        "False",
        "test_grader.py::test_a_long_text_that_is_no_rust_has_one_verdict_on_a_busy_machine_too",
    ),
    "tests by macros count": Mutation(
        f"{RUST}/vacuous.py",
        "problem",
        "_by_macros(tests)",
        "None",
        "test_test_forms.py::test_what_would_not_run_is_said",
    ),
    "tests in another build's condition": Mutation(
        f"{RUST}/hidden.py",
        "_as_tests",
        'text_of(node) == "test"',
        "False",
        "test_test_forms.py::test_every_form_runs_and_tells_right_from_wrong",
    ),
}


@pytest.fixture(scope="module")
def copy(repo, tmp_path_factory):
    return copied(repo, tmp_path_factory.mktemp("mutated"), ("nbcore", "tests"))


@pytest.mark.parametrize("name", MUTATIONS)
def test_each_mutation_is_of_what_the_grader_holds_now(repo, name):
    """Quick: a mutation that no longer fits is told with the change that made it so, and not at night."""
    assert fits(repo, MUTATIONS[name])


@pytest.mark.slow
def test_the_tests_are_green_as_it_is(copy):
    """Else every mutation below would seem to be noticed."""
    code, output = suite_as_it_is(copy, TESTS, MUTATIONS)
    assert code == 0, output


@pytest.mark.slow
@pytest.mark.parametrize("name", MUTATIONS)
def test_a_missing_wall_is_noticed(copy, name):
    code, output = suite_with(copy, TESTS, MUTATIONS, name)
    assert code == 1, f"nothing notices: {name}\n{output}"
