"""`python -m nbcore data …`: rows of one's own made ready, looked through, or made up to try that with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nbcore.cli import made
from nbcore.cli.runs import out

data_app = typer.Typer(
    help="Rows of your own: make them ready, look through them, or make some up to try that with.",
    rich_markup_mode=None,
)
data_app.command()(made.mutants)
data_app.command()(made.pairs)
data_app.command("best-of-n")(made.best_of_n)


@data_app.command()
def synth(
    file: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where to write: .jsonl, .json or .csv.")],
    count: Annotated[int, typer.Option(help="How many rows.")] = 100,
    format_: Annotated[str, typer.Option("--format", help="messages, alpaca, sharegpt or csv.")] = "messages",
    seed: Annotated[int, typer.Option(help="Another number draws other rows.")] = 0,
):
    """Rows of the training katas in a format of your choice, to try the other commands with.

    Example: python -m nbcore data synth --count 100 --out alpaca.json --format alpaca
    """
    from nbcore.data import synth as making

    written = making.synth(count, file, format_, seed)
    out.print(f"{written} rows ({format_}) in {file}")
