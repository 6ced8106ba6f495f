"""The same texts through the model with its adapter, the merged one, and the one that was read back from disk."""

from __future__ import annotations

import gc
import json
import math
import tempfile
from collections.abc import Iterable, Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy
import torch

from nbcore.training import experts
from nbcore.training.export import deltas, double, merge, tensors

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
LIMITS = {"float32": 1e-5, "float16": 0.02, "bfloat16": 0.15}
TOP1 = {"float32": 0.99, "float16": 0.95, "bfloat16": 0.9}
IN_DOUBLE = (
    "Weights in float32, forward passes in float64: in float32 base and update are added up in another order than the "
    "merged weight, which moves logits by more than any rounding of the weights."
)


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

    Models in float32 compute in float64 here, so that nothing but their weights is compared ("computed_in"). One model
    is in memory at a time, a base in the type that it is stored in, and the logits are on the disk. "merged" is PEFT's
    own merge; it is left out where there is no adapter, where the base is held in 4 bits, and where the merge had to
    part tied embeddings, which PEFT's would not.
    """
    rows = _rows(folder, prompts)
    stored = json.loads((folder / "config.json").read_text("utf-8"))
    four_bits = trained_in_4_bits or tensors.Weights(base).quantised
    dtype = max(compute, stored["dtype"], key=list(LIMITS).index)
    if four_bits:
        dtype = "bfloat16"  # bitsandbytes rounds the scales of its blocks to that on a CPU
    exact = dtype == "float32"
    names = []
    with tempfile.TemporaryDirectory() as place:

        def read(name: str) -> Iterator[torch.Tensor]:
            return (torch.from_numpy(numpy.load(f"{place}/{name}-{number}.npy")) for number in range(len(rows)))

        for name, model in _models(base, adapter, folder, compute, trained_in_4_bits, device, exact, doing):
            names.append(name)
            for number, ids in enumerate(rows):
                doing(f"logits of the {name} model", number, len(rows))
                numpy.save(f"{place}/{name}-{number}.npy", _logits(model, ids, exact).numpy())
            del model
        scale = max(float(row.abs().max()) for row in read("adapter"))
        pairs = {f"{one}_{two}": _difference(read(one), read(two)) for one, two in combinations(names, 2)}
    limit = LIMITS[dtype] * max(1.0, scale)
    how = {"computed_in": "float64", "why": IN_DOUBLE} if exact else {"computed_in": compute}
    return {"prompts": len(rows), "dtype": dtype, **how, "largest": scale, "limit": limit, "top1": TOP1[dtype], **pairs}


def _rows(folder: Path, prompts: int) -> list[list[int]]:
    """The texts as ids; the tokenizer, which may be as large as a small model, is let go."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    return [tokenizer.encode(text, add_special_tokens=False)[:TOKENS] for text in texts(prompts)]


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
    exact: bool,
    doing: merge.Doing,
) -> Iterator[tuple[str, Any]]:
    doing("loading the model with its adapter", 0, 0)
    tensors.return_memory()
    model = adapted(base, adapter, compute, trained_in_4_bits, device, narrow=exact)
    yield "adapter", model
    config = json.loads((folder / "config.json").read_text("utf-8"))
    parted = bool(model.config.tie_word_embeddings) != bool(
        config.get("tie_word_embeddings", model.config.tie_word_embeddings)
    )
    if adapter is not None and not (parted or trained_in_4_bits or tensors.Weights(base).quantised):
        double.widen_targets(model)
        model = model.merge_and_unload()
        yield "merged", model
    del model
    gc.collect()
    doing("loading the model that was written", 0, 0)
    yield "reloaded", adapted(folder, None, compute, False, device)


def _adds_only(values: dict[str, Any]) -> bool:
    """Whether an adapter leaves the base's own weights as they are: where it trained a module whole, PEFT would put
    what it trained into the type of the base."""
    return not (deltas.beyond_a_sum(values) or values.get("modules_to_save"))


def adapted(
    base: Path, adapter: Path | None, compute: str, trained_in_4_bits: bool, device: str, narrow: bool = False
) -> Any:
    """A model from a folder, with its adapter beside the weights, ready to be asked.

    `narrow`: weights that 16 bits hold exactly are held so, which is for a pass in float64 alone.
    """
    from peft import PeftModel
    from transformers import AutoConfig, AutoModelForCausalLM, BitsAndBytesConfig, Mxfp4Config

    settings: dict[str, Any] = {}
    config = AutoConfig.from_pretrained(base, trust_remote_code=False)
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
        trust_remote_code=False,
        attn_implementation="eager",
        experts_implementation="eager",  # the faster ways of multiplying experts know no float64
        **settings,
    )
    experts.cast(model, getattr(torch, compute))
    if narrow and adapter and _adds_only(deltas.config_of(adapter)):
        double.narrow(model)
    return (PeftModel.from_pretrained(model, str(adapter)) if adapter else model).eval()


@torch.inference_mode()
def _logits(model: Any, ids: list[int], exact: bool) -> torch.Tensor:
    row = torch.tensor([ids], device=model.device)
    if exact:
        return double.forward(model, input_ids=row).logits[0].cpu()
    return model(input_ids=row).logits[0].float().cpu()


def _difference(one: Iterable[torch.Tensor], two: Iterable[torch.Tensor]) -> dict[str, float]:
    largest, total, count, same, places = 0.0, 0.0, 0, 0, 0
    for a, b in zip(one, two, strict=True):
        a, b = a[:, : b.shape[1]], b[:, : a.shape[1]]
        apart = (a - b).abs()
        largest = max(largest, float(apart.max().nan_to_num(nan=math.inf)))
        total, count = total + float(apart.sum()), count + apart.numel()
        same, places = same + int((a.argmax(-1) == b.argmax(-1)).sum()), places + len(a)
    return {
        "max": largest if math.isfinite(largest) else 1e30,
        "mean": total / count if math.isfinite(total) else 1e30,
        "top1": same / places,
    }
