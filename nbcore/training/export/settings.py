"""Whether what stands beside the weights of an export says what its base says: config, generation settings, strays.

The logits are compared on short texts: a changed context, sliding window or sampling is in none of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from huggingface_hub.errors import StrictDataclassError

from nbcore.training.export import carried, deltas

CONFIG = "config.json"
OWN = {"_name_or_path", "transformers_version", "dtype", "torch_dtype", "quantization_config"}  # of each folder its own
FILLED = ("bos_token_id", "pad_token_id")  # transformers takes them from the model where a publisher names none
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".ckpt")


def read(path: Path) -> dict[str, Any]:
    """The mapping in a JSON file. Raises ValueError, naming the file, where there is none."""
    try:
        values = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        values = None
    if not isinstance(values, dict):
        raise ValueError(f"{path.name}: missing or damaged; copy it again")
    return values


def check_config(base: Path, folder: Path, untied: bool) -> list[str]:
    """Fields of the config that differ from the base's, as transformers reads both. `untied`: the merge has parted the
    embeddings, so the base's word on that does not count."""
    from transformers import AutoConfig

    try:
        wanted, named = (
            AutoConfig.from_pretrained(place, trust_remote_code=False).to_dict() for place in (base, folder)
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError, StrictDataclassError) as error:
        return [f"{CONFIG}: transformers cannot read it ({' '.join(str(error).split())[:200]})"]
    return _differences(CONFIG, wanted, named, OWN | ({"tie_word_embeddings"} if untied else set()))


def check_generation(base: Path, folder: Path) -> list[str]:
    """Fields of the generation config that differ from the base's; the ends of a turn are looked at elsewhere."""
    named = read(folder / carried.GENERATION)
    wanted = {field: named.get(field) for field in FILLED}
    if (base / carried.GENERATION).is_file():
        wanted |= read(base / carried.GENERATION)
    return _differences(carried.GENERATION, wanted, named, {"eos_token_id", "_from_model_config", *OWN})


def _differences(name: str, wanted: dict[str, Any], named: dict[str, Any], apart: set[str]) -> list[str]:
    return [
        f"{name}: {field} is {named.get(field)!r:.80}, the base's is {wanted.get(field)!r:.80}"
        for field in sorted({*wanted, *named} - apart)
        if wanted.get(field) != named.get(field)
    ]


def strays(folder: Path, proved: Iterable[Path]) -> list[str]:
    """Files that a loader may take for weights of this model, and that are none of those that are proved."""
    held, problems = set(proved), []
    for path in sorted(folder.iterdir()):
        if path.name == deltas.CONFIG:
            problems.append(f"{path.name}: stands beside a merged model; transformers would add that adapter once more")
        elif path.suffix in PICKLES or (path.suffix == ".safetensors" and path not in held):
            problems.append(f"{path.name}: holds other weights than those that are proved; remove it")
    return problems
