"""What training uses of TRL's and transformers' private side still has the shape it was read in."""

import ast
import importlib
import inspect
from pathlib import Path

import pytest
import torch
import transformers
import trl
from datasets import Dataset
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainerCallback
from trl import DPOTrainer, GRPOTrainer, SFTConfig, SFTTrainer

from nbcore.training import load, private

READ = "read in transformers 5.17.0 and TRL 1.14.2, this is " + f"{transformers.__version__} and {trl.__version__}"
ROOMS = ("training", "phases", "view", "pipeline")


class Witness(TrainerCallback):
    """What a callback sees of each step."""

    def __init__(self, trainer):
        self.trainer, self.norms, self.losses, self.saves, self.collected = trainer, [], [], [], []
        self.logged, self.order = [], []
        private.remember_gradient_norm(trainer, lambda norm: (self.norms.append(norm), self.order.append("norm")))
        self.original = private.replace_save(trainer, self.save)
        trainer.add_callback(self)

    def save(self, model, trial):
        self.saves.append((self.trainer.state.global_step, model is self.trainer.model, trial))

    def on_train_begin(self, args, state, control, **_):
        private.set_trained_tokens(self.trainer, 1000)

    def on_pre_optimizer_step(self, args, state, control, **_):
        self.losses.append(private.loss_since_log(self.trainer).item())
        self.collected.append(dict(self.trainer._metrics["train"]))
        self.order.append("before the optimizer")

    def on_log(self, args, state, control, logs=None, **_):
        self.logged += [dict(logs)] if "loss" in logs else []


def rows(count=8):
    return Dataset.from_list([{"input_ids": [5, 6, 7 + n, 8], "labels": [5, 6, 7 + n, 8]} for n in range(count)])


def trainer(tmp_path, **values):
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=2048, **sizes))
    settings = SFTConfig(
        output_dir=str(tmp_path),
        max_steps=3,
        per_device_train_batch_size=2,
        logging_nan_inf_filter=False,
        save_strategy="steps",
        save_steps=2,
        **{"logging_steps": 1, "report_to": "none", "bf16": False, "use_cpu": True, "disable_tqdm": True} | values,
    )
    tokenizer = load.tokenizer_at(str(load.SEEDLING))
    return SFTTrainer(model=model, args=settings, train_dataset=rows(), processing_class=tokenizer)


@pytest.mark.parametrize("clip", [1.0, 0.0])
def test_a_step_shows_its_loss_and_norm_before_the_optimizer(tmp_path, clip):
    """What comes after the optimizer is too late: by then a NaN is in every weight."""
    built = trainer(tmp_path, max_grad_norm=clip)
    seen = Witness(built)
    built.train()
    assert seen.order == ["norm", "before the optimizer"] * 3, READ
    assert seen.losses == pytest.approx([row["loss"] for row in seen.logged], abs=1e-6), READ
    assert [norm.item() for norm in seen.norms] == pytest.approx([row["grad_norm"] for row in seen.logged]), READ
    assert [(step, same) for step, same, _ in seen.saves][:1] == [(2, True)] and seen.saves[0][2] is None, READ
    assert not list(tmp_path.iterdir()), f"the save was ours alone: {READ}"
    assert seen.logged[0]["num_tokens"] == 1000 + 8, f"_total_train_tokens: {READ}"
    assert "entropy" in seen.collected[0] or "mean_token_accuracy" in seen.collected[0], f"_metrics: {READ}"


def test_losses_add_up_over_micro_batches_and_a_nan_stays(tmp_path):
    """One micro-batch in sixteen that is NaN has to be seen, wherever it comes."""
    built = trainer(tmp_path, gradient_accumulation_steps=2, logging_steps=3)
    seen, real, calls = Witness(built), built.compute_loss, []

    def compute_loss(*arguments, **named):
        calls.append(1)
        return real(*arguments, **named) * (float("nan") if len(calls) == 3 else 1)

    built.compute_loss = compute_loss
    built.train()
    assert [loss == loss for loss in seen.losses] == [True, False, False], READ


def test_a_checkpoint_that_trainer_wrote_loads_without_a_step(tmp_path):
    """A run that was killed after its last step has to leave the weights of that step, not of one more."""
    built = trainer(tmp_path)
    seen = Witness(built)
    built.train()
    seen.original(built.model, None)
    before = {name: value.clone() for name, value in built.model.state_dict().items()}
    for parameter in built.model.parameters():
        parameter.data.zero_()
    private.load_weights(built, str(tmp_path / "checkpoint-3"))
    assert all(torch.equal(value, before[name]) for name, value in built.model.state_dict().items()), READ


