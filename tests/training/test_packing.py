"""Packing: no token lost, no document seen by another, the same loss as without."""

import random

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    GptOssConfig,
    GptOssForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
    set_seed,
)
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from nbcore import runs
from nbcore.chat import template
from nbcore.phases import sft
from nbcore.training import load, packing
from tests.phases.short_runs import short

SMALL = {"vocab_size": 512, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "head_dim": 16}
HEADS = {"num_attention_heads": 2, "num_key_value_heads": 1}


def qwen3(attention):
    return Qwen3ForCausalLM._from_config(Qwen3Config(**SMALL, **HEADS), attn_implementation=attention)


def gpt_oss(attention):
    # The window is shorter than a document: one layer of two slides, and must keep documents apart, too.
    config = GptOssConfig(**SMALL, **HEADS, num_local_experts=4, num_experts_per_tok=2, sliding_window=5)
    return GptOssForCausalLM._from_config(config, attn_implementation=attention)


def seedling(attention):
    return AutoModelForCausalLM.from_pretrained(load.SEEDLING, dtype=torch.float32, attn_implementation=attention)


def drawn(count, longest, seed=0):
    """Rows of random tokens, every third one masked at its beginning as an SFT row is."""
    draw = random.Random(seed)
    rows = []
    for number in range(count):
        ids = [draw.randrange(20, 500) for _ in range(draw.randint(1, longest))]
        masked = len(ids) // 2 if number % 3 == 0 else 0
        rows.append({"id": str(number), "input_ids": ids, "labels": [template.IGNORED] * masked + ids[masked:]})
    return rows


def documents_of(row):
    """(input_ids, labels) of each document in a packed row."""
    start = 0
    for length in row["seq_lengths"]:
        yield tuple(row["input_ids"][start : start + length]), tuple(row["labels"][start : start + length])
        start += length
    assert start == len(row["input_ids"]) == len(row["labels"])


@pytest.mark.parametrize(
    ("make", "attention"),
    [(seedling, "sdpa"), (seedling, "eager"), (qwen3, "sdpa"), (qwen3, "eager"), (gpt_oss, "eager")],
)
def test_packed_and_unpacked_logits_are_equal(make, attention):
    """A document that sees its neighbour learns to read what it will never be given."""
    set_seed(1)
    model = make(attention).eval()
    packing.isolated(model)
    rows = drawn(9, 20)
    alone = {
        tuple(row["input_ids"]): model(input_ids=torch.tensor([row["input_ids"]]), use_cache=False).logits[0]
        for row in rows
    }
    collate = DataCollatorForLanguageModeling(pad_token_id=0, padding_free=True)
    packed = packing.pack(rows, 48)
    assert len(packed) < len(rows)
    batch = collate(packed)
    with torch.no_grad():
        logits = model(input_ids=batch["input_ids"], position_ids=batch["position_ids"], use_cache=False).logits[0]
    start = 0
    for ids, _ in (document for row in packed for document in documents_of(row)):
        assert (logits[start : start + len(ids)] - alone[ids]).abs().max() <= 1e-4
        start += len(ids)
    assert start == logits.shape[0]


def test_a_model_that_cannot_keep_documents_apart_is_refused():
    """A recurrent state runs on over the end of a document: such a model trains on nonsense, and nothing says so."""
    set_seed(1)
    model = MambaForCausalLM(MambaConfig(vocab_size=512, hidden_size=32, num_hidden_layers=2, state_size=8))
    with pytest.raises(ValueError, match=r"packing: this model \(mamba\).*set packing=none"):
        packing.isolated(model)
    model = LlamaForCausalLM(LlamaConfig(vocab_size=512, hidden_size=32, intermediate_size=48, num_hidden_layers=1))
    model.train()
    packing.isolated(model)
    assert model.training  # as it was


@pytest.mark.parametrize(("count", "longest", "length"), [(200, 90, 64), (1, 300, 64), (40, 64, 64), (5, 3, 2048)])
def test_no_token_and_no_label_is_lost(count, longest, length):
    """TRL's other strategies cut a quarter to two thirds of all tokens away, and say nothing."""
    rows = drawn(count, longest)
    packed = packing.pack(rows, length)
    assert packed == packing.pack(rows, length)
    assert max(len(row["input_ids"]) for row in packed) <= length
    parts = sorted(part for row in packed for part in documents_of(row))
    expected = [
        (tuple(row["input_ids"][at : at + length]), tuple(row["labels"][at : at + length]))
        for row in rows
        for at in range(0, len(row["input_ids"]), length)
    ]
    assert parts == sorted(expected)


def test_a_packed_batch_has_the_loss_of_its_rows(tmp_path):
    """A label that moves by one, or a first token that is predicted from the document before, changes the loss."""
    plain = runs.open(short("sft", name="plain", batch_size=48), tmp_path)
    packed = runs.open(short("sft", name="packed", batch_size=48, packing="bfd_split"), tmp_path)
    rows = unpacked(sft.data(packed)["train"])
    assert sft.data(packed)["report"]["shown"]["tokens"] == sft.data(plain)["report"]["shown"]["tokens"]
    losses = []
    for run, batch in ((plain, rows), (packed, packing.pack(rows, 256))):
        trainer = sft.trainer(run)
        trainer.model.eval()
        inputs = trainer.data_collator(batch)
        with torch.no_grad():
            losses.append(trainer.compute_loss(trainer.model, inputs).item())
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)


def unpacked(packed):
    """The documents of packed rows as rows of their own."""
    pairs = {document for row in packed for document in documents_of(row)}
    return [{"input_ids": list(ids), "labels": list(labels)} for ids, labels in sorted(pairs)]


@pytest.mark.parametrize("length", [2048, 4096, 8192])
def test_rows_are_full(length):
    """Tokens in are tokens out, in as few rows as can hold them: what is not full is the last row alone."""
    rows = [
        {"input_ids": list(range(n)), "labels": list(range(n))}
        for n in (int(random.Random(number).lognormvariate(7, 1.2)) + 2 for number in range(1200))
    ]
    packed = packing.pack(rows, length)
    shown = packing.counted(packed, length)
    assert shown["tokens"] == sum(len(row["input_ids"]) for row in rows)
    assert len(packed) == -(-shown["tokens"] // length)
