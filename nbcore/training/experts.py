"""Prove that the experts of a mixture train: which have an adapter, what gradient it gets, what a step changes.

Most tools find the layers of attention, pass over the experts, which are parameters and no layers, and say nothing.
"""

from __future__ import annotations

from typing import Any

import torch
from peft.tuners.lora import layer as layers

from nbcore import runs


class Untrained(ValueError):
    """The experts have adapters, attention trains, and no expert does."""


def parameters(model: Any) -> dict[str, Any]:
    """The fused weights of a mixture of experts, (experts, rows, columns) each, by their names."""
    found = {}
    for place, module in model.named_modules():
        if not isinstance(module, torch.nn.Conv1d):  # whose weight has three sides, too
            own = module.named_parameters(prefix=place, recurse=False)
            found |= {name: value for name, value in own if value.dim() == 3}
    return found


def cast(model: Any, dtype: torch.dtype) -> None:
    """Give the experts the type that the model was asked for: of MXFP4 transformers leaves them in bfloat16."""
    for weight in parameters(model).values():
        weight.data = weight.data.to(dtype)


def ends(names: Any) -> list[str]:
    """What lora.target_parameters calls them: "model.layers.0.mlp.experts.down_proj" is "mlp.experts.down_proj"."""
    return sorted({".".join(name.split(".")[-3:]) for name in names})


def announce(model: Any) -> None:
    """Say in one line that the experts of a model will not train, where they have no adapter."""
    if adapted(model) or not (found := parameters(model)):
        return
    share = sum(value.numel() for value in found.values()) / model.num_parameters()
    names = [name.removeprefix("base_model.model.") for name in found]
    print(
        f"the experts, {share:.0%} of this model, get no adapter and will not change; to train them: "
        f"lora.target_parameters=[{', '.join(ends(names))}] with a small lora.expert_rank",
        flush=True,
    )


def adapted(model: Any) -> dict[str, list[torch.nn.Parameter]]:
    """The trainable tensors of each expert weight's adapter, by the weight's name; empty for a dense model."""
    found: dict[str, list[torch.nn.Parameter]] = {}
    for name, module in model.named_modules():
        fused = isinstance(module, layers.ParamWrapper)
        if not fused and not (isinstance(module, layers.LoraLayer) and ".experts." in f".{name}."):
            continue
        place = name.replace(".base_layer", "") + (f".{module.parameter_name}" if fused else "")
        parts = [*module.lora_A.parameters(), *module.lora_B.parameters()]
        if trained := [part for part in parts if part.requires_grad]:
            found[place] = trained
    return found


class Watch:
    """The first step of an attempt that changes anything, seen from the experts; it is kept as an event of the run."""

    def __init__(self, run: runs.Run, model: Any):
        self.run = run
        self.found = adapted(model)
        self.waits = bool(self.found)
        self.before: dict[str, list[torch.Tensor]] = {}
        self.norms: dict[str, float] = {}
        own = {id(part) for parts in self.found.values() for part in parts}
        self.others = [part for part in model.parameters() if part.requires_grad and id(part) not in own]

    def gradients(self, rate: float) -> None:
        """Before the optimizer steps, at this learning rate. Raises Untrained where all but the experts have a
        gradient."""
        if not self.waits or not rate:
            return
        self.norms = {name: _norm([part.grad for part in parts]) for name, parts in self.found.items()}
        if not any(self.norms.values()):
            if self.others and _norm([part.grad for part in self.others]):
                raise Untrained(
                    f"lora.target_parameters: {len(self.found)} expert weights have adapters and not one got a "
                    "gradient, while attention did; check that versions fit (peft 0.21), or leave target_parameters out"
                )
            return  # GRPO: equal rewards teach nothing, and the next step tells
        self.before = {name: [part.detach().cpu().clone() for part in parts] for name, parts in self.found.items()}

    def changed(self, step: int) -> None:
        """After the optimizer has stepped. Raises Untrained where it left every expert as it was."""
        if not self.before:
            return
        change = {
            name: _norm([part.detach().cpu() - then for part, then in zip(parts, self.before[name], strict=True)])
            for name, parts in self.found.items()
        }
        self.waits, self.before = False, {}
        if not any(change.values()):
            raise Untrained(f"trainer: step {step} left all {len(change)} expert weights as they were; check optim")
        self.run.event(
            "experts",
            step=step,
            weights=len(self.found),
            parameters=sum(part.numel() for parts in self.found.values() for part in parts),
            with_gradient=sum(norm > 0 for norm in self.norms.values()),
            gradient_norm=_together(self.norms),
            changed=sum(norm > 0 for norm in change.values()),
            change=_together(change),
        )


def _norm(tensors: list[torch.Tensor | None]) -> float:
    there = [tensor for tensor in tensors if tensor is not None]
    return float(torch.nn.utils.get_total_norm(there)) if there else 0.0


def _together(norms: dict[str, float]) -> float:
    return sum(norm**2 for norm in norms.values()) ** 0.5
