"""`python -m nbcore agent …`: the repair agent."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nbcore.cli.runs import err, out

ALL = "all"
agent_app = typer.Typer(help="The repair agent: record demonstrations for it.", rich_markup_mode=None)


@agent_app.callback()
def _group():
    """The repair agent."""


@agent_app.command()
def record(
    crates: Annotated[
        list[str] | None,
        typer.Argument(metavar="CRATE", help="Crates that need std alone: folders, or what librust-*-dev installs."),
    ] = None,
    file: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="Where to write chat rows with tools, as .jsonl.")
    ] = ...,
    tasks: Annotated[
        str, typer.Option(help="katas, or a file of tasks with solutions, such as HumanEval-X.")
    ] = "katas",
    count: Annotated[int, typer.Option(min=1, help="How many rows.")] = 100,
    seed: Annotated[int, typer.Option(help="Another number draws other faults.")] = 0,
    tools: Annotated[
        str, typer.Option(help="Only these; a tiny context has room for read_file,write_file,cargo_test.")
    ] = ALL,
    json_: Annotated[bool, typer.Option("--json", help="Code in JSON strings, not as raw text.")] = False,
    jobs: Annotated[int | None, typer.Option(min=1, help="Programs at once; default: the processors.")] = None,
):
    """A scripted agent repairs faults with the real tools; what it did and what it was told is written down.

    Each row was repaired by the hidden tests' word, and was played twice with the same answers. Given again, it goes
    on where it stopped. The rows are for `rows` of 04_sft.

    Example: python -m nbcore agent record either strsim --out repairs.jsonl --count 200
    """
    from rich import progress as bars

    from nbcore.agent import record as recording

    kinds = (bars.BarColumn, bars.MofNCompleteColumn, bars.TimeElapsedColumn, bars.TimeRemainingColumn)
    columns = (bars.TextColumn("recording"), *(kind() for kind in kinds))
    with bars.Progress(*columns, console=err, disable=not err.is_terminal) as progress:
        bar = progress.add_task("recording", total=count)

        def tell(words: str, done: int, total: int) -> None:
            progress.update(bar, completed=min(done, total))
            if not err.is_terminal:
                err.print(f"{words}: {done} of {total}")

        names = recording.NAMES if tools == ALL else [name.strip() for name in tools.split(",")]
        options = {"seed": seed, "raw": not json_, "tools": names, "jobs": jobs, "progress": tell}
        report = recording.record(file, tasks, count, crates=crates or (), **options)
    for title in ("kinds", "variants"):
        out.print(f"{title}: {', '.join(f'{number} {name}' for name, number in sorted(report[title].items()))}")
    out.print(f"{report['rows']} rows of {report['tried']} faults in {file}")
