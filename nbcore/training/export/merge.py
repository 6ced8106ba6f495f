"""Base and adapter become one folder that transformers, vLLM and llama.cpp's converter read.

W' = W + (alpha / r) · B·A, tensor by tensor; tokenizer, chat template and the base's other files travel unchanged, and
the generation config names every token that ends a turn.
"""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from nbcore.core.base_model import local_folder
from nbcore.runs import commit
from nbcore.training import hub
from nbcore.training.export import carried, deltas, tensors

Doing = Callable[[str, int, int], None]


def quiet(words: str, done: int = 0, total: int = 0) -> None:
    """Progress that nobody watches."""


def local(base: str, revision: str = "main") -> Path:
    """The folder of a base: itself, the seedling's, or a Hub model's copy on this disk, fetched where it is not there.

    Raises ValueError where there is none.
    """
    from nbcore.training import load

    if base == "seedling":
        return load.SEEDLING
    if folder := local_folder(base):
        return folder
    return hub.folder(base, revision)


@contextmanager
def whole(out: Path) -> Iterator[Path]:
    """A hidden folder beside `out` that gets its name once everything in it is written: a kill leaves no half export.

    Raises ValueError where `out` is there already.
    """
    if out.exists() or out.is_symlink():
        raise ValueError(f"out: {out} is there already; name a new folder, or remove it")
    out.parent.mkdir(parents=True, exist_ok=True)
    for left in out.parent.glob(f".{out.name}.*.part"):
        shutil.rmtree(left)  # of an export that was killed here
    folder = out.parent / f".{out.name}.{uuid.uuid4().hex[:8]}.part"
    folder.mkdir()
    try:
        yield folder
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    for file in folder.rglob("*"):
        commit.sync(file)
    folder.rename(out)
    commit.sync(out.parent)


def require_space(folder: Path, base: Path, dtype: str) -> None:
    """Raises ValueError where a merged copy of the base would not fit onto the disk."""
    weights = tensors.Weights(base)
    needed = sum(_size(weights, name, getattr(torch, dtype)) for name in weights.names)
    free = shutil.disk_usage(folder).free
    if needed > free:
        sizes = f"{needed / 1e6:.0f} MB are needed and {free / 1e6:.0f} MB are free"
        raise ValueError(f"out: the disk of {folder} is too full: {sizes}; free some, or name another place")


def _size(weights: tensors.Weights, name: str, dtype: torch.dtype) -> int:
    count = 1
    for side in weights.shape(name):
        count *= side
    return count * dtype.itemsize


def merge(
    base: Path,
    adapter: Path | None,
    folder: Path,
    *,
    dtype: str,
    shard_bytes: int = 4 * 10**9,
    device: str = "cpu",
    trained_in_4_bits: bool = False,
    doing: Doing = quiet,
) -> dict[str, Any]:
    """Write the merged model into an empty folder; returns facts: written, changed, untied, streamed.

    `trained_in_4_bits`: the adapter was trained on this base loaded in NF4, so its linear layers are rounded to NF4 and
    dequantised first: that is the model that was trained. Raises ValueError where base and adapter do not fit.
    """
    weights = tensors.Weights(base)
    try:
        parts = deltas.load(base, adapter)
        streamed = streams(weights, parts)
    except deltas.NotPlain:
        streamed = False
    if not streamed:
        if trained_in_4_bits:
            raise ValueError(
                "adapter: of this kind it cannot be merged into 4-bit weights; set model.quantization=none"
            )
        facts = _in_memory(base, adapter, folder, dtype, shard_bytes, doing)
    else:
        rounded = set(parts.linear) if trained_in_4_bits else set()
        target = Target(weights, parts, getattr(torch, dtype), device, rounded)
        for done, _ in enumerate(tensors.write(folder, target.plan(), shard_bytes), 1):
            doing("merging tensors", done, len(target.names))
        facts = {"written": len(target.names), "changed": len(parts.changes), "untied": target.untied, "streamed": True}
        _write_config(base, folder, dtype, target.untied)
    carried.carry(base, adapter, folder)
    return facts


def streams(weights: tensors.Weights, parts: deltas.Adapter) -> bool:
    """Whether each tensor that an adapter changes is stored as the model holds it, so that it is merged by itself."""
    return all(_source(name, weights, parts) for name in parts.changes)


