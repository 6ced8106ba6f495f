"""Stop a training run at the step in which a number stops being finite, before anything of that step is kept.

Trainer by itself logs the loss as 0.0 (logging_nan_inf_filter) and trains on to its end with weights that are all NaN.
Loss and gradients are looked at before the optimizer steps, the weights after it. That takes a wait for the device at
two places of a step; Trainer's own filter, which is off for this, took two for every micro-batch.
"""

from __future__ import annotations

import math
from typing import Any

import torch

from nbcore import runs
from nbcore.core.finite import NotFinite
from nbcore.training import private

RESULTS = ("loss", "grad_norm", "eval_loss")  # any other logged number is a diagnostic, which may be undefined


class Divergence:
    """What one attempt at training knows of its numbers. Raises NotFinite with what is wrong; `explained` says more."""

    def __init__(self, run: runs.Run, trainer: Any):
        self.run, self.trainer = run, trainer
        self.step, self.rate = 0, trainer.args.learning_rate  # of the step in hand
        self.norm: torch.Tensor | None = None
        self.skipped = False  # whether the gradient scaler passes over this step
        self.told: set[str] = set()
        self.trained = {name: p for name, p in trainer.model.named_parameters() if p.requires_grad}
        private.remember_gradient_norm(trainer, self._remember)

    def begin(self, step: int) -> None:
        """Step `step`, counted from 1, begins."""
        self.step, self.rate = step, self.trainer.optimizer.param_groups[0]["lr"]

    def check_gradients(self) -> None:
        """The loss and the gradients of this step, before the optimizer uses them."""
        loss = private.loss_since_log(self.trainer)
        self.skipped = False
        if bool(torch.isfinite(loss + self.norm)):
            return
        if not bool(torch.isfinite(loss)):
            raise NotFinite(f"the loss is {loss.item()}")
        # In float16 the loss is multiplied before the backward pass, by as much as the gradients can bear. That is
        # found out by trying: now and then they overflow, the scaler leaves the step out and multiplies by half as
        # much. Only where it no longer multiplies at all, the gradients themselves are at fault.
        scaler = self.trainer.accelerator.scaler
        if scaler is not None and scaler.get_scale() > 1:
            self.skipped = True
            return
        raise NotFinite(f"the norm of the gradients is {self.norm.item()}")

    def check_weights(self) -> None:
        """The weights as this step leaves them."""
        norm = torch.nn.utils.get_total_norm([p.detach() for p in self.trained.values()])
        if bool(torch.isfinite(norm)):  # a tenth of what it takes to look at each value; their squares may overflow
            return
        if name := self._spoilt():
            raise NotFinite(f"the weight {name} has values that are NaN or infinite")

    def _spoilt(self) -> str | None:
        bad = (name for name, parameter in self.trained.items() if not bool(torch.isfinite(parameter).all()))
        return next(bad, None)

    def checked(self, numbers: dict[str, Any]) -> dict[str, Any]:
        """The numbers of a log. Raises NotFinite where a result among them is not finite; a diagnostic that is not
        becomes None, and is named once."""
        kept = dict(numbers)
        if self.skipped:
            kept.pop("grad_norm", None)
            kept["skipped"] = 1
        for name, value in kept.items():
            if value is None or math.isfinite(value):
                continue
            if name in RESULTS:
                raise NotFinite(f"{name} is {value}")
            kept[name] = None
            if name not in self.told:
                self.told.add(name)
                print(f"{self.run.id}: {name} is {value} at step {self.step}; it is logged as empty", flush=True)
        return kept

    def explained(self, error: NotFinite, checkpoint: int | None) -> NotFinite:
        """The error in the one line that a person needs; `checkpoint` is the last good step that was saved."""
        peak = self.trainer.args.learning_rate
        lower = min(peak / 10, type(self.run.config).model_fields["learning_rate"].default)
        self.run.event("not_finite", step=self.step, learning_rate=self.rate, what=str(error))
        good = "there is no checkpoint before it"
        if checkpoint is not None:
            good = f"the last good checkpoint is that of step {checkpoint}, and it stays the newest"
        first = ""
        if self.step == 1 and str(error).startswith("the loss"):
            first = ". No rate was used before it: look at the numbers of model.base; float16 may be too narrow for it"
            if name := self._spoilt():
                first = f". No rate was used before it: {name} came with such values; take another parent"
        return NotFinite(
            f"{self.run.id}: {error} at step {self.step}, learning rate {self.rate:.4g}. Training stops there: {good}. "
            f"Lower learning_rate (it is {peak:g}), under a name of its own: "
            f'overrides = {{"learning_rate": {lower:.3g}, "name": "…"}}{first}'
        )

    def _remember(self, norm: torch.Tensor) -> None:
        self.norm = norm
