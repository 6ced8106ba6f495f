"""Which run a word means: a run's id, the beginning or end of one, its path, or the name of a phase.

An id or a path is taken at its word. The name of a phase stands for many runs, and the newest is often one that
somebody played with; so among the finished runs of a phase these come first, in this order:

    those of the same profile (the `name` of the config that asks)
    those that were not cut short: they, and the runs they stand on, were asked for at least half of the steps that
        configs/<phase>/<name>.yaml asks for (a name of one's own: that the shortest config of the phase asks for)
    the newest
"""

from __future__ import annotations

import functools
import operator
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from nbcore import config as configs
from nbcore.core import environment
from nbcore.runs import layout
from nbcore.runs import run as runs
from nbcore.runs.mirror import mirror, restore
from nbcore.runs.run import Run

BASE = "base"  # as a parent: no run, but the base model that the config names
SHORTEST = 6  # characters of the end of an id that name a run
HALF = 0.5  # of its profile's steps: with fewer, a run was a try


def find(store: str | Path, reference: str | Path, config: configs.Phase | None = None, field: str = "parent") -> Run:
    """The finished, verified run that `reference` means, brought back from the mirror where only that has it.

    `config` is the one that asks, for the choice among the runs of a phase; `field` is what an error calls the
    reference. Says in one line which newer run was passed over. Raises FileNotFoundError where there is none,
    ValueError where several fit, or where its content differs from its manifest.
    """
    store, text = Path(store), str(reference)
    if text not in configs.PHASES:
        return runs.get(store, whole_id(store, text), field)
    name = config.name if config else None
    finished = [run for run in runs.listing(store, text) if run.finished]
    _bring_better(store, text, name, preferred(finished, name) if finished else None)
    finished = [run for run in runs.listing(store, text) if run.finished]
    if not finished:
        base = f', or start from the base model: parent = "{BASE}"' if config else ""
        raise FileNotFoundError(f"{field}: no finished {text} run in {store}; run the {text} notebook first{base}")
    run = preferred(finished, name)
    if why := passed_over(run, finished, name):
        print(f"{field}: {why}", flush=True)
    return runs.get(store, run.id, field)


def whole_id(store: Path, text: str, candidates: Sequence[Run] | None = None) -> str:
    """The id that `text` begins ("sft/2026…") or ends, if there is one such run; else `text` as it is.

    Raises ValueError where several runs fit.
    """
    if layout.RUN_ID.fullmatch(text) or len(text) < SHORTEST or Path(text).exists():
        return text
    known = runs.listing(store) if candidates is None else candidates
    fitting = [run.id for run in known if run.id.endswith(text) or ("/" in text and run.id.startswith(text))]
    if len(fitting) > 1:
        raise ValueError(f"RUN: {text!r} could be {' or '.join(fitting[:3])}: give more of the id")
    return fitting[0] if fitting else text


def preferred(candidates: Sequence[Run], name: str | None) -> Run:
    """The one of these runs of a phase, oldest first, that its phase's name stands for (see above)."""
    return max(candidates, key=lambda run: _rank(run, name))


def passed_over(chosen: Run, candidates: Sequence[Run], name: str | None) -> str:
    """Why the newest of the candidates is not the chosen one, in a line; empty where it is."""
    newest = candidates[-1]
    if newest == chosen:
        return ""
    if name is not None and _name(newest.id) != name and _name(chosen.id) == name:
        reason = f"of another profile ({_name(newest.id)})"
    else:
        reason = f"cut short ({shortfall(newest)})"
    return f"taking {chosen.id}; {newest.id} is newer, but {reason}: to take that, name it by its id"


def shortfall(run: Run) -> str:
    """Why a run counts as cut short: itself, or one that it stands on; empty where neither is."""
    for link in lineage(run):
        length = configs.TABLE[link.phase].length
        if length is None:
            continue
        try:
            asked, usual = _value(link.config, length), usual_length(link.phase, _name(link.id))
        except (ValueError, OSError):
            continue  # a config that cannot be read is another trouble, and told where it is used
        if asked < HALF * usual:
            words = f"{length.rpartition('.')[2]} {asked} instead of {usual}"
            return words if link == run else f"it stands on {link.id}: {words}"
    return ""