class Target:
    """What the merged folder will hold, tensor by tensor."""

    def __init__(
        self,
        weights: tensors.Weights,
        parts: deltas.Adapter,
        dtype: torch.dtype,
        device: str = "cpu",
        rounded: set[str] = frozenset(),
    ):
        self.weights, self.parts, self.dtype, self.device, self.rounded = weights, parts, dtype, device, rounded
        # One weight, two uses, and only one of them was trained, or each in its own way: then they part.
        self.untied = parts.tied is not None and any(name in parts.changes for name in parts.tied)
        names = set(weights.names)
        if self.untied:
            names |= set(parts.tied)
        elif parts.tied:
            names -= {parts.tied[1]} if parts.tied[0] in names else set()
        self.names = sorted(names)

    def plan(self) -> list[tensors.Planned]:
        """Every tensor in the order of names."""
        return [
            tensors.Planned(name, self.shape(name), self.kind(name), lambda name=name: self.made(name))
            for name in self.names
        ]

    def kind(self, name: str) -> torch.dtype:
        """Type that a tensor is written in: the chosen one, except for whole numbers."""
        own = self.weights.dtype(_source(name, self.weights, self.parts))
        return self.dtype if own.is_floating_point else own

    def shape(self, name: str) -> tuple[int, ...]:
        change = self.parts.changes.get(name)
        return change.shape if change else self.weights.shape(_source(name, self.weights, self.parts))

    def exact(self, name: str) -> bool:
        """Whether the base's tensor is the same on every machine, as one that bitsandbytes rounds is not."""
        return name not in self.rounded and _source(name, self.weights, self.parts) not in self.weights.four_bit

    def base(self, name: str) -> torch.Tensor:
        """The base's tensor as the adapter was trained on it, in float32; of whole numbers as it is."""
        tensor = self.weights.read(_source(name, self.weights, self.parts)).to(self.device)
        if name in self.rounded:
            from bitsandbytes import functional

            packed, state = functional.quantize_4bit(tensor, quant_type="nf4", compress_statistics=True)
            tensor = functional.dequantize_4bit(packed, state)
        return tensor.float() if tensor.is_floating_point() else tensor

    def made(self, name: str) -> torch.Tensor:
        """The merged tensor, in the type it is written in."""
        change = self.parts.changes.get(name)
        if change is None:
            return self.base(name).to(self.kind(name))
        delta = change.make().to(self.device)
        if not change.replaces:
            delta += self.base(name)
        return delta.to(self.kind(name))


def _source(name: str, weights: tensors.Weights, parts: deltas.Adapter) -> str | None:
    """The stored tensor that one of the merged model comes from: a tied weight is stored once.

    None where there is none, as where transformers stores experts apart and holds them together.
    """
    if name in weights.names:
        return name
    other = {parts.tied[0]: parts.tied[1], parts.tied[1]: parts.tied[0]}.get(name) if parts.tied else None
    return other if other in weights.names else None


def _in_memory(base: Path, adapter: Path, folder: Path, dtype: str, shard_bytes: int, doing: Doing) -> dict[str, Any]:
    """For adapters that are no plain sum, and for bases that transformers stores otherwise than it holds them."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    from nbcore.training import lora

    doing("merging in memory: this adapter cannot be merged tensor by tensor", 0, 0)
    model = AutoModelForCausalLM.from_pretrained(
        base, dtype=getattr(torch, dtype), use_safetensors=True, trust_remote_code=False
    )
    values = deltas.config_of(adapter)
    targets = values.get("target_modules") or []
    lora.refuse_tied(model, [targets] if isinstance(targets, str) else targets, "adapter: its targets")
    if whole_ := [name for name in values.get("modules_to_save") or [] if model.config.tie_word_embeddings]:
        raise ValueError(
            f"adapter: it has trained {whole_[0]!r} whole, on a base that ties its embeddings, in a kind that cannot "
            "be merged tensor by tensor; merge it with PEFT, untie the base, and name that folder as the base"
        )
    try:
        model = PeftModel.from_pretrained(model, str(adapter))
        if getattr(model, "merge_and_unload", None) is None:  # virtual tokens and the like stand in no weight of a base
            raise ValueError(f"it has no merge for {values['peft_type']}; use it with PEFT beside its base")
        if values["peft_type"] == "LORA" and (wrong := deltas.broken(model, adapter)):
            raise ValueError(wrong)
        model = model.merge_and_unload(safe_merge=True)
    except (RuntimeError, ValueError, AttributeError, KeyError, TypeError) as error:
        words = " ".join(str(error).split())[:300]
        raise ValueError(f"adapter: PEFT cannot merge {adapter} into {base}: {words}") from None
    model.save_pretrained(folder, max_shard_size=shard_bytes)
    _write_config(base, folder, dtype, False)
    return {"written": len(tensors.Weights(folder).names), "changed": None, "untied": False, "streamed": False}


def _write_config(base: Path, folder: Path, dtype: str, untied: bool) -> None:
    config = json.loads((base / "config.json").read_text("utf-8"))
    config.pop("quantization_config", None)
    config.pop("torch_dtype", None)
    config.pop("_name_or_path", None)  # a folder of the machine that saved it
    config["dtype"] = dtype
    if untied:
        config["tie_word_embeddings"] = False
    carried.write_json(folder / "config.json", config)
