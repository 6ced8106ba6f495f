"""Base models of other makers in small: random weights, and a tokenizer with their chat template."""

import torch
from transformers import Gemma2Config, GenerationConfig, LlamaConfig, Phi3Config, set_seed
from transformers import Gemma2ForCausalLM as Gemma
from transformers import LlamaForCausalLM as Llama
from transformers import Phi3ForCausalLM as Phi

from tests.chat import templates

KINDS = {
    "llama3": (LlamaConfig, Llama),
    "qwen2_5": (LlamaConfig, Llama),
    "gemma": (Gemma2Config, Gemma),
    "phi3": (Phi3Config, Phi),
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
    head = {"head_dim": 16} if name == "gemma" else {}
    made = model(config(vocab_size=len(tokenizer), **SIZE, **head, **special, tie_word_embeddings=False))
    for parameter in made.parameters():  # a fresh model repeats one token: larger weights make it say something
        torch.nn.init.normal_(parameter, std=0.5)
    made.generation_config = GenerationConfig(eos_token_id=eos, pad_token_id=tokenizer.pad_token_id)
    made.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return made
