"""How often a gate is wrong: one model against itself, and against itself with a regression planted.

    python tests/bench/gates.py [--repetitions 400]        the table goes to tests/bench/gates.md
    python tests/bench/gates.py --record [--store DIR]     draws the answers anew first

The answers are the seedling's: ten samples of each of 300 held-out katas at temperature 0.8, graded; which of them pass
stands in gates.jsonl.gz. A repetition draws one sample of each task for the baseline and another for the candidate, and
the checks of a gate judge the two: between the recorded verdicts and the decision is what a pipeline runs.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from nbcore import config as configs  # noqa: E402
from nbcore import gates, runs, stats  # noqa: E402 - the path must be set before the imports
from nbcore.core import hardware  # noqa: E402
from nbcore.gates import checks  # noqa: E402
from nbcore.gates.asked import POWER  # noqa: E402

RECORD = Path(__file__).with_suffix(".jsonl.gz")
TABLE = Path(__file__).with_suffix(".md")
SETTINGS = {"samples": 10, "generation.temperature": 0.8, "unseen": 0, "perplexity_documents": 0}
ALPHA = 0.05
SUPERIOR = {"metric": "pass@1", "delta": {"superior_by": 0.0, "alpha": ALPHA}}


class Evaluation(NamedTuple):
    """What the checks read of an evaluation; writing hundreds of run directories would take most of the time."""

    tasks: list[dict[str, Any]]
    passed: list[bool]
    id: str = "evaluate/recorded"

    def samples(self) -> list[dict[str, Any]]:
        rows = []
        for task, passed in zip(self.tasks, self.passed, strict=True):
            verdict = "pass" if passed else "tests_failed"
            row = {"id": task["id"], "family": task["family"], "split": "heldout"}
            rows.append({**row, "verdict": verdict, "passed": passed})
        return rows


class Counted(NamedTuple):
    """How many of so many repetitions ended in which way."""

    repetitions: int
    superior: int
    """The candidate was called superior to the baseline."""
    caught: int
    """The loss is shown: the same gate calls the baseline superior to the candidate."""
    opened: int
    """The gate that ships for the phase would let the candidate through as no worse."""
    failed: int
    """That gate says FAIL; the rest is INVESTIGATE, which opens nothing either."""


def recorded() -> list[dict[str, Any]]:
    """{"id", "family", "passed": "0110…"} of each task, one digit for each sample."""
    with gzip.open(RECORD, "rt") as file:
        return [json.loads(line) for line in file]


def record(store: Path) -> None:
    """Let the seedling answer and keep what passed. A killed call goes on where it stopped."""
    from nbcore.phases import evaluate

    run = runs.open(configs.load(ROOT / "configs/evaluate/tiny.yaml", SETTINGS), store, runs.BASE)
    evaluate.run_tasks(run)
    run = evaluate.finish(run)
    tasks: dict[str, dict[str, Any]] = {}
    for row in run.samples():
        task = tasks.setdefault(row["id"], {"id": row["id"], "family": row["family"], "passed": ""})
        task["passed"] += str(int(row["passed"]))
    RECORD.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in tasks.values()).encode(), mtime=0))


def observed(tasks: list[dict[str, Any]]) -> tuple[float, float]:
    """(share of tasks on which two samples of the model differ, the smallest difference that so many tasks detect)."""
    differ = []
    for task in tasks:
        n, passed = len(task["passed"]), task["passed"].count("1")
        differ.append(2 * passed * (n - passed) / (n * (n - 1)))
    discordance = sum(differ) / len(differ)
    return discordance, stats.minimum_detectable_effect(len(tasks), discordance, POWER, ALPHA)


def repeated(tasks: list[dict[str, Any]], repetitions: int, effect: float = 0.0, seed: int = 0) -> Counted:
    """The model against itself. `effect`: the share of all tasks, drawn anew each time, whose passing answer of the
    candidate is turned into a failing one."""
    draw = random.Random(f"{seed} {effect}")
    kept = next(check for check in gates.of_phase("ipo").checks if check.metric == "pass@1")
    asked = [SUPERIOR, kept.model_dump(exclude_none=True)]
    superior, caught, opened, failed = 0, 0, 0, 0
    for _ in range(repetitions):
        pairs = [draw.sample(task["passed"], 2) for task in tasks]
        before, after = ([pair[side] == "1" for pair in pairs] for side in (0, 1))
        passing = [number for number, passed in enumerate(after) if passed]
        for number in draw.sample(passing, min(len(passing), round(effect * len(tasks)))):
            after[number] = False
        gained, no_worse = judged(tasks, before, after, asked)
        superior += gained == gates.PASS
        opened += no_worse == gates.PASS
        failed += no_worse == gates.FAIL
        if effect:
            caught += judged(tasks, after, before, [SUPERIOR])[0] == gates.PASS
    return Counted(repetitions, superior, caught, opened, failed)


def judged(tasks: list[dict[str, Any]], before: list[bool], after: list[bool], asked: list[dict]) -> list[str]:
    """The verdict on each check of a candidate against a baseline."""
    gate = gates.load({"phase": "sft", "baseline": "parent", "integrity": {}, "checks": asked})
    first, second = (Evaluation(tasks, answers) for answers in (before, after))
    return [row.verdict for row in checks.rows(gate, None, second, first)]


def share(count: int, of: int) -> str:
    rate = stats.wilson(count, of)
    return f"{rate.value:.1%} [{rate.low:.1%}, {rate.high:.1%}]"


def table(repetitions: int) -> str:
    """The report."""
    tasks = recorded()
    samples = len(tasks[0]["passed"])
    discordance, detectable = observed(tasks)
    began, rows = time.monotonic(), []
    for name, effect in (("none: A/A", 0.0), ("1 × detectable", detectable), ("2 × detectable", 2 * detectable)):
        found = repeated(tasks, repetitions, effect)
        caught = share(found.caught, repetitions) if effect else "–"
        cells = [share(found.superior, repetitions), caught]
        cells += [share(found.opened, repetitions), share(found.failed, repetitions)]
        rows.append(f"| {name} | {effect:.3f} | " + " | ".join(cells) + " |")
        print(rows[-1], flush=True)
    wanted = "superior at most 5 % in A/A; a regression of 1 × caught in 50 % at least, of 2 × in 95 %"
    return "\n".join(
        [
            "# How often a gate is wrong",
            "",
            f"Made by `python tests/bench/gates.py --repetitions {repetitions}` in {time.monotonic() - began:.0f} s on "
            f"{hardware.device().name}.",
            "",
            f"The seedling's recorded answers to {len(tasks)} held-out katas, {samples} samples each at temperature "
            f"{SETTINGS['generation.temperature']}, seed 0: two samples differ on {discordance:.1%} of the tasks, so "
            f"that {len(tasks)} tasks detect {detectable:.3f} (power {POWER:g}, two-sided {ALPHA:g}). {repetitions} "
            "repetitions a row; shares with Wilson intervals at 95 %.",
            "",
            "| regression planted | of all tasks | superior | caught | let through as no worse | FAIL |",
            "|---|---|---|---|---|---|",
            *rows,
            "",
            f"Asked is: {wanted}. `superior` and `caught` are the check `superior_by: 0` in the two directions, "
            "interval drawn over families and exact McNemar p; the last two columns are the `non_inferior: -0.08` "
            "that ships, which tolerates a loss below 0.08; what is neither let through nor FAIL is INVESTIGATE, which "
            "opens nothing.",
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=400)
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--store", type=Path, default=ROOT / "runs" / "gates")
    chosen = parser.parse_args()
    if chosen.record:
        record(chosen.store)
    TABLE.write_text(table(chosen.repetitions))


if __name__ == "__main__":
    main()
