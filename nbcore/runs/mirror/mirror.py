"""The mirror: copies of runs on a Drive, another disk or the Hub, each a bundle with a record that is written last.

    <root>/<phase>/<run>/step-000120.<8 hex digits>.tar.000 …            parts, written once
    <root>/<phase>/<run>/step-000120.<8 hex digits>.commit.json          once every part was read back
    <root>/<phase>/<run>/finished.<8 hex digits>.…                        the same, of a run that has finished
    <root>/<phase>/<run>/notebook.<utc time>.ipynb                        the executed notebook, to look at
    <root>/<phase>/<run>/blessing.<hash>.json                             what gates decided on the run (decisions.py)

A bundle is the whole run directory with one checkpoint, so any one of them is enough to go on from. A bundle counts
when every byte of it is what its record says. That files are there means nothing: a synchronised folder shows small
files before large ones, and makes a second file "name (1)".
"""

from __future__ import annotations

import re
import shutil
import sys
import tarfile
import tempfile
import uuid
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from nbcore.core import environment
from nbcore.runs import checkpoints, commit, layout, notebooks, retention
from nbcore.runs.mirror import backends, bundle

FINISHED = "finished"
STEM = re.compile(r"(?P<kind>step-\d{6,}|finished)\.(?P<unique>[0-9a-f]{8})\.")
RECORD = re.compile(STEM.pattern + r"commit(?: ?\(\d+\))?\.json")
COPY = re.compile(r" ?\(\d+\)")  # what a synchronised folder adds to a name that it takes for used
FAILED = (OSError, ValueError, tarfile.TarError)  # what fetching raises: by the medium, or for what it gave back


class Record(NamedTuple):
    """A commit record: what a bundle holds, with the size and the hash of each of its parts."""

    name: str
    run: str
    step: int
    finished: bool
    bytes: int
    parts: list[dict[str, Any]]
    created: str
    metric: float | None = None
    checkpoint: str | None = None
    parent: str | None = None

    @property
    def order(self) -> tuple[bool, int, str]:
        """A key to sort by: the newest state of a run has the greatest."""
        return self.finished, self.step, self.created


