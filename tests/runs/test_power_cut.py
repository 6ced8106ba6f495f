"""A power cut takes what was written and not synced. The order of writes, syncs and renames is what protects.

The real life of a run is traced by faults/killfs.c. At each moment when something begins to be trusted (a marker gets
its name, a record is on the mirror) or ceases to exist (an old marker goes), what it relies on must be on the disk.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from nbcore import runs
from tests.faults import killfs

MARKERS = ("commit.json", "run.json", "trained.json")


@pytest.fixture(scope="module")
def traced(tmp_path_factory):
    """(store, mirror, [(what, path, other path)]) of one life."""
    folder = tmp_path_factory.mktemp("life")
    root, trace = folder / "root", folder / "trace"
    command = [sys.executable, str(killfs.HERE / "life.py"), str(root / "store"), str(root / "mirror")]
    subprocess.run(command, env=killfs.environment(root, trace), check=True)
    return root, [tuple(line.split("\t")) for line in trace.read_text().splitlines()]


class Disk:
    """What would be left of each file and name if the power went now."""

    def __init__(self):
        self.dirty, self.unnamed = set(), {}

    def follow(self, what, path, other):
        if what in ("write", "truncate"):
            self.dirty.add(path)
        elif what == "create":
            self.unnamed.setdefault(str(Path(path).parent), set()).add(path)
        elif what == "rename":
            (self.dirty.discard(path), self.dirty.add(other)) if path in self.dirty else None
            self.unnamed.setdefault(str(Path(other).parent), set()).add(other)
        elif what == "fsync":
            self.dirty.discard(path)
            self.unnamed.pop(path, None)
        elif what == "unlink":
            self.dirty.discard(path)

    def lost(self, path):
        """Why a file would not be whole after a power cut; empty where it would."""
        folder = Path(path).parent
        names = [
            f"{folder} is not synced since {path} got its name" for n in self.unnamed.get(str(folder), ()) if n == path
        ]
        return names + ([f"{path} is not synced since it was written"] if path in self.dirty else [])


def vouched(path):
    """The files that a marker on the disk vouches for, as the finished life left them; None where they are gone."""
    folder = Path(path).parent
    if Path(path).name == "trained.json":
        return [str(folder / name) for name in json.loads(Path(path).read_text())["files"]]
    manifest = folder / "manifest.json"
    if not manifest.is_file():
        return None
    return [str(manifest), *(str(folder / name) for name in json.loads(manifest.read_text())["files"])]


def test_what_a_marker_vouches_for_is_on_the_disk_before_it(traced):
    """fsync of every file, then of every folder, then the marker: else a power cut leaves a marker over nothing."""
    _, operations = traced
    disk, seen = Disk(), []
    for what, path, other in operations:
        if what == "rename" and Path(other).name in MARKERS:
            assert not disk.lost(path)[1:] and path not in disk.dirty, f"{other} gets its name before its content"
            for file in vouched(other) or ():
                assert disk.lost(file) == [], f"{other} is written, and {disk.lost(file)[0]}"
            seen.append(Path(other).name)
        disk.follow(what, path, other)
    assert sorted(set(seen)) == sorted(MARKERS) and seen.count("commit.json") == 5


def test_a_marker_is_on_the_disk_before_an_older_one_goes(traced):
    """Deleting step 10 while the name of step 20 is only in memory can lose both."""
    root, operations = traced
    disk, removed, gone = Disk(), 0, set()
    for what, path, other in operations:
        folder = Path(path).parent
        if what == "unlink" and folder.name.startswith("checkpoint-") and str(root / "store") in path:
            marker = str(folder / "commit.json")
            assert path == marker or marker in gone, f"{path} goes while {marker} still says that all is there"
            gone.add(path)
        if what == "unlink" and Path(path).name == "commit.json" and str(root / "store") in path:
            pending = [name for names in disk.unnamed.values() for name in names if name.endswith("commit.json")]
            assert pending == [], f"{path} goes while {pending[0]} can still be lost"
            removed += 1
        disk.follow(what, path, other)
    assert removed >= 2


def test_on_the_mirror_the_record_comes_last_and_goes_first(traced):
    """A record whose parts are not on the disk vouches for nothing; parts whose record is there yet look whole."""
    root, operations = traced
    disk = Disk()
    parts_of, gone, emptied = {}, set(), set()
    for what, path, other in operations:
        if path.startswith(str(root / "mirror")) and ".tar." in path:
            stem = path.partition(".tar.")[0]
            parts_of.setdefault(stem, set()).add(path)
            if what == "truncate":
                assert stem in gone, f"{path} is emptied before its record is gone"
                emptied.add(path)
            if what == "unlink":
                assert path in emptied, f"{path} goes to the Trash of a Drive with all its bytes"
        if path.startswith(str(root / "mirror")) and path.endswith(".commit.json"):
            stem = path.removesuffix(".commit.json")
            if what == "create":
                for part in parts_of[stem]:
                    assert disk.lost(part) == [], f"{path} is written, and {disk.lost(part)[0]}"
            if what == "unlink":
                gone.add(stem)
        disk.follow(what, path, other)
    assert len(parts_of) == 6 and len(gone) >= 2


def test_nothing_that_is_trusted_at_the_end_could_still_be_lost(traced):
    """finish() has returned: a person may pull the plug."""
    root, operations = traced
    disk = Disk()
    for operation in operations:
        disk.follow(*operation)
    (run,) = runs.listing(root / "store")
    for file in [str(run.path.parent), str(run.path), str(run.path / "run.json"), *vouched(run.path / "run.json")]:
        assert disk.lost(file) == []
    for file in (root / "mirror").rglob("*"):
        assert disk.lost(str(file)) == []
    assert run.verify() == []
