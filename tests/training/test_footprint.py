"""The plan's count of a training step against real steps of the real trainers: within a tenth, or it plans nothing."""

import pytest
import torch
from datasets import Dataset
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    Gemma2Config,
    GptOssConfig,
    LlamaConfig,
    Phi3Config,
    Qwen3Config,
)
from trl import DPOConfig, GRPOConfig, GRPOTrainer, SFTConfig, SFTTrainer

from nbcore import config as configs
from nbcore import runs
from nbcore.phases.ipo import PairTrainer
from nbcore.training import footprint, lora, probe
from nbcore.training.counting import Counting

SIZE = {
    "hidden_size": 64,
    "intermediate_size": 160,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 512,
    "pad_token_id": 0,
    "vocab_size": 4096,
}
EXPERTS = configs.Lora(
    rank=8, targets=["q_proj", "o_proj"], target_parameters=["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]
)
MLP = configs.Lora(rank=8)
HEAD = configs.Lora(rank=8, targets=["q_proj", "lm_head"])
FUSED = configs.Lora(rank=8, targets=["qkv_proj", "o_proj", "gate_up_proj", "down_proj"])
CASES = {  # architecture, adapter, objective, rows, tokens in a row, gradient checkpointing, type, attention
    "llama": (LlamaConfig, 2, MLP, "sft", 4, 128, False, "float32", "sdpa"),
    "llama, checkpointing": (LlamaConfig, 4, MLP, "sft", 4, 128, True, "float32", "sdpa"),
    "llama, eager": (LlamaConfig, 2, MLP, "sft", 2, 256, False, "float32", "eager"),
    "llama, 16 layers": (LlamaConfig, 16, MLP, "sft", 2, 128, False, "float32", "sdpa"),
    "llama, 16 layers, checkpointing": (LlamaConfig, 16, MLP, "sft", 2, 128, True, "float32", "sdpa"),
    "llama, all of it": (LlamaConfig, 4, None, "sft", 4, 128, False, "float32", "sdpa"),
    "llama, bfloat16": (LlamaConfig, 2, MLP, "sft", 4, 128, False, "bfloat16", "sdpa"),
    "llama, output layer": (LlamaConfig, 2, HEAD, "plain", 4, 128, True, "float32", "sdpa"),
    "llama, output layer, bfloat16": (LlamaConfig, 2, HEAD, "plain", 4, 128, True, "bfloat16", "sdpa"),
    "qwen3": (Qwen3Config, 3, MLP, "sft", 8, 64, False, "float32", "sdpa"),
    "gemma": (Gemma2Config, 2, MLP, "sft", 2, 128, False, "float32", "eager"),
    "phi": (Phi3Config, 2, FUSED, "sft", 4, 128, False, "float32", "sdpa"),
    "gpt-oss, experts": (GptOssConfig, 2, EXPERTS, "sft", 2, 128, False, "bfloat16", "eager"),
    "gpt-oss, experts, checkpointing": (GptOssConfig, 4, EXPERTS, "sft", 2, 128, True, "bfloat16", "eager"),
    "llama, pairs": (LlamaConfig, 2, MLP, "ipo", 2, 64, False, "float32", "sdpa"),
    "llama, pairs, bfloat16": (LlamaConfig, 2, MLP, "ipo", 2, 64, False, "bfloat16", "sdpa"),
    "llama, completions": (LlamaConfig, 2, MLP, "grpo", 4, 64, False, "float32", "sdpa"),
}

QUICK = ("llama, checkpointing", "llama, output layer", "phi", "llama, completions")


def architecture(kind, layers):
    more = {"num_local_experts": 4, "num_experts_per_tok": 2} if kind is GptOssConfig else {}
    more |= {"rope_scaling": None} if kind is Phi3Config else {}
    return kind(num_hidden_layers=layers, tie_word_embeddings=False, **SIZE, **more)


def real_step(objective, model, rows, length, checkpointing, dtype, folder):
    """(trainer, what computes the loss of a micro-batch)."""
    tokenizer = AutoTokenizer.from_pretrained(runs.SEEDLING)
    arguments = {
        "output_dir": str(folder),
        "per_device_train_batch_size": rows,
        "bf16": dtype == "bfloat16",
        "fp16": False,
        "use_cpu": True,
        "gradient_checkpointing": checkpointing,
        "report_to": "none",
    }
    ids = list(range(100, 100 + length))
    given = {"model": model, "processing_class": tokenizer}
    if objective in ("sft", "plain"):
        data = Dataset.from_list([{"input_ids": ids, "labels": ids}] * rows)
        settings = SFTConfig(max_length=length, **arguments)
        lora.choose_loss(settings, model)
        assert (settings.loss_type == "nll") == (objective == "plain")
        trainer = SFTTrainer(args=settings, train_dataset=data, **given)
    elif objective == "ipo":
        half = 2  # hardly a prompt: the plan counts on answers that fill the row
        data = Dataset.from_list(
            [{"prompt_ids": ids[:half], "chosen_ids": ids[half:], "rejected_ids": ids[half:][::-1]}] * rows
        )
        settings = DPOConfig(loss_type="ipo", max_length=length, **arguments)
        trainer = PairTrainer(args=settings, train_dataset=data, **given)
    else:
        settings = GRPOConfig(num_generations=rows, max_completion_length=length // 2, **arguments)
        data = Dataset.from_list([{"prompt": "a"}] * rows)
        trainer = GRPOTrainer(args=settings, train_dataset=data, reward_funcs=lambda **_: [0.0], **given)
        batch = torch.tensor([ids] * rows)
        inputs = {
            "prompt_ids": batch[:, : length // 2],
            "completion_ids": batch[:, length // 2 :],
            "prompt_mask": torch.ones(rows, length // 2, dtype=torch.long),
            "completion_mask": torch.ones(rows, length // 2, dtype=torch.long),
            "advantages": torch.ones(rows),
            "num_items_in_batch": torch.tensor(float(rows * length // 2)),
        }
        trainer.current_gradient_accumulation_steps = 1
        return trainer, lambda: trainer.compute_loss(trainer.model, inputs)
    batch = trainer.data_collator([data[0]] * rows)
    return trainer, lambda: trainer.compute_loss(trainer.model, batch)


def measured_step(objective, model, rows, length, checkpointing, dtype, folder):
    """(bytes of the weights, peak of forward and backward pass with them) of a real trainer's step, as in training."""
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    trainer, loss = real_step(objective, model, rows, length, checkpointing, dtype, folder)
    trainer.model = trainer.accelerator.prepare_model(trainer.model)  # autocast, as in training
    if checkpointing:  # as train() does first
        trainer.model.gradient_checkpointing_enable(trainer.args.gradient_checkpointing_kwargs)
    trainer.model.train()
    with Counting() as counting, trainer.compute_loss_context_manager():
        counting.know([*trainer.model.parameters(), *trainer.model.buffers()])
        weights = counting.now
        loss().backward()
    return weights, counting.peak


def planned_and_measured(name, folder):
    """Bytes beside the weights, counted without memory and on the real step."""
    kind, layers, adapter, objective, rows, length, checkpointing, dtype, attention = CASES[name]
    made = architecture(kind, layers)
    model = AutoModelForCausalLM.from_config(made, dtype=getattr(torch, dtype), attn_implementation=attention)
    model = model if adapter is None else lora.attach(model, adapter)
    weights, peak = measured_step(objective, model, rows, length, checkpointing, dtype, folder)
    measured = peak - weights
    sides, logits = {"sft": (1, None), "plain": (1, None), "ipo": (2, length), "grpo": (1, length // 2)}[objective]
    step = footprint.Step(rows * sides, length, logits, objective == "plain", objective == "ipo", checkpointing)
    return footprint.beside_weights(made, getattr(torch, dtype), attention, adapter, step), measured


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in CASES]
)
def test_a_step_takes_what_was_counted_without_memory(name, tmp_path):
    planned, measured = planned_and_measured(name, tmp_path)
    assert planned == pytest.approx(measured, rel=0.1), f"planned {planned:,}, measured {measured:,}"


def test_the_probe_checkpoints_as_training_does(tmp_path):
    """Trainer turns checkpointing on as training begins. The probe before it took the memory of a run without, and a
    config that fits was halved."""
    peaks = {}
    for checkpointing in (False, True):
        model = AutoModelForCausalLM.from_config(architecture(LlamaConfig, 8))
        trainer, _ = real_step("sft", lora.attach(model, MLP), 4, 128, checkpointing, "float32", tmp_path)
        with Counting() as counting:
            counting.know(list(trainer.model.parameters()))
            weights = counting.now
            probe.run(trainer, probe.longest_rows)
        peaks[checkpointing] = counting.peak - weights
    assert peaks[True] < 0.7 * peaks[False], peaks


def test_silence_about_experts_is_refused(capsys):
    """all-linear finds no expert, and a run trains attention alone without a word."""
    lora.attach(AutoModelForCausalLM.from_config(architecture(GptOssConfig, 2)), configs.Lora(targets=["q_proj"]))
    assert "lora.target_parameters=[mlp.experts.down_proj, mlp.experts.gate_up_proj]" in capsys.readouterr().out
    lora.attach(AutoModelForCausalLM.from_config(architecture(GptOssConfig, 2)), EXPERTS)
    assert "no adapter" not in capsys.readouterr().out
