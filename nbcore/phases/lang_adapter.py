"""Language adapter: continued pretraining on Rust through LoRA, or QLoRA on a 4-bit base.

W' = W + (alpha / r) · B·A,   W frozen, only A and B train
"""

from __future__ import annotations

from typing import Any

from datasets import Dataset
from transformers import set_seed
from trl import SFTTrainer

from nbcore import runs
from nbcore.core import lines
from nbcore.data import fim, from_run, sources
from nbcore.training import corpus, fit, load, lora, order, packing
from nbcore.training.remembered import remembered


@remembered
def data(run: runs.Run) -> dict[str, Any]:
    """Token rows in the order they are trained in, and held-out rows."""
    config = run.config
    tokenizer = load.tokenizer(run)
    read: dict[str, Any] = {}
    if taken := from_run.documents(run, config.validation_documents):
        train, heldout, read = taken.train, taken.heldout, taken.counts
    else:
        train = sources.documents(config.corpus.sources, "train", config.seed + sources.ADAPTER_SEED, read)
        each = dict.fromkeys(config.corpus.sources, config.validation_documents)
        heldout = sources.documents(each, "heldout", config.seed)
    limit = config.corpus.max_tokens
    filling = fim.filling(tokenizer, config.corpus.fim_rate, config.seed)
    rows, counts = corpus.rows(tokenizer, train, config, *filling)
    validation, heldout_counts = corpus.encode(tokenizer, heldout, limit)  # cut and counted, always
    if config.packing != "none":
        rows = packing.pack(rows, limit)
    batch = config.effective_batch
    if taken and taken.keeps_order:
        sequence = order.as_given(rows, config.max_steps, batch)
    else:
        sequence = order.in_order(rows, config.max_steps, batch, config.seed)
    return {
        "train": sequence,
        "validation": validation,
        "tokenizer": tokenizer,
        "report": {
            **counts,
            **read,
            "validation": len(validation),
            "validation_cut": heldout_counts["cut"],
            "sha256": lines.digest(train),
            "shown": corpus.shown(rows, counts, limit),
        },
    }


def model(run: runs.Run) -> Any:
    """The base with a fresh adapter; B starts at zero, so it begins as the base exactly."""
    if load.adapter_of(run.parent):
        raise ValueError(f"parent: {run.parent.id} has an adapter already; lang_adapter makes the first one, on a base")
    base = load.base_model(run)
    set_seed(run.config.seed)
    return lora.fresh(base, run.config.lora, run.config)


def trainer(run: runs.Run) -> SFTTrainer:
    """The trainer as it stands before its first step."""
    rows, config = data(run), run.config
    arguments = fit.arguments(
        run,
        **packing.arguments(config.packing, config.corpus.max_tokens),
        eval_strategy="steps",
        eval_steps=max(1, config.max_steps // 4),
    )
    policy = model(run)
    if config.packing != "none":
        packing.isolated(policy)
    lora.choose_loss(arguments, policy)
    return SFTTrainer(
        model=policy,
        args=arguments,
        train_dataset=Dataset.from_list(rows["train"]),
        eval_dataset=Dataset.from_list(rows["validation"]),
        processing_class=rows["tokenizer"],
    )


def train(run: runs.Run, live: Any = None) -> dict:
    """Train, resume where a checkpoint stands, and leave adapter/."""
    return fit.train(run, data(run), trainer, live)


def finish(run: runs.Run) -> runs.Run:
    """Commit the run."""
    return fit.finish(run, fit.last(run), data(run)["report"])
