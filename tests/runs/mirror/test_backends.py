"""Where copies lie: a folder, a Drive through its mount, a bucket of the Hub."""

import os
import shutil
from pathlib import Path

import pytest

from nbcore.runs.mirror import backends, mirror
from tests.runs.helpers import opened, saved
from tests.runs.mirror.helpers import brought, files


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