def usual_length(phase: str, name: str) -> int:
    """How long a whole run of a profile is; under a name that is not shipped, the shortest that is, leaving out those
    that measure other things (an agent's repairs). 0 if none is."""
    named = environment.shipped_config(phase, name)
    paths = [named] if named.is_file() else sorted(named.parent.glob("*.yaml"))
    lengths = (_length_in(path, path.stat().st_mtime_ns) for path in paths)
    return min((length for length in lengths if length), default=0)


def described(run: Run | None) -> str:
    """A run in a line for people: "sft/2026… · 120 steps · 2 hours ago"; None is the base model."""
    if run is None:
        return "the base model"
    words = [run.id]
    if taken := steps(run):
        words.append(taken)
    if run.finished:
        words.append(age(datetime.fromisoformat(run.info["finished"]).timestamp()))
    if short := shortfall(run):
        words.append(f"cut short: {short}")
    return " · ".join(words)


def steps(run: Run) -> str:
    """How many steps a run has logged, in words; empty for one that takes none."""
    count = max((row["step"] for row in run.metrics() if "step" in row), default=0)
    return f"{count} step{'s' if count > 1 else ''}" if count else ""


def age(moment: float) -> str:
    """How long ago a time (seconds since 1970) was, in its largest unit."""
    seconds = max(0.0, time.time() - moment)
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if count := int(seconds // length):
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "just now"


def _name(id_: str) -> str:
    return layout.config_of(id_)[0]


def _rank(run: Run, name: str | None) -> tuple[bool, bool, str]:
    return (name is None or _name(run.id) == name, not shortfall(run), run.path.name)


def leaves(run: Run) -> str | None:
    """The folder of weights that a run leaves, if any: its phase's, or adapter/ where a phase that makes a whole model
    of base and adapter was asked for the adapter alone."""
    entry = configs.TABLE[run.phase]
    alone = entry.whole and (run.path / layout.ADAPTER).is_dir() and not (run.path / layout.MODEL).is_dir()
    return layout.ADAPTER if alone else entry.leaves


def lineage(run: Run) -> Iterator[Run]:
    """A run and those it stands on, as far as they are here; nothing is verified."""
    while True:
        yield run
        try:
            parent = run.info["parent"]
        except ValueError:
            return
        if parent is None or not (run.store / parent["id"] / layout.OPENING).is_file():
            return
        run = Run(run.store / parent["id"])


def missing(run: Run) -> str | None:
    """The id of the first run that a run stands on and that is not here; None where all of them are."""
    first = list(lineage(run))[-1]
    try:
        parent = first.info["parent"]
    except ValueError:
        return None
    return parent["id"] if parent else None


def _value(config: configs.Phase, path: str) -> Any:
    return operator.attrgetter(path)(config)


@functools.lru_cache(maxsize=64)
def _length_in(path: Path, _changed: int) -> int:
    config = configs.load(path)
    return _value(config, configs.TABLE[config.phase].length)


def _bring_better(store: Path, phase: str, name: str | None, best: Run | None) -> None:
    """Bring back the finished run of a phase on the mirror that ranks above the best one here, if there is one."""
    copies = mirror.configured()
    floor = _rank(best, name) if best else (False, False, "")

    def fits(run: str, whole: bool) -> tuple[bool, bool, str]:
        return name is None or _name(run) == name, whole, run.partition("/")[2]

    def better(ids: list[str]) -> list[str]:
        short = []
        for run in sorted(ids, key=lambda run: fits(run, True), reverse=True):
            if fits(run, True) <= floor:
                break
            if (record := copies.finished(run)) is None:
                continue
            if record.step >= HALF * usual_length(phase, _name(run)):
                return [run]
            short += [run] if fits(run, False) > floor else []
        return short[:1]

    restore.bring(store, phase, better)
