"""Everything that TRL and transformers keep private and training here needs, in one place.

Names that begin with an underscore may change with any release. Each use stands here with its reason and the version
in which the code behind it was read; tests/training/test_private.py fails where a release has changed one of them, and
no other module may touch such a name. Read in transformers 5.17.0, TRL 1.14.2, accelerate 1.15.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

import torch
from peft.tuners.lora.layer import ParamWrapper

# Counting the tensors of a step, on real ones or on ones without memory, needs torch's own hooks for tools of that
# kind; they have no public name (torch 2.13: tests/training/test_footprint.py fails where one of them has changed).
from torch._subclasses.fake_tensor import FakeTensorMode as FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode as TorchDispatchMode
from torch.utils._pytree import tree_leaves as tree_leaves


def replace_save(trainer: Any, save: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    """Have `save(model, trial)` called where Trainer would write a checkpoint; returns Trainer's own function.

    Trainer tells its callbacks of a save only afterwards, and a save that meets a full disk can only be tried again
    around the whole of it (transformers 5.17.0, Trainer._save_checkpoint).
    """
    original = trainer._save_checkpoint
    trainer._save_checkpoint = save
    return original


def load_weights(trainer: Any, checkpoint: str) -> None:
    """Put the weights of a checkpoint folder into the trainer's model, without training.

    Trainer's public way to load a checkpoint takes a step more (transformers 5.17.0, Trainer._load_from_checkpoint).
    """
    trainer._load_from_checkpoint(checkpoint)


def loss_since_log(trainer: Any) -> torch.Tensor:
    """The sum of the losses since the last logged step: NaN or infinite from the first micro-batch whose loss is.

    Callbacks are told the loss only after the optimizer has stepped, which is too late to save the weights. Holds as
    long as `logging_nan_inf_filter` is off (transformers 5.17.0, Trainer._tr_loss).
    """
    return trainer._tr_loss


def remember_gradient_norm(trainer: Any, remember: Callable[[torch.Tensor], None]) -> None:
    """Have `remember(norm)` called with the norm of each step's gradients, before the optimizer steps.

    Trainer measures it through accelerate's public `clip_grad_norm_`, once a step, whether it clips or not, and shows
    it to callbacks only afterwards (transformers 5.17.0, Trainer._clip_grad_norm and _get_grad_norm).
    """
    measure = trainer.accelerator.clip_grad_norm_

    def measured(*arguments: Any, **named: Any) -> torch.Tensor:
        norm = measure(*arguments, **named)
        remember(norm)
        return norm

    trainer.accelerator.clip_grad_norm_ = measured


def set_trained_tokens(trainer: Any, tokens: float) -> None:
    """Set the count behind TRL's metric num_tokens, which would begin at 0 again in a resumed run.

    GRPO counts through Trainer's own state and ignores it (TRL 1.14.2, SFTTrainer and DPOTrainer._total_train_tokens).
    """
    trainer._total_train_tokens = tokens


def forget_metrics(trainer: Any) -> None:
    """Drop what TRL has collected for the next log, so that a pass before training leaves no trace in it.

    TRL 1.14.2, _metrics["train"] of each of its trainers: a name -> values of the micro-batches since the last log.
    """
    trainer._metrics["train"].clear()


def completion_logps(trainer: Any, ids: torch.Tensor, length: int) -> torch.Tensor:
    """Log-probabilities (rows, length) of the last `length` tokens of `ids` (rows, tokens), as GRPO trains on them.

    The memory probe has to run the very computation of a step (TRL 1.14.2,
    GRPOTrainer._get_per_token_logps_and_entropies).
    """
    logps, *_ = trainer._get_per_token_logps_and_entropies(trainer.model, ids, torch.ones_like(ids), length)
    return logps


def scored(trainer: Any, inputs: list[dict[str, Any]]) -> dict[str, Any]:
    """Generated and scored completions of a batch, as GRPO trains on them: ids, masks and advantages.

    What is trained on can be seen nowhere else (TRL 1.14.2, GRPOTrainer._generate_and_score_completions).
    """
    return trainer._generate_and_score_completions(inputs)


class Tokenised:
    """Beside DPOTrainer: rows are token ids already, and pass as they are.

    TRL would render and tokenise them by its own rules, and append an end of sequence of its own (TRL 1.14.2,
    DPOTrainer._prepare_dataset).
    """

    def _prepare_dataset(self, dataset, *_args, **_kwargs):
        return dataset


class Generating:
    """Beside GRPOTrainer: `generate(prompts, complete)` decides how the completions of one step are drawn, and
    `part_ended(part)` is told where generation and grading end.

    `complete(some prompts)` is TRL's own way: a list of token ids for each of them. TRL offers no hook around its
    generation that would leave the rest of the step to it (TRL 1.14.2, GRPOTrainer._generate_single_turn, which returns
    (completion ids, log-probabilities or None); they are None without vLLM). Nor does it tell when rewards are asked
    for: _generate draws a step's completions in whichever way, _calculate_rewards has them graded, and what stands
    between them is the forward pass of an older policy or of the reference.
    """

    def part_ended(self, part: str) -> None:
        """The time since the last call belongs to this part of a step."""

    def _generate(self, prompts):
        self.part_ended("data")
        drawn = super()._generate(prompts)
        self.part_ended("generation")
        return drawn

    def _calculate_rewards(self, *arguments, **named):
        self.part_ended("forward")
        rewards = super()._calculate_rewards(*arguments, **named)
        self.part_ended("grading")
        return rewards

    def generate(self, prompts: list[list[int]], complete: Callable[[list], list[list[int]]]) -> list[list[int]]:
        return complete(prompts)

    def _generate_single_turn(self, prompt_ids, *arguments, **named):
        logps: list = []

        def complete(some: list) -> list[list[int]]:
            ids, logps_of_some = super(Generating, self)._generate_single_turn(some, *arguments, **named)
            logps.extend(logps_of_some or ())
            return ids

        return self.generate(prompt_ids, complete), logps or None


class ExpertUpdates(ParamWrapper):
    """An adapter on a weight of PackedExperts, which is handed the factors in place of base + update.

    PEFT would add the update to the whole stack of experts, which is not there to be added to (peft 0.21.2,
    ParamWrapper._activate_lora).
    """

    @contextmanager
    def _activate_lora(self, active_adapters):
        experts, used = self.get_base_layer(), [name for name in active_adapters if name in self.lora_A]
        experts.updates[self.parameter_name] = [self.get_delta_factors(name) for name in used]
        try:
            yield
        finally:
            del experts.updates[self.parameter_name]


# By this name PEFT knows what takes a second adapter, such as IPO's reference (peft 0.21.2, BaseTuner).
ExpertUpdates.__name__ = "ParamWrapper"
