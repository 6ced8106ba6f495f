"""Load a base model, its tokenizer, and the one adapter that travels the chain.

All models are loaded here and nowhere else: `trust_remote_code` is False and weights are safetensors only.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from peft import PeftConfig, PeftModel
from transformers import (
    AutoModelForCausalLM,
    BitsAndBytesConfig,
    GenerationConfig,
    Mxfp4Config,
    PreTrainedModel,
)

from nbcore import config as configs
from nbcore import runs
from nbcore.chat import dates, template
from nbcore.core import capabilities
from nbcore.core.base_model import local_folder
from nbcore.runs import commit, layout
from nbcore.training import backends, experts, fitting, hub, lora, packed_experts

SEEDLING = runs.SEEDLING
BASE_FOUND = "base_found"  # the event that keeps the commit of a Hub base


def base_of(run: runs.Run) -> str:
    """Which base model a run stands on: 'seedling', a folder, a Hub id, or 'run:<id>' for one of our own.

    A run inherits its parent's base; naming another is an error, because the adapter would not fit it. A parent that
    left a whole, merged model is a base itself.
    """
    if configs.TABLE[run.phase].from_scratch:
        return f"run:{run.id}"
    parent = run.parent
    if parent is None:
        if run.info.get("seedling") != runs.seedling(run.config, None):
            raise ValueError(f"{run.id} was trained on a seedling that has been replaced since; run its phase again")
        return run.config.model.base or "seedling"
    inherited = f"run:{parent.id}" if is_whole(parent) else base_of(parent)
    if run.config.model.base not in (None, inherited, base_of(parent)):
        raise ValueError(
            f"model.base is {run.config.model.base!r}, but the parent {parent.id} stands on {inherited!r}; "
            "leave model.base out, or name another parent"
        )
    return inherited


def is_whole(run: runs.Run) -> bool:
    """Whether a run left a merged model, which holds what its parents trained and needs no adapter beside it."""
    return configs.TABLE[run.phase].whole and (run.path / layout.MODEL).is_dir()


def made_here(run: runs.Run) -> bool:
    """Whether the model behind a run began as one made here: the seedling, or what a phase trained from scratch."""
    while run.parent is not None and is_whole(run.parent):
        run = run.parent
    base = base_of(run)
    return base == "seedling" or base.startswith("run:")


def revision_of(run: runs.Run) -> str:
    """Commit or branch of a Hub base: what the config of the run, or of its nearest ancestor, names; else the commit
    that the chain's first run found, so that one chain stands on one commit; else "main"."""
    first, named = run, run.config.model.revision
    while not named and first.parent is not None:
        first = first.parent
        named = first.config.model.revision
    found = [event["commit"] for event in first.events(BASE_FOUND)]
    return named or (found[0] if found else "main")


def location(run: runs.Run, *, weights: bool = True) -> str:
    """The folder of a run's base. A Hub model is fetched where it is not here, the weights only where they are asked
    for; the first run of a chain that names no commit keeps the one that it found."""
    base = base_of(run)
    where = base_location(base, run.store)
    if where != base or Path(where).is_dir():
        return where
    revision = revision_of(run)
    found = hub.folder(base, revision, weights=weights)
    if run.parent is None and not run.finished and found.name != revision:
        run.event(BASE_FOUND, base=base, commit=found.name)
    return str(found)


def date_of(run: runs.Run) -> str | None:
    """The day that chat templates print: the run's own, or the nearest ancestor's that names one."""
    return run.config.model.date or (date_of(run.parent) if run.parent else None)


def fingerprint(run: runs.Run) -> str:
    """What a run's base is, beyond its name: a hash of its weights, a Hub commit, or the manifest of the run it is."""
    base = base_of(run)
    if base.startswith("run:"):
        of = run if base == f"run:{run.id}" else runs.find(run.store, base.removeprefix("run:"))
        return f"{base}@{of.info['manifest']}" if of is not run else base
    where = Path(base_location(base, run.store))
    if where.is_dir():
        weights = sorted(where.glob("*.safetensors"))
        return f"{where.name}@{' '.join(commit.sha256(path)[:16] for path in weights)}"
    return f"{base}@{Path(location(run, weights=False)).name}"


def adapter_of(run: runs.Run | None) -> Path | None:
    """The adapter a run left or inherited; None while the chain still has none."""
    while run is not None and not is_whole(run):
        if (run.path / layout.ADAPTER).is_dir():
            return run.path / layout.ADAPTER
        run = run.parent
    return None


def base_location(base: str, store: Path) -> str:
    """Where transformers finds a base: a local folder, or the Hub id as it is.

    Raises ValueError naming model.base where it is a path to no model.
    """
    if base == "seedling":
        return str(SEEDLING)
    if base.startswith("run:"):
        return str(runs.find(store, base.removeprefix("run:")).path / layout.MODEL)
    return str(local_folder(base) or base)


def tokenizer(run: runs.Run) -> Any:
    """The tokenizer of a run's base, padding on the left (for generation) unless a trainer says otherwise."""
    made = tokenizer_at(location(run, weights=False), date_of(run))
    made.name_or_path = base_location(base_of(run), run.store)  # of a Hub model its id, not a folder in a cache
    return made


