"""The callback that keeps a training run: its numbers, its checkpoints, its best weights, and its end when asked."""

from __future__ import annotations

import hashlib
import math
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from peft import get_peft_model_state_dict, set_peft_model_state_dict
from safetensors.torch import load_file, save_file
from transformers import TrainerCallback

from nbcore import runs
from nbcore.core.finite import NotFinite
from nbcore.runs import checkpoints, pausing, pruning
from nbcore.runs.mirror import publisher
from nbcore.training import experts, private
from nbcore.training.divergence import Divergence
from nbcore.training.profiling import Profile

BEST = "best.safetensors"
DROPPED = ("total_flos", "eval_runtime", "eval_samples_per_second", "eval_steps_per_second", "eval_num_tokens")
STATES = 3  # AdamW keeps two numbers beside each that it trains


class CheckpointCallback(TrainerCallback):
    """One for each attempt. A checkpoint is enough by itself to go on from: it holds the best weights too."""

    def __init__(
        self,
        run: runs.Run,
        trainer: Any,
        facts: dict[str, Any],
        live: Any,
        patience: int | None,
        doing: Callable[..., None] = lambda *_: None,
    ):
        self.doing, self.evaluated = doing, 0  # batches of the evaluation in hand
        self.run, self.trainer, self.facts, self.live, self.patience = run, trainer, facts, live, patience
        self.save_steps = run.config.save_steps
        self.asked = False  # to stop: set by a signal
        self.seconds = 0.0  # that training stood still for saving
        self.saved: int | None = None  # the last step of which there is a checkpoint
        self.resumed: checkpoints.Checkpoint | None = None
        self.measured: tuple[int, float] | None = None  # step and loss of the latest evaluation
        self.best: dict[str, Any] = {"step": None, "loss": None, "stale": 0}
        self.best_weights: dict[str, torch.Tensor] = {}
        self.mine: set[Path] = set()  # committed by this process, so not to be read again by every retention
        self.divergence = Divergence(run, trainer)
        self.profile = Profile(trainer)
        self.experts = experts.Watch(run, trainer.model)
        self.write = private.replace_save(trainer, self.save)
        trainer.create_model_card = lambda *_, **__: None  # a card for a folder that nobody publishes

    def estimate(self) -> int:
        """Bytes that checkpoints will need: two that stay, the next one, and the part on its way to the mirror."""
        return round(3.2 * STATES * 4 * sum(p.numel() for p in self.trainer.model.parameters() if p.requires_grad))

    def restore(self, checkpoint: checkpoints.Checkpoint) -> None:
        """Take over what a checkpoint knows beside Trainer's own state."""
        self.resumed, self.best = checkpoint, dict(checkpoint.facts["best"])
        self.mine.add(checkpoint.path)
        if (checkpoint.path / BEST).is_file():
            self.best_weights = load_file(checkpoint.path / BEST)

    def explained(self, error: NotFinite) -> NotFinite:
        """What a number that is not finite means for the run, in one line."""
        resumed = self.resumed.step if self.resumed else None
        return self.divergence.explained(error, resumed if self.saved is None else self.saved)

    def leave_best(self) -> None:
        """Put the weights of the lowest evaluation loss into the model, where they were kept."""
        if self.best_weights:
            set_peft_model_state_dict(self.trainer.model, self.best_weights)

    def on_train_begin(self, args, state, control, **_):
        counted = [row["num_tokens"] for row in state.log_history if "num_tokens" in row]
        before = counted[-1] if counted else 0
        private.set_trained_tokens(self.trainer, before)
        self.profile.begin(before)

    def on_train_end(self, args, state, control, **_):
        self.run.log(step=state.global_step, **self.profile.row())  # the last evaluation and the last checkpoint

    def on_step_begin(self, args, state, control, **_):
        if self.resumed and state.global_step == self.resumed.step and self.resumed.facts["rng"] != _rng():
            raise RuntimeError(
                f"{self.run.id}: the random numbers of step {state.global_step} are not those that were saved: "
                "something drew or seeded after they had been restored"
            )
        self.divergence.begin(state.global_step + 1)

    def on_pre_optimizer_step(self, args, state, control, **_):
        self.divergence.check_gradients()
        if not self.divergence.skipped:
            self.experts.gradients(self.divergence.rate)

    def on_log(self, args, state, control, logs=None, **_):
        numbers = {
            key: value for key, value in (logs or {}).items() if not key.startswith("train_") and key not in DROPPED
        }
        if not numbers.keys() - {"epoch"}:
            return
        numbers = self.divergence.checked(numbers)
        if "eval_loss" in numbers and not self.run.config.has_reference:  # with one it is no mean log-likelihood
            numbers["eval_perplexity"] = math.exp(min(numbers["eval_loss"], 50))
        stepped = "loss" in numbers
        profile = self.profile.row(numbers.get("num_tokens")) if stepped else {}
        self.run.log(step=state.global_step, **numbers, **profile)
        if self.live:
            self.live.note = self.run.mirror_status() if publisher.current() else ""
            self.live.update(state.global_step, state.max_steps, numbers)
        if stepped:
            self.profile.lap("logging")

    def on_prediction_step(self, args, state, control, eval_dataloader=None, **_):
        self.evaluated += 1
        self.doing(f"evaluating after step {state.global_step}", self.evaluated, len(eval_dataloader))

    def on_evaluate(self, args, state, control, metrics, **_):
        loss, self.evaluated = metrics["eval_loss"], 0
        self.measured = (state.global_step, loss)
        self.profile.lap("evaluation")
        if self.patience is None:
            return
        if self.best["loss"] is None or loss < self.best["loss"]:
            self.best = {"step": state.global_step, "loss": loss, "stale": 0}
            weights = get_peft_model_state_dict(self.trainer.model)
            self.best_weights = {name: tensor.detach().cpu().clone() for name, tensor in weights.items()}
        else:
            self.best["stale"] += 1
            control.should_training_stop |= self.best["stale"] >= self.patience
        self.profile.lap("evaluation")  # a copy of the best weights is part of it

    def on_step_end(self, args, state, control, **_):
        self.divergence.check_weights()
        self.experts.changed(state.global_step)
        self.profile.stepped()
        control.should_save |= state.global_step % self.save_steps == 0
        control.should_evaluate |= self.patience is not None and state.global_step >= state.max_steps
        if self.asked:
            control.should_save = control.should_training_stop = True

    def save(self, model: Any, trial: Any = None) -> None:
        """In the place of Trainer's save: write, commit, delete what need not stay, offer it to the mirror."""
        began, step = time.monotonic(), self.trainer.state.global_step
        self.doing(f"saving the checkpoint of step {step}")
        path = Path(self.trainer.args.output_dir) / f"checkpoint-{step}"
        metric = self.measured[1] if self.measured and self.measured[0] == step else None
        stops = self.trainer.control.should_training_stop and not self.asked
        ended = stops or step >= self.trainer.state.max_steps
        facts = {**self.facts, "step": step, "time": time.time(), "metric": metric, "ended": ended, "best": self.best}
        facts["rng"] = _rng()
        pausing.require(self.run.path, self.estimate() // 3, "the next checkpoint")
        checkpoint = pausing.write(
            self.run.path,
            lambda: self._write(path, model, trial, facts),
            again=lambda: shutil.rmtree(path, ignore_errors=True),
        )
        self.mine.add(path)
        self.saved = step
        self.run.publish(checkpoint)
        pruning.prune(self.run.path, self.mine)
        self.seconds += time.monotonic() - began
        self.profile.lap("saving")

    def _write(self, path: Path, model: Any, trial: Any, facts: dict[str, Any]) -> checkpoints.Checkpoint:
        self.write(model, trial)
        # TRL keeps its reference as a second adapter, and Trainer, finding its folder, would load that and not the
        # policy. The reference is the parent's adapter: a resumed run copies it from there, as the first start did.
        shutil.rmtree(path / "ref", ignore_errors=True)
        (path / "training_args.bin").unlink(missing_ok=True)  # a pickle, which nobody here ever loads
        if self.best_weights:
            save_file(self.best_weights, path / BEST)
        return checkpoints.save(path, facts)


def _rng() -> str:
    """A hash of the state of torch's random numbers, which dropout draws from."""
    return hashlib.sha256(torch.random.get_rng_state().numpy().tobytes()).hexdigest()
