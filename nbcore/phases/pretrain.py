"""Pretraining: a small causal LM from scratch on Rust documents, one document a row.

L = -mean over tokens of log p(token | tokens before it)
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import LlamaForCausalLM, set_seed
from trl import SFTTrainer

from nbcore import runs
from nbcore.core import lines
from nbcore.core.records import Document
from nbcore.data import fim, from_run, sources
from nbcore.training import corpus, fit, fitting, load, order, packing
from nbcore.training import tokenizer as tokenizers
from nbcore.training.remembered import remembered


@remembered
def data(run: runs.Run) -> dict[str, Any]:
    """Token rows in the order they are trained in, one stage after the other, and held-out rows."""
    config = run.config
    read: dict[str, Any] = {}
    if taken := from_run.documents(run, config.validation_documents):
        train, heldout, read = taken.train, taken.heldout, taken.counts
    else:
        train = sources.documents(config.corpus.sources, "train", config.seed, read)
        heldout = sources.documents({"katas": config.validation_documents}, "heldout", config.seed)
    tokenizer = _tokenizer(run, train)
    limit, packed = config.corpus.max_tokens, config.packing != "none"
    filling = fim.filling(tokenizer, config.corpus.fim_rate, config.seed)
    rows, counts = corpus.rows(tokenizer, train, config, *filling)
    validation, heldout_counts = corpus.encode(tokenizer, heldout, limit)  # cut and counted, always
    sequence: list[dict] = []
    for number, (length, steps) in enumerate(stages(config)):
        if packed:
            cut = packing.pack(rows, length)
        else:
            cut = [{"input_ids": row["input_ids"][:length], "labels": row["labels"][:length]} for row in rows]
            counts[f"cut_at_{length}"] = sum(len(row["input_ids"]) > length for row in rows)
        if taken and taken.keeps_order:
            sequence += order.as_given(cut, steps, config.effective_batch, start=len(sequence))
        else:
            sequence += order.in_order(cut, steps, config.effective_batch, config.seed + number)
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
            "shown": corpus.shown(packing.pack(rows, limit) if packed else rows, counts, limit),
        },
    }


def stages(config: Any) -> list[tuple[int, int]]:
    """(length, steps) for each stage, adding up to max_steps: a shorter run leaves out what comes after that."""
    left, planned = config.max_steps, []
    for length, steps in config.stages or [(config.corpus.max_tokens, config.max_steps)]:
        if left > 0:
            planned.append((length, min(steps, left)))
            left -= steps
    if left > 0:  # more steps than the stages name: the last length goes on
        planned[-1] = (planned[-1][0], planned[-1][1] + left)
    return planned


def model(run: runs.Run) -> LlamaForCausalLM:
    """The untrained model, whose initial weights the seed decides; or the one that `start` names."""
    if run.info["parent"]:
        raise ValueError(f"parent: pretrain starts from nothing, not from {run.info['parent']['id']}; leave it out")
    load.check_precision(run.config.model)
    if run.config.start:
        begun, _ = load.at_checkpoint(run, _start(run.config.start), "start")
        return begun
    tokenizer = data(run)["tokenizer"]
    set_seed(run.config.seed)
    architecture = fitting.llama(
        run.config.architecture,
        vocab_size=len(tokenizer),
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LlamaForCausalLM(architecture)


def trainer(run: runs.Run) -> SFTTrainer:
    """The trainer as it stands before its first step."""
    rows, config = data(run), run.config
    arguments = fit.arguments(
        run,
        **packing.arguments(config.packing, config.corpus.max_tokens),
        eval_strategy="steps",
        eval_steps=max(1, config.max_steps // 5),
    )
    untrained = model(run)
    if config.packing != "none":
        packing.isolated(untrained)
    return SFTTrainer(
        model=untrained,
        args=arguments,
        train_dataset=Dataset.from_list(rows["train"]),
        eval_dataset=Dataset.from_list(rows["validation"]),
        processing_class=rows["tokenizer"],
    )


def train(run: runs.Run, live: Any = None) -> dict:
    """Train, resume where a checkpoint stands, and leave model/ (weights in safetensors, tokenizer beside them)."""
    return fit.train(run, data(run), trainer, live)


def finish(run: runs.Run) -> runs.Run:
    """Commit the run."""
    return fit.finish(run, fit.last(run), data(run)["report"])


def _start(name: str) -> Path:
    folder = load.SEEDLING if name == "seedling" else Path(name).expanduser()
    if not (folder / "config.json").is_file():
        raise ValueError(f"start: {folder} holds no model; name 'seedling', or a folder with config.json and weights")
    return folder


def _tokenizer(run: runs.Run, documents: list[Document]) -> Any:
    if run.config.start:
        return load.tokenizer_at(str(_start(run.config.start)))
    if run.config.vocab_size is None:
        return load.tokenizer_at(str(load.SEEDLING))
    return tokenizers.train((document["text"] for document in documents if "text" in document), run.config.vocab_size)
