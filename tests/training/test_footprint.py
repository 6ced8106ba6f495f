"""The plan's count of a training step against real steps of the real trainers: within a tenth, or it plans nothing."""

import pytest
import torch
from datasets import Dataset
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    Gemma2Config,
    Gemma3TextConfig,
    GptOssConfig,
    LlamaConfig,
    Phi3Config,
    Qwen3Config,
)
from trl import DPOConfig, GRPOConfig, GRPOTrainer, SFTConfig, SFTTrainer

from nbcore import config as configs
from nbcore import runs
from nbcore.phases import pretrain
from nbcore.phases.ipo import PairTrainer
from nbcore.training import footprint, lora, moments, packing, plan, probe
from nbcore.training.counting import Counting
from tests.phases.short_runs import short

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
ATTENTION = configs.Lora(rank=8, targets=["q_proj", "o_proj"])
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
    "llama, one row": (LlamaConfig, 6, MLP, "sft", 1, 512, False, "float32", "sdpa"),
    "gemma 3, one row": (Gemma3TextConfig, 13, MLP, "sft", 1, 256, False, "float32", "sdpa"),
    "llama, output layer": (LlamaConfig, 2, HEAD, "plain", 4, 128, True, "float32", "sdpa"),
    "llama, output layer, bfloat16": (LlamaConfig, 2, HEAD, "plain", 4, 128, True, "bfloat16", "sdpa"),
    "qwen3": (Qwen3Config, 3, MLP, "sft", 8, 64, False, "float32", "sdpa"),
    "gemma": (Gemma2Config, 2, MLP, "sft", 2, 128, False, "float32", "eager"),
    "phi": (Phi3Config, 2, FUSED, "sft", 4, 128, False, "float32", "sdpa"),
    "gpt-oss, experts": (GptOssConfig, 2, EXPERTS, "sft", 2, 128, False, "bfloat16", "eager"),
    "gpt-oss, experts, checkpointing": (GptOssConfig, 4, EXPERTS, "sft", 2, 128, True, "bfloat16", "eager"),
    "gpt-oss, experts, float32": (GptOssConfig, 2, EXPERTS, "sft", 2, 128, False, "float32", "eager"),
    "gpt-oss, attention, float32": (GptOssConfig, 2, ATTENTION, "sft", 2, 128, True, "float32", "eager"),
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
    if objective == "packed":
        data = Dataset.from_list([{"input_ids": ids, "labels": ids, "seq_lengths": [length // 2] * 2}] * rows)
        settings = SFTConfig(**packing.arguments("bfd_split", length), **arguments)
        trainer = SFTTrainer(args=settings, train_dataset=data, **given)
    elif objective in ("sft", "plain"):
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
    plain, reference, masked = objective == "plain", objective == "ipo", rows * sides > 1
    step = footprint.Step(rows * sides, length, logits, plain, reference, checkpointing, masked=masked)
    return footprint.beside_weights(made, getattr(torch, dtype), attention, adapter, step), measured


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in CASES]
)
def test_a_step_takes_what_was_counted_without_memory(name, tmp_path):
    planned, measured = planned_and_measured(name, tmp_path)
    assert planned == pytest.approx(measured, rel=0.1), f"planned {planned:,}, measured {measured:,}"


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_packed_rows_are_planned_as_the_one_row_that_they_become(tmp_path, attention):
    """TRL puts them one after the other: eager attention has scores of (rows × length)² then, and less than half
    of the step was planned."""
    made, changes = architecture(LlamaConfig, 2), {"batch_size": 8, "corpus.max_tokens": 128, "packing": "bfd_split"}
    made.save_pretrained(tmp_path / "base")
    changes |= {"model.base": str(tmp_path / "base"), "model.attention": attention}
    config = configs.load({"phase": "lang_adapter"}, changes)
    model = lora.attach(AutoModelForCausalLM.from_config(made, attn_implementation=attention), config.lora)
    weights, peak = measured_step("packed", model, 8, 128, False, "float32", tmp_path / "run")
    assert plan.of(config, None).step == pytest.approx(peak - weights, rel=0.1)


@pytest.mark.parametrize("name", ["adamw_torch_fused", "adamw_torch", "adafactor", "adamw_8bit", "sgd"])
def test_what_an_optimizer_takes_while_it_steps(tmp_path, name):
    """Of a model of which all trains, the step of Adafactor took a fifth more than was planned for all of it, and eight
    bits a tenth: embeddings have 32."""
    run = runs.open(short("pretrain", optimizer=name), tmp_path)
    trainer = pretrain.trainer(run)
    model, optimizer = trainer.model, trainer.create_optimizer()
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    with Counting() as counting:
        counting.know([each for parameter in model.parameters() for each in (parameter, parameter.grad)])
        before = counting.now
        optimizer.step()
    weights = sum(parameter.numel() * 4 for parameter in model.parameters())
    state, passing = moments.state(name, model), moments.step(name, model, torch.float32)
    assert counting.now - before == pytest.approx(state, abs=0.02 * weights)
    assert counting.peak - before == pytest.approx(state + passing, abs=0.1 * weights)


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
