"""Bars for work of several kinds: one for each on a terminal, and a line each where there is none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich import progress as bars

from nbcore.cli.runs import err


@contextmanager
def by_kind(before_total: str = "") -> Iterator[Callable[[str, int, int], None]]:
    """Gives a function to call with (words, done, total); the words name the bar."""
    kinds = (bars.BarColumn, bars.MofNCompleteColumn, bars.TimeElapsedColumn, bars.TimeRemainingColumn)
    columns = (bars.TextColumn("{task.description}"), *(kind() for kind in kinds))
    with bars.Progress(*columns, console=err, disable=not err.is_terminal) as shown:
        known: dict[str, bars.TaskID] = {}

        def tell(words: str, done: int, total: int) -> None:
            if words not in known:
                known[words] = shown.add_task(words, total=total)
                if not err.is_terminal:
                    err.print(f"{words}: {before_total}{total}")
            shown.update(known[words], completed=done, total=total)

        yield tell
