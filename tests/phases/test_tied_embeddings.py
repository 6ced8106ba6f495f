"""Adapters on the embedding and on the output layer: refused where they share a weight, right where they do not."""

import shutil

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from nbcore import config as configs
from nbcore import runs
from nbcore.phases import ipo, lang_adapter, sft
from nbcore.training import load, lora, memory
from tests.phases.short_runs import short, write_pairs

SIZES = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}


def llama(tied, **more):
    torch.manual_seed(0)
    return LlamaForCausalLM(LlamaConfig(vocab_size=2048, tie_word_embeddings=tied, eos_token_id=6, **SIZES, **more))


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A tiny Llama whose embeddings are not tied, in a folder with the seedling's tokenizer."""
    folder = tmp_path_factory.mktemp("untied")
    for file in load.SEEDLING.glob("tok*"):
        shutil.copy(file, folder)
    for file in load.SEEDLING.glob("*.jinja"):
        shutil.copy(file, folder)
    llama(tied=False).save_pretrained(folder)
    return str(folder)


def adapter(*targets, **more):
    return configs.Lora(rank=2, targets=list(targets), **more)


@pytest.mark.parametrize(
    "wanted",
    [
        adapter("lm_head"),
        adapter("q_proj", "embed_tokens"),
        adapter("model.embed_tokens"),
        adapter("q_proj", target_parameters=["lm_head.weight"]),
        adapter("q_proj", target_parameters=["embed_tokens.weight"]),
    ],
    ids=lambda wanted: "+".join(wanted.targets + wanted.target_parameters),
)
def test_an_adapter_on_a_tied_embedding_is_refused(wanted):
    """Its two uses of one weight train apart, and folded into the weight for evaluation each changes the other too."""
    with pytest.raises(ValueError, match=r"^lora\.target(s|_parameters): '.*' is .*tie_word_embeddings.*Leave it out"):
        lora.attach(llama(tied=True), wanted)
    with torch.device("meta"), pytest.raises(ValueError, match="tie_word_embeddings"):
        memory._adapter_parameters(llama(tied=True), wanted)


def test_it_is_refused_before_anything_is_loaded(store):
    """The seedling is tied; the plan of the notebook's model cell tells, and so does training."""
    run = runs.open(short("lang_adapter", **{"lora.targets": ["q_proj", "lm_head"]}), store)
    for step in (memory.sizes, lang_adapter.model, lang_adapter.train):
        with pytest.raises(ValueError, match=r"lora\.targets: 'lm_head' is lm_head, and .*seedling uses one weight"):
            step(run)


def test_an_adapter_from_before_on_a_tied_embedding_is_not_loaded(chain, store):
    """An older version trained one: what its evaluation measures is another model."""
    run = runs.find(chain, "lang_adapter")
    torch.manual_seed(0)
    tied = load.base_model(run)
    from peft import LoraConfig, get_peft_model

    old = store / run.phase / run.path.name
    shutil.copytree(run.path, old)
    get_peft_model(tied, LoraConfig(task_type="CAUSAL_LM", r=2, target_modules=["lm_head"])).save_pretrained(
        old / "adapter"
    )
    with pytest.raises(ValueError, match=r"parent: .*adapter's targets: 'lm_head' is .*tie_word_embeddings"):
        load.policy(run, runs.Run(old))


@pytest.mark.parametrize("targets", [["model"], ["self_attn"], ["layers"]])
def test_a_block_is_no_layer(targets):
    """PEFT's own words for it print the whole module."""
    with pytest.raises(ValueError, match=r"lora\.targets: .* is a whole .*; name the layers in it"):
        lora.attach(llama(tied=True), adapter(*targets))


def test_untied_every_layer_may_have_an_adapter_and_what_is_evaluated_is_what_was_trained(store, base):
    """TRL's chunked loss reads past an adapter on the output layer, and raised; saving and folding are exact."""
    targets = ["q_proj", "lm_head", "model.embed_tokens"]
    config = short("lang_adapter", learning_rate=0.05, **{"model.base": base, "lora.targets": targets, "lora.rank": 2})
    run = runs.open(config, store)
    assert memory.sizes(run)["adapter"].startswith(f"{2 * (2 * (32 + 32) + 2 * (2048 + 32)):,} ")
    built, kept = lang_adapter.trainer, []
    lang_adapter.trainer = lambda run: kept.append(built(run)) or kept[-1]
    try:
        lang_adapter.train(run)
    finally:
        lang_adapter.trainer = built
    lang_adapter.finish(run)
    ids = torch.arange(20, 60)[None]
    trained = kept[0].model.eval()
    evaluated = load.policy(run, run).eval()
    with torch.no_grad():
        wanted, bare = trained(ids).logits, load.base_model(run)(ids).logits
        assert torch.allclose(evaluated(ids).logits, wanted, atol=1e-4) and not torch.allclose(wanted, bare, atol=1e-2)
        with lora.folded(trained):
            assert torch.allclose(trained(ids).logits, wanted, atol=1e-4)
        assert torch.equal(trained(ids).logits, wanted)
    follower = runs.open(short("sft"), store, run.id)
    sft.train(follower)
    assert sft.finish(follower).verify() == []
    pairs = runs.open(short("ipo", max_steps=1), store, follower.id)
    write_pairs(pairs, train=4)
    ipo.train(pairs)
    first = next(row["loss"] for row in pairs.metrics() if "loss" in row)
    assert first == pytest.approx((1 / (2 * pairs.config.beta)) ** 2, rel=1e-3), "the reference is the parent"