class Mirror:
    """Bundles of runs on a backend. Every method raises what the medium raises, mostly OSError."""

    def __init__(self, backend: backends.Folder | backends.Bucket, part: int = bundle.PART):
        self.backend, self.part = backend, part

    def runs(self, phase: str) -> list[str]:
        """Ids of the runs of a phase, oldest first; names of any other form are not looked at."""
        return [name for name in self.backend.list(phase) if layout.is_run_id(name)]

    def records(self, run: str) -> list[Record]:
        """The commit records of a run that can be read, the newest state first.

        Raises OSError where there are records and none of them can be read.
        """
        readable: dict[str, Record] = {}
        failed = None
        with staging_folder() as staging:
            for name in self.backend.list(run):
                if RECORD.fullmatch(name.removeprefix(f"{run}/")):
                    try:
                        self.backend.get(name, staging / "record")
                        record = Record(**commit.read_sealed(staging / "record") | {"name": name})
                    except OSError as error:  # deleted since it was listed, or unreadable: others may be fine
                        failed = error
                        continue
                    except (ValueError, TypeError):
                        continue  # empty or half there: it has not arrived yet
                    if record.run == run:
                        readable[COPY.sub("", name)] = record
        if failed and not readable:
            raise failed
        return sorted(readable.values(), key=lambda record: record.order, reverse=True)

    def finished(self, run: str) -> Record | None:
        """The record of a bundle of the finished run whose files are all there in full size; None without one."""
        records = [record for record in self.records(run) if record.finished]
        return next((record for record in records if self.confirmed(record) is not False), None)

    def publish(self, run: Path, step: int, checkpoint: Path | None, metric: float | None, finished: bool) -> Record:
        """Copy a run with one checkpoint or none: each part is read back, and the record is written last."""
        id_ = layout.run_id(run)
        stem = f"{id_}/{FINISHED if finished else f'step-{step:06}'}.{uuid.uuid4().hex[:8]}"
        parts: list[dict[str, Any]] = []
        with staging_folder(run) as staging:

            def deliver(part: bundle.Part) -> None:
                name = f"{stem}.tar.{len(parts):03}"
                parts.append({"name": name, "bytes": part.bytes, "sha256": part.sha256})
                self._put(name, part.path, part.sha256, staging)

            try:
                size = bundle.pack(run, bundle.contents(run, checkpoint), staging, deliver, self.part)
                inside = checkpoint.relative_to(run).as_posix() if checkpoint else None
                now = datetime.now(UTC).isoformat(timespec="milliseconds")
                parent = (commit.read_sealed(run / layout.OPENING)["parent"] or {}).get("id")
                record = Record(f"{stem}.commit.json", id_, step, finished, size, parts, now, metric, inside, parent)
                commit.write_sealed(staging / "record", record._asdict())
                self._put(record.name, staging / "record", commit.sha256(staging / "record"), staging)
            except BaseException:
                self._remove([f"{stem}.commit.json", *(part["name"] for part in parts)])
                raise
        return record

    def put_notebook(self, run: Path) -> None:
        """Copy the executed notebook of a run as a file that can be opened on the mirror, and its note before it."""
        stem = f"{layout.run_id(run)}/notebook.{datetime.now(UTC):{layout.TIME}}"
        if (run / layout.NOTEBOOK_NOTE).is_file():
            self.backend.put(f"{stem}.json", run / layout.NOTEBOOK_NOTE)
        self.backend.put(f"{stem}.ipynb", run / layout.NOTEBOOK)

    def confirmed(self, record: Record) -> bool | None:
        """Whether the medium has every file of a bundle, whole; None where it cannot tell."""
        sizes = {record.name: None} | {part["name"]: part["bytes"] for part in record.parts}
        stats = []
        for name, size in sizes.items():
            stats.append(stat := self.backend.stat(name))
            if stat is None or stat.confirmed is False or size not in (None, stat.bytes):
                return False
        return None if any(stat.confirmed is None for stat in stats) else True

    def fetch(self, record: Record, target: Path, staging: Path) -> None:
        """Bring a bundle back into the new folder `target`. Raises ValueError where anything is not as recorded."""
        files = []
        names = self.backend.list(record.run)
        for number, part in enumerate(record.parts):
            files.append(staging / f"{number:03}")
            for name in sorted(name for name in names if COPY.sub("", name) == part["name"]):
                self.backend.get(name, files[-1])
                if files[-1].stat().st_size == part["bytes"] and commit.sha256(files[-1]) == part["sha256"]:
                    break
            else:
                raise ValueError(f"{part['name']}: missing, or its content differs from its record")
        bundle.unpack(files, target, record.bytes)
        with suppress(OSError):  # nothing depends on it
            self._fetch_notebook(names, target, staging / "notebook")
        if record.finished:
            problems = commit.problems(target, layout.RUN)
        elif record.checkpoint:
            problems = checkpoints.Checkpoint(target / record.checkpoint).problems()
        else:
            problems = [] if (target / layout.OPENING).is_file() else [f"{layout.OPENING}: missing"]
        if problems:
            raise ValueError(f"{record.name}: {problems[0]}")

    def _fetch_notebook(self, names: list[str], target: Path, staging: Path) -> None:
        """Put the newest undamaged notebook among `names`, the files of a run on the mirror, into `target`."""
        copies = [name for name in names if "/notebook." in name and name.endswith(".ipynb")]
        for name in reversed(copies):
            shutil.rmtree(staging, ignore_errors=True)
            staging.mkdir()
            self.backend.get(name, staging / layout.NOTEBOOK)
            for note in [other for other in names if other == COPY.sub("", name).removesuffix(".ipynb") + ".json"]:
                self.backend.get(note, staging / layout.NOTEBOOK_NOTE)
            if not notebooks.problems(staging):
                for file in (layout.NOTEBOOK, layout.NOTEBOOK_NOTE):
                    (target / file).unlink(missing_ok=True)
                for path in staging.iterdir():
                    path.rename(target / path.name)
                return

    def prune(
        self,
        run: str,
        blessed: dict[str, Any],
        policy: retention.Policy,
        dry_run: bool = False,
        unconfirmed: bool = False,
    ) -> list[Record]:
        """Delete the bundles that the policy does not keep, and return them, the oldest first.

        Of a finished run the newest bundle is enough. `unconfirmed`: where the medium cannot tell whether it has all of
        a bundle, count it as confirmed.
        """
        records = self.records(run)
        ended = [record for record in records if record.finished]
        if ended:
            policy = retention.Policy(newest=1, best=0)
        last = max((record.step for record in records), default=0) + 1  # the finished come after all, in their order
        items = [
            retention.Item(
                record.name,
                last + number if record.finished else record.step,
                confirmed=self.confirmed(record) in ((True, None) if unconfirmed else (True,)),
                metric=record.metric,
                blessed=str(record.step) in blessed["steps"] and not record.finished,
            )
            for number, record in enumerate(reversed(records))
        ]
        named = {record.name: record for record in records}
        gone = [named[item.name] for item in retention.expendable(items, policy)]
        if not dry_run:
            for record in gone:
                self._remove([record.name, *(part["name"] for part in record.parts)])
            self._remove(self._orphans(run, records, max((item.step for item in items if item.confirmed), default=0)))
        return gone

    def _orphans(self, run: str, records: list[Record], safe: int) -> list[str]:
        """Files that belong to no bundle, of steps before `safe`, a confirmed one: what a kill or the medium left."""
        known = {record.name.split(".")[-3] for record in records}
        ended = max((record.step for record in records if record.finished), default=sys.maxsize)
        orphans = []
        for name in self.backend.list(run):
            stem = STEM.match(name.removeprefix(f"{run}/"))
            if stem and stem["unique"] not in known:
                step = ended if stem["kind"] == FINISHED else int(stem["kind"].removeprefix("step-"))
                orphans += [name] if step < safe else []
        return orphans

    def _put(self, name: str, path: Path, sha256: str, staging: Path) -> None:
        self.backend.put(name, path)
        if not self.backend.acknowledges:
            self.backend.get(name, staging / "back")
            if commit.sha256(staging / "back") != sha256:
                raise OSError(f"{name}: read back other bytes than were written")
            (staging / "back").unlink()

    def _remove(self, names: list[str]) -> None:
        for name in names:
            try:
                self.backend.delete(name)
            except OSError:
                continue  # the next prune tries again; a copy or a prune must not fail for it


def configured() -> Mirror | None:
    """The mirror that environment.mirror names, if it names one."""
    address = environment.mirror()
    return Mirror(backends.at(address)) if address else None


@contextmanager
def staging_folder(beside: Path | None = None):
    """A temporary folder; with `beside`, a run, on that run's disk, so that its content can be renamed into place."""
    parent = None
    if beside is not None:
        parent = layout.incoming(beside)
        parent.mkdir(parents=True, exist_ok=True)
    path = Path(tempfile.mkdtemp(prefix="nbcore-", dir=parent))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
