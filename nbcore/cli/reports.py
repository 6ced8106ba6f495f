"""`python -m nbcore report` and `compare`: what a store's evaluations say, of one chain and of two models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nbcore.cli.runs import Judged, RunName, Store, out
from nbcore.core import environment


def report(
    folder: Annotated[
        Path | None,
        typer.Argument(help="Folder of run directories; without it as --store.", metavar="[STORE]", show_default=False),
    ] = None,
    run: Annotated[
        str | None, typer.Option(help="The last run of the chain to report: id, its beginning or end, phase.")
    ] = None,
    out_: Annotated[Path | None, typer.Option("--out", help="Where to write the page.", metavar="FILE")] = None,
    figure: Annotated[Path | None, typer.Option(help="Write the headline figure too, as .png.", metavar="FILE")] = None,
    store: Store = None,
):
    """Write one page about the best evaluated chain of a store, print its table, and name what is left out.

    Example: python -m nbcore report --run grpo --out report.html
    """
    from nbcore import report as reports

    _is_picture(figure)
    where = environment.store(folder or store)
    if not where.is_dir():
        raise FileNotFoundError(f"STORE: no folder {where}; `python -m nbcore run` makes one")
    if figure:
        reports.figure(where, figure, run)
    show_report(where, reports.build(where, out_, run), run)


def compare(
    run_a: Annotated[str, typer.Argument(metavar="RUN_A", help="A run, its evaluation, or `base`: the one before.")],
    run_b: Annotated[str, typer.Argument(metavar="RUN_B", help="A run or its evaluation: the one after.")],
    on: Annotated[
        str | None, typer.Option(help="Only this set of tasks: heldout, or a named one.", metavar="TASKSET")
    ] = None,
    figure: Annotated[Path | None, typer.Option(help="Write the intervals as a picture: .png.", metavar="FILE")] = None,
    store: Store = None,
):
    """Compare two models on the same tasks: the paired difference, its interval, exact p, and what n can show.

    On each set of tasks that both were asked with equal settings.
    Example: python -m nbcore compare sft grpo --on heldout
    """
    from nbcore import view
    from nbcore.report import comparing

    _is_picture(figure)
    before, after = comparing.evaluations(environment.store(store), run_a, run_b, on)
    rows = view.compared(before, after, on)
    out.print(f"A: {before.id}\nB: {after.id}\n\n{comparing.lines(rows)}\n\n{comparing.sentence(rows[0])}")
    if figure:
        comparing.picture(rows).savefig(figure, dpi=150)
        out.print(f"figure: {figure}")


def _is_picture(figure: Path | None) -> None:
    """Raise ValueError where a figure cannot be written as it is named."""
    if figure and (figure.suffix != ".png" or not figure.absolute().parent.is_dir()):
        raise ValueError(f"--figure: {figure} is no .png in a folder that exists; name another, or make the folder")


def show_report(store: Path, page: Path, run: str | None = None) -> None:
    """Print the table of a report, what it leaves out, and where the page is."""
    from nbcore import report as reports

    out.print(reports.table(store, run), soft_wrap=False)
    if words := reports.left_out(store, run):
        out.print(f"\n{words}\n")
    out.print(f"report: {page}")


def audit(
    what: Annotated[
        Path | None,
        typer.Argument(metavar="[README.md|STORE]", help="A text, or a folder of runs; without it README.md."),
    ] = None,
    keep: Annotated[
        Path | None, typer.Option(help="Write the records of the store's chain, to ship with a text.", metavar="FILE")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 1 for numbers without a record, too.")] = False,
):
    """Recompute every number that a text or a store states from its records: verified, differs, unsupported.

    Exit 1 where one differs. Example: python -m nbcore audit README.md
    """
    from nbcore.report import audit as audits
    from nbcore.report import records

    what = what or environment.REPO / "README.md"
    if not what.exists():
        raise FileNotFoundError(f"audit: no {what}; name a text such as README.md, or a folder of runs")
    if keep:
        if not what.is_dir():
            raise ValueError(f"--keep: {what} is no folder of runs, which records are taken from; name a store")
        return out.print(f"{records.write(what, keep)} rows in {keep}")
    stamps = audits.store(what) if what.is_dir() else audits.text(what)
    if what.is_dir() and not stamps:
        raise ValueError(f"audit: {what} holds no finished evaluation, decision or report; name another folder of runs")
    for stamp in stamps:
        out.print(stamp.line())
    counts = {state: sum(stamp.state == state for stamp in stamps) for state in (audits.VERIFIED, audits.DIFFERS)}
    unsupported = len(stamps) - sum(counts.values())
    out.print(f"{counts[audits.VERIFIED]} verified, {counts[audits.DIFFERS]} differ, {unsupported} unsupported")
    wrong = counts[audits.DIFFERS] + (unsupported if strict else 0)
    if wrong:
        first = next(
            each for each in stamps if each.state != audits.VERIFIED and (strict or each.state == audits.DIFFERS)
        )
        raise Judged(f"{wrong} of {len(stamps)} numbers are not what their records give: {first.where}: {first.number}")


def card(
    reference: RunName,
    out_: Annotated[
        Path | None, typer.Option("--out", help="Write it there instead of printing it.", metavar="FILE")
    ] = None,
    store: Store = None,
):
    """The card of a run, or of an evaluation, in Markdown: every number from a record, gates and waivers included.

    Example: python -m nbcore card grpo --out README.md
    """
    from nbcore import runs
    from nbcore.report import cards

    text = cards.card(runs.find(environment.store(store), reference, field="RUN"))
    if out_:
        out_.write_text(text, "utf-8")
        return out.print(f"card: {out_}")
    out.print(text)
