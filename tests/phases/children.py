"""Training in child processes that end themselves at a chosen moment, started from one that has imported everything."""

import importlib
import json
import multiprocessing
import os
import signal
import uuid
from pathlib import Path

CONTEXT = multiprocessing.get_context("forkserver")  # the imports cost five seconds, once and not for every child
CONTEXT.set_forkserver_preload(["nbcore.phases.pretrain", "nbcore.phases.sft", "nbcore.phases.ipo"])


def train(store: Path, id_: str, end_at: tuple | None = None, log: Path | None = None, oom_at: tuple = ()) -> None:
    """Train the run `id_` to its commit, or to (step, micro-batch) or "leave", where SIGKILL ends the process.

    What each micro-batch held goes to `log`; at the `oom_at` micro-batches torch's own error for a lack of memory is
    raised, once each.
    """
    import torch

    torch.set_num_threads(1)  # with two, a sum's last bit hangs on how many processors the machine gives this process
    from nbcore import runs
    from nbcore.training import fit

    run = runs.run.Run(store / id_)
    phase = importlib.import_module(f"nbcore.phases.{run.phase}")
    build, lacking = phase.trainer, [tuple(at) for at in oom_at]

    def recording(run):
        trainer = build(run)
        step_of, attempt = trainer.training_step, uuid.uuid4().hex
        done = {"step": None, "micro": 0}

        def training_step(model, inputs, *more):
            step = trainer.state.global_step
            done.update(step=step, micro=done["micro"] + 1 if done["step"] == step else 0)
            now = (step, done["micro"])
            if now == end_at:
                os.kill(os.getpid(), signal.SIGKILL)
            if now in lacking:
                import torch

                lacking.remove(now)
                raise torch.OutOfMemoryError("CUDA out of memory (injected)")
            if log:
                if isinstance(inputs, list):  # GRPO's prompts; what they are answered with comes later
                    rows = [row["task"] for row in inputs]
                else:
                    rows = [[i for i in row if i] for row in inputs["input_ids"].tolist()]
                with log.open("a") as file:
                    file.write(json.dumps({"attempt": attempt, "step": step, "rows": rows}) + "\n")
            return step_of(model, inputs, *more)

        trainer.training_step = training_step
        return trainer

    phase.trainer = recording
    if end_at == "leave":
        fit._leave = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
    phase.train(run)
    phase.finish(run)


def go(*arguments, **named) -> int:
    """Run `train` in a child; its exit code, negative for the signal that ended it."""
    child = CONTEXT.Process(target=train, args=arguments, kwargs=named)
    child.start()
    child.join(timeout=300)
    return child.exitcode
