"""The mirror: what arrives damaged, late, twice or in part is never taken, and the newest sound state always is."""

import io
import json
import os
import random
import shutil
import tarfile
from pathlib import Path

import pytest

from nbcore import runs
from nbcore.runs import checkpoints, layout, retention
from nbcore.runs.mirror import backends, bundle, mirror, restore
from tests.runs.helpers import Faulty, finished, opened, saved


@pytest.fixture
def copies(tmp_path):
    return mirror.Mirror(Faulty(tmp_path / "mirror"), part=5000)


@pytest.fixture
def two(tmp_path, copies):
    """A run whose steps 10 and 20 are on the mirror, each in several parts."""
    run = opened(tmp_path / "store")
    records = [copies.publish(run.path, step, saved(run, step).path, None, False) for step in (10, 20)]
    assert all(len(record.parts) > 2 for record in records)
    return run, records


def brought(copies, tmp_path, run):
    """The step that a new machine goes on from; None where it finds nothing."""
    fresh = tmp_path / f"fresh-{random.getrandbits(32):x}"
    restore.restore(copies, fresh, run.id)
    found = runs.listing(fresh)
    step = None
    if found:
        checkpoint, wrong = checkpoints.newest(found[0].path)
        assert wrong == {} and found[0].config == run.config and found[0].metrics() == run.metrics()
        step = checkpoint.step
    shutil.rmtree(fresh, ignore_errors=True)
    return step


def files(copies, record):
    root = copies.backend.root
    return [root / record.name, *(root / part["name"] for part in record.parts)]


def test_there_and_back(two, copies, tmp_path):
    """The bytes of the run, its logs so far and its checkpoint, on a disk that had nothing."""
    run, _ = two
    restore.restore(copies, tmp_path / "fresh", run.id)
    (found,) = runs.listing(tmp_path / "fresh")
    for path in run.path.rglob("*"):
        if path.is_file() and path.name != "lease.json" and "checkpoint-10" not in str(path):
            assert (found.path / path.relative_to(run.path)).read_bytes() == path.read_bytes()
    assert not (found.path / "lease.json").exists()
    assert restore.restore(copies, tmp_path / "fresh", run.id) is None, "nothing further there: nothing is done"


