"""Base models of other makers in small: random weights, and a tokenizer with their chat template."""

import torch
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    GenerationConfig,
    GptOssConfig,
    GptOssForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Phi3Config,
    Phi3ForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
    set_seed,
)

from tests.chat import templates

KINDS = {
    "llama3": (LlamaConfig, LlamaForCausalLM),
    "llama3_2": (LlamaConfig, LlamaForCausalLM),
    "smollm2": (LlamaConfig, LlamaForCausalLM),
    "qwen2_5": (Qwen2Config, Qwen2ForCausalLM),
    "qwen3": (Qwen3Config, Qwen3ForCausalLM),
    "gemma": (Gemma2Config, Gemma2ForCausalLM),
    "phi3": (Phi3Config, Phi3ForCausalLM),
    "mistral": (MistralConfig, MistralForCausalLM),
    "gptoss": (GptOssConfig, GptOssForCausalLM),
}
MORE = {
    "gemma": {"head_dim": 16},
    "qwen3": {"head_dim": 16},
    "gptoss": {"head_dim": 16, "num_local_experts": 4, "num_experts_per_tok": 2},
}
SIZE = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 2048,
}


def saved(folder, name, eos):
    """A random model of a kind with its tokenizer, whose publisher names the ids `eos` as ends."""
    tokenizer, (config, model) = templates.tokenizer(name), KINDS[name]
    set_seed(3)
    special = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id, "bos_token_id": None}
    made = model(config(vocab_size=len(tokenizer), **SIZE, **MORE.get(name, {}), **special, tie_word_embeddings=False))
    for parameter in made.parameters():  # a fresh model repeats one token: larger weights make it say something
        torch.nn.init.normal_(parameter, std=0.5)
    made.generation_config = GenerationConfig(eos_token_id=eos, pad_token_id=tokenizer.pad_token_id)
    made.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return made
