"""Take one check out of a copy of the repository, and see whether some test notices: what the mutation tests share.

What is replaced is found in the syntax tree, in the function that is named, so it does not matter how the source is
laid out.
"""

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple


class Mutation(NamedTuple):
    """`old`, an expression or statements in one function of a file of nbcore, is replaced by `new`."""

    file: str
    function: str
    old: str
    new: str
    noticed_by: str
    """The tests, by their path in the folder that `suite` is given, of which one turns red."""


def mutated(source: str, function: str, old: str, new: str) -> str:
    """The source of a module with `old` replaced by `new`, once, in the one function of that name that holds it."""
    tree = ast.parse(source)
    wanted, replacement = ast.parse(old).body, ast.parse(new).body
    matches = 0
    scopes = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == function]
    if isinstance(wanted[0], ast.Expr) and isinstance(replacement[0], ast.Expr):
        expression = ast.dump(wanted[0].value)

        class Replace(ast.NodeTransformer):
            def visit(self, node):
                nonlocal matches
                if isinstance(node, ast.expr) and ast.dump(node) == expression:
                    matches += 1
                    return replacement[0].value
                return self.generic_visit(node)

        for scope in scopes:
            Replace().visit(scope)
    else:
        statements = [ast.dump(node) for node in wanted]
        for body in [body for scope in scopes for node in ast.walk(scope) if (body := getattr(node, "body", None))]:
            dumps = [ast.dump(node) for node in body] if isinstance(body, list) else []
            for at in range(len(dumps)):
                if dumps[at : at + len(statements)] == statements:
                    matches += 1
                    body[at : at + len(statements)] = replacement
    assert matches == 1, f"{function} holds {matches} times {old!r}: mutate what is there now"
    return ast.unparse(ast.fix_missing_locations(tree))


def fits(repo: Path, mutation: Mutation) -> bool:
    """Whether a mutation is of what stands in the source now, and changes it. Raises AssertionError where it does not
    stand there once."""
    source = (repo / "nbcore" / mutation.file).read_text("utf-8")
    return mutated(source, *mutation[1:4]) != ast.unparse(ast.parse(source))


def copied(repo: Path, folder: Path, names: tuple[str, ...]) -> Path:
    """A copy of these folders of the repository: what the tests need that run there."""
    for name in names:
        shutil.copytree(repo / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(repo / "pyproject.toml", folder)
    return folder


def suite(copy: Path, tests: str, *names: str) -> tuple[int, str]:
    """Run tests of the folder `tests` to the first failure; the exit code and the end of what they print."""
    paths = [f"{tests}/{name}" for name in names]
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *paths]
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout[-1500:]


def suite_as_it_is(copy: Path, tests: str, mutations: Mapping[str, Mutation]) -> tuple[int, str]:
    """Run every test that is to notice a mutation, without one."""
    return suite(copy, tests, *dict.fromkeys(mutation.noticed_by for mutation in mutations.values()))


def suite_with(copy: Path, tests: str, mutations: Mapping[str, Mutation], name: str) -> tuple[int, str]:
    """Run the tests that are to notice a mutation, with it; the copy is then as it was."""
    mutation = mutations[name]
    path = copy / "nbcore" / mutation.file
    source = path.read_text("utf-8")
    path.write_text(mutated(source, *mutation[1:4]), "utf-8")
    number = list(mutations).index(name)
    os.utime(path, (number, number))  # a time of its own: the bytecode of another mutation must not be taken for it
    try:
        return suite(copy, tests, mutation.noticed_by)
    finally:
        path.write_text(source, "utf-8")
