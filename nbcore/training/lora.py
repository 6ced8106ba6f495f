"""Make the adapter, and prove that it is where the config says."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model, prepare_model_for_kbit_training
from peft.tuners import lora as layers

from nbcore import config as configs
from nbcore.training import backends, experts, packed_experts, split_experts

# PEFT looks for these keys among modules only, and says of every expert, which is a parameter, that its rank was
# ignored. It was not, and `check` below refuses a target that matches nothing.
warnings.filterwarnings("ignore", r"The following (rank|alpha)_pattern keys did not match", RuntimeWarning)

EXPERTS = ("experts", "gate_up_proj", "gate_proj", "up_proj", "down_proj")  # layers in other models, fused in these


def attach(model: Any, lora: configs.Lora, *, gradient_checkpointing: bool = False) -> PeftModel:
    """A fresh adapter on `model`. Raises ValueError for a target that `check` refuses."""
    lora = resolved(model, lora)
    check(model, lora)
    if getattr(model, "quantization_method", None) is not None:
        model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=gradient_checkpointing)
    adapted = get_peft_model(
        model,
        LoraConfig(
            task_type="CAUSAL_LM",
            r=lora.rank,
            lora_alpha=lora.alpha,
            lora_dropout=lora.dropout,
            target_modules=lora.targets,
            target_parameters=lora.target_parameters or None,
            rank_pattern={name: lora.expert_rank for name in lora.target_parameters},
            alpha_pattern={name: lora.alpha * lora.expert_rank / lora.rank for name in lora.target_parameters},
        ),
    )
    experts.announce(adapted)
    return packed_experts.adopt(adapted)


def fresh(model: Any, lora: configs.Lora, config: configs.Training) -> PeftModel:
    """A fresh adapter on a base that was loaded for a config: through Unsloth where that has loaded it."""
    if config.model.backend != "unsloth":
        return attach(model, lora, gradient_checkpointing=config.gradient_checkpointing)
    lora = resolved(model, lora)
    check(model, lora)
    adapted = backends.attach(model, lora, config)
    experts.announce(adapted)
    return adapted


def resolved(model: Any, lora: configs.Lora) -> configs.Lora:
    """The same adapter with Unsloth's names of split experts (gate_up_projs, down_projs.3) as this model has them.

    Raises ValueError for an expert weight that is named as if it were a layer: attention alone would train.
    """
    targets, fused = [], []
    weights = experts.parameters(model)
    for target in lora.targets:
        split = split_experts.layers(model, target)
        layers_ = [module for _, module in matching(model.named_modules(), target)]
        if split:
            targets += split
        elif split is not None and weights:
            fused.append(split_experts.fused_name(target))
        elif weights and target.split(".")[-1] in EXPERTS and not any(isinstance(m, torch.nn.Linear) for m in layers_):
            raise ValueError(
                f"lora.targets: {target!r} is no layer of {type(model).__name__}: its experts are fused weights, and "
                "attention alone would train. Take it out, and name them apart: "
                f"lora.target_parameters=[{', '.join(experts.ends(weights))}]"
            )
        else:
            targets.append(target)
    if not (fused := sorted({*fused} - {*lora.target_parameters})):
        return lora.model_copy(update={"targets": targets})
    if lora.dropout:
        raise ValueError(f"lora.dropout is {lora.dropout}: experts are fused here and take none; set lora.dropout=0")
    print(f"lora.targets: experts are fused here, so lora.target_parameters gets {', '.join(fused)}", flush=True)
    return lora.model_copy(update={"targets": targets, "target_parameters": [*lora.target_parameters, *fused]})


def check(model: Any, lora: configs.Lora) -> None:
    """Raises ValueError naming the first target that matches nothing in a model without an adapter, or no layer, or
    an embedding that the model shares.

    PEFT only warns when target_parameters match nothing, and a run would train without its experts.
    """
    for target in lora.targets:
        layers_ = [module for _, module in matching(model.named_modules(), target)]
        if not layers_:
            raise ValueError(f"lora: target {target!r} matches nothing in {type(model).__name__}")
        if whole := next((module for module in layers_ if next(module.children(), None) is not None), None):
            raise ValueError(f"lora.targets: {target!r} is a whole {type(whole).__name__}; name the layers in it")
    for target in lora.target_parameters:
        if not matching(model.named_parameters(remove_duplicate=False), target):
            raise ValueError(f"lora: target {target!r} matches nothing in {type(model).__name__}")
    refuse_tied(model, lora.targets, "lora.targets")
    refuse_tied(model, lora.target_parameters, "lora.target_parameters")


def refuse_tied(model: Any, targets: Iterable[str], field: str) -> None:
    """Raises ValueError where a target names an embedding whose weight is the output layer's too.

    The adapter would train one use of the weight apart from the other. Folded into the weight, as it is for generation
    and evaluation, it changes both: what is measured would not be what was trained.
    """
    reading, writing = model.get_input_embeddings(), model.get_output_embeddings()
    if writing is None or reading.weight is not writing.weight:
        return
    for target in targets:
        layers_ = {name: module.weight for name, module in model.named_modules() if module in (reading, writing)}
        weights = dict(model.named_parameters(remove_duplicate=False))
        for name, value in matching([*layers_.items(), *weights.items()], target):
            if value is reading.weight:
                raise ValueError(
                    f"{field}: {target!r} is {name}, and {model.config.name_or_path or type(model).__name__} uses one "
                    "weight both to embed tokens and to predict them (tie_word_embeddings): an adapter on it would not "
                    "be the model that is evaluated. Leave it out, or take a base whose embeddings are not tied"
                )


def matching(named: Iterable[tuple[str, Any]], target: str) -> list[tuple[str, Any]]:
    """The (name, thing) whose name is `target` or ends in it after a dot: the way in which PEFT reads its targets."""
    return [(name, thing) for name, thing in named if name == target or name.endswith(f".{target}")]


def needs_plain_loss(loss_type: str | None, model: Any) -> bool:
    """Whether TRL's SFT loss holds all logits at once: where it is asked to, or `model` has an adapter on its output
    layer. TRL's usual loss is the same number, but reads that layer's weight in chunks, past the adapter."""
    return loss_type == "nll" or isinstance(model.get_output_embeddings(), layers.LoraLayer)


def choose_loss(arguments: Any, model: Any) -> None:
    """Set the loss in TRL's SFTConfig to the plain one where the usual one would refuse `model`."""
    if arguments.loss_type == "chunked_nll" and needs_plain_loss(None, model):
        arguments.loss_type = "nll"


