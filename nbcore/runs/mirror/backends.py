"""Where a mirror's files lie: a folder (the Drive through its mount, or any disk) or a Hugging Face bucket.

Both have the same five methods. A name is a relative POSIX path, written once and never again: where files are
overwritten or renamed, a synchronised folder such as a Drive makes "name (1)", shows old content and loses writes.
"""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import psutil

from nbcore.core import environment
from nbcore.runs import commit, layout

DRIVE_ID = "user.drive.id"  # the attribute under which Colab's mount tells a file's id on the Drive
PROVISIONAL = "local"  # how such an id begins until the file has been uploaded


class Stat(NamedTuple):
    """A stored file. `confirmed`: whether the medium says that it has all of it; None where the medium cannot tell."""

    bytes: int
    confirmed: bool | None


class Folder:
    """A folder of some file system."""

    acknowledges = False  # a write that returned may still be lost, so the mirror reads it back

    def __init__(self, root: Path):
        self.root = root
        self.device: int | None = None  # of the disk that holds the root, since the first write
        self.moved = 0  # bytes copied so far, by which a wait tells a slow mirror from one that hangs

    def __str__(self) -> str:
        return str(self.root)

    def list(self, prefix: str = "") -> list[str]:
        """Names of the files and folders right under a folder; none where it does not exist."""
        try:
            return sorted(f"{prefix}/{name}".lstrip("/") for name in os.listdir(self.root / prefix))
        except FileNotFoundError:
            if prefix or not self.root.parent.is_dir():
                self._reachable()
            return []

    def put(self, name: str, source: Path) -> None:
        """Copy a file in and sync it. Raises FileExistsError where the name is taken, OSError without room for it."""
        self._reachable()
        target = self.root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        self.device = self.root.stat().st_dev
        if shutil.disk_usage(self.root).free < source.stat().st_size:  # before half of it is there
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
        with source.open("rb") as read, target.open("xb") as write:
            self._copy(read, write)
            write.flush()
            os.fsync(write.fileno())
        for folder in (target.parent, *target.parent.parents):
            if folder.is_relative_to(self.root):
                self._sync(folder)

    def get(self, name: str, target: Path) -> None:
        """Copy a file out."""
        with (self.root / name).open("rb") as read, target.open("wb") as write:
            self._copy(read, write)

    def delete(self, name: str) -> None:
        """Empty a file, then remove it: a Drive moves it to the Trash, where its size counts against the quota."""
        path = self.root / name
        if path.is_file() and not path.is_symlink():
            os.truncate(path, 0)
            path.unlink()

    def stat(self, name: str) -> Stat | None:
        """Size of a file, and whether the medium has it; None where there is none."""
        path = self.root / name
        try:
            size = path.stat().st_size
        except FileNotFoundError:
            return None
        if not self._remote():
            return Stat(size, True)  # a disk of this machine has what was synced to it
        try:
            drive_id = os.getxattr(path, DRIVE_ID).decode("utf-8", "replace")
        except (OSError, AttributeError):
            return Stat(size, None)
        return Stat(size, not drive_id.startswith(PROVISIONAL))

    def _sync(self, folder: Path) -> None:
        try:
            commit.sync(folder)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS):  # many FUSE mounts cannot sync a folder
                raise

    def _copy(self, read: BinaryIO, write: BinaryIO) -> None:
        while data := read.read(1 << 20):
            write.write(data)
            self.moved += len(data)

    def _remote(self) -> bool:
        """Whether a program keeps these files and not the kernel (a FUSE mount, such as a Drive).

        What was synced there may not have left this machine yet.
        """
        mounts = [part for part in psutil.disk_partitions(all=True) if self.root.is_relative_to(part.mountpoint)]
        deepest = max(mounts, key=lambda part: len(part.mountpoint), default=None)
        return self.root.is_relative_to(environment.MOUNT) or (
            deepest is not None and deepest.fstype.startswith("fuse")
        )

    def _reachable(self) -> None:
        # A mount that has dropped leaves an empty local folder behind: writes would fill this disk and be no copy.
        if self.device is not None and (not self.root.is_dir() or self.root.stat().st_dev != self.device):
            raise ConnectionError(f"{self.root} is not on the disk it was on: was it unmounted?")
        if self.root.is_relative_to(environment.MOUNT) and environment.drive_root() is None:
            raise ConnectionError(f"the Drive is not mounted at {environment.MOUNT} any more")


class Bucket:
    """A Hugging Face storage bucket: "hf://buckets/<owner>/<name>[/<folder>]". Needs HF_TOKEN in the environment.

    The service acknowledges what it stored by content, so nothing has to be read back.
    """

    acknowledges = True

    def __init__(self, address: str, api: Any = None):
        """`api` is huggingface_hub's HfApi, open to tests. Raises ValueError for an address of another form."""
        parts = address.removeprefix("hf://buckets/").strip("/").split("/")
        if not address.startswith("hf://buckets/") or len(parts) < 2 or not all(parts):
            raise ValueError(f"mirror: {address!r} is not of the form hf://buckets/OWNER/NAME[/FOLDER]")
        self.address, self.id, self.folder = address, "/".join(parts[:2]), "/".join(parts[2:])
        if api is None:
            from huggingface_hub import HfApi

            api = HfApi(token=environment.secret("HF_TOKEN"))
        self.api = api
        self.made, self.moved = False, 0

    def __str__(self) -> str:
        return self.address

    def list(self, prefix: str = "") -> list[str]:
        from huggingface_hub.errors import BucketNotFoundError

        under = self._path(prefix)
        try:  # the service matches the prefix as a string, so "sft" finds "sft2/…" too
            paths = [item.path for item in self.api.list_bucket_tree(self.id, prefix=under or None, recursive=True)]
        except BucketNotFoundError:
            return []
        inside = [path.removeprefix(f"{under}/") for path in paths if not under or path.startswith(f"{under}/")]
        return sorted({f"{prefix}/{path.split('/')[0]}".lstrip("/") for path in inside})

    def put(self, name: str, source: Path) -> None:
        if not self.made:
            self.api.create_bucket(self.id, private=True, exist_ok=True)
            self.made = True
        self.api.batch_bucket_files(self.id, add=[(str(source), self._path(name))])
        self.moved += source.stat().st_size

    def get(self, name: str, target: Path) -> None:
        self.api.download_bucket_files(self.id, [(self._path(name), str(target))], raise_on_missing_files=True)

    def delete(self, name: str) -> None:
        self.api.batch_bucket_files(self.id, delete=[self._path(name)])

    def stat(self, name: str) -> Stat | None:
        files = list(self.api.get_bucket_paths_info(self.id, [self._path(name)]))
        return Stat(files[0].size, True) if files else None

    def _path(self, name: str) -> str:
        return "/".join(part for part in (self.folder, name) if part)


def at(address: str) -> Folder | Bucket:
    """The backend of a mirror's address: a path, or hf://buckets/…"""
    if address.startswith("hf://"):
        return Bucket(address)
    return Folder(Path(address).expanduser().resolve())


def refuse_mirror_within(store: Path) -> None:
    """Raises ValueError where mirror and store are inside each other: each copy would be copied again."""
    address = environment.mirror()
    if address is None or address.startswith("hf://"):
        return
    copies = Path(address).expanduser().resolve()
    originals = [store.resolve(), *(folder.resolve() for folder in layout.linked_phases(store))]
    if any(copies.is_relative_to(folder) or folder.is_relative_to(copies) for folder in originals):
        raise ValueError(
            f"mirror: NBCORE_MIRROR is {address}, and the store is {store}; give the copies another folder"
        )
