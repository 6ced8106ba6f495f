"""What one training step takes beside the weights: the step itself, run on tensors without memory, and counted.

A formula for activations is wrong for the next architecture. The step that is counted here runs the model's own code
with the adapter's own code in it, so experts, sliding windows and tied embeddings are what they are. Models of many
layers are run with 4 and with 8 of them: each further layer takes what the four took, divided by four.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from transformers import AutoModelForCausalLM
from trl.trainer.utils import entropy_from_logits, selective_log_softmax, selective_log_softmax_and_entropy

from nbcore import config as configs
from nbcore.training import lora
from nbcore.training.counting import Counting, without_memory

CHUNK = 256  # tokens whose logits TRL's SFT loss holds at once (TRL 1.14.2)
MOST_CHUNKS = 256  # that are counted one by one: of a row of millions of tokens all would take hours
DIRECT = 12  # layers up to which the whole model is run


@dataclass(frozen=True)
class Step:
    """A micro-batch. `logits`: the last so many tokens of each row have logits at once; None: in chunks."""

    rows: int
    length: int
    logits: int | None = None
    plain: bool = False
    """Whether the loss is the model's own, of all logits at once (SFT with an adapter on the output layer)."""
    reference: bool = False
    """Whether a second forward pass without gradients comes after the first, which it outlives."""
    checkpointing: bool = False
    gradients_kept: bool = False
    """Whether gradients of an earlier micro-batch are there when this one begins."""
    masked: bool = True
    """Whether rows are padded or hold several documents: each layer then keeps a mask of length × length."""


def empty_model(architecture: Any, dtype: torch.dtype, attention: str, adapter: configs.Lora | None) -> Any:
    """The model on the "meta" device, with a trainable float32 adapter, or all of it trainable in float32."""
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(architecture, dtype=dtype, attn_implementation=attention)
        if adapter is not None:
            model = lora.attach(model, adapter)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    return model


def beside_weights(
    architecture: Any, dtype: torch.dtype, attention: str, adapter: configs.Lora | None, step: Step
) -> int:
    """Peak bytes of gradients, activations and logits in forward and backward pass, beside all parameters."""
    layers = architecture.num_hidden_layers
    if layers <= DIRECT:
        return _counted(architecture, dtype, attention, adapter, step)
    few, more = (_counted(_with_layers(architecture, n), dtype, attention, adapter, step) for n in (4, 8))
    return more + round((more - few) / 4 * (layers - 8))


def _with_layers(architecture: Any, layers: int) -> Any:
    cut = copy.deepcopy(architecture)
    cut.num_hidden_layers = layers
    if getattr(cut, "layer_types", None):  # which layers see all tokens and which a window
        cut.layer_types = cut.layer_types[:layers]
    return cut


def _counted(architecture: Any, dtype: torch.dtype, attention: str, adapter: configs.Lora | None, step: Step) -> int:
    model = empty_model(architecture, dtype, attention, adapter)
    model.train()
    if step.checkpointing:
        model.enable_input_require_grads()
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    half = dtype if dtype != torch.float32 else torch.bfloat16  # autocast takes the type even where it is off
    window = getattr(architecture, "sliding_window", None) or step.length + 1
    bare = attention == "sdpa" and not step.masked and window > step.length
    with without_memory(model), torch.autocast("cpu", dtype=half, enabled=dtype != torch.float32):
        ids = torch.zeros(step.rows, step.length, dtype=torch.long)
        # Without a mask of its own, transformers makes one here, since it cannot look whether one document fills a row:
        # this one is a single number.
        mask = torch.zeros(1, 1, 1, 1, dtype=dtype).expand(step.rows, 1, step.length, step.length) if bare else None
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        if step.gradients_kept:
            for parameter in trained:
                parameter.grad = torch.empty_like(parameter)
        with Counting() as counting:
            counting.know([*model.parameters(), *model.buffers()])
            weights = counting.now
            counting.know([parameter.grad for parameter in trained])
            _loss(model, ids, step, mask).backward()
    return counting.peak - weights


def _loss(model: Any, ids: torch.Tensor, step: Step, mask: torch.Tensor | None) -> torch.Tensor:
    if step.plain:
        out = model(input_ids=ids, labels=ids, attention_mask=mask, use_cache=False)
        loss, logits = out.loss, out.logits.float()
        del out
        with torch.no_grad():  # as TRL does for its metrics
            entropy_from_logits(logits[..., :-1, :])
        return loss
    if step.logits is None:
        inner = model.get_base_model() if isinstance(model, lora.PeftModel) else model
        hidden = inner.base_model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
        flat, labels = hidden.reshape(-1, hidden.shape[-1]), ids.reshape(-1)
        head, cap = inner.get_output_embeddings().weight, getattr(inner.config, "final_logit_softcapping", None)
        near = CHUNK * MOST_CHUNKS
        parts = flat.split(CHUNK if len(flat) <= near else [CHUNK] * MOST_CHUNKS + [len(flat) - near])
        losses = [
            torch.utils.checkpoint.checkpoint(_chunk, part, head, wanted, cap, use_reentrant=False)
            for part, wanted in zip(parts[:MOST_CHUNKS], labels[:near].split(CHUNK), strict=True)
        ]
        losses += [part.square().sum().float() for part in parts[MOST_CHUNKS:]]  # has a gradient as large as theirs
        return torch.stack(losses).sum()
    wanted, logits = ids[:, -step.logits :], _logits(model, ids, step.logits)
    wanted = wanted[:, wanted.shape[1] - logits.shape[1] :]
    logps, _ = selective_log_softmax_and_entropy(logits, wanted, entropy_requires_grad=False)
    if step.reference:
        with torch.no_grad():
            reference = selective_log_softmax(_logits(model, ids, step.logits), wanted)
        logps = logps - reference
    return logps.sum()


def _chunk(hidden: torch.Tensor, head: torch.Tensor, labels: torch.Tensor, cap: float | None) -> torch.Tensor:
    logits = (hidden @ head.to(hidden.dtype).t()).float()
    if cap is not None:  # Gemma 2
        logits = cap * torch.tanh(logits / cap)
    logp = torch.nn.functional.log_softmax(logits, dim=-1)
    with torch.no_grad():
        (logp.exp() * logp).sum()
    return -logp.gather(-1, labels.unsqueeze(-1)).sum()


def _logits(model: Any, ids: torch.Tensor, keep: int) -> torch.Tensor:
    # accelerate returns a half-precision model's logits in float32, a copy
    return model(input_ids=ids, use_cache=False, logits_to_keep=keep + 1).logits.float()[:, :-1]
