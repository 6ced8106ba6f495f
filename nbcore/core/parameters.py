"""Refuses a parameter that papermill injected into a notebook whose parameters cell does not have it.

papermill itself only warns, so a misspelt parameter would train with the value of the YAML and exit 0.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence

from nbcore.core.suggest import did_you_mean

INJECTED = "# Parameters"  # how the cell that papermill adds begins
FORM = "# @param"  # what stands behind each line of a notebook's own parameters cell, for Colab's form
PAPERMILL = "PAPERMILL_"  # its own additions: --inject-paths gives PAPERMILL_INPUT_PATH and PAPERMILL_OUTPUT_PATH


def check() -> None:
    """Raise ValueError for an injected parameter that this notebook does not have; without papermill there is none.

    IPython keeps the source of each cell that it has run: the injected cell is one of them.
    """
    from IPython import get_ipython  # only where a notebook runs

    shell = get_ipython()
    if shell is not None:
        refuse_unknown(shell.user_ns["In"])


def refuse_unknown(cells: Sequence[str]) -> None:
    """`check` for the sources of the cells that have run, oldest first: the newest parameters cell counts, and the
    newest injected cell after it."""
    injected: set[str] = set()
    for cell in reversed(cells):
        if FORM in cell:
            known = _assigned(cell)
            break
        if cell.startswith(INJECTED) and not injected:
            injected = _assigned(cell)
    else:
        return
    unknown = sorted(name for name in injected - known if not name.startswith(PAPERMILL))
    if not unknown:
        return
    others = f", and so are {', '.join(unknown[1:])}" if unknown[1:] else ""
    fields = "; any other field of the config goes into overrides" if "overrides" in known else ""
    raise ValueError(
        f"parameter {unknown[0]!r} is unknown here{did_you_mean(unknown[0], sorted(known))}{others}; "
        f"known: {', '.join(sorted(known))}{fields}"
    )


def _assigned(source: str) -> set[str]:
    """The names that a cell assigns; none where it is not Python, since such a cell failed before it assigned any."""
    try:
        statements = ast.parse(source).body
    except SyntaxError:
        return set()
    assigning = [statement for statement in statements if isinstance(statement, ast.Assign)]
    return {target.id for statement in assigning for target in statement.targets if isinstance(target, ast.Name)}
