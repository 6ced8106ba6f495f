"""Models that somebody else made: Qwen2.5-Coder-1.5B as it is, and SmolLM2-135M through the pipeline that trains it.

    python -m nbcore models fetch qwen2.5-coder-1.5b && python -m nbcore models fetch smollm2
    python tests/bench/real_models.py STORE HUMANEVAL_X.jsonl [--train] > tests/bench/real_models.md

HUMANEVAL_X.jsonl: HumanEval-X's Rust tasks as they are published. What the store holds already is only read, and a
killed bench goes on where it stopped. With --train SmolLM2's pipeline runs first: an evening on two cores.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from nbcore import config as configs  # noqa: E402 - the path must be set before the imports
from nbcore import pipeline as pipelines  # noqa: E402
from nbcore import runs, stats, view  # noqa: E402
from nbcore.core import hardware  # noqa: E402
from nbcore.phases import evaluate  # noqa: E402

SMOLLM2 = ROOT / "configs/pipeline/smollm2.yaml"
STAGES = ("base", "lang_adapter", "sft", "ipo", "grpo")
PUBLISHED = """\
Its makers tell no number for Rust (their report's table of languages has none at this size). What others tell, on the
same problems in MultiPL-E's translation, with other prompts and tests: Qwen2.5-Coder-0.5B-Instruct 25.6 % (40 of 156,
greedy, chat; the card of Thox-ai/ThoxEdge-RustCoder-0.5B), Qwen2.5-Coder-32B-Instruct 68.5 % (BigCode's leaderboard).
In Python, HumanEval, its makers tell 70.7 % for this model. A 1.5B model should stand between the first two."""


def main() -> None:
    options = parsed()
    with contextlib.redirect_stdout(sys.stderr):  # what stands in stdout is the page
        qwen = asked("qwen2.5-coder-1.5b", options)
        if options.train:
            overrides = [f"evaluate.tasksets=[{{name: humaneval_x, source: {options.tasks}}}]"]
            pipelines.run(pipelines.load(SMOLLM2, None, overrides), options.store)
    print("# Real models\n")
    print(f"Made by `python tests/bench/real_models.py STORE {options.tasks.name}` on {hardware.device().name}.\n")
    print("Rates have Wilson's intervals, 95 %; answers are greedy, weights and arithmetic float32.\n")
    print("## Qwen2.5-Coder-1.5B-Instruct on HumanEval-X, Rust\n")
    metrics = evaluate.results(qwen)["humaneval_x"]
    print(f"{metrics['n']} tasks. {PUBLISHED}\n")
    print("| compiles | pass@1 | cut at 512 tokens | minutes |\n|---|---|---|---|")
    told = f"| {rate(metrics['compile_rate'])} | {rate(metrics['pass@1'])} | {metrics['truncated']}"
    print(f"{told} | {qwen.info['seconds'] / 60:.0f} |")
    if stages := smollm2(options.store):
        print("\n## SmolLM2-135M-Instruct, from what it is to what GRPO makes of it\n")
        chain(stages)


def asked(base: str, options: argparse.Namespace) -> runs.Run:
    """The finished evaluation of a base model on the given tasks."""
    changes = {
        "model": {"base": base, "dtype": "float32", "quantization": "none"},
        "tasksets": [{"name": "humaneval_x", "source": str(options.tasks), "limit": options.limit}],
        "heldout": 0,
        "unseen": 0,
        "perplexity_documents": 0,
        "generation": {"temperature": 0.0, "max_new_tokens": 512, "batch_size": 40},
    }
    run = runs.open(configs.load(ROOT / "configs/evaluate/small.yaml", changes), options.store)
    evaluate.run_tasks(run)
    return evaluate.finish(run)


def smollm2(store: Path) -> dict[str, runs.Run]:
    """The newest evaluation of SmolLM2 after each phase, in the order of training; "base" for the one without a
    parent."""
    found = {}
    for run in runs.listing(store, "evaluate"):
        if run.finished and run.config.name == "smollm2":
            found[run.parent.phase if run.parent else "base"] = run
    return {stage: found[stage] for stage in STAGES if stage in found}


def chain(stages: dict[str, runs.Run]) -> None:
    """The table of the stages, and each against the one before it on the same tasks."""
    parts = {"heldout": "unseen compositions", "unseen_family": "unseen families", "humaneval_x": "HumanEval-X"}
    print("| stage | " + " | ".join(f"{name}, pass@1" for name in parts.values()) + " | compiles |")
    print("|---|" + "---|" * (len(parts) + 1))
    for stage, run in stages.items():
        metrics = run.info["metrics"]
        cells = [
            f"{rate(metrics[part]['pass@1'])}, n {metrics[part]['n']}" if part in metrics else "–" for part in parts
        ]
        print(f"| {stage} | {' | '.join(cells)} | {rate(metrics['heldout']['compile_rate'])} |")
    print()
    for stage, run in stages.items():
        if trained := run.parent:
            on, config = trained.parent.phase if trained.parent else "the base", trained.config
            print(f"- {stage}: {config.max_steps} steps of {config.effective_batch} rows on {on}, seed {config.seed}")
    for (before, first), (after, second) in itertools.pairwise(stages.items()):
        told = stats.compare(view.outcomes(first, "heldout", "passed"), view.outcomes(second, "heldout", "passed"))
        delta = told.delta
        print(
            f"- {after} against {before}, unseen compositions: {100 * delta.value:+.1f} points [{100 * delta.low:+.1f},"
            f" {100 * delta.high:+.1f}], {told.better} won, {told.worse} lost, p = {told.p:.2g}"
        )


def rate(value: dict) -> str:
    return f"{100 * value['value']:.1f} % [{100 * value['low']:.1f}, {100 * value['high']:.1f}]"


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("store", type=Path, help="whose runs are made or read")
    parser.add_argument("tasks", type=Path, help="HumanEval-X's Rust tasks")
    parser.add_argument("--limit", type=int, default=200, help="tasks at most, for Qwen")
    parser.add_argument("--train", action="store_true", help="run SmolLM2's pipeline first")
    return parser.parse_args()


if __name__ == "__main__":
    main()