def complete_reference(model: PeftModel) -> None:
    """Make TRL's frozen reference, where it has made one, equal to the policy in every layer.

    TRL copies the adapter by names that hold ".default."; those of an adapter on an embedding end in ".default", so
    that its copy would be a fresh adapter (TRL 1.14.2, DPOTrainer.__init__ and GRPOTrainer.__init__).
    """
    if "ref" in model.peft_config:
        for name, parameter in model.named_parameters():
            if name.endswith(".default"):
                model.get_parameter(f"{name.removesuffix('default')}ref").data.copy_(parameter.data)


@contextlib.contextmanager
def folded(model: PeftModel) -> Iterator[None]:
    """For as long as it lasts, the adapter added into the base's weights; afterwards the very same weights again.

    Generating token by token, the adapter's small products cost more than the base's large ones. Where the base is
    quantised, or experts have adapters, nothing is folded.
    """
    adapted = [module for module in model.modules() if isinstance(module, layers.LoraLayer)]
    if any(type(layer) is not layers.Linear for layer in adapted):
        yield
        return
    kept = [layer.base_layer.weight.data for layer in adapted]
    with torch.no_grad():
        for layer in adapted:
            layer.base_layer.weight.data = layer.base_layer.weight.data + layer.get_delta_weight("default")
    try:
        with model.disable_adapter():
            yield
    finally:
        for layer, weight in zip(adapted, kept, strict=True):
            layer.base_layer.weight.data = weight
