"""What every trainer shares: TRL arguments from a config, and one way to train that outlives whatever ends it.

train()               done already? · train · out of memory: smaller micro-batches · leave the weights · note the end
CheckpointCallback    logs · commits checkpoints · keeps the best weights · stops when asked to, or at a NaN
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable
from typing import Any

import torch
import trl
from transformers import PrinterCallback, set_seed

from nbcore import config as configs
from nbcore import runs
from nbcore.core import environment, hardware
from nbcore.core.finite import NotFinite
from nbcore.runs import activity, checkpoints, commit, inputs, layout, pausing, profile
from nbcore.training import backends, experts, load, lora, memory, order, plan, private, probe, stopping
from nbcore.training.saving import CheckpointCallback

HALVINGS = 3  # of the micro-batch, in the life of a run


def arguments(run: runs.Run, **extra: Any) -> Any:
    """The TRL config of a run. Precision is always explicit: TRL turns bf16 on where it is left open, and bfloat16 on a
    CPU is a hundred times slower than float32. Raises ValueError for what the escape hatch gets wrong."""
    config = run.config
    values = {
        **backends.training(config),
        "output_dir": str(layout.new_attempt(run.path)),
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
        "save_strategy": "no",  # CheckpointCallback asks for saves, and commits them
        "save_total_limit": None,
        "train_sampling_strategy": "sequential",  # rows come as a list in the order of training: see order.py
        "logging_steps": 1,
        "logging_nan_inf_filter": False,  # on, it logs a NaN as 0.0; a NaN ends the run here: see divergence.py
        "report_to": "none",
        "disable_tqdm": True,
        **extra,
        **config.trainer,
    }
    return getattr(trl, config.TOLD)(**values)


def train(
    run: runs.Run,
    data: dict[str, Any],
    build: Callable[[runs.Run], Any],
    live: Any = None,
    patience: int | None = None,
    longest: Callable[[Any], torch.Tensor] | None = None,
) -> dict:
    """Train to the end and leave adapter/ (pretrain: model/); returns the last numbers, "steps" among them.

    `build` makes the trainer anew for each attempt. `patience`: keep the weights of the lowest evaluation loss, and
    stop after so many evaluations without a lower one. `longest`: loss of the longest batch, for the probe.
    Resumes from the newest checkpoint that verifies. Where memory runs out it goes on from there with half the
    micro-batch and twice the accumulation. Raises KeyboardInterrupt where it was asked to stop, with everything
    saved, and runs.Paused where the disk is full.
    """
    if run.finished:
        return last(run)
    if already := checkpoints.trained(run.path):
        return already
    while True:
        try:
            return _attempt(run, data, build, live, patience, longest or probe.longest_rows)
        except Exception as error:
            if not memory.is_lacking(error):
                raise
            words = str(error).splitlines()[0]
            memory.release(error)
        memory.release()  # and once more now that nothing refers to the error
        _halve(run, words)


def _attempt(
    run: runs.Run,
    data: dict[str, Any],
    build: Callable[[runs.Run], Any],
    live: Any,
    patience: int | None,
    longest: Callable[[Any], torch.Tensor],
) -> dict:
    doing = activity.Activity(run.path, live.tell if live else lambda doing: None)
    doing("loading the model")
    trainer = build(run)
    for parameter in trainer.model.parameters():
        if parameter.requires_grad:
            # TRL casts the adapter on a 4-bit base to bfloat16: a T4's gradient scaler cannot unscale that, and small
            # steps round away. The adapter is small: float32 it is, before the optimizer is made.
            parameter.data = parameter.data.float()
    facts = {
        "config": layout.config_of(run.path)[1],
        "data": data["report"]["sha256"],
        "rendered": order.digest(data.get("prompts", data["train"])),
        "parent": (run.info["parent"] or {}).get("hash"),
        "base": load.fingerprint(run),
        "versions": environment.versions(),
    }
    callback = CheckpointCallback(run, trainer, facts, live, patience, doing)
    trainer.add_callback(callback)
    trainer.remove_callback(PrinterCallback)  # it prints every dict of numbers; the run's log and the curve hold them
    pausing.require(run.path, callback.estimate(), "training")
    checkpoint = _resume_from(run, facts)
    if checkpoint is None:
        inputs.require(run)
    if torch.cuda.is_available():  # a CPU's lack of memory ends the process and cannot be caught
        probe.run(trainer, longest)
    with stopping.on_signals(callback):
        if checkpoint and checkpoint.facts["ended"]:
            callback.restore(checkpoint)
            private.load_weights(trainer, str(checkpoint.path))
            steps = checkpoint.step
        else:
            if checkpoint:
                callback.restore(checkpoint)
            try:
                trainer.train(resume_from_checkpoint=str(checkpoint.path) if checkpoint else None)
            except NotFinite as error:
                raise callback.explained(error) from None
            steps = trainer.state.global_step
            if steps <= (checkpoint.step if checkpoint else 0):
                raise RuntimeError(f"{run.id}: training ended without a step; its data or its checkpoint is at fault")
    result = {"steps": steps, **last(run), "saving_seconds": round(callback.seconds, 2)}
    if not (callback.asked and callback.saved == steps):
        doing("writing the trained weights")
        callback.leave_best()
        weights = configs.TABLE[run.phase].leaves
        pausing.write(run.path, lambda: _leave(run, weights, trainer, data["tokenizer"]))
        pausing.write(run.path, lambda: checkpoints.ended(run.path, result, weights))
        run.publish(step=steps)
    if live:
        live.close()
    if callback.asked:
        run.wait_for_mirror()
        raise KeyboardInterrupt(f"{run.id} stopped at step {steps}, all saved; the same command goes on from there")
    return result


def _resume_from(run: runs.Run, facts: dict[str, Any]) -> checkpoints.Checkpoint | None:
    """The newest checkpoint that verifies. Raises ValueError where it stands on other data or another base."""
    checkpoint, wrong = checkpoints.newest(run.path)
    for name, problems in wrong.items():
        print(f"{run.id}: {name} cannot be trusted ({problems[0]}); falling back to the one before", flush=True)
        run.event("fell_back", checkpoint=name, problems=problems)
    if checkpoint is None:
        return None
    for name in ("data", "parent", "base", "rendered"):
        then = checkpoint.facts.get(name, facts[name])  # checkpoints of earlier versions know nothing of "rendered"
        if then != facts[name]:
            what = "rendered token ids (another chat template or tokenizer)" if name == "rendered" else name
            that = "the rows, or the chat template that renders them" if name == "data" else "that"
            raise ValueError(
                f"{what}: {run.id} stands at step {checkpoint.step} on {then}, now it is "
                f'{facts[name]}; restore {that}, or begin anew under a name of its own: overrides = {{"name": "…"}}'
            )
    then = checkpoint.facts["versions"]
    moved = {name: f"{then.get(name)} → {new}" for name, new in facts["versions"].items() if then.get(name) != new}
    print(f"resuming {run.id} from step {checkpoint.step}", flush=True)
    if moved:
        words = ", ".join(f"{name} {change}" for name, change in moved.items())
        print(f"other versions since then, so numbers may differ in their last digits: {words}", flush=True)
    run.event("resumed", step=checkpoint.step, checkpoint=checkpoint.name, versions=moved)
    return checkpoint


def _halve(run: runs.Run, words: str) -> None:
    """Go on with half the micro-batch. Raises ValueError where it is one row already, or was halved often enough."""
    config, tries = run.config, run.halvings
    size = memory.smaller(config.batch_size, config.effective_batch)
    run.event("out_of_memory", batch_size=config.batch_size, error=words)
    if size is None or tries >= HALVINGS:
        names = list(hardware.PROFILES)
        below = names[max(0, names.index(config.name) - 1)] if config.name in names else "a smaller one"
        raise ValueError(
            f"batch_size: {config.batch_size} does not fit after {tries} halvings ({words}). Planned: "
            f"{plan.shown(run).get(plan.MOST, 'not known')}. Turn on gradient_checkpointing, shorten the rows, or take "
            f"the profile {below}"
        )
    values = {"batch_size": size, "gradient_accumulation": config.effective_batch // size}
    run.set("out of memory", **values)
    print(
        f"{run.id}: out of memory; going on from the last checkpoint with batch_size {size} and gradient_accumulation "
        f"{values['gradient_accumulation']}, the same effective batch and order of rows",
        flush=True,
    )


def _leave(run: runs.Run, name: str, trainer: Any, tokenizer: Any) -> None:
    """Write the trained weights, as safetensors; the folder has its name once it is whole."""
    for left in run.path.glob(f".{name}.*"):
        shutil.rmtree(left)  # of an attempt that was killed here
    folder = run.path / f".{name}.{uuid.uuid4().hex[:8]}"
    if name == layout.MODEL:
        trainer.model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    else:
        trainer.model.save_pretrained(folder, selected_adapters=["default"])
    shutil.rmtree(run.path / name, ignore_errors=True)  # of an attempt that a kill ended before it noted its end
    folder.rename(run.path / name)
    commit.sync(run.path)


def trainable_policy(run: runs.Run) -> Any:
    """The parent's policy with its one adapter trainable; a fresh adapter where the chain has none yet."""
    wanted = run.config.lora
    if load.adapter_of(run.parent):
        if wanted is not None:
            raise ValueError(f"lora: {run.parent.id} brings its adapter, whose rank and targets stay; leave lora out")
        policy = load.policy(run, run.parent, trainable=True)
        experts.announce(policy)
        return policy
    base = load.policy(run, run.parent)
    set_seed(run.config.seed)
    return lora.fresh(base, wanted or configs.Lora(), run.config)


def last(run: runs.Run) -> dict[str, float]:
    """The latest value of every number the run has logged, its profile apart."""
    numbers: dict[str, float] = {}
    for row in run.metrics():
        numbers |= {key: value for key, value in profile.without(row).items() if key != "time"}
    return numbers


def refuse_untrained(run: runs.Run) -> None:
    """Raises ValueError where a phase trains and its training has not come to its end: there is nothing to commit."""
    if configs.TABLE[run.phase].trains and not run.finished and not checkpoints.trained(run.path):
        raise ValueError(f"{run.id}: training has not come to its end, so there is nothing to finish; train it first")


def finish(run: runs.Run, metrics: dict, report: dict) -> runs.Run:
    """Commit the run with what it stood on: base, data and device. Raises what refuse_untrained raises."""
    refuse_untrained(run)
    device = hardware.device()
    return run.finish(metrics, base=load.base_of(run), device=device.name, data_hash=report["sha256"], data=report)
