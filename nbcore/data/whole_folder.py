"""A folder that appears as a whole: written beside its place under a hidden name, which is changed at the end."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator, Set
from contextlib import contextmanager
from pathlib import Path

from nbcore.core.output import shown


def hidden(out: Path, state: str) -> Path:
    """The name beside OUT of what is "unfinished", or was "replaced" and is about to be removed."""
    return out.with_name(f".{out.name}.{state}")


def refuse_other_content(out: Path, written: Set[str], marker: str) -> None:
    """Raises ValueError where OUT cannot be replaced as a whole: it is a file, or holds what is not from an earlier
    time. `written` are all names that may be in it, `marker` the one that is never missing."""
    if not out.name:
        raise ValueError(f"--out: {out} cannot be replaced; name a folder of its own")
    if out.exists() and not out.is_dir():
        raise ValueError(f"--out: {out} is a file; name a folder")
    if out.is_dir():
        names = {path.name for path in out.iterdir()}
        if other := sorted(names - written) or (sorted(names) if names and marker not in names else []):
            raise ValueError(
                f"--out: {out} holds {shown(other[0])!r}, which is not from here, and would be lost; name a new folder"
            )


@contextmanager
def unfinished(out: Path) -> Iterator[Path]:
    """An empty hidden folder beside OUT, for this process alone; whatever is left of it at the end is removed. A killed
    process leaves it behind, and the next one empties it."""
    folder = hidden(out, "unfinished")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise ValueError(f"--out: cannot write beside {out} ({error.strerror}); name a folder elsewhere") from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"--out: another process is preparing {out}; wait for it, or name another") from None
        for path in folder.iterdir():
            path.unlink()
        try:
            yield folder
        finally:
            if folder.exists():
                shutil.rmtree(folder)
    finally:
        os.close(descriptor)


def swap(folder: Path, out: Path) -> None:
    """Let the finished folder take the place of OUT, which is empty, absent or an earlier result."""
    replaced = hidden(out, "replaced")
    if replaced.exists():
        shutil.rmtree(replaced)
    if out.exists():
        out.rename(replaced)
    folder.rename(out)
    if replaced.exists():
        shutil.rmtree(replaced)
