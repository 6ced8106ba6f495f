"""What grading beside generation saves: each alone, and both as an evaluation runs them, on one core each.

    python tests/bench/overlap.py [--tasks 300] [--samples 10]     about ten minutes; the table goes to overlap.md

The seedling answers held-out katas at temperature 0.8, torch on one thread; one worker grades. Wanted is a wall time of
both of at most 1.25 times the larger of the two alone. On a machine that other work shares the numbers mean nothing.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
os.environ["OMP_NUM_THREADS"] = "1"  # the other core is the grader's

from nbcore import config as configs  # noqa: E402
from nbcore import runs  # noqa: E402 - the path must be set before the imports
from nbcore.core import hardware  # noqa: E402
from nbcore.grading.grader import RustGrader  # noqa: E402
from nbcore.tasks import katas  # noqa: E402
from nbcore.training import asking, generate, load, rollout  # noqa: E402

TABLE = Path(__file__).with_suffix(".md")
WANTED = 1.25


def measure(count: int, samples: int) -> dict[str, float]:
    """Seconds of generation alone, of grading the same answers alone, and of both; every grader begins without a
    memory. The verdicts of both have to be those of grading alone."""
    with tempfile.TemporaryDirectory() as folder:
        run = runs.open(configs.load(ROOT / "configs/evaluate/tiny.yaml"), folder)
        model, tokenizer, form = load.policy(run, None), load.tokenizer(run), asking.form(run)
    tasks = [task for task in katas.load("heldout")[:count] for _ in range(samples)]
    asked = configs.Generation(temperature=0.8, max_new_tokens=96, batch_size=150)
    prompts = [asking.prompt_ids(tokenizer, task, form) for task in tasks]
    seconds, began = {}, time.monotonic()

    def lap(name: str) -> None:
        nonlocal began
        seconds[name] = time.monotonic() - began
        print(f"{name}: {seconds[name]:.1f} s", flush=True)
        began = time.monotonic()

    answers = generate.generate(model, tokenizer, prompts, asked, seed=0)
    lap("generation alone")
    with_memory = RustGrader(jobs=1)
    began = time.monotonic()  # starting the grader is paid once in a run
    alone = rollout.graded(tasks, answers, with_memory.grade, form)
    lap("grading alone")
    with_memory.close()
    fresh = RustGrader(jobs=1)
    began = time.monotonic()
    both = rollout.solve(model, tokenizer, tasks, asked, 0, fresh, form=form)
    lap("both")
    fresh.close()
    said = [[row[key] for key in ("verdict", "tests_passed", "compiles")] for row in alone]
    assert [[row[key] for key in ("verdict", "tests_passed", "compiles")] for row in both] == said, "other verdicts"
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=300)
    parser.add_argument("--samples", type=int, default=10)
    chosen = parser.parse_args()
    seconds = measure(chosen.tasks, chosen.samples)
    larger = max(seconds["generation alone"], seconds["grading alone"])
    ratio = seconds["both"] / larger
    verdict = "holds" if ratio <= WANTED else "does not hold"
    lines = [
        "# Grading beside generation",
        "",
        f"Made by `python tests/bench/overlap.py --tasks {chosen.tasks} --samples {chosen.samples}` on "
        f"{hardware.device().name}, one thread for torch and one worker for the grader; seed 0.",
        "",
        "| | seconds |",
        "|---|---|",
        *(f"| {name} | {value:.1f} |" for name, value in seconds.items()),
        "",
        f"Both take {ratio:.2f} times the larger of the two alone; at most {WANTED:g} is wanted: {verdict}. The "
        "verdicts are the same.",
        "",
    ]
    print(lines[-2])
    TABLE.write_text("\n".join(lines))


if __name__ == "__main__":
    main()
