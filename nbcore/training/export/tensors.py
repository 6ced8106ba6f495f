"""The tensors of a model folder, read and written one at a time, so that no model has to fit into memory.

transformers and PEFT merge a whole model in memory. Here a tensor is read, changed, written and forgotten: what a merge
takes is a few times its largest tensor, whatever the size of the model.
"""

from __future__ import annotations

import ctypes
import gc
import json
import math
import platform
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
NAMES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.float64: "F64"}
NAMES |= {torch.int64: "I64", torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8"}
NAMES |= {torch.bool: "BOOL", torch.float8_e4m3fn: "F8_E4M3", torch.float8_e5m2: "F8_E5M2"}
DTYPES = {name: dtype for dtype, name in NAMES.items()}
NARROW = ("U8", "I8", "F8_E4M3", "F8_E5M2")
FOUR_BIT = ("absmax", "quant_map", "nested_absmax", "nested_quant_map", "quant_state")

LARGE = 128 * 1024  # bytes; what glibc itself begins with
MMAP_THRESHOLD = -3  # its name for mallopt


def return_memory() -> None:
    """Give memory that was let go back to the system, and from now on large pieces at once.

    glibc keeps them by itself, and with each piece larger ones, up to 32 MiB: by and by most of a model's tensors.
    """
    gc.collect()
    if platform.libc_ver()[0] == "glibc":
        c = ctypes.CDLL(None)
        c.mallopt(MMAP_THRESHOLD, LARGE)
        c.malloc_trim(0)


class Weights:
    """The tensors of a folder by name. Those stored in 4 bits (bitsandbytes, MXFP4) are read dequantised."""

    def __init__(self, folder: Path):
        """Raises ValueError naming the file that is missing, cut short or no safetensors."""
        self.folder = Path(folder)
        self.stored = _stored(self.folder)
        self.packed = {name.removesuffix("_blocks") for name in self.stored if name.endswith("_blocks")}
        marks = [name for name in self.stored if ".quant_state.bitsandbytes__" in name]
        self.four_bit = {name.partition(".quant_state.")[0] for name in marks}
        if not (self.packed or self.four_bit) and (small := self._narrow()):
            raise ValueError(
                f"base: {self.folder} stores {small[0]} as {small[1]}, which is not dequantised here; name the same "
                "model in 16 or 32 bits, in 4 bits of bitsandbytes, or in MXFP4"
            )
        parts = {f"{name}_{part}" for name in self.packed for part in ("blocks", "scales")}
        helpers = {name for name in self.stored if _helps(name, self.four_bit)}
        self.names = sorted((set(self.stored) - parts - helpers) | self.packed)

    def read(self, name: str) -> torch.Tensor:
        """One tensor, on the CPU, as it is stored; a 4-bit one in float32 (bitsandbytes) or bfloat16 (MXFP4)."""
        if name in self.packed:
            from transformers.integrations.mxfp4 import convert_moe_packed_tensors

            blocks, scales = self._raw(f"{name}_blocks"), self._raw(f"{name}_scales")
            return convert_moe_packed_tensors(blocks, scales).contiguous()
        if name in self.four_bit:
            from bitsandbytes import functional

            parts = {part: self._raw(part) for part in self.stored if _helps(part, {name})}
            state = functional.QuantState.from_dict(qs_dict=parts, device=torch.device("cpu"))
            return functional.dequantize_4bit(self._raw(name), state).float()
        return self._raw(name)

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor as `read` gives it; the 4-bit ones are read for it."""
        if name in self.packed or name in self.four_bit:
            return tuple(self.read(name).shape)
        with self._open(name) as file:
            return tuple(file.get_slice(name).get_shape())

    def dtype(self, name: str) -> torch.dtype:
        """Type of a tensor as `read` gives it."""
        if name in self.packed or name in self.four_bit:
            return torch.bfloat16 if name in self.packed else torch.float32
        with self._open(name) as file:
            return DTYPES[file.get_slice(name).get_dtype()]

    @property
    def quantised(self) -> bool:
        """Whether weights are stored in fewer than 16 bits."""
        return bool(self.packed or self.four_bit)

    def _narrow(self) -> tuple[str, str] | None:
        """The first tensor in fewer than 16 bits, and its type; its config may say what is no longer so, or not yet."""
        for file in sorted(set(self.stored.values())):
            with safe_open(file, framework="pt") as opened:
                for name in opened.keys():  # noqa: SIM118 - it is no mapping
                    if (kind := opened.get_slice(name).get_dtype()) in NARROW:
                        return name, kind
        return None

    def _raw(self, name: str) -> torch.Tensor:
        with self._open(name) as file:
            return file.get_tensor(name)

    def _open(self, name: str) -> Any:
        return safe_open(self.stored[name], framework="pt")


def _helps(name: str, four_bit: set[str]) -> bool:
    """Whether a stored tensor only helps to read one of these 4-bit ones."""
    return any(name.startswith(f"{of}.{part}") for of in four_bit for part in FOUR_BIT)


def _stored(folder: Path) -> dict[str, Path]:
    """Name of each stored tensor -> the file that holds it."""
    index = folder / INDEX
    if index.is_file():
        try:
            wanted = {
                str(name): folder / str(file)
                for name, file in json.loads(index.read_text("utf-8"))["weight_map"].items()
            }
        except (ValueError, KeyError, AttributeError):
            raise ValueError(f"{index}: is no index of weights; copy it again from where it came") from None
        files = sorted(set(wanted.values()))
        if outside := [file for file in files if file.parent != folder]:
            raise ValueError(f"{INDEX}: names {outside[0]}, a file outside {folder}; copy it again from where it came")
        single = folder / SINGLE
        if single.is_file() and single not in files:  # transformers reads it, vLLM the shards
            raise ValueError(f"{SINGLE}: stands in {folder} beside the shards of {INDEX}; remove one of the two")
    else:
        wanted, files = {}, [folder / SINGLE]
        if not files[0].is_file():
            others = sorted(path.name for pattern in ("*.bin", "*.pt", "*.pth") for path in folder.glob(pattern))
            what = f"only {others[0]}, a pickle, which is never loaded here" if others else "no weights"
            raise ValueError(f"{folder}: holds {what}; a folder with {SINGLE} or {INDEX} is needed")
    held: dict[str, Path] = {}
    for file in files:
        if not file.is_file():
            raise ValueError(f"{file.name}: missing from {folder}, though {INDEX} names it; copy it again")
        try:
            with safe_open(file, framework="pt") as opened:
                held |= dict.fromkeys(opened.keys(), file)
        except (SafetensorError, OSError) as error:
            words = " ".join(str(error).split())
            raise ValueError(f"{file.name}: cut short or damaged ({words}); copy it again") from None
    if lost := sorted(name for name, file in wanted.items() if held.get(name) != file):
        raise ValueError(f"{lost[0]}: missing from {wanted[lost[0]].name}, though {INDEX} says it is there")
    return held


class Planned(NamedTuple):
    """One tensor to write: what it will be, and how to make it when its turn has come."""

    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype
    make: Callable[[], torch.Tensor]

    @property
    def bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


def write(folder: Path, planned: Iterable[Planned], shard_bytes: int) -> Iterator[str]:
    """Write tensors into shards of at most `shard_bytes` (or one tensor), yielding the name of each once it is there.

    A header comes first in a safetensors file, and needs only names, shapes and types: so each tensor can be written
    and forgotten before the next is made.
    """
    shards: list[list[Planned]] = [[]]
    for tensor in planned:
        if shards[-1] and sum(each.bytes for each in shards[-1]) + tensor.bytes > shard_bytes:
            shards.append([])
        shards[-1].append(tensor)
    files = [SINGLE]
    if len(shards) > 1:
        files = [f"model-{number:05}-of-{len(shards):05}.safetensors" for number in range(1, len(shards) + 1)]
    for name, shard in zip(files, shards, strict=True):
        header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
        offset = 0
        for tensor in shard:
            place = [offset, offset + tensor.bytes]
            header[tensor.name] = {"dtype": NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": place}
            offset += tensor.bytes
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)  # the format wants the data to begin at a multiple of eight
        with (folder / name).open("wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            for tensor in shard:
                made = tensor.make().to("cpu", tensor.dtype).contiguous()
                assert tuple(made.shape) == tensor.shape, f"{tensor.name}: {tuple(made.shape)}, planned {tensor.shape}"
                file.write(memoryview(made.reshape(-1).view(torch.uint8).numpy()))
                yield tensor.name
    if len(shards) > 1:
        total = sum(tensor.bytes for shard in shards for tensor in shard)
        weight_map = {tensor.name: name for name, shard in zip(files, shards, strict=True) for tensor in shard}
        index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))}
        (folder / INDEX).write_text(json.dumps(index, indent=2) + "\n", "utf-8")
