"""`python -m nbcore gate | chain`, and the aliases of blessed runs: `runs aliases | release | rollback`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from nbcore import config, runs
from nbcore.cli.runs import Judged, RunName, Store, err, lookup, out, runs_app
from nbcore.core import environment
from nbcore.runs import choice, layout

INVESTIGATE_EXIT = 3


def gate(
    reference: RunName,
    gate_: Annotated[
        Path | None, typer.Option("--gate", help="The gate; without it configs/gates/<phase>.yaml.", metavar="FILE")
    ] = None,
    waive: Annotated[
        str | None, typer.Option(help="Let it pass all the same, for this reason; red in every later report.")
    ] = None,
    store: Store = None,
):
    """Judge a run by its evaluation and by what it is: exit 0 PASS or waived, 1 FAIL, 3 INVESTIGATE.

    The decision is kept in the store; a pipeline with `gates: true` starts the next phase only from a run that passed.
    Example: python -m nbcore gate sft --gate configs/gates/sft.yaml
    """
    from nbcore import gates
    from nbcore.view import gate_table

    subject = _finished(environment.store(store), reference)
    chosen = gates.load(gate_) if gate_ else gates.of_phase(_phase(subject))
    decision, record = gates.decide(subject, chosen, waive, _Progress())
    out.print(str(gate_table.gate(decision, record["waiver"])))
    out.print(f"recorded as {record['self'][:12]}")
    if record["waiver"]:
        err.print(f"WAIVED ({decision.verdict}): {record['waiver']['reason']}", style="bold red")
    elif decision.verdict == gates.INVESTIGATE:
        err.print(f"error: INVESTIGATE: {decision.why}")
        return INVESTIGATE_EXIT
    elif decision.verdict == gates.FAIL:
        raise Judged(f"FAIL: {decision.why}")
    return 0


def chain(reference: RunName, store: Store = None):
    """Verify every link from a run to its base: data, config, weights, evaluation, blessing, notebook. Exit 1: broken.

    What of it is not on this disk is brought back from the mirror first, where there is one.
    Example: python -m nbcore chain grpo
    """
    from nbcore import gates

    run = _finished(environment.store(store), reference)
    gates.fetch(run)
    links = gates.verify_chain(run)
    for link in links:
        out.print(
            f"{link.state:<7} {link.kind:<18} {link.of}  {link.what if link.what not in link.of else ''}".rstrip()
        )
    if bad := gates.broken(links):
        more = f" (and {len(bad) - 1} more)" if bad[1:] else ""
        raise Judged(f"the chain is broken at the {bad[0].line()}{more}")
    out.print(f"{len(links)} links, all whole")


@runs_app.command("aliases")
def aliases_(store: Store = None):
    """Which run of each phase is latest, candidate, blessed, released.

    Example: python -m nbcore runs aliases
    """
    from nbcore import gates

    where = environment.store(store)
    known = gates.aliases(where)["aliases"]
    for phase, named in known.items():
        for alias in gates.ALIASES:
            if record := gates.aliased(where, phase, alias) if alias in named else None:
                waived = f", WAIVED: {record['waiver']['reason']}" if record["waiver"] else ""
                out.print(f"{phase}@{alias}  {record['run']}  {record['verdict']}{waived}")
    if not known:
        out.print(f"no gate has judged a run of {where}")


@runs_app.command()
def release(reference: RunName, store: Store = None):
    """Point the alias `released` of its phase to a blessed run.

    Example: python -m nbcore runs release grpo
    """
    from nbcore import gates

    run = _finished(environment.store(store), reference)
    record = gates.release(run)
    out.print(f"{run.phase}@released is {run.id} ({record['self'][:12]})")


@runs_app.command()
def rollback(
    phase: Annotated[str, typer.Argument(metavar="PHASE", help="Whose alias moves.")],
    alias: Annotated[str, typer.Option(help="Which alias: blessed, released …")] = "blessed",
    to: Annotated[str | None, typer.Option(help="The run to go back to; without it the one before.")] = None,
    store: Store = None,
):
    """Move an alias of a phase back to the run that had it before. Nothing starts from the run that it leaves.

    Example: python -m nbcore runs rollback sft
    """
    from nbcore import gates

    where = environment.store(store)
    target = _finished(where, to).id if to else None
    record = gates.rollback(where, phase, alias, target)
    out.print(f"{phase}@{alias} is {record['run']} again ({record['self'][:12]})")


def _finished(store: Path, reference: str) -> runs.Run:
    """The finished run that is meant, damaged or not: gate and chain say what is wrong with it."""
    known = [run for run in runs.listing(store, reference) if run.finished] if reference in config.PHASES else []
    path = layout.run_at(Path(reference)) if Path(reference).is_dir() else None
    if known:
        run = choice.preferred(known, None)
    elif path and layout.is_run(path):
        run = runs.Run(path)
    else:
        run = lookup(store, reference)
    if not run.finished:
        raise ValueError(f"RUN: {run.id} is unfinished; run its notebook again, it resumes by itself")
    return run


def _phase(subject: runs.Run) -> str:
    """Whose gate is meant: that of the run, or of the run that an evaluation measured."""
    if config.TABLE[subject.phase].measures and (parent := subject.info["parent"]):
        return parent["id"].partition("/")[0]
    return subject.phase


class _Progress:
    """Says on the terminal what is being done, once for each thing and every ten seconds."""

    def __init__(self) -> None:
        self.words, self.spoken = "", 0.0

    def __call__(self, words: str, done: int, total: int) -> None:
        if err.is_terminal and (words != self.words or time.monotonic() - self.spoken > 10):
            self.words, self.spoken = words, time.monotonic()
            err.print(f"{words}{f': {done}' if done else ''}", style="dim")