def test_damage_to_any_file_falls_back_to_the_one_before(two, copies, tmp_path):
    """One flipped bit in any part or record, a cut, an empty placeholder, a missing part."""
    run, (_, newer) = two
    draw = random.Random(0)
    for path in files(copies, newer):
        content = path.read_bytes()
        at = draw.randrange(8 * len(content))
        flipped = content[: at // 8] + bytes([content[at // 8] ^ 1 << at % 8]) + content[at // 8 + 1 :]
        for damaged in (flipped, content[: len(content) // 2], content[:-1], bytes(len(content)), b"", None):
            if damaged == content:
                continue  # an archive ends in zeros
            path.unlink()
            if damaged is not None:
                path.write_bytes(damaged)
            assert brought(copies, tmp_path, run) == 10, path.name
            path.write_bytes(content)
    assert brought(copies, tmp_path, run) == 20


def test_what_was_damaged_here_before_it_was_copied_is_not_taken(two, copies, tmp_path):
    """A disk that fails under a copy: the parts are what was read, and what was read is no checkpoint."""
    run, _ = two
    torn = saved(run, 30)
    (torn.path / "optimizer.pt").write_bytes(b"x" * 6000)
    copies.publish(run.path, 30, torn.path, None, False)
    assert brought(copies, tmp_path, run) == 20


def test_whatever_order_files_arrive_in(two, copies, tmp_path):
    """Drive shows small files before large ones: the record comes first, its parts one by one."""
    run, (_, newer) = two
    arriving = files(copies, newer)
    held = {path: path.read_bytes() for path in arriving}
    for seed in range(8):
        for path in arriving:
            path.unlink(missing_ok=True)
        order = arriving if seed == 0 else random.Random(seed).sample(arriving, len(arriving))
        for path in order:
            assert brought(copies, tmp_path, run) == 10
            path.write_bytes(held[path])
        assert brought(copies, tmp_path, run) == 20


def test_names_doubled_by_a_synchronised_folder(two, copies, tmp_path):
    """'name (1)': the copy may be the good one, or the bad one; the hash says which."""
    run, (_, newer) = two
    for path in files(copies, newer):
        content = path.read_bytes()
        double = path.with_name(f"{path.stem} (1){path.suffix}")
        double.write_bytes(content)
        path.write_bytes(b"")  # the placeholder under the name itself
        assert brought(copies, tmp_path, run) == 20, path.name
        path.write_bytes(content)
        double.write_bytes(b"rubbish")
        assert brought(copies, tmp_path, run) == 20, path.name
        double.unlink()


def test_a_bundle_under_another_runs_name_is_not_taken(two, copies, tmp_path):
    """Somebody tidies up the Drive and drags a folder."""
    run, _ = two
    other = opened(tmp_path / "store", name="other")
    shutil.copytree(copies.backend.root / run.id, copies.backend.root / other.id)
    assert copies.records(other.id) == []


def test_what_is_further_here_is_left_alone_and_what_is_behind_is_set_aside(two, copies, tmp_path, capsys):
    """Bringing back must not throw away what this disk alone has."""
    run, _ = two
    saved(run, 30)
    assert restore.restore(copies, run.store, run.id) is None
    shutil.rmtree(run.path / "state" / "attempt-00000001" / "checkpoint-30")
    (run.path / "state" / "attempt-00000001" / "checkpoint-20" / "optimizer.pt").write_bytes(b"")
    assert restore.restore(copies, run.store, run.id).step == 20
    assert checkpoints.newest(run.path)[0].step == 20
    (aside,) = (run.store / "aside" / "sft").iterdir()
    assert (aside / "state" / "attempt-00000001" / "checkpoint-10").is_dir()
    assert f"{run.id}: brought back from the mirror, step 20" in capsys.readouterr().out


def test_a_finished_run_comes_back_by_id_by_phase_and_by_config(tmp_path, monkeypatch):
    """The three ways in which a phase looks for runs, on a disk with nothing but the mirror."""
    monkeypatch.setenv("NBCORE_MIRROR", str(tmp_path / "mirror"))
    run = finished(tmp_path / "store")
    assert "last confirmed: step 100" in run.mirror_status()
    assert runs.find(tmp_path / "one", run.id).info == run.info
    assert runs.find(tmp_path / "two", "sft").verify() == []
    assert runs.open(run.config, tmp_path / "three").info["metrics"] == {"loss": 2.5}
    child = runs.open(run.config.model_copy(update={"name": "child"}), tmp_path / "one", run.id)
    assert child.parent.id == run.id


def test_an_unfinished_run_is_opened_where_another_machine_left_it(tmp_path, monkeypatch):
    """`run` on a new machine: same config, same command, the newest verified state."""
    monkeypatch.setenv("NBCORE_MIRROR", str(tmp_path / "mirror"))
    run = opened(tmp_path / "store")
    run.publish(saved(run, 40))
    run.wait_for_mirror()
    there = runs.open(run.config, tmp_path / "fresh")
    assert there.id == run.id and checkpoints.newest(there.path)[0].step == 40
    other = run.config.model_copy(update={"learning_rate": 0.1})
    shutil.rmtree(tmp_path / "fresh")
    with pytest.raises(ValueError, match=r"learning_rate: is 0.1, and sft/.*, unfinished at step 40"):
        runs.open(other, tmp_path / "fresh")


def test_a_mirror_inside_the_store_is_refused(tmp_path, monkeypatch):
    """Each copy would be part of the run that is copied next."""
    for mirror_, store in (
        (tmp_path / "s", tmp_path / "s"),
        (tmp_path / "s" / "m", tmp_path / "s"),
        (tmp_path, tmp_path),
    ):
        monkeypatch.setenv("NBCORE_MIRROR", str(mirror_))
        with pytest.raises(ValueError, match=r"mirror: NBCORE_MIRROR is .* give the copies another folder"):
            opened(store)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [28, 30, 5, 107, 122])  # ENOSPC, EROFS, EIO, ENOTCONN, EDQUOT
def test_a_medium_that_fails_anywhere_leaves_no_bundle_that_is_taken(two, copies, tmp_path, number):
    """Each operation of a publication fails once; what is there before and after is what is trusted."""
    run, _ = two
    newest = saved(run, 30).path
    for at in range(100):
        copies.backend.calls = []
        copies.backend.fails = lambda *_: (
            OSError(number, os.strerror(number)) if len(copies.backend.calls) == at + 1 else None  # noqa: B023
        )
        try:
            copies.publish(run.path, 30, newest, None, False)
            break
        except OSError as error:
            assert error.errno == number
        copies.backend.fails = lambda *_: None
        assert brought(copies, tmp_path, run) == 20
    copies.backend.fails = lambda *_: None
    assert at > 6 and brought(copies, tmp_path, run) == 30


def test_a_medium_that_loses_what_it_took_is_noticed_at_once(two, copies, tmp_path):
    """A write that returned and is not there: that is why every part is read back."""
    run, _ = two
    real = backends.Folder.put
    losing = type("Losing", (Faulty,), {"put": lambda self, name, path: (real(self, name, path), self.lose(name))})
    losing.lose = lambda self, name: (self.root / name).write_bytes(b"") if "tar.001" in name else None
    bad = mirror.Mirror(losing(copies.backend.root), part=5000)
    with pytest.raises(OSError, match="read back other bytes than were written"):
        bad.publish(run.path, 30, saved(run, 30).path, None, False)
    assert brought(copies, tmp_path, run) == 20


def test_a_part_that_does_not_fit_is_not_begun(tmp_path, monkeypatch):
    """Half a part on a full mirror is room that nobody can use."""
    (tmp_path / "a").write_bytes(b"x" * 1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: type("Usage", (), {"free": 999}))
    with pytest.raises(OSError, match="No space left"):
        backends.Folder(tmp_path / "mirror").put("x/y", tmp_path / "a")
    assert not (tmp_path / "mirror" / "x" / "y").exists()


def test_names_are_never_written_twice(tmp_path):
    """Overwriting is what synchronised folders answer with stale caches and doubled names."""
    folder = backends.Folder(tmp_path / "mirror")
    (tmp_path / "a").write_text("a")
    folder.put("x/y", tmp_path / "a")
    with pytest.raises(FileExistsError):
        folder.put("x/y", tmp_path / "a")


def test_old_bundles_go_once_a_newer_one_is_confirmed(two, copies, tmp_path):
    """Emptied, then removed, the record first; blessed ones stay, and so does everything while nothing is confirmed."""
    run, _ = two
    for step in (30, 40):
        copies.publish(run.path, step, saved(run, step).path, None, False)
    orphan = copies.backend.root / run.id / "step-000015.0badcafe.tar.000"
    orphan.write_bytes(b"half of a part")
    keep = {"run": None, "steps": {"10": "seen in a paper"}}
    unsure = copies.confirmed
    copies.confirmed = lambda record: None
    assert copies.prune(run.id, keep, retention.USUAL) == [] and orphan.exists()
    copies.confirmed = unsure
    assert [record.step for record in copies.prune(run.id, keep, retention.USUAL, dry_run=True)] == [20]
    assert len(copies.records(run.id)) == 4
    copies.backend.calls = []
    copies.prune(run.id, keep, retention.USUAL)
    deleted = [name for operation, name in copies.backend.calls if operation == "delete"]
    assert deleted[0].endswith(".commit.json") and not orphan.exists()
    assert [record.step for record in copies.records(run.id)] == [40, 30, 10]
    run.finish({"loss": 1.0})
    for _ in range(2):  # twice: the second with the notebook
        copies.publish(run.path, 100, None, None, True)
    copies.prune(run.id, keep, retention.USUAL)
    assert [(record.finished, record.step) for record in copies.records(run.id)] == [(True, 100), (False, 10)]


def test_on_a_drive_confirmed_means_uploaded(two, copies, monkeypatch):
    """The mount's cache has the file at once; the Drive has it when its id is no longer provisional."""
    _, (record, _) = two
    assert copies.confirmed(record) is True, "a plain folder: what was synced is there"
    monkeypatch.setattr(backends.environment, "MOUNT", copies.backend.root)
    ids = {}

    def getxattr(path, name):
        assert name == "user.drive.id"
        if (found := ids.get(path.name)) is None:
            raise OSError(61, "No data available")
        return found

    monkeypatch.setattr(os, "getxattr", getxattr, raising=False)
    assert copies.confirmed(record) is None, "it cannot tell"
    ids.update({path.name: b"1aBcD" for path in files(copies, record)})
    assert copies.confirmed(record) is True
    ids[files(copies, record)[2].name] = b"local-7"
    assert copies.confirmed(record) is False


def test_a_mount_that_dropped_is_not_written_to(tmp_path, monkeypatch):
    """What is left of a dropped mount is an empty local folder, which would fill the disk and help nobody."""
    monkeypatch.setattr(backends.environment, "MOUNT", tmp_path / "drive")
    (tmp_path / "drive").mkdir()
    (tmp_path / "a").write_text("a")
    folder = backends.Folder(tmp_path / "drive" / "MyDrive" / "nbcore")
    for action in (lambda: folder.put("x/y", tmp_path / "a"), lambda: folder.list("sft")):
        with pytest.raises(ConnectionError, match="not mounted"):
            action()
    assert list((tmp_path / "drive").iterdir()) == []


# --- archives -----------------------------------------------------------------------------------------------


def archive(path, *members):
    """A tar with members of any kind: (name, content or TarInfo fields)."""
    with tarfile.open(path, "w") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if isinstance(content, bytes):
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
            else:
                for field, value in content.items():
                    setattr(info, field, value)
                tar.addfile(info)
    return [path]


@pytest.mark.parametrize(
    "members",
    [
        [("../out", b"x")],
        [("/tmp/out", b"x")],
        [("a/../../out", b"x")],
        [("a", {"type": tarfile.SYMTYPE, "linkname": "/etc"}), ("a/passwd", b"x")],
        [("a", {"type": tarfile.LNKTYPE, "linkname": "/etc/passwd"})],
        [("a", {"type": tarfile.CHRTYPE})],
        [("a", {"type": tarfile.FIFOTYPE})],
        [("a", b"x"), ("a", b"y")],
        [("a", b"x" * (2 * bundle.SLACK))],
    ],
)
def test_an_archive_can_only_put_files_into_its_own_folder(tmp_path, members):
    """A shared Drive is other people's input: no links, no devices, nothing outside, no more than was announced."""
    parts = archive(tmp_path / "x.tar", *members)
    with pytest.raises(ValueError, match="archive: "):
        bundle.unpack(parts, tmp_path / "into" / "run", size=100)
    assert not (tmp_path / "out").exists() and not (tmp_path / "into" / "out").exists()


def test_names_on_the_mirror_that_are_no_runs_are_not_looked_at(copies, tmp_path):
    """A folder's name becomes a path on this disk."""
    for name in ("sft/../../x", "sft/notes", "sft/20261124T000000Z-UPPER-0123456789ab"):
        assert not layout.is_run_id(name)
    (copies.backend.root / "sft" / "notes").mkdir(parents=True)
    assert copies.runs("sft") == []
    for bad in ("sft/../sft", "..", "sft/" + "x" * 300):
        with pytest.raises((FileNotFoundError, ValueError)):
            runs.find(tmp_path, bad)


def test_a_bundle_of_a_growing_file_holds_its_beginning(tmp_path):
    """metrics.jsonl is appended to while it is copied: a longer member than its header says breaks the archive."""
    run = opened(tmp_path)
    listed = bundle.contents(run.path, None)
    run.log(step=2, loss=2.0)
    parts = []
    (tmp_path / "staging").mkdir()
    bundle.pack(run.path, listed, tmp_path / "staging", lambda part: parts.append(part.path.read_bytes()), 3000)
    (tmp_path / "all").write_bytes(b"".join(parts))
    bundle.unpack([tmp_path / "all"], tmp_path / "run", 10**6)
    assert len((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()) == 1
    assert all(len(part) == 3000 for part in parts[:-1])
    assert list((tmp_path / "staging").iterdir()) == []


# --- the Hub ------------------------------------------------------------------------------------------------


class Hub:
    """The five calls of HfApi that a bucket needs, over a dict; their signatures are checked against the library."""

    def __init__(self):
        self.files, self.made = {}, 0

    def create_bucket(self, bucket_id, *, private=None, exist_ok=False):
        assert bucket_id == "me/runs" and private and exist_ok
        self.made += 1

    def list_bucket_tree(self, bucket_id, prefix=None, *, recursive=None):
        from huggingface_hub import BucketFile

        assert recursive
        for path, data in self.files.items():
            if path.startswith(prefix or ""):
                yield BucketFile(type="file", path=path, size=len(data), xetHash="0")

    def get_bucket_paths_info(self, bucket_id, paths):
        return [file for file in self.list_bucket_tree(bucket_id, recursive=True) if file.path in list(paths)]

    def batch_bucket_files(self, bucket_id, *, add=None, delete=None):
        for source, name in add or ():
            self.files[name] = Path(source).read_bytes()
        for name in delete or ():
            del self.files[name]

    def download_bucket_files(self, bucket_id, files, *, raise_on_missing_files=False):
        assert raise_on_missing_files
        for name, target in files:
            Path(target).write_bytes(self.files[name])


def test_a_bucket_of_the_hub_is_a_mirror_too(tmp_path):
    """The second backend behind the same five methods."""
    import inspect

    from huggingface_hub import HfApi

    for name in ("create_bucket", "list_bucket_tree", "get_bucket_paths_info", "batch_bucket_files"):
        ours = set(inspect.signature(getattr(Hub, name)).parameters)
        assert ours <= set(inspect.signature(getattr(HfApi, name)).parameters), name
    copies = mirror.Mirror(backends.Bucket("hf://buckets/me/runs/nbcore", Hub()), part=5000)
    run = opened(tmp_path / "store")
    copies.publish(run.path, 10, saved(run, 10).path, None, False)
    record = copies.publish(run.path, 20, saved(run, 20).path, None, False)
    assert copies.runs("sft") == [run.id] and copies.backend.api.made == 1
    assert copies.confirmed(record) and brought(copies, tmp_path, run) == 20
    assert set(copies.backend.list()) == {"sft"}
    name = record.parts[0]["name"]
    copies.backend.delete(name)
    assert copies.backend.stat(name) is None and brought(copies, tmp_path, run) == 10
    for bad in ("hf://buckets/me", "hf://models/me/runs", "hf://buckets//x"):
        with pytest.raises(ValueError, match=r"mirror: .* is not of the form"):
            backends.at(bad)


def test_a_mirror_that_cannot_be_read_stops_nobody(tmp_path, monkeypatch, capsys):
    """A dropped Drive at the start of a run: work goes on by this disk, and says so."""
    monkeypatch.setattr(mirror, "configured", lambda: mirror.Mirror(Faulty(tmp_path, lambda *_: OSError(107, "gone"))))
    run = opened(tmp_path / "store")
    assert run.config and "cannot be read" in capsys.readouterr().out


def test_records_are_sealed(two, copies):
    """A record that was edited vouches for nothing."""
    run, (_, newer) = two
    path = copies.backend.root / newer.name
    path.write_text(json.dumps(json.loads(path.read_text()) | {"step": 9999}))
    assert [record.step for record in copies.records(run.id)] == [10]
