"""What gates decided, on the mirror beside the bundles of the run: a new machine takes it back with the run.

<root>/<phase>/<run>/blessing.<hash>.json        a record, as the gate wrote it
<root>/blessings/aliases.<moves>.<hash>.json     the aliases, each state of them once: a name is never written again
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from nbcore.runs import commit, layout
from nbcore.runs.mirror import mirror

RECORD = re.compile(r"blessing\.(?P<hash>[0-9a-f]{64})(?: ?\(\d+\))?\.json")
ALIASES = re.compile(r"aliases\.\d{6}\.[0-9a-f]{12}(?: ?\(\d+\))?\.json")


def put(to: mirror.Mirror, run: Path) -> None:
    """Copy the decisions on a run, and the aliases, that are not on the mirror yet. Raises what the medium raises."""
    id_, store = layout.run_id(run), layout.store_of(run)
    records = {f"{id_}/blessing.{path.name.split('.')[-2]}.json": path for path in layout.blessings(store, id_)}
    aliases = store / layout.BLESSINGS / layout.ALIASES
    if records and aliases.is_file():
        moves = len(commit.read_sealed(aliases)["moves"])
        records[f"{layout.BLESSINGS}/aliases.{moves:06}.{commit.sha256(aliases)[:12]}.json"] = aliases
    there = {*to.backend.list(id_), *to.backend.list(layout.BLESSINGS)} if records else set()
    for name, path in records.items():
        if name not in there:
            to.backend.put(name, path)


def bring(of: mirror.Mirror, store: Path, run: str) -> None:
    """Bring the decisions on a run to this disk, and the aliases where this disk has none. What is damaged on the
    mirror is left there. Raises OSError where a file cannot be read or written."""
    with mirror.staging_folder() as staging:
        for name in of.backend.list(run):
            if match := RECORD.fullmatch(name.removeprefix(f"{run}/")):
                target = layout.blessing(store, run, match["hash"])
                if not target.exists():
                    _take(of, name, staging / "record", target, lambda path, own=match["hash"]: _is(path, own))
        aliases = store / layout.BLESSINGS / layout.ALIASES
        for name in sorted(of.backend.list(layout.BLESSINGS), reverse=True):
            if not aliases.exists() and ALIASES.fullmatch(name.rpartition("/")[2]):
                _take(of, name, staging / "aliases", aliases, _is_sealed)


def _take(of: mirror.Mirror, name: str, staged: Path, target: Path, sound) -> None:
    of.backend.get(name, staged)
    if sound(staged):
        target.parent.mkdir(parents=True, exist_ok=True)
        commit.write_durably(target, staged.read_text("utf-8"))


def _is(path: Path, own: str) -> bool:
    """Whether a file is the record with this hash."""
    try:
        record = json.loads(path.read_text("utf-8"))
        return record["self"] == commit.own_hash(record) == own
    except (ValueError, KeyError, TypeError, AttributeError):
        return False


def _is_sealed(path: Path) -> bool:
    try:
        commit.read_sealed(path)
    except ValueError:
        return False
    return True
