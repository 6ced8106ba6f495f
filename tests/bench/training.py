"""What the suite adds to TRL: SFT, IPO and GRPO against a bare TRL script on the same rows, and what the profile costs.

    python tests/bench/training.py [--repeats 3] [--only sft,ipo,grpo] | tee LOG     the tables go to training.md
    python tests/bench/training.py --log LOG     the same of what a call had printed that was stopped

The tiny profile, cut short. Bare: load the model and its adapter, TRL's trainer with its own sampler and logging,
train, save the weights once; GRPO's reward asks the same grader once the completions are there. Ours: the phase as a
notebook calls it, with its checkpoints and evaluations, and once more without. What is counted is CPU time, that of the
grader's processes included, which other work on the machine disturbs least; arms take turns. One thread for torch.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import re
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
os.environ["OMP_NUM_THREADS"] = "1"

import psutil  # noqa: E402 - the path must be set before the imports
import torch  # noqa: E402
from datasets import Dataset  # noqa: E402
from peft import PeftModel  # noqa: E402
from transformers import AutoModelForCausalLM  # noqa: E402
from trl import DPOConfig, DPOTrainer, GRPOConfig, GRPOTrainer, SFTConfig, SFTTrainer  # noqa: E402

from nbcore import config as configs  # noqa: E402
from nbcore import runs  # noqa: E402
from nbcore.core import hardware  # noqa: E402
from nbcore.data import sources  # noqa: E402
from nbcore.grading import reward  # noqa: E402
from nbcore.phases import grpo, ipo, lang_adapter, sft  # noqa: E402
from nbcore.runs import layout  # noqa: E402
from nbcore.tasks import katas  # noqa: E402
from nbcore.training import fit, load, profiling, saving  # noqa: E402
from nbcore.training.judge import Judge  # noqa: E402

TABLE = Path(__file__).with_suffix(".md")
NEVER = 10**6  # steps between two saves
CUT = {  # the shipped tiny configs, and what is changed
    "sft": {"max_steps": 20, "save_steps": 10},
    "ipo": {"max_steps": 20, "save_steps": 10},
    "grpo": {"max_steps": 10, "save_steps": 5, "jobs": 1, "tasks.limit": 64},
}
MODULES = {"sft": sft, "ipo": ipo, "grpo": grpo}
ARMS = ("bare TRL", "ours, with saves and evaluations", "ours, without", "ours, without a profile")


def cpu() -> float:
    """CPU seconds of this process and of all that it has started, those that have ended included."""
    here = psutil.Process()
    return sum(sum(each.cpu_times()[:4]) for each in [here, *here.children(recursive=True)])


class NoProfile(profiling.Profile):
    """A clock that is never asked: neither borders nor rows."""

    def lap(self, part: str) -> None:
        pass

    def row(self, tokens: float | None = None) -> dict[str, float]:
        return {}

    def _around(self, work: Callable, before: str, within: str) -> Callable:
        return work


def policy(parent: runs.Run) -> Any:
    """The parent's policy as a bare script loads it."""
    base = AutoModelForCausalLM.from_pretrained(load.SEEDLING, dtype=torch.float32)
    return PeftModel.from_pretrained(base, parent.path / layout.ADAPTER, is_trainable=True)


def bare(run: runs.Run, rows: dict[str, Any]) -> Any:
    """TRL's trainer on the rows of a run, with what decides how much is computed set as the run has it."""
    config, tokenizer, train = run.config, rows["tokenizer"], Dataset.from_list(rows["train"])
    same = {
        **{"output_dir": tempfile.mkdtemp(dir=run.store), "max_steps": config.max_steps, "seed": config.seed},
        **{"learning_rate": config.learning_rate, "per_device_train_batch_size": config.batch_size},
        **{"gradient_accumulation_steps": config.gradient_accumulation, "bf16": False, "use_cpu": True},
        **{"gradient_checkpointing": config.gradient_checkpointing, "report_to": "none", "save_strategy": "no"},
        "disable_tqdm": True,
    }
    if run.phase == "sft":
        settings = SFTConfig(**same, max_length=config.max_length)
        return SFTTrainer(model=policy(run.parent), args=settings, train_dataset=train, processing_class=tokenizer)
    if run.phase == "ipo":
        text = {side: [tokenizer.decode(row[f"{side}_ids"]) for row in rows["train"]] for side in SIDES}
        settings = DPOConfig(**same, max_length=config.max_length, loss_type=config.loss_type, beta=config.beta)
        pairs = Dataset.from_dict(text)
        return DPOTrainer(model=policy(run.parent), args=settings, train_dataset=pairs, processing_class=tokenizer)
    judge, weights = Judge(run, rows), config.weights.model_dump()

    def graded(completion_ids: list, task: list[str], **_: Any) -> list[float | None]:
        found, _ = judge.verdicts(completion_ids, task)
        return [reward.total(reward.components(verdict), weights) for verdict in found]

    generation = config.generation
    settings = GRPOConfig(
        **same,
        **{"num_generations": config.group_size, "max_completion_length": generation.max_new_tokens},
        **{"temperature": generation.temperature, "top_p": generation.top_p, "beta": config.beta},
        **config.trainer,
    )
    return GRPOTrainer(
        model=policy(run.parent),
        args=settings,
        reward_funcs=[graded],
        train_dataset=train,
        processing_class=tokenizer,
    )


