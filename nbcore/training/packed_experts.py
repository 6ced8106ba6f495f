"""gpt-oss whose experts stay packed in MXFP4, 4 bits a number, while an adapter on them trains.

transformers trains such a base only after it has expanded every expert to 16 bits. Here one expert at a time is
expanded, for its own product, and forgotten; the backward pass expands it anew. The adapter is PEFT's own, in its own
file format.
"""

from __future__ import annotations

from typing import Any

import torch
from peft.tuners.lora import layer as layers
from transformers import AutoConfig
from transformers import GptOssForCausalLM as Published
from transformers.integrations.mxfp4 import convert_moe_packed_tensors

from nbcore.training import private

BLOCK = 32  # numbers that share a scale


def expanded(blocks: torch.Tensor, scales: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """One expert's weight, (in, out), from its blocks (out, in / 32, 16) and scales (out, in / 32), as uint8."""
    return convert_moe_packed_tensors(blocks[None], scales[None], dtype=dtype)[0]


class Product(torch.autograd.Function):
    """hidden (tokens, in) times a packed weight: neither pass keeps the expanded one."""

    @staticmethod
    def forward(ctx, hidden, blocks, scales):
        ctx.save_for_backward(blocks, scales)
        return hidden @ expanded(blocks, scales, hidden.dtype)

    @staticmethod
    def backward(ctx, gradient):
        return gradient @ expanded(*ctx.saved_tensors, gradient.dtype).t(), None, None


class PackedExperts(torch.nn.Module):
    """The experts of one layer; the same function as transformers' GptOssExperts."""

    is_transposed = True  # PEFT asks: weights are (experts, in, out)

    def __init__(self, config: Any):
        super().__init__()
        self.num_experts, self.alpha, self.limit = config.num_local_experts, 1.702, 7.0
        hidden, inner = config.hidden_size, config.intermediate_size
        self.sides = {"gate_up_proj": (hidden, 2 * inner), "down_proj": (inner, hidden)}
        self.updates: dict[str, list[tuple[torch.Tensor, torch.Tensor, float]]] = {}  # of the adapters in use
        for name, (inside, outside) in self.sides.items():
            shape = (self.num_experts, outside, inside // BLOCK)
            self.register_buffer(f"{name}_blocks", torch.empty(*shape, BLOCK // 2, dtype=torch.uint8))
            self.register_buffer(f"{name}_scales", torch.empty(shape, dtype=torch.uint8))
            bias = torch.empty(self.num_experts, outside)
            self.register_parameter(f"{name}_bias", torch.nn.Parameter(bias, requires_grad=False))

    def name_weights(self) -> None:
        """Have parameters of the expanded weights' names and shapes, for PEFT to find; each is a single number."""
        for name, sides in self.sides.items():
            single = self.gate_up_proj_bias.new_zeros(1)
            shown = torch.nn.Parameter(single.expand(self.num_experts, *sides), requires_grad=False)
            self.register_parameter(name, shown)

    def product(self, name: str, expert: int, hidden: torch.Tensor) -> torch.Tensor:
        """hidden (tokens, in) through one expert's weight, bias and adapters."""
        blocks, scales = getattr(self, f"{name}_blocks")[expert], getattr(self, f"{name}_scales")[expert]
        out = Product.apply(hidden, blocks, scales) + getattr(self, f"{name}_bias")[expert]
        for left, right, scale in self.updates.get(name, ()):
            out = out + (hidden @ left[expert]) @ right[expert] * scale
        return out

    def forward(self, hidden, router_indices=None, routing_weights=None):
        together = torch.zeros_like(hidden)
        for expert in router_indices.unique().tolist():
            token, slot = torch.where(router_indices == expert)
            both = self.product("gate_up_proj", expert, hidden[token])
            gate, up = both[..., ::2].clamp(max=self.limit), both[..., 1::2].clamp(-self.limit, self.limit)
            out = self.product("down_proj", expert, (up + 1) * gate * torch.sigmoid(gate * self.alpha))
            together.index_add_(0, token, (out * routing_weights[token, slot, None]).to(hidden.dtype))
        return together


class GptOssForCausalLM(Published):
    """The model, loaded by from_pretrained from the published files as they are.

    Its name counts: Trainer looks it up among the causal models' names, and divides the loss of any other by one token
    a row too many (transformers 5.17.0, Trainer._loss_shifts_labels).
    """

    def __init__(self, config: Any):
        super().__init__(config)
        for layer in self.model.layers:
            layer.mlp.experts = PackedExperts(config)


def load(folder: str, **settings: Any) -> Any:
    """The model in a folder, its experts packed, the rest as `settings` of from_pretrained say; with
    output_loading_info, (model, what is told).

    Raises ValueError where the folder holds no gpt-oss with packed experts.
    """
    config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    method = (getattr(config, "quantization_config", None) or {}).get("quant_method")
    if config.model_type != "gpt_oss" or method != "mxfp4":
        raise ValueError(
            f"model.quantization is 'mxfp4', and {folder} is {config.model_type} in {method or 'full precision'}: only "
            "gpt-oss as it is published has packed experts; set model.quantization to none or nf4"
        )
    del config.quantization_config  # else transformers expands what it reads
    read = GptOssForCausalLM.from_pretrained(folder, config=config, **settings)
    model = read[0] if settings.get("output_loading_info") else read
    for module in model.modules():
        if isinstance(module, PackedExperts):
            module.name_weights()
    return read


def adopt(model: Any) -> Any:
    """Have the adapters on packed experts hand their factors over; any other model is left as it is."""
    for module in model.modules():
        if type(module) is layers.ParamWrapper and isinstance(module.get_base_layer(), PackedExperts):
            module.__class__ = private.ExpertUpdates
    return model
