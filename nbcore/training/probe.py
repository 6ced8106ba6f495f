"""One pass over the longest batch before training, so that a lack of memory shows now and not after hours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from nbcore.training import private


def run(trainer: Any, longest: Callable[[Any], torch.Tensor]) -> None:
    """Forward and backward through `longest`, the loss of the longest batch.

    Leaves no trace: gradients, metrics and random numbers are as before.
    """
    devices = list(range(torch.cuda.device_count()))
    if trainer.args.gradient_checkpointing:  # else on only once training begins: this pass would need far more than it
        trainer.model.gradient_checkpointing_enable(trainer.args.gradient_checkpointing_kwargs)
    with torch.random.fork_rng(devices=devices), trainer.compute_loss_context_manager():
        trainer.model.train()
        longest(trainer).backward()
    trainer.model.zero_grad()
    private.forget_metrics(trainer)
    private.set_trained_tokens(trainer, 0)


def longest_rows(trainer: Any) -> torch.Tensor:
    """The loss of a micro-batch of the longest row, as the trainer computes it."""
    row = max(trainer.train_dataset, key=lambda row: sum(len(ids) for ids in row.values() if isinstance(ids, list)))
    batch = trainer.data_collator([row] * trainer.args.per_device_train_batch_size)
    device = trainer.accelerator.device
    batch = {name: value.to(device) if torch.is_tensor(value) else value for name, value in batch.items()}
    trainer.model.to(device)
    return trainer.compute_loss(trainer.model, batch)
