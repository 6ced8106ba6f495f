"""Packing: no token lost, no document seen by another, the same loss as without."""

import json
import random
import signal

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
from nbcore.phases import lang_adapter, pretrain, sft
from nbcore.runs import lease
from nbcore.training import load, packing
from tests.phases.children import go
from tests.phases.short_runs import losses, short, walk

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
    """Tokens in are tokens out, in as few rows as could hold them, or one more."""
    rows = [
        {"input_ids": list(range(n)), "labels": list(range(n))}
        for n in (int(random.Random(number).lognormvariate(7, 1.2)) + 2 for number in range(1200))
    ]
    packed = packing.pack(rows, length)
    shown = packing.counted(packed, length)
    assert shown["tokens"] == sum(len(row["input_ids"]) for row in rows)
    assert len(packed) <= -(-shown["tokens"] // length) + 1


@pytest.mark.parametrize("phase", [pretrain, lang_adapter])
def test_a_packed_corpus_keeps_every_token(phase, tmp_path):
    """'truncate' is the default for a long document, and with packing it must not cut one."""
    name = phase.__name__.rpartition(".")[2]
    text = "\n".join(f'{{"id": "d{n}", "text": "{"let a = 1; " * (n % 40 + 1)}"}}' for n in range(200))
    (tmp_path / "long.jsonl").write_text(text)
    settings = {"corpus.sources": {str(tmp_path / "long.jsonl"): 200}, "corpus.max_tokens": 64, "max_steps": 100}
    if phase is pretrain:
        settings["stages"] = []
    config = short(name, **settings, packing="bfd_split")
    run = runs.open(config, tmp_path)
    rows = phase.data(run)
    report = rows["report"]
    assert report["split"] > 50 and report["cut"] == 0 and report["shown"]["tokens"] == report["tokens"]
    assert sum({id(row): len(row["input_ids"]) for row in rows["train"]}.values()) == report["tokens"]
    assert report["shown"]["longest"] == 64 and report["shown"]["fill"] > 0.95
    for policy, dropped in (("truncate", 0), ("drop", report["split"])):
        other = phase.data(runs.open(short(name, **settings, **{"name": policy, "corpus.overlong": policy}), tmp_path))
        assert other["report"]["shown"]["dropped"] == dropped
        assert other["report"]["shown"]["truncated"] == report["split"] - dropped
    with pytest.raises(ValueError, match=r"corpus.overlong is 'raise': document 'd\d+' has \d+ tokens"):
        phase.data(runs.open(short(name, **settings, **{"name": "raises", "corpus.overlong": "raise"}), tmp_path))


@pytest.mark.slow
def test_a_packed_run_resumes_exactly(tmp_path):
    """Rows that are packed in another order after a restart train on other batches."""
    config = short("lang_adapter", packing="bfd_split", batch_size=2)
    whole = walk(lang_adapter, runs.open(config, tmp_path / "whole"))
    run = runs.open(config, tmp_path / "killed")
    lease.release(run.path)
    assert go(run.store, run.id, end_at=(3, 0)) == -signal.SIGKILL
    assert not run.finished and go(run.store, run.id) == 0
    assert losses(run) == losses(whole)
    weights = "adapter/adapter_model.safetensors"
    assert (run.path / weights).read_bytes() == (whole.path / weights).read_bytes()


@pytest.mark.parametrize("policy", ["drop", "truncate"])
def test_long_rows_of_sft(policy, tmp_path):
    """A row cut before its answer has nothing to train on, and must not be a row."""
    lines = []
    for n in range(60):
        asked = "say " * (n + 1 if n < 30 else 1)
        answer = "x = 1; " * (40 if n % 2 else 1)
        messages = [
            {"role": "user", "content": asked},
            {"role": "assistant", "content": answer},
        ]
        lines.append(json.dumps({"id": f"r{n}", "messages": messages}))
    (tmp_path / "rows.jsonl").write_text("\n".join(lines))
    settings = {"rows": str(tmp_path / "rows.jsonl"), "limit": None, "max_length": 40, "validation_share": 0.3}
    report = sft.data(runs.open(short("sft", **settings, overlong=policy), tmp_path))["report"]
    shown = report["shown"]
    lost = shown["dropped"] + shown["fully_masked"]
    assert report["train"] + report["validation"] + lost == report["rows"] == 60
    assert shown["longest"] <= 40
    if policy == "truncate":
        assert shown["dropped"] == 0 and shown["truncated"] > shown["fully_masked"] > 0
    else:
        assert shown["truncated"] == shown["fully_masked"] == 0 and shown["dropped"] > 20
    with pytest.raises(ValueError, match=r"overlong is 'raise': row 'r\d+' of rows"):
        sft.data(runs.open(short("sft", **settings, overlong="raise", name="raises"), tmp_path))