def tokenizer_at(path: str, date: str | None = None) -> Any:
    """The tokenizer in a folder, its chat template with a date that stays.

    Raises ValueError where there is none, or none with a chat template.
    """
    loaded = fitting.tokenizer(path)
    if loaded.chat_template is None:
        raise ValueError(f"model.base: {path!r} has no chat template; choose an instruct or chat variant")
    if isinstance(loaded.chat_template, dict):  # several, by name
        loaded.chat_template = {name: dates.freeze(text, date) for name, text in loaded.chat_template.items()}
    else:
        loaded.chat_template = dates.freeze(loaded.chat_template, date)
    return loaded


def base_model(run: runs.Run) -> PreTrainedModel:
    """A run's base in its config's precision, on the GPU where there is one.

    Sampling settings that its publisher put beside the weights (Qwen ships a repetition penalty) are dropped: every
    model that is compared is decoded alike, by the config alone. The tokens at which to stop are kept, all of them, and
    joined by the tokenizer's and the chat template's: whoever generates finds them in the generation config.
    """
    model = run.config.model
    check_precision(model)
    dtype = getattr(torch, model.dtype)
    quantization = None
    if model.quantization == "nf4":
        quantization = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=dtype,
        )
    elif model.dequantize_mxfp4:
        quantization = Mxfp4Config(dequantize=True)
    if model.backend == "unsloth":
        loaded = backends.base(location(run), run.config)
    else:
        shapes = location(run, weights=False)  # before the weights are fetched
        fitting.check(model, fitting.shape(shapes, f"model.base: {base_of(run)!r}"))
        packed = model.quantization == "mxfp4"
        read = packed_experts.load if packed else AutoModelForCausalLM.from_pretrained
        folder = location(run)
        settings = {"quantization_config": quantization, "attn_implementation": attention(model, shapes)}
        loaded = fitting.whole(read, folder, "model.base", base_of(run), dtype=dtype, **settings)
    if model.dequantize_mxfp4:
        experts.cast(loaded, dtype)
    shipped = loaded.generation_config
    own = tokenizer(run)
    fitting.refuse_small(own, loaded, base_of(run))
    stops = template.turn_ends(own, shipped)
    loaded.generation_config = GenerationConfig(eos_token_id=stops, pad_token_id=shipped.pad_token_id)
    loaded.config.use_cache = True
    # An adapter keeps the name of its base: of a Hub model its id, which holds on other machines as well.
    loaded.name_or_path = loaded.config.name_or_path = base_location(base_of(run), run.store)
    return loaded


def attention(model: configs.Model, folder: str) -> str:
    """The attention kernel that `model.attention` means for the base in a folder, on this machine."""
    if model.attention != "auto":
        return model.attention
    if fitting.shape(folder, f"model.base: {folder!r}").model_type in fitting.ONLY_EAGER:
        return "eager"
    return "flash_attention_2" if model.dtype != "float32" and capabilities.flash(capabilities.here()) else "sdpa"


def check_precision(model: configs.Model) -> None:
    """Raises ValueError for half precision on a CPU, which runs a hundred times slower than float32 there."""
    if model.dtype != "float32" and not torch.cuda.is_available():
        raise ValueError(f"model.dtype is {model.dtype!r} and this machine has no GPU: set model.dtype=float32")


def policy(run: runs.Run, of: runs.Run | None, *, trainable: bool = False) -> PreTrainedModel | PeftModel:
    """The model that the run `of` left (None: the bare base), in `run`'s precision.

    `trainable` keeps the adapter apart and trainable; else it is folded into the weights where the base is not
    quantised, which makes generation faster and changes no output beyond rounding.
    """
    model = base_model(run)
    adapter = adapter_of(of)
    if adapter is None:
        return model
    saved = PeftConfig.from_pretrained(str(adapter))
    targets = [*saved.target_modules, *(saved.target_parameters or ())]
    lora.refuse_tied(model, targets, f"parent: {of.id}: its adapter's targets")
    model = packed_experts.adopt(PeftModel.from_pretrained(model, adapter, is_trainable=trainable))
    if trainable or run.config.model.quantization != "none":
        return model
    return model.merge_and_unload()


def at_checkpoint(run: runs.Run, folder: Path, field: str = "checkpoint") -> tuple[PreTrainedModel, Any]:
    """(model, tokenizer) of a checkpoint, or of what it left, of a run that need not be finished: for generation alone.

    `folder` holds an adapter, or the whole model where the run's weights begin untrained. Raises ValueError naming
    `field` where a whole model cannot be read, or is not whole.
    """
    if configs.TABLE[run.phase].from_scratch:
        fitting.shape(folder, f"{field}: {str(folder)!r}")
        read, dtype = AutoModelForCausalLM.from_pretrained, getattr(torch, run.config.model.dtype)
        loaded = fitting.whole(read, str(folder), field, str(folder), dtype=dtype)
        own = tokenizer_at(str(folder))
        stops = template.turn_ends(own, loaded.generation_config)
        loaded.generation_config = GenerationConfig(eos_token_id=stops, pad_token_id=own.pad_token_id)
        loaded.config.use_cache = True
        return loaded, own
    model = packed_experts.adopt(PeftModel.from_pretrained(base_model(run), str(folder)))
    merged = model if run.config.model.quantization != "none" else model.merge_and_unload()
    return merged, tokenizer(run)
