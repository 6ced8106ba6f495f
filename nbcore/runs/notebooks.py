"""The executed notebook of a run: kept with a note of its hash, so that a change of it is noticed.

papermill's copy is whole only after the notebook itself has finished and committed the run, so it cannot be in the
run's manifest. Nothing but a reader depends on it: a damaged one is reported, and the run stays as good as it was.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from nbcore.runs import commit, layout


def keep(run: Path, text: str) -> Path:
    """Put an executed notebook into a run, in the place of an earlier one; returns its path."""
    (run / layout.NOTEBOOK_NOTE).unlink(missing_ok=True)  # a kill must leave no note of another notebook
    commit.sync(run)
    commit.write_durably(run / layout.NOTEBOOK, text)
    commit.write_sealed(run / layout.NOTEBOOK_NOTE, {"sha256": hashlib.sha256(text.encode()).hexdigest()})
    return run / layout.NOTEBOOK


def problems(folder: Path) -> list[str]:
    """What is wrong with the notebook in a folder, in one line; empty where nothing is, or where it has no note."""
    notebook, note = folder / layout.NOTEBOOK, folder / layout.NOTEBOOK_NOTE
    if not note.exists():
        return []
    try:
        expected = commit.read_sealed(note)["sha256"]
        if notebook.is_symlink() or not notebook.is_file():
            return [f"{notebook.name}: missing"]
        if commit.sha256(notebook) != expected:
            return [f"{notebook.name}: content differs from what was kept"]
    except OSError as error:
        return [f"{notebook.name} or {note.name}: cannot be read ({error.strerror})"]
    except ValueError as error:
        return [str(error)]
    return []


def lacks_note(folder: Path) -> bool:
    """Whether nothing vouches for a notebook: an older version kept it, or a kill came before its note was written."""
    return (folder / layout.NOTEBOOK).is_file() and not (folder / layout.NOTEBOOK_NOTE).exists()