def test_forgotten_metrics_are_gone(tmp_path):
    """The probe's micro-batch would be averaged into the first step's numbers."""
    built = trainer(tmp_path)
    built._metrics["train"]["entropy"].append(7.0)
    private.forget_metrics(built)
    assert not built._metrics["train"] and built._total_train_tokens == 0, READ


@pytest.mark.parametrize(
    ("owner", "name", "parameters"),
    [
        (Trainer, "_save_checkpoint", ["self", "model", "trial"]),
        (Trainer, "_load_from_checkpoint", ["self", "resume_from_checkpoint", "model"]),
        (Trainer, "_clip_grad_norm", ["self", "model"]),
        (Trainer, "_get_grad_norm", ["self", "model", "grad_norm"]),
        (DPOTrainer, "_prepare_dataset", ["self", "dataset", "processing_class", "args", "dataset_name"]),
        (GRPOTrainer, "_generate", ["self", "prompts"]),
        (GRPOTrainer, "_calculate_rewards", ["self", "inputs", "prompts", "completions", "completion_ids_list"]),
        (
            GRPOTrainer,
            "_generate_single_turn",
            ["self", "prompt_ids", "images", "multimodal_fields", "num_generations", "has_tool_images"],
        ),
        (
            GRPOTrainer,
            "_get_per_token_logps_and_entropies",
            ["self", "model", "args", "batch_size", "compute_aux_loss", "kwargs"],
        ),
    ],
)
def test_signatures(owner, name, parameters):
    """An argument more, or in another place, and ours would be given to the wrong one."""
    assert list(inspect.signature(getattr(owner, name)).parameters) == parameters, f"{name}: {READ}"


def test_the_mixins_stand_before_what_they_replace():
    """Behind TRL's class their methods would never be asked, and nothing would say so."""
    grpo, ipo = (importlib.import_module(f"nbcore.phases.{name}") for name in ("grpo", "ipo"))
    assert grpo.FoldedTrainer._generate_single_turn is private.Generating._generate_single_turn
    assert grpo.FoldedTrainer._generate is private.Generating._generate
    assert grpo.FoldedTrainer._calculate_rewards is private.Generating._calculate_rewards
    assert ipo.PairTrainer._prepare_dataset is private.Tokenised._prepare_dataset
    assert not issubclass(GRPOTrainer, private.Generating) and "generate" not in dir(GRPOTrainer), READ


def test_generation_is_handed_on_whole():
    """In chunks, the completions come in the order of the prompts, with log-probabilities where there are any."""

    class Trl:
        def _generate_single_turn(self, prompt_ids, images, multimodal_fields, num_generations, has_tool_images=False):
            assert (images, multimodal_fields, num_generations) == (None, {}, 4)
            return [[prompt, 1] for prompt in prompt_ids], self.logps and [[0.5] for _ in prompt_ids]

    class Halves(private.Generating, Trl):
        logps = True

        def generate(self, prompts, complete):
            return complete(prompts[:2]) + complete(prompts[2:])

    halves = Halves()
    assert halves._generate_single_turn([7, 8, 9], None, {}, 4) == ([[7, 1], [8, 1], [9, 1]], [[0.5]] * 3)
    halves.logps = None
    assert halves._generate_single_turn([7], None, {}, num_generations=4) == ([[7, 1]], None)


def private_names(tree):
    """Names with one leading underscore that a module takes from another object, or defines in a class."""
    ours = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
            owner = node.value.id if isinstance(node.value, ast.Name) else ""
            public = node.attr in ("_asdict", "_fields", "_replace")  # of named tuples, in spite of their names
            if not public and not (owner in ("self", "cls") and node.attr in ours):
                yield node.attr, node.lineno


@pytest.mark.parametrize("path", sorted(p for room in ROOMS for p in Path("nbcore", room).glob("*.py")), ids=str)
def test_no_other_module_touches_what_is_private(path):
    """Eight modules did, and which of them a new release would break was anybody's guess."""
    tree = ast.parse(path.read_text())
    inherited = set(vars(private.Generating)) | set(vars(private.Tokenised))
    defined = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    if path != Path("nbcore/training/private.py"):
        assert not list(private_names(tree)) and not {n for n in defined & inherited if not n.startswith("__")} - {
            "generate"
        }, f"{path}: {list(private_names(tree))}: that belongs into nbcore/training/private.py"


@pytest.mark.parametrize(
    ("code", "bad"), [("trainer._metrics", 1), ("super()._x()", 1), ("a._asdict()", 0), ("a.__init__", 0)]
)
def test_the_rule_above_bites(code, bad):
    assert len(list(private_names(ast.parse(code)))) == bad
