"""What an adapter adds to which tensor of its base, as PEFT computes it, without the base's weights in memory."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from peft import PeftModel, get_peft_model_state_dict
from peft.tuners.lora import layer as layers
from safetensors import SafetensorError, safe_open
from transformers import AutoConfig, AutoModelForCausalLM

from nbcore.training.export import closeness, tensors
from nbcore.training.split_experts import CONFIG, FILE, PREFIX

PLAIN = (layers.Linear, layers.Embedding, layers.ParamWrapper)  # those whose update is a sum of base and delta
BASE_CHANGED = ("pissa", "olora")  # ways to begin that take a part out of the base, the same one each time
BASE_LOST = ("pissa_niter", "corda", "loftq", "lora_ga")  # that do so by chance, by data, or by rounding
VOCABULARY = re.compile(r"size mismatch for \S*(?:embed|wte|lm_head)\S*: .*?\[(\d+), \d+\].*?\[(\d+), \d+\]")


class NotPlain(ValueError):
    """The adapter's update is not base + delta, tensor by tensor, as DoRA's is not: only a whole model can merge it."""


class Change(NamedTuple):
    """What becomes of one tensor of the base."""

    make: Callable[[], torch.Tensor]
    """The delta, in float32; of a module that was trained whole, the new tensor."""
    replaces: bool
    shape: tuple[int, ...]


class Adapter(NamedTuple):
    """Every tensor that an adapter changes, and what the model says of its embeddings."""

    changes: dict[str, Change]
    tied: tuple[str, str] | None
    """Names of the input and the output embedding where these are one weight."""
    linear: list[str]
    """Names of the weights of linear layers, the output layer apart: those that 4-bit loading quantises."""


def config_of(adapter: Path) -> dict[str, Any]:
    """The adapter's own config. Raises ValueError where the folder holds no PEFT adapter."""
    adapter = Path(adapter)
    if not (adapter / CONFIG).is_file():
        raise ValueError(f"adapter: {adapter} holds no {CONFIG}; name the folder that PEFT's save_pretrained wrote")
    if not (adapter / FILE).is_file():
        raise ValueError(f"adapter: {adapter} has no {FILE}; save it as safetensors (a .bin is a pickle, never loaded)")
    try:
        values = json.loads((adapter / CONFIG).read_text("utf-8"))
        with safe_open(adapter / FILE, framework="pt") as file:
            file.keys()
    except (ValueError, SafetensorError) as error:
        words = " ".join(str(error).split())
        raise ValueError(f"adapter: {adapter} is damaged ({words}); copy it again") from None
    if not isinstance(values, dict) or not values.get("peft_type"):
        raise ValueError(f"adapter: {adapter / CONFIG} names no peft_type; it is no config of PEFT")
    return values


def beyond_a_sum(values: dict[str, Any]) -> str | None:
    """What an adapter's config says of it that is no sum of base and delta, if anything."""
    if values["peft_type"] != "LORA":
        return str(values["peft_type"])
    what = {"use_dora": "DoRA", "lora_bias": "lora_bias", "trainable_token_indices": "a trained token"}
    what["alora_invocation_tokens"] = "activated LoRA"
    if values.get("bias", "none") != "none":
        return "a trained bias"
    if (began := values.get("init_lora_weights")) in BASE_CHANGED:  # PEFT takes that from the base before it adds
        return str(began)
    return next((words for field, words in what.items() if values.get(field)), None)


def refuse_unmergeable(values: dict[str, Any]) -> None:
    """Raises ValueError for a LoRA adapter that nothing can merge, whatever its base."""
    if values.get("layer_replication"):
        raise ValueError(
            "adapter: layer_replication uses layers of the base more than once, each time with another update, for "
            "which the base has no place; use it with PEFT beside its base"
        )
    began = str(values.get("init_lora_weights"))
    if began.startswith(BASE_LOST):
        raise ValueError(
            f"adapter: init_lora_weights {began!r} has changed the base before the training, which cannot be done once "
            "more; save it with PEFT's path_initial_model_for_weight_conversion, or name the changed base as base and "
            "set init_lora_weights to true"
        )


def load(base: Path, adapter: Path | None) -> Adapter:
    """The changes of an adapter to the model in a folder; none without an adapter.

    Raises ValueError where the adapter does not fit, naming the tensor, and NotPlain where it is no sum.
    """
    model = _shell(base)
    reading, writing = model.get_input_embeddings(), model.get_output_embeddings()
    names = {module: name for name, module in model.named_modules()}
    tied = None
    if writing is not None and reading.weight is writing.weight:
        tied = (f"{names[reading]}.weight", f"{names[writing]}.weight")
    linear = [f"{names[m]}.weight" for m in names if isinstance(m, torch.nn.Linear) and m is not writing]
    if adapter is None:
        return Adapter({}, tied, linear)
    values = config_of(adapter)
    refuse_unmergeable(values)
    if what := beyond_a_sum(values):
        raise NotPlain(f"adapter: {what} is merged as a whole")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PEFT warns of keys that are missing; below they are errors
        try:
            model = PeftModel.from_pretrained(model, str(adapter), low_cpu_mem_usage=True, torch_device="cpu")
        except (RuntimeError, ValueError, KeyError) as error:
            words = " ".join(str(error).split())
            if other := VOCABULARY.search(words):
                raise ValueError(
                    f"adapter: {adapter} was trained on a base with {other[1]} tokens, and {base} has {other[2]}; "
                    "resize that base as for the training, save it with its tokenizer, and name that folder"
                ) from None
            words = words[:300]
            raise ValueError(f"adapter: {adapter} does not fit the base {base}: {words}") from None
    _compare_names(model, adapter, tensors.Weights(base), tied)
    return Adapter(_changes(model, adapter), tied, linear)


