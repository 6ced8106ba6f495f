"""Several documents in one row, none seeing another, and no token lost: TRL's best-fit-decreasing with splitting.

The position ids begin at 0 with each document. From them transformers makes a mask that keeps documents apart, as long
as a model gets no attention mask and no cache; FlashAttention reads them itself. `isolated` tries it.
"""

from __future__ import annotations

from typing import Any

import datasets
import torch
from transformers import GptOssModel
from transformers.masking_utils import create_causal_mask, create_sliding_window_causal_mask
from trl import pack_dataset

COLUMNS = ("input_ids", "labels")


def pack(rows: list[dict], length: int) -> list[dict]:
    """Rows {"input_ids", "labels", "seq_lengths"} of at most `length` tokens, the same for the same rows.

    `seq_lengths` says how many tokens of a packed row belong to which document, one after the other. A document longer
    than `length` is split over several rows; the first token of each part is given and never predicted.
    """
    if not rows:
        return []
    shown = datasets.is_progress_bar_enabled()
    datasets.disable_progress_bar()
    try:
        table = datasets.Dataset.from_list([{name: row[name] for name in COLUMNS} for row in rows])
        # All rows in one batch: TRL packs batch by batch, and each would leave rows that are not full.
        options = {"batch_size": len(rows), "keep_in_memory": True, "load_from_cache_file": False}
        packed = pack_dataset(table, length, "bfd_split", options).with_format(None).to_list()
    finally:
        if shown:
            datasets.enable_progress_bar()
    before, after = (sum(len(row["input_ids"]) for row in some) for some in (rows, packed))
    assert before == after, f"packing lost tokens: {before} in, {after} out"
    return packed


def counted(rows: list[dict], limit: int, **what_was_lost: int) -> dict[str, Any]:
    """What a notebook shows of the rows before the first step. `fill` is the share of rows × limit that holds tokens;
    `what_was_lost`: truncated, dropped, fully_masked (no token of the row carries loss)."""
    lengths = [len(row["input_ids"]) for row in rows]
    fill = sum(lengths) / (len(rows) * limit)
    return {"rows": len(rows), "tokens": sum(lengths), **what_was_lost, "longest": max(lengths), "fill": fill}


def arguments(packing: str, max_length: int) -> dict[str, Any]:
    """What TRL's config needs for rows that are packed already: it would pack them again, after their order is set."""
    if packing == "none":
        return {"max_length": max_length}
    return {"max_length": None, "padding_free": True, "packing": False}


def isolated(model: Any) -> Any:
    """The model, made to keep packed documents apart. Raises what require_isolation raises."""
    for module in model.modules():
        if isinstance(module, GptOssModel):
            module.register_forward_pre_hook(_mask_by_position, with_kwargs=True)
    require_isolation(model)
    return model


def _mask_by_position(module: Any, args: tuple, named: dict[str, Any]) -> tuple[tuple, dict[str, Any]]:
    # gpt-oss alone of the models we train makes its masks without the position ids (transformers 5.17.0), so that
    # packed documents see each other. It takes masks that are made already.
    if named.get("position_ids") is None or named.get("attention_mask") is not None or named.get("past_key_values"):
        return args, named
    embeds = named.get("inputs_embeds")
    if embeds is None:
        embeds = module.embed_tokens(named["input_ids"])
    wanted = {
        "config": module.config,
        "inputs_embeds": embeds,
        "attention_mask": None,
        "past_key_values": None,
        "position_ids": named["position_ids"],
    }
    masks = {
        "full_attention": create_causal_mask(**wanted),
        "sliding_attention": create_sliding_window_causal_mask(**wanted),
    }
    return args, {**named, "input_ids": None, "inputs_embeds": embeds, "attention_mask": masks}


@torch.no_grad()
def require_isolation(model: Any) -> None:
    """Raises ValueError where a document's logits change with what is packed before it.

    Tried on the model at hand, because it depends on its layers (recurrent ones carry their state over) and on the
    attention that was chosen.
    """
    embeddings = model.get_input_embeddings().weight
    device, size = embeddings.device, model.get_input_embeddings().num_embeddings
    other, document = (torch.arange(start, start + 12, device=device) % size for start in (7, 31))
    positions = torch.arange(12, device=device)
    training = model.training
    model.eval()
    try:
        alone = model(input_ids=document[None], position_ids=positions[None], use_cache=False).logits[0]
        together = model(
            input_ids=torch.cat([other, document])[None],
            position_ids=torch.cat([positions, positions])[None],
            use_cache=False,
        ).logits[0, 12:]
    finally:
        model.train(training)
    difference = (alone.float() - together.float()).abs().max().item()
    tolerance = (1e-4 if alone.dtype == torch.float32 else 5e-2) * max(1.0, alone.float().abs().max().item())
    if not difference <= tolerance:
        raise ValueError(
            f"packing: this model ({model.config.model_type}) lets a "
            f"document see what is packed before it (logits differ by {difference:.2g}); set packing=none"
        )
