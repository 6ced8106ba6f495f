"""Language adapter: LoRA where the config says, QLoRA for real, experts included."""

import pytest
import torch
from safetensors.torch import load_file
from transformers import GptOssConfig, GptOssForCausalLM

from nbcore import config as configs
from nbcore import runs
from nbcore.phases import lang_adapter
from nbcore.training import load, lora
from tests.phases.short_runs import same_losses, short, walk


def test_first_losses(chain, golden):
    """A change in data order, initialisation or schedule shows in the first steps."""
    same_losses(runs.find(chain, "lang_adapter"), golden)


def test_every_targeted_layer_was_trained(chain):
    """An adapter that loads but never moved looks like a trained one; B starts at zero, so it tells."""
    weights = load_file(runs.find(chain, "lang_adapter").path / "adapter/adapter_model.safetensors")
    moved = {name: bool(tensor.abs().sum() > 0) for name, tensor in weights.items() if "lora_B" in name}
    assert moved and all(moved.values())


def test_a_corpus_that_teaches_nothing_is_one_clear_line(tmp_path):
    """max_tokens: 1 trained to the end and reported an eval_loss that is no number."""
    with pytest.raises(ValueError, match=r"^corpus: no document is left .*too_short.: 16.*max_tokens, which is 1"):
        lang_adapter.train(runs.open(short("lang_adapter", **{"corpus.max_tokens": 1}), tmp_path))


def test_nf4_double_quantisation_trains_on_a_cpu(tmp_path):
    """QLoRA is what every GPU profile runs; here it runs for real, four-bit weights and all."""
    config = short("lang_adapter", max_steps=2, **{"model.quantization": "nf4"})
    run = runs.open(config, tmp_path)
    model = lang_adapter.model(run)
    four_bit = [p for p in model.parameters() if type(p).__name__ == "Params4bit"]
    assert four_bit and all(p.quant_state.nested for p in four_bit)
    walk(lang_adapter, run)
    weights = load_file(run.path / "adapter/adapter_model.safetensors")
    assert all(torch.isfinite(w).all() for w in weights.values())
    assert any(w.abs().sum() > 0 for name, w in weights.items() if "lora_B" in name)


def test_experts_of_gpt_oss_get_an_adapter():
    """'all-linear' misses fused experts silently: the adapter must count more than attention alone."""
    tiny = GptOssConfig(
        hidden_size=32, intermediate_size=32, num_hidden_layers=2, num_local_experts=4, num_experts_per_tok=2,
        num_attention_heads=4, num_key_value_heads=2, head_dim=8, vocab_size=64,
    )  # fmt: skip
    attention = ["q_proj", "k_proj", "v_proj", "o_proj"]
    experts = ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]
    plain = lora.attach(GptOssForCausalLM(tiny), configs.Lora(targets=attention))
    config = configs.Lora(targets=attention, target_parameters=experts, expert_rank=2)
    model = lora.attach(GptOssForCausalLM(tiny), config)
    # per layer: 4 experts × rank 2 × (in + out) for gate_up (32 → 64) and down (32 → 32)
    assert model.get_nb_trainable_parameters()[0] - plain.get_nb_trainable_parameters()[0] == 2 * 4 * 2 * (
        (32 + 64) + (32 + 32)
    )
    ids = torch.arange(8)[None]
    model(input_ids=ids, labels=ids).loss.backward()
    gradients = [p.grad for name, p in model.named_parameters() if "experts" in name and "lora_B" in name]
    assert gradients and all(g is not None and g.abs().sum() > 0 for g in gradients)


def test_a_target_that_matches_nothing_is_an_error(tmp_path):
    """PEFT only warns, and the run would train without it."""
    run = runs.open(short("lang_adapter", **{"lora.targets": ["q_proj", "gate_up"]}), tmp_path)
    with pytest.raises(ValueError, match="'gate_up' matches nothing"):
        lang_adapter.model(run)


def test_a_base_other_than_the_parents_is_refused(chain):
    """An adapter on another base computes nonsense without an error."""
    run = runs.open(short("sft", **{"model.base": "some/other"}), chain, "lang_adapter")
    with pytest.raises(ValueError, match=r"some/other.*seedling"):
        load.base_of(run)
