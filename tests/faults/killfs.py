"""Build killfs.c once, and the environment in which it works."""

import functools
import os
import subprocess
import tempfile
from pathlib import Path

HERE = Path(__file__).parent


@functools.cache
def library() -> Path:
    """The shared library, compiled for this session."""
    target = Path(tempfile.mkdtemp(prefix="killfs-")) / "killfs.so"
    command = ["cc", "-O1", "-shared", "-fPIC", "-o", str(target), str(HERE / "killfs.c"), "-ldl"]
    subprocess.run(command, check=True)
    return target


def environment(root: Path, trace: Path | None = None) -> dict[str, str]:
    """What a process needs so that what it changes under `root` is counted."""
    repo = HERE.parents[1]
    return {
        **os.environ,
        "LD_PRELOAD": str(library()),
        "KILLFS_ROOT": str(root),
        "KILLFS_TRACE": str(trace or ""),
        "PYTHONPATH": f"{repo}:{repo / 'tests'}",
        "OMP_NUM_THREADS": "1",
    }
