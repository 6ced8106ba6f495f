"""Whether a base is what a config takes it for: readable, whole, of a known kind, and stored as it is said.

What transformers says where it is not is of many lines, and names no field.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from json import JSONDecodeError
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, AutoConfig, AutoTokenizer, GenerationConfig, LlamaConfig

from nbcore import config as configs
from nbcore.chat import template
from nbcore.core.output import shown

ONLY_EAGER = ("gpt_oss",)  # of the kernels that are offered here
OF_TOKENIZER = ("vocab_size", "bos_token_id", "eos_token_id", "pad_token_id")  # fields that follow from it
SIZES = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads")


def shape(folder: str | Path, field: str) -> Any:
    """The config of the architecture in a folder, or of a Hub model in the cache; `field` names it in an error.

    Raises ValueError in one line where transformers does not know it, OSError where a Hub model is not in the cache. A
    publisher's own code is never run: where that is left open, transformers asks, in the middle of a run.
    """
    try:
        found = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # a file of somebody else: whatever it ends in, it cannot be used
        if isinstance(error, OSError) and not Path(folder).is_dir():
            raise
        raise ValueError(
            f"{field}: its config.json cannot be used ({_short(error)}); name a model whose architecture transformers "
            "knows by itself"
        ) from None
    if type(found) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        raise ValueError(
            f"{field}: it is of the kind {found.model_type!r}, which goes on from no text by itself; name a causal "
            "language model"
        )
    return found


def llama(fields: dict[str, Any], **of_tokenizer: int | None) -> LlamaConfig:
    """The architecture of pretrain's config. Raises ValueError naming `architecture` where it makes none."""
    if unknown := sorted({*fields} - {*LlamaConfig().to_dict()}):
        raise ValueError(f"architecture: LlamaConfig has no {unknown[0]!r}; see transformers' documentation of it")
    if taken := next((name for name in OF_TOKENIZER if name in fields), None):
        raise ValueError(
            f"architecture: {taken!r} follows from the tokenizer; leave it out (the field vocab_size, beside "
            "architecture, has a tokenizer of that size trained)"
        )
    try:
        made = LlamaConfig(**fields, **of_tokenizer)
        if small := next((name for name in SIZES if getattr(made, name) < 1), None):
            raise ValueError(f"{small} is {getattr(made, small)}")
        if made.num_attention_heads % made.num_key_value_heads:
            raise ValueError(
                f"num_attention_heads, {made.num_attention_heads}, is no multiple of num_key_value_heads, "
                f"{made.num_key_value_heads}"
            )
    except Exception as error:  # transformers checks each field with an error of its own
        raise ValueError(f"architecture: {fields} is none that LlamaConfig takes ({_short(error)}); mend it") from None
    return made


def tokenizer(folder: str) -> Any:
    """The tokenizer in a folder, with something to pad with. Raises ValueError where there is none."""
    try:
        found = AutoTokenizer.from_pretrained(folder, padding_side="left", trust_remote_code=False)
    except Exception as error:  # as in `shape`; the Rust library behind it raises bare Exceptions
        raise ValueError(
            f"model.base: the tokenizer of {folder!r} cannot be read ({_short(error)}); copy or fetch the folder "
            "again, with its tokenizer.json"
        ) from None
    if found.pad_token_id is None:
        found.pad_token = found.eos_token
    if found.pad_token_id is None:
        raise ValueError(
            f"model.base: the tokenizer of {folder!r} names no eos_token, and no pad_token; name them in its "
            "tokenizer_config.json"
        )
    return found


def check(model: configs.Model, shape: Any) -> None:
    """Raises ValueError naming the field where a config asks for what a base of this shape does not know, or reads as
    something else a base that is stored in MXFP4: its experts would be drawn at random (transformers 5.17.0 on a CPU).
    """
    if model.backend != "transformers":
        return
    kind = shape.model_type
    if kind in ONLY_EAGER and model.attention not in ("auto", "eager"):
        raise ValueError(
            f"model.attention is {model.attention!r}, which {kind} does not know: set model.attention=eager"
        )
    stored = (getattr(shape, "quantization_config", None) or {}).get("quant_method")
    expanded = model.quantization == "none" and model.dequantize_mxfp4
    if stored == "mxfp4" and model.quantization != "mxfp4" and not expanded:
        raise ValueError(
            f"model.quantization is {model.quantization!r}, and the base is stored in MXFP4: set model.quantization="
            "mxfp4 to keep its experts packed, or none with model.dequantize_mxfp4=true to expand them"
        )


def whole(read: Callable[..., Any], folder: str, field: str, base: str, **settings: Any) -> Any:
    """The model in a folder, on the GPU where there is one, as `read` (a from_pretrained) has it with these settings.
    `field` and `base` name it in an error.

    Raises ValueError where it cannot be read, or lacks weights: transformers draws those at random and goes on.
    """
    place = {"": 0} if torch.cuda.is_available() else None
    with _reading(folder, field, base):
        model, told = read(folder, device_map=place, use_safetensors=True, output_loading_info=True, **settings)
    if missing := sorted(told["missing_keys"]):
        raise ValueError(
            f"{field}: {base} has no {missing[0]} ({len(missing)} of its weights are missing); copy or fetch the "
            "folder again"
        )
    return model


@contextmanager
def _reading(folder: str, field: str, base: str) -> Iterator[None]:
    """While the weights of a base are read: ValueError naming it where they, or what goes with them, cannot be."""
    remedy = "copy or fetch the folder again"
    published = Path(folder) / "generation_config.json"
    if published.is_file():  # transformers passes over a broken one: every end of a turn that it names would be lost
        try:
            ends = GenerationConfig.from_pretrained(folder).eos_token_id
        except Exception as error:
            raise ValueError(f"{field}: {published} cannot be read ({_short(error)}); {remedy}") from None
        ends = ends if isinstance(ends, list) else [ends]
        if wrong := [end for end in ends if end is not None and type(end) is not int]:
            raise ValueError(f"{field}: {published}: eos_token_id holds {wrong[0]!r}; it must be an id, or a list")
    try:
        yield
    except (OSError, SafetensorError, JSONDecodeError) as error:
        raise ValueError(
            f"{field}: the weights of {base!r} cannot be read ({_short(error)}); {remedy}, in safetensors"
        ) from None
    except RuntimeError as error:
        if "ignore_mismatched_sizes" not in str(error):
            raise
        raise ValueError(
            f"{field}: the weights of {base!r} have other sizes than its config.json says; {remedy}"
        ) from None


def refuse_small(own: Any, model: Any, base: str) -> None:
    """Raises ValueError where the tokenizer writes ids that the model has no embedding for: on a GPU, reading one ends
    the whole process. Ids that no conversation needs may be there (Gemma 3 has one, for images)."""
    asked = [{"role": "user", "content": "question"}]
    needed = template.rendered(own, asked, tokenize=True, add_generation_prompt=True)
    needed += [id_ for id_ in (own.pad_token_id, own.eos_token_id, template.frame(own).end) if id_ is not None]
    rows = model.get_input_embeddings().weight.shape[0]
    if max(needed) >= rows:
        token = own.convert_ids_to_tokens(max(needed))
        raise ValueError(
            f"model.base: the tokenizer of {base!r} has the id {max(needed)} for {token!r}, and the model embeds {rows}"
            " tokens; bring the tokenizer that the model was trained with, or resize its embeddings"
        )


def _short(error: BaseException) -> str:
    return shown(" ".join(str(error).split()) or type(error).__name__)
