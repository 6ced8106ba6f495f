"""A store of runs as a whole pipeline leaves them, made up from a seed: real run directories, invented results."""

import json
import random
from pathlib import Path

from nbcore import config, runs, stats
from nbcore.grading import reward
from nbcore.runs import profile
from nbcore.tasks import katas

CHAIN = ("lang_adapter", "sft", "ipo", "grpo")
SKILL = {  # (compiles, passes) on held-out compositions, then on unseen families
    "base": (0.41, 0.03, 0.38, 0.01),
    "lang_adapter": (0.63, 0.09, 0.55, 0.04),
    "sft": (0.93, 0.52, 0.81, 0.21),
    "ipo": (0.95, 0.58, 0.83, 0.25),
    "grpo": (0.985, 0.81, 0.90, 0.34),
}
NOISE = ["let", "x", "=", "&", "[", ".iter()", "map", "|x|", "fn", "->", "i64", ";", "}", "<b>bold</b>", "<script>"]
PROFILED = ("sft", "grpo")  # the others are runs of before there were profiles
STEPS = {"lang_adapter": 200, "sft": 150, "ipo": 60, "grpo": 120}


def make(store: Path, phases=("base", *CHAIN), heldout: int = 400, unseen: int = 100) -> Path:
    """Fill `store` with finished training runs and an evaluate run for each of `phases`."""
    parent = None
    tasks = _tasks(heldout, unseen)
    if "base" in phases:
        _evaluate(store, "base", None, tasks)
    for phase in CHAIN:
        if phase not in phases:
            continue
        parent = _train(store, phase, parent)
        _evaluate(store, phase, parent, tasks)
    return store


def _tasks(heldout: int, unseen: int) -> list[dict]:
    tasks = []
    for split, count in (("heldout", heldout), ("unseen_family", unseen)):
        tasks += [task | {"split": split} for task in katas.generate(7, count, split=split)] if count else []
    return tasks


def profile_of(step: int, generates: bool = False, took: float = 1.0) -> dict:
    """What training/profiling.py adds to the row of a step of 500 tokens that took 3.5 s, or 5.5 with rollouts."""
    parts = {"data": 0.5, "forward": 1, "backward": 2, "optimizer": 0, "logging": 0, "evaluation": 0, "saving": 0}
    parts |= {"generation": 1.5, "grading": 0.5} if generates else {}
    row = {f"{profile.SECONDS}{part}": seconds * took for part, seconds in parts.items()}
    return row | {profile.STEPS: 1, profile.TOKENS: 500, f"{profile.MEMORY}resident": 2**30 + step}


