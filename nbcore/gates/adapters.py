"""What training did to an adapter, read from the files: tensors that are zero, or equal to the parent's."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import NamedTuple

from nbcore.runs.weights import EXPONENTS

WEIGHTS = "*.safetensors"


class Tensor(NamedTuple):
    """One tensor of a safetensors file."""

    digest: str
    is_zero: bool


def tensors(folder: Path) -> dict[str, Tensor]:
    """The tensors of a folder's safetensors files, by name. Raises ValueError naming a file that is not whole."""
    import numpy as np  # takes a tenth of a second that other commands should not cost

    found = {}
    for path in sorted(folder.glob(WEIGHTS)):
        try:
            with path.open("rb") as file:
                start = 8 + int.from_bytes(file.read(8), "little")
                header = json.loads(file.read(start - 8))
            for name, entry in header.items():
                if name == "__metadata__":
                    continue
                begin, end = entry["data_offsets"]
                kind, sign = "u1", 0
                if entry["dtype"] in EXPONENTS:  # -0.0 is zero as well
                    kind = EXPONENTS[entry["dtype"]][0]
                    sign = 1 << (8 * np.dtype(kind).itemsize - 1)
                numbers = np.fromfile(path, kind, (end - begin) // np.dtype(kind).itemsize, offset=start + begin)
                used = numbers & numbers.dtype.type(~sign & (2 ** (8 * numbers.dtype.itemsize) - 1))
                digest = hashlib.sha256(repr(entry["shape"]).encode() + numbers.tobytes()).hexdigest()
                found[name] = Tensor(digest, not used.any())
        except (ValueError, KeyError, TypeError, OverflowError, MemoryError):
            raise ValueError(f"{path.name}: is no whole safetensors file") from None
    return found


def untouched(folder: Path, before: Path | None) -> list[str]:
    """Names of the tensors of an adapter that training has not changed: equal to the parent's, or, of a fresh adapter,
    zero, which adds nothing to its layer."""
    mine = tensors(folder)
    if before is None:
        return [name for name, tensor in mine.items() if tensor.is_zero]
    theirs = tensors(before)
    return [name for name, tensor in mine.items() if name in theirs and theirs[name].digest == tensor.digest]


def lost(folder: Path, before: Path | None) -> list[str]:
    """Names of the parent's tensors that an adapter no longer has: an export or a reload that drops them is silent."""
    return sorted(tensors(before).keys() - tensors(folder).keys()) if before else []
