"""Small models with adapters that have learned something: random factors, none of them zero."""

import json
import shutil

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, GptOssConfig, GptOssForCausalLM, Qwen3Config, Qwen3ForCausalLM, set_seed

from nbcore import runs

SIZE = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2, "head_dim": 16}
SIZE |= {"num_key_value_heads": 1, "vocab_size": 2048, "eos_token_id": 6, "pad_token_id": 0, "bos_token_id": None}
EXPERTS = ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]
FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json")


def base(folder, kind, dtype=torch.float32, tied=False, **more):
    """A random model of a kind (gpt_oss, qwen3) with the seedling's tokenizer, saved; returns the folder."""
    set_seed(1)
    if kind == "gpt_oss":
        config = GptOssConfig(**{**SIZE, "num_local_experts": 4, "num_experts_per_tok": 2, **more})
        model = GptOssForCausalLM(config)
    else:
        model = Qwen3ForCausalLM(Qwen3Config(**{**SIZE, "tie_word_embeddings": tied, **more}))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    model.to(dtype).save_pretrained(folder)
    for name in FILES:
        shutil.copy(runs.SEEDLING / name, folder)
    return folder


def adapter(folder, of, **settings):
    """A LoRA adapter on the model in a folder, saved; returns the folder."""
    model = AutoModelForCausalLM.from_pretrained(of)
    set_seed(2)
    usual = {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj"], "task_type": "CAUSAL_LM"}
    model = get_peft_model(model, LoraConfig(**{**usual, **settings}))
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.1)
        if "modules_to_save" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    model.save_pretrained(folder)
    return folder


def pack(folder):
    """Give a saved gpt_oss base experts in MXFP4, as the published ones are: random blocks of 32 numbers, 4 bits each.

    Its sizes must be multiples of 32.
    """
    path = folder / "model.safetensors"
    held = load_file(path)
    draw = torch.Generator().manual_seed(4)
    for name in [name for name in held if name.endswith(("experts.gate_up_proj", "experts.down_proj"))]:
        experts, inner, outer = held.pop(name).shape
        shape = (experts, outer, inner // 32)
        held[f"{name}_blocks"] = torch.randint(0, 256, (*shape, 16), dtype=torch.uint8, generator=draw)
        held[f"{name}_scales"] = torch.randint(120, 124, shape, dtype=torch.uint8, generator=draw)  # 2^-7 to 2^-4
    save_file(held, path, {"format": "pt"})
    config = json.loads((folder / "config.json").read_text("utf-8"))
    config["quantization_config"] = {"quant_method": "mxfp4", "modules_to_not_convert": ["lm_head"]}
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    return folder