def _train(store: Path, phase: str, parent: runs.Run | None) -> runs.Run:
    draw = random.Random(phase)
    cfg = config.load({"phase": phase, "name": "tiny", "max_steps": STEPS[phase]})
    run = runs.open(cfg, store, parent)
    for step in range(1, STEPS[phase] + 1):
        done = step / STEPS[phase]
        loss = {"lang_adapter": 2.1, "sft": 1.2, "ipo": 24.0, "grpo": 0.02}[phase] * (0.15 + 0.85 / (1 + 9 * done))
        row = {"loss": loss * draw.uniform(0.85, 1.15), "learning_rate": 2e-4 * (1 - 0.9 * done), "grad_norm": 0.8}
        if phase == "grpo":
            for name, start, gain in (("compiles", 0.94, 0.05), ("tests", 0.68, 0.23), ("passed", 0.55, 0.27)):
                row[f"rewards/{name}/mean"] = min(1, start + gain * done**0.6 + draw.gauss(0, 0.03))
            means = {name: row[f"rewards/{name}/mean"] for name in ("compiles", "tests", "passed")}
            row["reward"] = reward.total(means, cfg.weights.model_dump())
            row["completions/mean_length"] = 34 - 4 * done + draw.gauss(0, 1)
        if phase in PROFILED:
            row |= profile_of(step, generates=phase == "grpo")
        _log(run, step=step, **row)
        if phase != "grpo" and step % (STEPS[phase] // 5) == 0:
            _log(run, step=step, eval_loss=loss * 1.06)
    for task in _tasks(4, 0):
        for when, chance in (("before", 0.2), ("after", 0.8)):
            run.sample({"when": when, "id": task["id"], "prompt": task["prompt"], **_answer(task, 0.9, chance, draw)})
    (run.path / "adapter").mkdir()
    (run.path / "adapter" / "adapter_config.json").write_text("{}")
    facts = {"base": "seedling", "device": "CPU, 2 cores", "data_hash": f"{draw.getrandbits(256):064x}"}
    return run.finish({"loss": loss}, seconds=float(STEPS[phase]) * 1.3, **facts)


def _evaluate(store: Path, phase: str, parent: runs.Run | None, tasks: list[dict]) -> runs.Run:
    cfg = config.load({"phase": "evaluate", "name": f"tiny-{phase.replace('_', '-')}"})
    run = runs.open(cfg, store, parent)
    rows = []
    for task in tasks:
        compiles, passes = SKILL[phase][:2] if task["split"] == "heldout" else SKILL[phase][2:]
        # One number per task decides in every phase: tasks are easy or hard, and most stay solved once they are.
        luck = random.Random(task["id"])
        answer = _answer(task, compiles, passes, luck, noise=random.Random(task["id"] + phase))
        rows.append({key: task[key] for key in ("id", "family", "split", "prompt")} | answer)
        _sample(run, rows[-1])
    metrics = {}
    for split in ("heldout", "unseen_family"):
        part = [row for row in rows if row["split"] == split]
        if part:
            metrics[split] = {"n": len(part), "clippy_warnings": sum(r["clippy_warnings"] for r in part) / len(part)}
            metrics[split] |= {
                name: stats.wilson(sum(row[key] for row in part), len(part))._asdict()
                for name, key in (("pass@1", "passed"), ("compile_rate", "compiles"))
            }
    value = {"base": 6.1, "lang_adapter": 2.9, "sft": 3.0, "ipo": 3.05, "grpo": 3.1}[phase]
    metrics["perplexity"] = stats.Interval(value, value * 0.96, value * 1.04, 200)._asdict()
    return run.finish(metrics, seconds=31.0, base="seedling", device="CPU, 2 cores", data_hash="e" * 64)


def _answer(task: dict, compiles: float, passes: float, luck: random.Random, noise: random.Random | None = None):
    noise = noise or luck
    at = min(max(luck.random() + noise.gauss(0, 0.03), 0), 1)
    total = 6
    if at < passes:
        kind, code, right, errors = "pass", task["solution"], total, []
    elif at < compiles:
        kind, right, errors = "tests_failed", noise.randrange(total), []
        code = task["solution"].replace(".iter()", ".iter().skip(1)", 1).replace(" {", " { // first branch")
    elif compiles < 0.7:
        kind, right = "compile_error", 0
        code = "    " + " ".join(noise.choices(NOISE, k=40))
        errors = [{"code": None, "message": "expected expression, found `;`", "line": 2}]
    else:
        kind, right, code = "compile_error", 0, task["solution"].replace("|&x|", "|x|").replace(".copied()", "")
        errors = [{"code": "E0308", "message": "mismatched types: expected `i64`, found `&i64`", "line": 2}]
    return {
        "completion": code,
        "verdict": kind,
        "passed": kind == "pass",
        "compiles": kind != "compile_error",
        "tests_passed": right,
        "tests_total": total,
        "clippy_warnings": int(kind != "compile_error" and noise.random() < 0.06),
        "errors": errors,
    }


def _log(run: runs.Run, **row) -> None:
    _write(run.path / "metrics.jsonl", {"time": 0.0, **row})


def _sample(run: runs.Run, row: dict) -> None:
    _write(run.path / "samples.jsonl", row)


def _write(path: Path, row: dict) -> None:
    # Like run.log, without its flush to the disk for every line: hundreds of lines in a test need none.
    with path.open("a") as file:
        file.write(json.dumps(row) + "\n")
