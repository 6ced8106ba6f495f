"""What gates decided: one immutable record for each decision, hash-chained to the parent's, and the aliases.

    <store>/blessings/<phase>/<run>.<sha256 of the record>.json
    <store>/blessings/aliases.json        phase -> latest, candidate, blessed, released -> sha256 of a record

latest is the newest decision, candidate the newest that was no FAIL, blessed the newest that opens the next phase,
released what a person says. Moving `blessed` back withdraws the record that it pointed to: that run opens nothing
until a gate has judged it anew.
"""

from __future__ import annotations

import getpass
import json
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from nbcore import config as configs
from nbcore import runs
from nbcore.core.suggest import did_you_mean
from nbcore.runs import choice, commit, data_runs, layout

LATEST = "latest"  # to which every decision moves, so that its moves name them all
ALIASES = (LATEST, "candidate", "blessed", "released")
OPENING = ("PASS", "RUBBER_STAMP")  # verdicts that open the next phase

Record = dict[str, Any]


def write(store: Path, facts: Mapping[str, Any]) -> Record:
    """Keep a decision as a record of its own, and move the aliases of its phase. Returns it with its hash, "self"."""
    record = {**facts, "created": _created(store, facts["run"])}
    record = json.loads(json.dumps(record, default=float))
    record["self"] = digest(record)
    path = layout.blessing(store, record["run"], record["self"])
    path.parent.mkdir(parents=True, exist_ok=True)
    commit.write_durably(path, _text(record))
    path.chmod(0o444)
    moved = [LATEST]
    moved += ["candidate"] if record["verdict"] != "FAIL" else []
    moved += ["blessed"] if opens(record) else []
    for alias in moved:
        _move(store, record["phase"], alias, record["self"], f"{record['verdict']} of {record['run']}")
    _to_mirror(store, record)
    return record


def _created(store: Path, run: str) -> str:
    """Now, and after every decision on the run that can be read: by a clock that was set back, an older PASS would stay
    in force beside a newer FAIL."""
    now = datetime.now(UTC)
    for path in layout.blessings(store, run):
        with suppress(OSError, ValueError):
            now = max(now, datetime.fromisoformat(read(path)["created"]) + timedelta(microseconds=1))
    return now.isoformat(timespec="microseconds")


def digest(record: Mapping[str, Any]) -> str:
    """sha256 over a record without its own hash."""
    return commit.own_hash(record)


def read(path: Path) -> Record:
    """One record. Raises ValueError, naming the file, where a byte of it differs from what was written."""
    damaged = f"{path.name}: differs from what the gate wrote; restore it, or take it away and gate its run anew"
    try:
        text = path.read_text("utf-8")
        record = json.loads(text)
    except ValueError:
        raise ValueError(damaged) from None
    whole = isinstance(record, dict) and text == _text(record) and record.get("self") == digest(record)
    if not whole or path.name != f"{record['run'].rpartition('/')[2]}.{record['self']}.json":
        raise ValueError(damaged)
    return record


def by_hash(store: Path, sha256: str) -> Record:
    """The record with this hash. Raises FileNotFoundError, or ValueError where it is damaged."""
    paths = layout.blessings(store, digest=sha256)
    if not paths:
        where = store / layout.BLESSINGS
        raise FileNotFoundError(f"blessing: {sha256[:12]} is not in {where}; restore it, or gate its run anew")
    return read(paths[0])


def of_run(run: runs.Run) -> list[Record]:
    """Every decision on a run as it is now, oldest first. Raises ValueError where one is damaged."""
    records = [read(path) for path in layout.blessings(run.store, run.id)]
    mine = commit.sha256(run.path / layout.RUN)
    return sorted((each for each in records if each["run_sha256"] == mine), key=lambda each: each["created"])


def current(run: runs.Run) -> Record | None:
    """The newest decision on a run that was not withdrawn; None where there is none."""
    withdrawn = aliases(run.store)["withdrawn"]
    return next((each for each in reversed(of_run(run)) if each["self"] not in withdrawn), None)


def was_withdrawn(run: runs.Run) -> bool:
    """Whether a rollback took back the newest decision on a run."""
    decisions = of_run(run)
    return bool(decisions) and decisions[-1]["self"] in aliases(run.store)["withdrawn"]


def opens(record: Record | None) -> bool:
    """Whether the next phase may start from the run of this record."""
    return record is not None and (record["verdict"] in OPENING or record["waiver"] is not None)


def lost(run: runs.Run) -> list[str]:
    """What is gone of the decisions on a run, in words, as far as what is still here tells: its newest, one that an
    alias points to, or the aliases themselves. An older one that a newer decision replaced is not missed."""
    anew = f"restore it, or `python -m nbcore gate {run.id}` judges the run anew"
    if not (run.store / layout.BLESSINGS / layout.ALIASES).is_file():
        words = f"{layout.ALIASES}: is not here, so nothing tells what was decided, or withdrawn by a rollback; {anew}"
        return [words] if layout.blessings(run.store) else []
    known = aliases(run.store)
    moves = [each for each in known["moves"] if each["alias"] == LATEST and each["why"].endswith(f" of {run.id}")]
    made = {each["to"]: each["why"].partition(" ")[0] for each in moves}  # its verdict
    pointing = {sha256: alias for alias, sha256 in known["aliases"].get(run.phase, {}).items() if sha256 in made}
    missed = [sha256 for sha256 in made if sha256 in pointing or sha256 == moves[-1]["to"]]
    return [
        f"{made[sha256]} {sha256[:12]} is not here{_pointed(run.phase, pointing.get(sha256))}; {anew}"
        for sha256 in missed
        if not layout.blessings(run.store, run.id, sha256)
    ]


