"""Unsloth's other form of gpt-oss, each expert a layer of its own, read as the one fused weight that transformers has.

Its 4-bit gpt-oss splits mlp.experts.gate_up_proj, (experts, in, out), into layers mlp.experts.gate_up_projs.0, .1 …
whose weights are (out, in), and down_proj likewise. Columns stay in their order, gate and up interleaved.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

NAME = re.compile(r"(?P<place>(?:.*\.)?)(?P<kind>gate_up|down)_projs(?:\.(?P<expert>\d+))?")
TENSOR = re.compile(
    r"(?P<place>.*\.experts\.)(?P<kind>gate_up|down)_projs\.(?P<expert>\d+)\.lora_(?P<side>[AB])\.weight"
)
CONFIG, FILE = "adapter_config.json", "adapter_model.safetensors"
PREFIX = "base_model.model."


def layers(model: Any, target: str) -> list[str] | None:
    """What a target of Unsloth's means in a model: its layers where the model is split as well; none where its experts
    are fused; None where the name is no such name."""
    named = NAME.fullmatch(target)
    if not named:
        return None
    exact = re.compile(r"(?:.*\.)?" + re.escape(target) + ("" if named["expert"] else r"\.\d+"))
    return [name for name, _ in model.named_modules() if exact.fullmatch(name)]


def fused_name(target: str) -> str:
    """The end of the fused weight's name: gate_up_projs.3 is in mlp.experts.gate_up_proj."""
    return f"mlp.experts.{NAME.fullmatch(target)['kind']}_proj"


def refuse_base(names: Iterable[str], base: str) -> None:
    """Raises ValueError for a base whose file holds its experts apart: transformers has no place for them."""
    if first := next((name for name in names if re.search(r"\.experts\.(gate_up|down)_projs\.\d+\.", name)), None):
        raise ValueError(
            f"base: {base} holds its experts apart ({first}), as Unsloth's 4-bit gpt-oss does; name the model that it "
            "was made of: --base openai/gpt-oss-20b"
        )


@contextmanager
def as_fused(adapter: Path | None) -> Iterator[Path | None]:
    """The folder of an adapter as PEFT loads it on fused experts: itself, or a copy that is gone afterwards.

    Raises ValueError where experts are missing or of unequal rank, or where the adapter is not plain LoRA.
    """
    if adapter is None or not (adapter / FILE).is_file():
        yield adapter
        return
    with safe_open(adapter / FILE, framework="pt") as file:
        split = any(TENSOR.fullmatch(name) for name in file.keys())  # noqa: SIM118 no mapping
    if not split:
        yield adapter
        return
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made) / adapter.name
        shutil.copytree(adapter, folder)
        config = json.loads((adapter / CONFIG).read_text("utf-8"))
        tensors, config = fused(load_file(adapter / FILE), config, str(adapter))
        save_file(tensors, folder / FILE, {"format": "pt"})
        (folder / CONFIG).write_text(json.dumps(config, indent=2), "utf-8")
        yield folder


def fused(
    tensors: dict[str, torch.Tensor], config: dict[str, Any], where: str
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Tensors and config of an adapter on split experts, as those of one on fused weights: the same update, exactly."""
    named = {name: TENSOR.fullmatch(name) for name in tensors}
    kept = {name: value for name, value in tensors.items() if not named[name]}
    if config.get("use_dora") or config.get("rank_pattern") or config.get("alpha_pattern"):
        raise ValueError(f"adapter: {where} has split experts and DoRA or ranks by pattern; only plain LoRA is fused")
    groups: dict[tuple[str, str], dict[tuple[str, int], torch.Tensor]] = {}
    for name, found in named.items():
        if found:
            parts = groups.setdefault((found["place"], found["kind"]), {})
            parts[found["side"], int(found["expert"])] = tensors[name]
    for (place, kind), parts in groups.items():
        count = max(expert for _, expert in parts) + 1
        lost = [f"{kind}_projs.{n}.lora_{side}" for n in range(count) for side in "AB" if (side, n) not in parts]
        if lost:
            raise ValueError(f"adapter: {where} has no {place.removeprefix(PREFIX)}{lost[0]}; it was lost on the way")
        down = [parts["A", n] for n in range(count)]
        if uneven := {len(each) for each in down} - {config["r"]}:
            raise ValueError(
                f"adapter: {where} has rank {min(uneven)} in {place}{kind}_projs, its config says {config['r']}"
            )
        # PEFT wraps an experts module once for each weight; gate_up_proj comes first and so is the inner one.
        inner = kind == "gate_up" and (place, "down") in groups
        stem = f"{place.removesuffix('.')}{'.base_layer' if inner else ''}"
        kept[f"{stem}.lora_A.weight"] = torch.cat(down).contiguous()  # expert after expert
        up = torch.stack([parts["B", n] for n in range(count)], dim=-1)  # rank after rank, in each all experts
        kept[f"{stem}.lora_B.weight"] = up.flatten(1).contiguous()
    modules = {name.partition(".lora_")[0].removeprefix(PREFIX) for name in tensors if not named[name]}
    weights = [f"{place.removeprefix(PREFIX)}{kind}_proj" for place, kind in groups]
    return kept, {**config, "target_modules": sorted(modules), "target_parameters": sorted(weights)}
