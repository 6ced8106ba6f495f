"""Generation stops at every token that a model's publisher names: tiny random models of every kind."""

import pytest
import torch
from transformers import GenerationConfig

from nbcore import config as configs
from nbcore import runs
from nbcore.chat import template
from nbcore.phases import grpo
from nbcore.training import generate, load, lora
from tests.chat import templates
from tests.phases.short_runs import short
from tests.training.small_bases import KINDS, saved

LENGTH = 24
EAGER = {"model.attention": "eager"}  # gpt-oss has no other


def said(model, tokenizer, prompt):
    """What the model says greedily when nothing stops it."""
    ids = torch.tensor([prompt])
    output = model.generate(
        input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=LENGTH, eos_token_id=None, do_sample=False
    )
    return output[0, len(prompt) :].tolist()


@pytest.fixture(params=KINDS)
def published(request, tmp_path):
    """(folder of a base whose publisher names two ends besides the tokenizer's, prompt, tokens up to the first end)."""
    name, tokenizer = request.param, templates.tokenizer(request.param)
    prompt = template.prompt_ids(tokenizer, [{"role": "user", "content": "fn f() -> i32"}])
    tokens = said(saved(tmp_path / "base", name, [tokenizer.eos_token_id]), tokenizer, prompt)
    own = template.stop_ids(tokenizer)
    end = next(at for at, token in enumerate(tokens) if at > 2 and token not in tokens[:at])
    assert not set(tokens[: end + 1]) & set(own), "the random model happens to stop by itself: take another seed"
    saved(tmp_path / "base", name, [tokenizer.eos_token_id, tokens[end], own[0]])
    return str(tmp_path / "base"), prompt, tokens[: end + 1]


def evaluation(base, tmp_path):
    return runs.open(configs.load("configs/evaluate/tiny.yaml", {"model.base": base, **EAGER}), tmp_path / "store")


def test_generation_stops_at_what_the_publisher_names(published, tmp_path):
    """Gemma, Phi-3 and Llama 3 name several ends; stopped at the tokenizer's alone they ran past their answers, and
    what came behind was graded with them: 0 %."""
    base, prompt, tokens = published
    run = evaluation(base, tmp_path)
    tokenizer = load.tokenizer(run)
    model = load.policy(run, None)
    (done,) = generate.generate(model, tokenizer, [prompt], configs.Generation(max_new_tokens=LENGTH))
    assert (done["text"], done["truncated"]) == template.answer(tokenizer, tokens, [tokens[-1]])
    assert not done["truncated"]
    (cut,) = generate.generate(model, tokenizer, [prompt], configs.Generation(max_new_tokens=len(tokens) - 1))
    assert cut["truncated"] and cut["text"] == done["text"]


def test_a_merged_and_saved_model_keeps_every_stop(published, tmp_path):
    """An exported model whose config names one end alone would run past the others wherever it is used."""
    base, _, tokens = published
    run = evaluation(base, tmp_path)
    policy = lora.attach(load.base_model(run), configs.Lora(targets=["o_proj"], rank=4))
    policy.merge_and_unload().save_pretrained(tmp_path / "merged")
    stops = GenerationConfig.from_pretrained(tmp_path / "merged").eos_token_id
    tokenizer = load.tokenizer(run)
    named = {tokens[-1], tokenizer.eos_token_id, template.frame(tokenizer).end}
    assert named <= set(stops) <= set(template.stop_ids(tokenizer, policy.generation_config))


@pytest.mark.parametrize("published", ["llama3", "gemma"], indirect=True)
def test_grpo_stops_where_everything_else_does(published, tmp_path):
    """TRL generates by itself: it must stop, trim and mask at the same tokens, and its rewards must read the same."""
    base, prompt, tokens = published
    greedy = {"generation.temperature": 1e-4, "generation.max_new_tokens": LENGTH}
    run = runs.open(short("grpo", **greedy, **{"model.base": base}), tmp_path / "store")
    trainer = grpo.trainer(run)
    ids, _ = trainer._generate_single_turn([prompt] * 4, None, {}, 4)
    assert ids == [tokens] * 4
    stops = template.stop_ids(load.tokenizer(run), trainer.model.generation_config)
    assert set(trainer.generation_config.eos_token_id) == set(trainer.eos_token_ids) <= set(stops)
