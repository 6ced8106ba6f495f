"""What every trainer shares: TRL arguments from a config, one callback, and resuming from a committed checkpoint."""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
from pathlib import Path
from typing import Any

import torch
from transformers import PrinterCallback, TrainerCallback, set_seed

from nbcore import place, runs
from nbcore.config import Lora
from nbcore.lm import load, lora
from nbcore.runs import commit

MARKER = "commit.json"
TRAINED = "trained.json"
DROPPED = ("total_flos", "eval_runtime", "eval_samples_per_second", "eval_steps_per_second", "eval_num_tokens")


def arguments(kind: type, run: runs.Run, **extra: Any) -> Any:
    """A TRL config of this kind. Precision is always explicit: TRL turns bf16 on where it is left open, and bfloat16
    on a CPU is a hundred times slower than float32. Raises ValueError for what the escape hatch gets wrong."""
    config = run.config
    if unknown := sorted(set(config.trainer) - {field.name for field in dataclasses.fields(kind)}):
        raise ValueError(f"trainer: {kind.__name__} has no {unknown[0]!r}; its fields are in TRL's documentation")
    values = {
        "output_dir": str(run.path / "state"),
        "seed": config.seed,
        "data_seed": config.seed,
        "max_steps": config.max_steps,
        "learning_rate": config.learning_rate,
        "per_device_train_batch_size": config.batch_size,
        "per_device_eval_batch_size": config.batch_size,
        "gradient_accumulation_steps": config.gradient_accumulation,
        "lr_scheduler_type": "cosine_with_min_lr",
        "lr_scheduler_kwargs": {"min_lr_rate": config.min_lr_ratio},
        "warmup_steps": config.warmup,  # transformers 5 reads a number below 1 as a share of the steps
        "weight_decay": config.weight_decay,
        "gradient_checkpointing": config.gradient_checkpointing,
        "bf16": config.model.dtype == "bfloat16",
        "fp16": config.model.dtype == "float16",
        "use_cpu": not torch.cuda.is_available(),
        "save_strategy": "no",  # Keeper asks for saves, and commits them
        "save_total_limit": None,
        "restore_callback_states_from_checkpoint": True,  # patience must not start anew with every lost runtime
        "logging_steps": 1,
        "report_to": "none",
        "disable_tqdm": True,
        **extra,
        **config.trainer,
    }
    return kind(**values)


def fit(trainer: Any, run: runs.Run, live: Any = None) -> dict:
    """Train to the end, from the newest committed checkpoint where there is one. Returns {"steps": optimizer steps}.

    A checkpoint that was not committed, or whose content changed, is removed and the one before it is taken.
    """
    for parameter in trainer.model.parameters():
        if parameter.requires_grad:
            # TRL casts the adapter on a 4-bit base to bfloat16: a T4's gradient scaler cannot unscale that, and small
            # steps round away. The adapter is small: float32 it is, before the optimizer is made.
            parameter.data = parameter.data.float()
    trainer.add_callback(Keeper(run, live))
    trainer.remove_callback(PrinterCallback)  # it prints every dict of numbers; the run's log and the curve hold them
    checkpoint = newest_checkpoint(run)
    if checkpoint:
        print(f"resuming {run.id} from step {_step(checkpoint)}", flush=True)
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    if trainer.state.global_step < 1:
        raise RuntimeError(f"{run.id}: training ended without a step; its data or its checkpoint is at fault")
    if live:
        live.close()
    return {"steps": trainer.state.global_step}


def done(run: runs.Run) -> dict | None:
    """What `train` returned once it had ended, so that a process killed later, before the commit, trains no further."""
    path = run.path / TRAINED
    if run.finished:
        return last(run)
    return json.loads(path.read_text("utf-8")) if path.is_file() else None


def ended(run: runs.Run, result: dict) -> dict:
    """Record that training has ended and its weights are written."""
    found = {**result, **last(run)}
    commit.write_durably(run.path / TRAINED, json.dumps(found) + "\n")
    return found


def newest_checkpoint(run: runs.Run) -> Path | None:
    """The newest checkpoint that verifies and has steps ahead; what does not verify is deleted on the way.

    Trainer, resumed at its last step, would take one more: the steps after the checkpoint before are repeated instead.
    """
    for path in sorted((run.path / "state").glob("checkpoint-*"), key=_step, reverse=True):
        if _step(path) >= run.config.max_steps:
            continue
        if not commit.problems(path, MARKER):
            return path
        print(f"{run.id}: {path.name} was cut short or damaged; falling back to the one before", flush=True)
        shutil.rmtree(path)
    return None


def trainable_policy(run: runs.Run) -> Any:
    """The parent's policy with its one adapter trainable; a fresh adapter where the chain has none yet."""
    wanted = getattr(run.config, "lora", None)
    if load.adapter_of(run.parent):
        if wanted is not None:
            raise ValueError(f"lora: {run.parent.id} brings its adapter, whose rank and targets stay; leave lora out")
        return load.policy(run, run.parent, trainable=True)
    if run.phase != "sft":
        raise ValueError(f"parent: {run.phase} continues an adapter, and its parent has none; run sft first")
    base = load.policy(run, run.parent)
    set_seed(run.config.seed)
    return lora.attach(base, wanted or Lora(), gradient_checkpointing=run.config.gradient_checkpointing)


def save_adapter(model: Any, run: runs.Run) -> None:
    """Leave adapter/: the trained adapter alone, as safetensors."""
    model.save_pretrained(run.path / "adapter", selected_adapters=["default"])


def last(run: runs.Run) -> dict[str, float]:
    """The latest value of every number the run has logged."""
    numbers: dict[str, float] = {}
    for row in run.metrics():
        numbers |= {key: value for key, value in row.items() if key != "time"}
    return numbers


def finish(run: runs.Run, metrics: dict, report: dict) -> runs.Run:
    """Commit the run with what it stood on: base, data and device."""
    device = place.device()
    return run.finish(metrics, base=load.base_of(run), device=device.name, data_hash=report["sha256"], data=report)


class Keeper(TrainerCallback):
    """Logs to the run, commits every checkpoint, keeps the newest two and the best."""

    def __init__(self, run: runs.Run, live: Any = None):
        self.run, self.live = run, live

    def on_log(self, args, state, control, logs=None, **_):
        numbers = {
            key: value for key, value in (logs or {}).items() if not key.startswith("train_") and key not in DROPPED
        }
        if not numbers.keys() - {"epoch"}:
            return
        if "eval_loss" in numbers:
            numbers["eval_perplexity"] = math.exp(min(numbers["eval_loss"], 50))
        self.run.log(step=state.global_step, **numbers)
        if self.live:
            self.live.update(state.global_step, state.max_steps, numbers)

    def on_step_end(self, args, state, control, **_):
        if state.global_step % self.run.config.save_steps == 0:
            control.should_save = True

    def on_save(self, args, state, control, **_):
        path = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        # TRL keeps its reference as a second adapter, and Trainer, finding its folder, would load that and not the
        # policy. The reference is the parent's adapter: a resumed run copies it from there, as the first start did.
        shutil.rmtree(path / "ref", ignore_errors=True)
        commit.commit(path, MARKER, {"step": state.global_step})
        checkpoints = sorted(path.parent.glob("checkpoint-*"), key=_step)
        best = Path(state.best_model_checkpoint or "").name
        for old in checkpoints[:-2]:
            if old.name != best:
                # A folder half deleted must not look whole to the next process: its marker goes first.
                (old / MARKER).unlink(missing_ok=True)
                shutil.rmtree(old)


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.rsplit("-", 1)[1])