def _shell(base: Path) -> Any:
    """The model of a folder with its shapes and no weights: each parameter is one zero, expanded."""
    architecture = AutoConfig.from_pretrained(base, trust_remote_code=False)
    if getattr(architecture, "quantization_config", None) is not None:
        del architecture.quantization_config
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(architecture, dtype=torch.float32)
    made: dict[int, torch.nn.Parameter] = {}  # a shared weight stays shared
    for module in model.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            if id(parameter) not in made:
                made[id(parameter)] = torch.nn.Parameter(torch.zeros(1).expand(parameter.shape), requires_grad=False)
            setattr(module, name, made[id(parameter)])
    return model


def _changes(model: PeftModel, adapter: Path) -> dict[str, Change]:
    changes: dict[str, Change] = {}
    used: set[str] = set()
    for name, module in model.named_modules():
        if not isinstance(module, layers.LoraLayer):
            continue
        if not isinstance(module, PLAIN) or module.lora_variant:
            raise NotPlain(f"adapter: {type(module).__name__} is merged as a whole")
        place = name.removeprefix(PREFIX)
        parameter = "weight"
        if isinstance(module, layers.ParamWrapper):
            parameter, shape = module.parameter_name, tuple(module.get_param().shape)
            while place.endswith(".base_layer"):
                place = place.removesuffix(".base_layer")
        else:
            shape = tuple(module.get_base_layer().weight.shape)
        for part, value in module.named_parameters():
            if part.startswith("lora_") and value.is_meta:
                raise ValueError(f"adapter: {adapter} has no {part} for {place}.{parameter}; it was lost on the way")
        used.add(name)
        changes[f"{place}.{parameter}"] = Change(_delta(module), False, shape)
    for name, value in model.named_parameters():
        before, mark, after = name.partition(".modules_to_save.default.")
        if mark:
            if value.is_meta:
                raise ValueError(f"adapter: {adapter} has no {before.removeprefix(PREFIX)}.{after}, which it trained")
            place = f"{before.removeprefix(PREFIX)}.{after}"
            changes[place] = Change(lambda value=value: value.detach().float(), True, tuple(value.shape))
    if not changes:
        raise ValueError(f"adapter: {adapter} changes nothing in this base; is it the base that it was trained on?")
    return changes


def _delta(module: Any) -> Callable[[], torch.Tensor]:
    def make() -> torch.Tensor:
        with torch.no_grad():
            return module.get_delta_weight("default").detach().float()

    return make


def _compare_names(model: PeftModel, adapter: Path, weights: tensors.Weights, tied: tuple[str, str] | None) -> None:
    """Raises ValueError for a tensor of the file that has no place in the model, or the other way round: PEFT passes
    over both. Embeddings that PEFT saves beside their adapter may be there; NotPlain where they are not the base's."""
    known = set(get_peft_model_state_dict(model, save_embedding_layers=False))
    with safe_open(adapter / FILE, framework="pt") as file:
        stored = set(file.keys())
        for name in sorted(stored - known):
            place = name.removeprefix(PREFIX).replace(".base_layer.", ".")
            uses = tied if tied and place in tied else (place,)
            source = next((each for each in uses if each in weights.names), None)
            if source is None:
                raise ValueError(
                    f"adapter: {adapter} holds {place}, for which the base has no place: it was made for another"
                )
            own, base = file.get_tensor(name), weights.read(source)
            if own.shape != base.shape or not torch.equal(own.float(), base.float()):
                raise NotPlain(f"adapter: it brings {place} of its own")
    if words := _lost(known, stored):
        raise ValueError(f"adapter: {adapter} {words}")


def _lost(known: set[str], stored: set[str]) -> str | None:
    """In words, the first tensor of a model's adapter that its file does not hold."""
    lost = sorted(known - stored)
    return f"has no {lost[0].removeprefix(PREFIX)}; it was lost on the way" if lost else None


def broken(model: PeftModel, adapter: Path) -> str | None:
    """What is wrong with the file of a loaded LoRA adapter, in words: a tensor that is not in it, in whose place PEFT
    took a fresh one, or one with NaN."""
    with safe_open(adapter / FILE, framework="pt") as file:
        stored = set(file.keys())
        if words := _lost(set(get_peft_model_state_dict(model, save_embedding_layers=False)), stored):
            return f"it {words}"
        spoilt = next((name for name in sorted(stored) if not closeness.finite(file.get_tensor(name))), None)
    return f"its {spoilt.removeprefix(PREFIX)} holds NaN or infinite values" if spoilt else None


def modules(adapter: Path, names: set[str]) -> tuple[set[str], set[str]]:
    """(modules of the base that an adapter's file has factors for, modules that it holds a parameter of as it is),
    where `names` are the tensors of the base."""
    places = {name.rpartition(".")[0] for name in names}
    targets: set[str] = set()
    also: set[str] = set()
    with safe_open(adapter / FILE, framework="pt") as file:
        for key in file.keys():  # noqa: SIM118 - it is no mapping
            name = key.removeprefix(PREFIX).replace(".base_layer.", ".")
            held, place = (also if name in names else targets), name
            while place and not any(each == place or each.startswith(f"{place}.") for each in places):
                place = place.rpartition(".")[0]
            if place:
                held.add(place)
    return targets, also


def peft_version(adapter: Path) -> str:
    """The version of PEFT that wrote an adapter, where it says so: the layout of expert updates changed with 0.19."""
    return str(config_of(adapter).get("peft_version") or "unknown")
