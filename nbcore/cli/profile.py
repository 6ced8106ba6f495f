"""`python -m nbcore profile RUN`: where the time of a training run went."""

from __future__ import annotations

from nbcore import runs
from nbcore.cli.runs import Judged, RunName, Store, out
from nbcore.core import environment
from nbcore.runs import profile as profiles


def profile(reference: RunName, store: Store = None):
    """Seconds a step by part, tokens a second, MFU and memory of a training run, all attempts at it together.

    Example: python -m nbcore profile grpo
    """
    from nbcore import view

    run = runs.find(environment.store(store), reference, field="RUN")
    shown = view.profile(run)
    if profiles.of(run) is None:
        raise Judged(f"{run.id}: {shown}")
    out.print(f"{run.id}\n{shown}")