SIDES = ("prompt", "chosen", "rejected")


def opened(phase: str, store: Path, parent: runs.Run, name: str, without: bool = False) -> runs.Run:
    """A new run of the cut config. `without`: neither checkpoints nor evaluations."""
    changes = {**CUT[phase], "name": name}
    if phase == "ipo":
        changes["pairs"] = str(store / "pairs.jsonl")
    if without:
        trainer = configs.load(ROOT / f"configs/{phase}/tiny.yaml").trainer
        changes |= {"save_steps": NEVER, "trainer": {**trainer, "eval_strategy": "no"}}
    return runs.open(configs.load(ROOT / f"configs/{phase}/tiny.yaml", changes), store, parent)


def write_pairs(store: Path, count: int = 400) -> None:
    """Pairs for IPO: the reference, and a program that returns the default."""
    tasks = katas.load("train", demonstrated=True)[:count]
    assert any(sources.in_share(task["id"], 0.1) for task in tasks)
    rows = [
        {
            **{"id": task["id"], "prompt": task["prompt"], "chosen": katas.code(task)},
            "rejected": task["signature"] + "\n    Default::default()\n}",
        }
        for task in tasks
    ]
    (store / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def adapter(store: Path) -> runs.Run:
    """The adapter that all begin with, hardly trained."""
    changes = {"max_steps": 2, "corpus.sources": {"katas": 64}, "validation_documents": 8}
    run = runs.open(configs.load(ROOT / "configs/lang_adapter/tiny.yaml", changes), store)
    lang_adapter.train(run)
    return lang_adapter.finish(run)


def once(phase: str, arm: str, store: Path, parent: runs.Run, repeat: int) -> tuple[float, float, runs.Run]:
    """(CPU seconds, wall seconds, run) of one arm, from loading the model to the written weights."""
    run = opened(phase, store, parent, f"{ARMS.index(arm)}-{repeat}", without=arm == "ours, without")
    rows = MODULES[phase].data(run)
    began, wall = cpu(), time.monotonic()
    if arm == ARMS[0]:
        trainer = bare(run, rows)
        trainer.train()
        trainer.save_model()
    elif arm == "ours, without":
        fit.train(run, rows, MODULES[phase].trainer)
    else:
        MODULES[phase].train(run)
    return cpu() - began, time.monotonic() - wall, run


def measure(phase: str, store: Path, parent: runs.Run, repeats: int) -> tuple[dict[str, list[float]], runs.Run]:
    """CPU seconds of each arm, repeat by repeat, in turns; and a run of ours that trained to its end."""
    found: dict[str, list[float]] = {arm: [] for arm in ARMS}
    for repeat in range(repeats):
        for at in range(len(ARMS)):
            arm = ARMS[(at + repeat) % len(ARMS)]
            saving.Profile = NoProfile if arm == ARMS[3] else profiling.Profile
            spent, wall, run = once(phase, arm, store, parent, repeat)
            print(f"{phase}, round {repeat}, {arm}: {spent:.2f} s of CPU, {wall:.2f} s", flush=True)
            if arm == ARMS[1]:
                kept = run
            found[arm].append(spent)
    return found, MODULES[phase].finish(kept)


def clock_alone(steps: int = 2000) -> float:
    """CPU seconds a step of the clock by itself: its borders and its part of the row."""
    clock = profiling.Profile.__new__(profiling.Profile)
    clock.cuda, clock.process, clock.peak, clock.flops = False, psutil.Process(), None, 0
    clock.parts = profiling.STEP + profiling.ROLLOUTS
    clock.begin(0)
    began = time.process_time()
    for step in range(steps):
        for part in clock.parts:
            clock.lap(part)
        clock.stepped()
        json.dumps(clock.row(500 * step))
    return (time.process_time() - began) / steps


def ratios(over: list[float], under: list[float]) -> str:
    """The median of the ratios, round by round, and all of them."""
    each = [a / b for a, b in zip(over, under, strict=True)]
    return f"{statistics.median(each):.2f} ({min(each):.2f}–{max(each):.2f})"


def printed(log: str) -> dict[str, dict[str, list[float]]]:
    """What `measure` has printed, of the rounds in which every arm had its turn: CPU seconds by phase and arm."""
    rounds: dict[tuple[str, str], dict[str, float]] = {}
    for phase, number, arm, spent in re.findall(r"^(\w+), round (\d+), (.+): ([\d.]+) s of CPU", log, re.MULTILINE):
        rounds.setdefault((phase, number), {})[arm] = float(spent)
    found: dict[str, dict[str, list[float]]] = {}
    for (phase, _), spent in rounds.items():
        if len(spent) == len(ARMS):
            for arm in ARMS:
                found.setdefault(phase, {}).setdefault(arm, []).append(spent[arm])
    return found


def page(measured: dict[str, dict[str, list[float]]], busy: str) -> str:
    """The tables."""
    alone = clock_alone()
    lines = [
        "# Training against a bare TRL script",
        "",
        f"Made by `python tests/bench/training.py` on {hardware.device().name}, torch on one thread, no GPU. CPU "
        "seconds from loading the model to the written weights, the grader's processes included; medians of rounds in "
        f"which the arms took turns; seed 0. {busy}".strip(),
        "",
        "Ratio: bare TRL's CPU seconds over ours, in the same round; above 1, ours takes less. In brackets the lowest "
        "and the highest of the rounds.",
        "",
        "| | rounds | steps × rows | bare TRL | ours, with saves and evaluations | ratio | ours without | ratio |",
        "|---|---|---|---|---|---|---|---|",
    ]
    costs = [
        "## What the profile costs",
        "",
        "| | with a profile | without | ratio of rounds | of the clock alone |",
        "|---|---|---|---|---|",
    ]
    for phase, found in measured.items():
        config = configs.load(ROOT / f"configs/{phase}/tiny.yaml", CUT[phase])
        plain, ours, without, unprofiled = (found[arm] for arm in ARMS)
        middle = [f"{statistics.median(each):.1f}" for each in (plain, ours, without, unprofiled)]
        size = f"{config.max_steps} × {config.effective_batch}"
        first = f"| {phase.upper()} | {len(plain)} | {size} | {middle[0]} | {middle[1]} | {ratios(plain, ours)} "
        lines.append(first + f"| {middle[2]} | {ratios(plain, without)} |")
        share = alone * config.max_steps / statistics.median(ours)
        costs.append(f"| {phase.upper()} | {middle[1]} | {middle[3]} | {ratios(ours, unprofiled)} | {share:.3%} |")
    costs += [
        "",
        f"*Of the clock alone*: {1e6 * alone:.0f} µs of CPU a step for its borders and its part of the row, measured "
        "over 2,000 steps, as a share of ours. The rounds by themselves differ by more.",
        "",
    ]
    return "\n".join([*lines, "", *costs])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", default="sft,ipo,grpo")
    parser.add_argument("--busy", default="", help="what else the machine was doing, for the page")
    parser.add_argument("--log", type=Path, help="measure nothing: make the page of what an earlier call has printed")
    chosen = parser.parse_args()
    logging.getLogger("transformers").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    measured = printed(chosen.log.read_text()) if chosen.log else {}
    if not chosen.log:
        with tempfile.TemporaryDirectory() as folder:
            store = Path(folder)
            write_pairs(store)
            parent = adapter(store)
            for phase in chosen.only.split(","):
                measured[phase], run = measure(phase, store, parent, chosen.repeats)
                parent = run if phase == "sft" else parent
    TABLE.write_text(page(measured, chosen.busy))
    print(TABLE.read_text())


if __name__ == "__main__":
    main()
