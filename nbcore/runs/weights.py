"""Weight files that hold NaN or infinite values: found, so that nothing builds on them.

A run whose weights are not finite has diverged. It looks whole (every hash fits), and everything trained from it is
lost time, so it counts as damaged wherever a run or a checkpoint is verified.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path

from nbcore.runs import layout

CHUNK = 4 * 2**20  # numbers looked at in one go: the memory that a check takes, whatever the file's size
# A floating-point number is NaN or infinite where all bits of its exponent are set (in F8_E4M3 all bits but the sign).
EXPONENTS = {
    "F64": ("<u8", 0x7FF0_0000_0000_0000),
    "F32": ("<u4", 0x7F80_0000),
    "F16": ("<u2", 0x7C00),
    "BF16": ("<u2", 0x7F80),
    "F8_E5M2": ("u1", 0x7C),
    "F8_E4M3": ("u1", 0x7F),
}


def problems(directory: Path) -> list[str]:
    """One line for each safetensors file of a committed directory that holds a number that is not finite.

    The manifest has to be verified before: a file is read once in the life of a process as long as its hash stays.
    """
    files = json.loads((directory / layout.MANIFEST).read_bytes())["files"]
    checked = {
        name: _of_content(directory / name, entry["sha256"])
        for name, entry in files.items()
        if name.endswith(".safetensors")
    }
    return [f"{name}: {wrong}" for name, wrong in checked.items() if wrong]


@functools.lru_cache(maxsize=1024)
def _of_content(path: Path, _sha256: str) -> str | None:
    return not_finite(path)


def not_finite(path: Path) -> str | None:
    """What is wrong with the numbers of a safetensors file; None where all are finite. Reads the file once."""
    import numpy as np  # takes a tenth of a second that listing runs should not cost

    with path.open("rb") as file:
        start = 8 + int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(start - 8))
        for name, entry in header.items():
            if name == "__metadata__" or entry["dtype"] not in EXPONENTS:
                continue
            kind, exponent = EXPONENTS[entry["dtype"]]
            begin, end = entry["data_offsets"]
            file.seek(start + begin)
            left = (end - begin) // np.dtype(kind).itemsize
            while left > 0:
                bits = np.fromfile(file, kind, min(CHUNK, left))
                if not len(bits):
                    break  # shorter than its header says, which is for others to tell
                if ((bits & exponent) == exponent).any():
                    return f"{name} holds NaN or infinite values: training had diverged"
                left -= len(bits)
    return None