def _pointed(phase: str, alias: str | None) -> str:
    return f", and {phase}@{alias} points to it" if alias else ""


def require_blessed(run: runs.Run) -> Record:
    """The decision by which the next phase may start from a run. Raises ValueError where there is none."""
    decisions = of_run(run)
    record = current(run)
    if opens(record):
        return record
    if record is not None:
        why = f"its gate said {record['verdict']}: {record['why']}"
    elif decisions:
        why = f"its blessing {decisions[-1]['self'][:12]} was withdrawn by a rollback"
    else:
        why = "no gate has judged it"
    field = data_runs.FIELD if configs.TABLE[run.phase].makes_data else "parent"
    raise ValueError(
        f"{field}: {run.id} is not blessed: {why}. `python -m nbcore gate {run.id}` judges it; "
        '--waive "why" lets it pass, in red in every report'
    )


def waivers(run: runs.Run) -> list[Record]:
    """The waivers by which a run, or one that it stands on, went on; the run's own last."""
    found = []
    for link in list(choice.lineage(run))[::-1]:
        if link.finished and (record := current(link)) and record["waiver"]:
            found.append(record)
    return found


def waiver(reason: str) -> dict[str, str]:
    """What a record holds of a person who lets a run pass. Raises ValueError without a reason."""
    if not reason.strip():
        raise ValueError("--waive: a waiver needs a reason, which every later report shows; say why")
    return {"reason": " ".join(reason.split()), "who": getpass.getuser()}


def aliases(store: Path) -> dict[str, Any]:
    """{"aliases": {phase: {alias: sha256}}, "withdrawn": [sha256], "moves": [what moved when and why]}."""
    path = store / layout.BLESSINGS / layout.ALIASES
    if not path.is_file():
        return {"aliases": {}, "withdrawn": [], "moves": []}
    try:
        return commit.read_sealed(path)
    except ValueError as error:
        raise ValueError(f"aliases: {path}: {error}; restore it, or delete it and gate the runs anew") from None


def aliased(store: Path, phase: str, alias: str) -> Record | None:
    """The record that an alias of a phase points to; None where it points nowhere."""
    sha256 = aliases(store)["aliases"].get(phase, {}).get(alias)
    return by_hash(store, sha256) if sha256 else None


def release(run: runs.Run) -> Record:
    """Point `released` to a run's record. Raises ValueError where the run is not blessed."""
    record = require_blessed(run)
    _move(run.store, run.phase, "released", record["self"], "released by hand")
    _to_mirror(run.store, record)
    return record


def rollback(store: Path, phase: str, alias: str = "blessed", to: str | None = None) -> Record:
    """Move an alias back: to the record that it pointed to before, or to that of the run `to` (an id).

    Of `blessed` the record that it leaves is withdrawn. Raises ValueError where there is nothing to go back to.
    """
    if phase not in configs.PHASES:
        raise ValueError(f"PHASE: no phase {phase!r}{did_you_mean(phase, configs.PHASES)}")
    if alias not in ALIASES:
        raise ValueError(f"--alias: no alias {alias!r}{did_you_mean(alias, ALIASES)}; there are {', '.join(ALIASES)}")
    known = aliases(store)
    now = known["aliases"].get(phase, {}).get(alias)
    if now is None:
        raise ValueError(f"--alias: {phase}@{alias} points to nothing yet; a gate that passes moves it")
    before = [move["to"] for move in known["moves"] if (move["phase"], move["alias"]) == (phase, alias)]
    able = [each for each in dict.fromkeys(reversed(before)) if each != now and each not in known["withdrawn"]]
    if to is not None:
        able = [each for each in able if by_hash(store, each)["run"] == to]
    left = by_hash(store, now)["run"]
    if to is None:  # the same run judged twice is no step back
        able = [each for each in able if by_hash(store, each)["run"] != left]
    if not able:
        wanted = f"at {to} " if to else ""
        raise ValueError(f"--to: {phase}@{alias} was never {wanted}before {left}: there is nothing to go back to")
    withdrawn = []
    if alias == "blessed":  # every decision that opened with the run that is left
        withdrawn = [each for each in dict.fromkeys(before) if by_hash(store, each)["run"] == left]
    _move(store, phase, alias, able[0], f"rolled back from {left}", withdrawn)
    record = by_hash(store, able[0])
    _to_mirror(store, record)
    return record


def _move(store: Path, phase: str, alias: str, to: str, why: str, withdrawn: list[str] = ()) -> None:
    known = aliases(store)
    now = known["aliases"].setdefault(phase, {})
    time = datetime.now(UTC).isoformat(timespec="seconds")
    known["moves"].append({"time": time, "phase": phase, "alias": alias, "from": now.get(alias), "to": to, "why": why})
    now[alias] = to
    known["withdrawn"] += withdrawn
    commit.write_sealed(store / layout.BLESSINGS / layout.ALIASES, known)


def _to_mirror(store: Path, record: Record) -> None:
    """Where there is a mirror, have the decisions on a run and the aliases copied to it, after the run itself."""
    run = runs.Run(store / record["run"])
    if run.finished:
        run.publish()
        run.wait_for_mirror()


def _text(record: Record) -> str:
    return json.dumps(record, indent=1) + "\n"
