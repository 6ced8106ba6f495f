"""What travels beside the weights: tokenizer, chat template, licence, and every token that ends an answer."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from nbcore.chat import template
from nbcore.core import licences

GENERATION = "generation_config.json"
TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json")
TOKENIZER += ("merges.txt", "tokenizer.model", "spiece.model", "chat_template.jinja", "chat_template.json")

MORE = "additional_chat_templates"


def names(*folders: Path) -> list[str]:
    """Files of a tokenizer that these folders may hold, with the further templates that they do hold."""
    return [*TOKENIZER, *sorted({f"{MORE}/{path.name}" for each in folders for path in (each / MORE).glob("*")})]


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Write a mapping as transformers writes its settings."""
    path.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", "utf-8")


def carry(base: Path, adapter: Path | None, folder: Path) -> None:
    """Copy the tokenizer with its chat template, byte for byte, and name every end of a turn in the generation config.

    The tokenizer is the adapter's where its folder brings one, for it was trained with that, else the base's.
    """
    source = tokenizer_source(base, adapter)
    for name in TOKENIZER:
        if (source / name).is_file():
            shutil.copyfile(source / name, folder / name)
    if (source / MORE).is_dir():
        shutil.copytree(source / MORE, folder / MORE)
    settings = {}
    if (base / GENERATION).is_file():
        settings = json.loads((base / GENERATION).read_text("utf-8"))
    settings.pop("_from_model_config", None)
    settings["eos_token_id"] = stops(base, source)
    write_json(folder / GENERATION, settings)
    for path in licences.texts(base):
        shutil.copyfile(path, folder / path.name)


def tokenizer_source(base: Path, adapter: Path | None) -> Path:
    """The folder whose tokenizer an adapter was trained with."""
    own = adapter is not None and (Path(adapter) / "tokenizer_config.json").is_file()
    return Path(adapter) if own else base


def stops(base: Path, source: Path) -> list[int]:
    """Every token that ends a turn: those that publisher, tokenizer and chat template name."""
    from transformers import AutoTokenizer, GenerationConfig

    tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
    published = GenerationConfig.from_pretrained(base) if (base / GENERATION).is_file() else None
    if tokenizer.chat_template is None:
        named = published.eos_token_id if published else None
        named = named if isinstance(named, list) else [named]
        return sorted({*named, tokenizer.eos_token_id} - {None})
    return template.stop_ids(tokenizer, published)
