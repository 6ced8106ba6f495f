"""`python -m nbcore data …`: rows of one's own made ready, looked through, or made up to try that with."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from nbcore.cli import made
from nbcore.cli.runs import Judged, err, out
from nbcore.cli.strength import strength
from nbcore.core.output import shown

Protect = Annotated[
    list[str] | None,
    typer.Option("--protect", metavar="FILE", help="A file of tasks of yours that no row may hold. Repeatable."),
]

data_app = typer.Typer(
    help="Rows of your own: make them ready, look through them, or make some up to try that with.",
    rich_markup_mode=None,
)
NAMED = 10  # places of one kind that are named in the terminal
QUIET = 10.0  # seconds between two lines of progress where no terminal shows a bar


@data_app.command()
def prepare(
    inputs: Annotated[list[str], typer.Argument(metavar="IN...", help="Files, or folders of files, in any format.")],
    folder: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where to write; replaced as a whole.")],
    splits: Annotated[str, typer.Option(help="Shares of train, validation and test.")] = "0.8,0.1,0.1",
    seed: Annotated[int, typer.Option(help="Another number draws other splits.")] = 0,
    protect: Protect = None,
):
    """Any format in, DIR/{train,validation,test}.jsonl out, for `rows` of 04_sft.

    Reads Alpaca, ShareGPT, chat messages, prompt/completion, and CSV with such columns, as JSON, JSON lines,
    Parquet, gzip or zstd. Bad rows are set aside, copies and evaluation tasks dropped, each with its reason; near
    copies stay in one split. DIR also gets report.json, card.md, set_aside.jsonl and dropped.jsonl. Exits 2 where not
    one row can be used.

    Example: python -m nbcore data prepare my_alpaca.json more/ --out prepared
    """
    from nbcore.data import prepare as preparing

    with _progress() as tell:
        report = preparing.prepare(inputs, folder, preparing.checked_ratios(splits), seed, tell, protect or ())
    columns = ("file", "format", "read", "kept", "set aside", "dropped")
    rows = [(name, *_counts(of)) for name, of in report["files"].items()]
    _table(columns, [*rows, ("in all", *_counts(report))])
    for title, reasons in (("set aside", report["set_aside_reasons"]), ("dropped", report["dropped"])):
        if reasons:
            out.print(f"{title}: {', '.join(f'{count} {shown(name)}' for name, count in sorted(reasons.items()))}")
    out.print(", ".join(f"{name} {count}" for name, count in report["splits"].items()) + f" rows in {folder}")
    if empty := preparing.empty_splits(report):
        out.print(f"no rows fell to {' and '.join(empty)}: give more rows, other --splits or another --seed")


@data_app.command()
def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file of rows in any format, or a prepared folder.")],
    tokenizer: Annotated[
        str, typer.Option(metavar="MODEL", help="A base model whose tokens and chat template count.")
    ] = "seedling",
    protect: Protect = None,
):
    """Lengths in tokens, masks, copies, leaks between splits, evaluation tasks. Exits 1 where something is wrong.

    Rows are named by id, bad lines by number. In a folder, train, validation and test are compared with each other; a
    file of such a name is compared with those beside it.

    Example: python -m nbcore data check prepared --tokenizer Qwen/Qwen2.5-Coder-1.5B-Instruct
    """
    if not file.expanduser().exists():
        raise FileNotFoundError(f"FILE: no file or folder {file}; `data synth` makes one to try this with")
    from nbcore.data import check as checking

    with _progress() as tell:
        tell("loading the tokenizer", 0, 0)
        checked = checking.check(file, _tokenizer(tokenizer), tell, protect or ())
    columns = ("part", "rows", "tokens", "trained", "shortest", "median", "p95", "longest")
    _table(columns, [(name, *(str(of[column]) for column in columns[1:])) for name, of in checked.lengths.items()])
    _table(("checked", "found"), [(finding.what, str(len(finding.places))) for finding in checked.findings])
    for finding in checked.findings:
        if finding.places:
            out.print(f"\n{finding.what}{'' if finding.wrong else ' (no fault)'}:")
        for place in finding.places[:NAMED]:
            out.print(f"  {shown(place)}")
        if more := len(finding.places[NAMED:]):
            out.print(f"  and {more} more")
    if checked.wrong:
        words = ", ".join(f"{len(finding.places)} {finding.what}" for finding in checked.wrong)
        raise Judged(f"{file}: {words}; `data prepare` sets aside or drops such rows")


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
    out.print(f"{written} rows ({format_}) in {file}; next: python -m nbcore data prepare {file} --out prepared")


def _tokenizer(name: str):
    from nbcore.core import environment
    from nbcore.training import hub, load

    try:
        where = load.base_location(name, environment.store())
        return load.tokenizer_at(where if Path(where).is_dir() else str(hub.folder(name, weights=False)))
    except (OSError, ValueError) as error:
        first = str(error).strip().split("\n")[0]
        raise ValueError(f"--tokenizer: no tokenizer {shown(name)!r} here or on the Hub ({shown(first)})") from None


def _counts(of: dict) -> tuple[str, ...]:
    numbers = (of["read"], of["kept"], of["set_aside"], sum(of["dropped"].values()))
    return (shown(str(of.get("format") or "")), *map(str, numbers))


def _table(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    """Print a table. Cells are text, never markup, and a long one is folded."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        right = name not in ("file", "format", "part", "checked")
        table.add_column(name, justify="right" if right else "left", overflow="fold", no_wrap=right)
    for row in rows:
        table.add_row(*(Text(shown(cell)) for cell in row))
    out.print(table, soft_wrap=False)


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    """What to call with (words, done, total): a bar with the time left in a terminal, elsewhere a line now and then."""
    from rich import progress as bars

    kinds = (bars.BarColumn, bars.MofNCompleteColumn, bars.TimeElapsedColumn, bars.TimeRemainingColumn)
    columns = (bars.TextColumn("{task.description}", markup=False), *(kind() for kind in kinds))
    with bars.Progress(*columns, console=err, disable=not err.is_terminal, transient=True) as progress:
        task, latest = progress.add_task("starting", total=None), time.monotonic()

        def tell(words: str, done: int, total: int) -> None:
            nonlocal latest
            progress.update(task, description=words, completed=done, total=total or None)
            if not err.is_terminal and time.monotonic() - latest > QUIET:
                latest = time.monotonic()
                err.print(f"{words}: {done}/{total}" if total else words)

        yield tell


data_app.command()(made.mutants)
data_app.command()(made.pairs)
data_app.command("best-of-n")(made.best_of_n)
data_app.command()(strength)
