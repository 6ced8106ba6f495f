"""The same texts through the model with its adapter, the merged one, and the one that was read back from disk."""

from __future__ import annotations

import gc
import json
import math
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import torch

from nbcore.training.export import merge, tensors

TEXTS = [
    'fn main() {\n    println!("{}", 42);\n}\n',
    "pub fn sum(values: &[i64]) -> i64 {\n    values.iter().sum()\n}\n",
    "Write a Rust function that returns the longest word of a text.",
    "use std::collections::HashMap;\n\nstruct Counter {\n    seen: HashMap<String, u32>,\n}\n",
    "impl Iterator for Countdown {\n    type Item = u32;\n    fn next(&mut self) -> Option<u32> {",
    "error[E0502]: cannot borrow `v` as mutable because it is also borrowed as immutable",
    "Größe, naïve, 東京, 🦀 and \t tabs; 0x1F + 1_000 = 1031",
    'match value {\n    Some(n) if n > 0 => Ok(n),\n    Some(_) => Err("negative"),\n    None => Err("none"),\n}',
]
TOKENS = 64  # of each text
# How far logits may be apart, relative to the largest where that is above 1, by the coarser of two types.
# In float32 sound models of 135 M parameters were 8e-6 apart: sums in another order. A lost update is far beyond that.
LIMITS = {"float32": 5e-5, "float16": 0.02, "bfloat16": 0.15}
TOP1 = {"float32": 0.99, "float16": 0.95, "bfloat16": 0.9}


def texts(count: int) -> list[str]:
    """So many fixed texts: the list above, then its texts one after another in pairs."""
    pairs = [f"{first}\n{second}" for first, second in combinations(TEXTS, 2)]
    return (TEXTS + pairs)[:count]


def compare(
    base: Path,
    adapter: Path | None,
    folder: Path,
    prompts: int,
    compute: str,
    trained_in_4_bits: bool,
    device: str,
    doing: merge.Doing = merge.quiet,
) -> dict[str, Any]:
    """max, mean and top-1 agreement of each pair of adapter, merged and reloaded, and what they are held to.

    One model is in memory at a time. "merged" is PEFT's own merge; it is left out where there is no adapter, where the
    base is held in 4 bits, and where the merge had to part tied embeddings, which PEFT's would not.
    """
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    rows = [tokenizer.encode(text, add_special_tokens=False)[:TOKENS] for text in texts(prompts)]
    stored = json.loads((folder / "config.json").read_text("utf-8"))
    four_bits = trained_in_4_bits or tensors.Weights(base).quantised
    seen: dict[str, list[torch.Tensor]] = {}
    for name, model in _models(base, adapter, folder, compute, trained_in_4_bits, device, doing):
        doing(f"logits of the {name} model", 0, 0)
        seen[name] = _read(model, rows)
        del model
        gc.collect()
    dtype = max(compute, stored["dtype"], key=list(LIMITS).index)
    if four_bits:
        dtype = "bfloat16"  # bitsandbytes rounds the scales of its blocks to that on a CPU
    scale = max(float(row.abs().max()) for row in seen["adapter"])
    limit = LIMITS[dtype] * max(1.0, scale)
    pairs = {f"{one}_{two}": _difference(seen[one], seen[two]) for one, two in combinations(seen, 2)}
    return {"prompts": len(rows), "dtype": dtype, "largest": scale, "limit": limit, "top1": TOP1[dtype], **pairs}


def problems(report: dict[str, Any]) -> list[str]:
    """Which pairs of models differ by more than they may, one line each."""
    lines_ = []
    for name, pair in report.items():
        if not isinstance(pair, dict):
            continue
        words = name.replace("_", " against ")
        if not pair["max"] <= report["limit"]:
            lines_.append(f"logits, {words}: differ by {pair['max']:.2g}, more than {report['limit']:.2g}")
        elif pair["top1"] < report["top1"]:
            lines_.append(f"logits, {words}: only {pair['top1']:.1%} of the positions have the same likeliest token")
    return lines_


def _models(
    base: Path,
    adapter: Path | None,
    folder: Path,
    compute: str,
    trained_in_4_bits: bool,
    device: str,
    doing: merge.Doing,
) -> Iterator[tuple[str, Any]]:
    doing("loading the model with its adapter", 0, 0)
    model = adapted(base, adapter, compute, trained_in_4_bits, device)
    yield "adapter", model
    config = json.loads((folder / "config.json").read_text("utf-8"))
    parted = bool(model.config.tie_word_embeddings) != bool(
        config.get("tie_word_embeddings", model.config.tie_word_embeddings)
    )
    if adapter is not None and not (parted or trained_in_4_bits or tensors.Weights(base).quantised):
        model = model.merge_and_unload()
        yield "merged", model
    del model
    gc.collect()
    doing("loading the model that was written", 0, 0)
    yield "reloaded", adapted(folder, None, compute, False, device)


def adapted(base: Path, adapter: Path | None, compute: str, trained_in_4_bits: bool, device: str) -> Any:
    """A model from a folder, with its adapter beside the weights, ready to be asked."""
    from peft import PeftModel
    from transformers import AutoConfig, AutoModelForCausalLM, BitsAndBytesConfig, Mxfp4Config

    settings: dict[str, Any] = {}
    config = AutoConfig.from_pretrained(base)
    weights = tensors.Weights(base)
    if weights.packed:
        settings["quantization_config"] = Mxfp4Config(dequantize=True)
    elif not weights.quantised and getattr(config, "quantization_config", None) is not None:
        del config.quantization_config  # of the file that the model was once read from
    if trained_in_4_bits:
        settings["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=getattr(torch, compute),
        )
    settings["device_map"] = {"": 0} if device == "cuda" else None
    model = AutoModelForCausalLM.from_pretrained(
        base,
        config=config,
        dtype=getattr(torch, compute),
        use_safetensors=True,
        attn_implementation="eager",
        **settings,
    )
    return (PeftModel.from_pretrained(model, str(adapter)) if adapter else model).eval()


@torch.inference_mode()
def _read(model: Any, rows: list[list[int]]) -> list[torch.Tensor]:
    return [model(input_ids=torch.tensor([ids], device=model.device)).logits[0].float().cpu() for ids in rows]


def _difference(one: list[torch.Tensor], two: list[torch.Tensor]) -> dict[str, float]:
    pairs = [(a[:, : b.shape[1]], b[:, : a.shape[1]]) for a, b in zip(one, two, strict=True)]
    apart = torch.cat([(a - b).abs().flatten() for a, b in pairs])
    same = torch.cat([a.argmax(-1) == b.argmax(-1) for a, b in pairs])
    largest = float(apart.max())
    return {
        "max": largest if math.isfinite(largest) else 1e30,
        "mean": float(apart.mean()),
        "top1": float(same.float().mean()),
    }
