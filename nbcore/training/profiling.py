"""The clock of a training run: which part of a step took how long, how many tokens, how much memory.

Time is cut at the borders between parts, so the parts add up to the whole. On a GPU, which works behind the program
that drives it, the borders are events in its own queue: nothing waits for them, and the pass that took the time gets
it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import psutil
import torch

from nbcore.core import hardware
from nbcore.runs.profile import MEMORY, MFU, SECONDS, STEPS, TOKENS
from nbcore.training import experts, private

STEP = ("data", "forward", "backward", "optimizer", "logging", "evaluation", "saving")
ROLLOUTS = ("generation", "grading")


class Profile:
    """One for each attempt at training. `lap(part)` gives a part the time since the border before."""

    def __init__(self, trainer: Any):
        self.trainer = trainer
        generates = isinstance(trainer, private.Generating)
        self.parts = STEP + ROLLOUTS if generates else STEP
        self.cuda = trainer.accelerator.device.type == "cuda"
        self.process = psutil.Process()
        self.flops, self.peak = flops_per_token(trainer.model), peak_flops(trainer)
        self.borders: list[tuple[str, Any]] = []
        self.steps, self.tokens = 0, 0.0
        trainer.compute_loss = self._around(trainer.compute_loss, "data", "forward")
        trainer.accelerator.backward = self._around(trainer.accelerator.backward, "forward", "backward")
        if generates:
            trainer.part_ended = self.lap

    def begin(self, tokens: float) -> None:
        """Training begins here, after so many tokens of earlier attempts."""
        self.borders, self.steps, self.tokens = [("", self._now())], 0, tokens

    def lap(self, part: str) -> None:
        """The time since the border before belongs to this part; a new border is here."""
        self.borders.append((part, self._now()))

    def stepped(self) -> None:
        """A step of the optimizer has ended here."""
        self.steps += 1
        self.lap("optimizer")

    def row(self, tokens: float | None = None) -> dict[str, float]:
        """What a row of metrics.jsonl gets: sums since the row before. `tokens`: how many were trained on until now."""
        self.lap("logging")
        seconds = dict.fromkeys(self.parts, 0.0)
        if self.cuda:
            self.borders[-1][1].synchronize()
        for (_, before), (part, after) in zip(self.borders, self.borders[1:], strict=False):
            seconds[part] += before.elapsed_time(after) / 1000 if self.cuda else after - before
        trained = 0 if tokens is None else tokens - self.tokens
        row = {f"{SECONDS}{part}": round(value, 6) for part, value in seconds.items()}
        row |= {STEPS: self.steps, TOKENS: round(trained)} | self._memory()
        spent = sum(seconds.values()) - seconds["evaluation"] - seconds["saving"]
        if self.peak and self.steps:
            row[MFU] = round(self.flops * trained / spent / self.peak, 4)
        self.borders, self.steps, self.tokens = self.borders[-1:], 0, self.tokens + trained
        return row

    def _memory(self) -> dict[str, int]:
        if not self.cuda:
            return {f"{MEMORY}resident": self.process.memory_info().rss}
        most, now = torch.cuda.max_memory_allocated(), torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()  # the next row tells its own
        return {f"{MEMORY}allocated": now, f"{MEMORY}peak": most}

    def _now(self) -> Any:
        if not self.cuda:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def _around(self, work: Callable, before: str, within: str) -> Callable:
        def timed(*arguments: Any, **named: Any) -> Any:
            if not self.trainer.model.training:  # an evaluation, which is a part of its own
                return work(*arguments, **named)
            self.lap(before)
            result = work(*arguments, **named)
            self.lap(within)
            return result

        return timed


def flops_per_token(model: torch.nn.Module) -> int:
    """Floating-point operations of a forward and a backward pass for each token, in the products with weights.

    Two for each weight forward, two back to its input, two more where the weight itself is trained. Of experts only
    those that a token goes to. Attention scores and recomputed activations are left out, as is usual for MFU.
    """
    shape = model.config.get_text_config()
    used = getattr(shape, "num_experts_per_tok", 1) / getattr(shape, "num_local_experts", 1)
    linear = [module for module in model.modules() if isinstance(module, torch.nn.Linear)]
    products = [(m.in_features * m.out_features, m.weight.requires_grad) for m in linear]
    fused = [(value.numel() * used, value.requires_grad) for value in experts.parameters(model).values()]
    return round(sum((6 if trained else 4) * count for count, trained in [*products, *fused]))


def peak_flops(trainer: Any) -> float | None:
    """Operations a second that the device can do in the trainer's half precision; None in float32 and elsewhere."""
    half = trainer.args.bf16 or trainer.args.fp16
    return hardware.peak_flops(hardware.device()) if half else None
