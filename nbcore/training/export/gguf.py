"""GGUF files of a merged folder: which to make of which, what they are called, and what their metadata says."""

from __future__ import annotations

import json
import math
import tempfile
from pathlib import Path
from typing import Any

import gguf as reading

from nbcore.runs import layout
from nbcore.training.export import carried, deltas, llama_cpp, merge

CONVERTED = ("f32", "f16", "bf16", "q8_0")  # what the converter itself writes; the rest is quantised from the widest


def file_name(kind: str) -> str:
    """Name of a GGUF file by its type."""
    return f"model-{kind}.gguf"


def make(model: Path, folder: Path, kinds: list[str], doing: merge.Doing = merge.quiet) -> dict[str, str]:
    """Make the files that are not there yet; returns type -> why it could not be made, for those that were left out.

    Each has its name once it is whole. Raises llama_cpp.Missing without a converter, ValueError where it refuses.
    """
    folder.mkdir(exist_ok=True)
    for left in folder.glob(".*"):
        left.unlink()  # of an export that was killed here
    skipped: dict[str, str] = {}
    pre = pre_tokenizer(model)
    for done, kind in enumerate(kinds):
        doing(f"writing {file_name(kind)}", done, len(kinds))
        target = folder / file_name(kind)
        if target.is_file():
            continue
        part = folder / f".{file_name(kind)}"
        if kind in CONVERTED:
            llama_cpp.convert(model, part, kind, pre)
        else:
            try:
                _quantised(model, folder, part, kind, pre)
            except llama_cpp.Missing as error:
                skipped[kind] = str(error)
                continue
        part.rename(target)
    return skipped


def make_lora(adapter: Path, base: Path, base_name: str, target: Path) -> None:
    """Make the file of an adapter alone where it is not there; it has its name once it is whole, as a kill may come.

    The converter writes the name of the base out of the adapter's config, where it may be a path of this machine: it is
    given `base_name` there, of a path its last part. Raises llama_cpp.Missing without a converter, ValueError where it
    refuses the adapter.
    """
    if target.is_file():
        return
    part = target.with_name(f".{target.name}")
    named = Path(base_name).name if Path(base_name).expanduser().is_absolute() else base_name
    with tempfile.TemporaryDirectory() as place:
        (Path(place) / deltas.FILE).symlink_to((adapter / deltas.FILE).absolute())
        carried.write_json(Path(place) / deltas.CONFIG, {**deltas.config_of(adapter), "base_model_name_or_path": named})
        llama_cpp.convert_adapter(Path(place), base, part)
    part.rename(target)


def _quantised(model: Path, folder: Path, part: Path, kind: str, pre: str | None) -> None:
    llama_cpp.quantiser()
    widest = next((folder / file_name(k) for k in ("f32", "bf16", "f16") if (folder / file_name(k)).is_file()), None)
    temporary = folder / ".source.gguf"
    if widest is None:
        stored = json.loads((model / "config.json").read_text("utf-8")).get("dtype")
        llama_cpp.convert(model, temporary, {"bfloat16": "bf16", "float16": "f16"}.get(stored, "f32"), pre)
    try:
        llama_cpp.quantise(widest or temporary, part, kind)
    finally:
        temporary.unlink(missing_ok=True)


def pre_tokenizer(model: Path) -> str | None:
    """llama.cpp's name for how a tokenizer of one's own splits text; None for all that the converter knows by itself.

    StarCoder's: each digit alone, then byte level with its usual pattern. It is the one that models trained here have.
    """
    path = model / "tokenizer.json"
    if not path.is_file():
        return None
    splits = json.loads(path.read_text("utf-8")).get("pre_tokenizer") or {}
    parts = splits.get("pretokenizers", [])
    if [part.get("type") for part in parts] != ["Digits", "ByteLevel"]:
        return None
    digits, level = parts
    plain = digits.get("individual_digits") and level.get("use_regex") and not level.get("add_prefix_space")
    return "starcoder" if plain else None


def metadata(path: Path) -> dict[str, Any]:
    """The metadata of a GGUF file, without its long lists. Raises ValueError where it is none, or is cut short."""
    try:
        reader = reading.GGUFReader(path)
    except (ValueError, OSError, IndexError) as error:
        raise ValueError(
            f"{path.name}: no whole GGUF file ({' '.join(str(error).split())[:120]}); make it again"
        ) from None
    values: dict[str, Any] = {}
    for name, field in reader.fields.items():
        if field.types[:1] != [reading.GGUFValueType.ARRAY]:
            values[name] = field.contents()
    values["tensors"] = len(reader.tensors)
    values["parameters"] = sum(math.prod(int(side) for side in tensor.shape) for tensor in reader.tensors)
    return values


def stops_of(path: Path) -> set[int]:
    """Ids that a GGUF file, and the generation config of the model behind it, name as the end of an answer."""
    values = metadata(path)
    names = ("eos_token_id", "eot_token_id", "eom_token_id")
    named = {values.get(f"tokenizer.ggml.{name}") for name in names}
    beside = path.parent.parent / layout.MODEL / carried.GENERATION
    if beside.is_file():
        named |= set(json.loads(beside.read_text("utf-8")).get("eos_token_id") or [])
    return {id_ for id_ in named if id_ is not None}


def control_of(path: Path) -> set[int]:
    """Ids of the control tokens of a GGUF file."""
    field = reading.GGUFReader(path).fields.get("tokenizer.ggml.token_type")
    kinds = field.contents() if field else []
    return {id_ for id_, kind in enumerate(kinds) if kind == reading.TokenType.CONTROL}


def context_of(path: Path) -> int:
    """Tokens of context that the model was made for."""
    values = metadata(path)
    return int(values.get(f"{values['general.architecture']}.context_length", 4096))
