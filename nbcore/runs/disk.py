"""The disk: how much is free, whether an error says that it is full, and how a folder is deleted."""

from __future__ import annotations

import errno
import re
import shutil
from pathlib import Path

# torch.save and safetensors pass on the text of the system's error without its number.
FULL = re.compile(r"No space left on device|os error (28|122)\b|Disk quota exceeded|file write failed")


def is_full(error: BaseException) -> bool:
    """Whether an error, or what caused it, says that a disk or a quota is full."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        if FULL.search(str(error)):
            return True
        error = error.__cause__ or error.__context__
    return False


def is_refused(error: BaseException) -> bool:
    """Whether an error says that a disk does not take writes at all now: read-only, failing, or not connected."""
    return isinstance(error, OSError) and error.errno in (errno.EROFS, errno.EIO, errno.ENOTCONN)


def remove(folder: Path) -> None:
    """Delete a folder with all it holds; where it is reached by a link, both."""
    if folder.exists():
        shutil.rmtree(folder.resolve())
    if folder.is_symlink():
        folder.unlink()


def free(path: Path) -> int:
    """Bytes free on the disk that holds a path."""
    return shutil.disk_usage(path).free
