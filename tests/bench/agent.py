"""The repair agent in numbers, for tests/bench/agent.md: one store for each seed, each with its agent SFT and GRPO.

python tests/bench/agent.py STORE [STORE …] [--n 300] [--stages sft,grpo] [--train PIPELINE.yaml] [--record FILE] >
tests/bench/agent.md

With --train each store is first filled by that pipeline, with the store's number as the seed. Each stage is evaluated
greedily on n held-out faults, drawn with the same number; what is evaluated already is only read. --record also writes
the rates of all seeds together as JSON, which is what README's numbers are held against.
"""

import argparse
import contextlib
import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from nbcore import config as configs  # noqa: E402 - the path must be set before the imports
from nbcore import runs, stats  # noqa: E402
from nbcore.phases import evaluate  # noqa: E402

CONFIG = "configs/evaluate/agent_tiny.yaml"
WAYS = {"agent": "repair_rate", "one go": "one_shot_rate", "retries": "retries_rate", "scripted": "scripted_rate"}


def main() -> None:
    arguments = parsed()
    rows: dict[str, list[list[dict]]] = {stage: [] for stage in arguments.stages.split(",")}
    measured: dict[str, list[dict]] = {stage: [] for stage in rows}
    for seed, store in enumerate(arguments.store):
        if arguments.train:
            command = [sys.executable, "-m", "nbcore", "run", arguments.train, "--store", store]
            subprocess.run([*command, "--set", f"seed={seed}"], check=True, stdout=sys.stderr)
        for stage in rows:
            run = evaluated(Path(store), stage, seed, arguments.n)
            measured[stage].append(evaluate.results(run)["agent_faults"])
            rows[stage].append([row for row in run.samples() if "actions" in row])
    page(rows, measured, arguments)
    if arguments.record:
        Path(arguments.record).write_text(json.dumps(recorded(rows, arguments), indent=1) + "\n", encoding="utf-8")


def evaluated(store: Path, stage: str, seed: int, count: int) -> runs.Run:
    """The finished evaluation of a stage's newest run."""
    sets = configs.load(CONFIG).model_dump(mode="json")["tasksets"]
    config = configs.load(CONFIG, {"seed": seed, "tasksets": [sets[0] | {"limit": count}]})
    run = runs.open(config, store, stage)
    with contextlib.redirect_stdout(sys.stderr):  # what stands in stdout is the page
        evaluate.run_tasks(run)
        return evaluate.finish(run)


def page(rows: dict[str, list[list[dict]]], measured: dict[str, list[dict]], arguments: argparse.Namespace) -> None:
    """The page as Markdown."""
    caps = next(iter(measured.values()))[0]["caps"]
    generation = configs.load(CONFIG).generation
    print("# The repair agent\n")
    print(f"`python tests/bench/agent.py {' '.join(sys.argv[1:])}` prints this page.\n")
    print(
        f"Held-out faults, {arguments.n} to each seed of {len(arguments.store)}, greedy. Caps: {caps['steps']} actions"
        f" or {caps['tokens']} tokens an episode, {generation.max_new_tokens} an action; one go: one action of so many;"
        f" retries: {caps['attempts']} attempts in one go, the first greedy, the others at T = {caps['temperature']},"
        " chosen by the visible tests. Intervals are Wilson's, 95 %; p is exact McNemar over the same faults.\n"
    )
    print("| stage | seed | n | valid actions | agent | one go | verified retries | scripted | retries − one go |")
    print("|---|---|---|---|---|---|---|---|---|")
    for stage, found in measured.items():
        for seed, numbers in enumerate(found):
            rates = " | ".join(rate(numbers.get(name)) for name in WAYS.values())
            pair = against(outcomes(rows[stage][seed], "one_shot"), outcomes(rows[stage][seed], "retries"))
            print(f"| {stage} | {seed} | {numbers['n']} | {rate(numbers['valid_calls'])} | {rates} | {pair} |")
        print(f"| {stage} | all | {pooled(rows[stage])} |")
    stages = list(rows)
    if stages[1:]:
        print(
            f"\n## {stages[-1]} against {stages[0]}, the agent on the same faults\n\n| seed | difference |\n|---|---|"
        )
        first, last = (named(rows[stage]) for stage in (stages[0], stages[-1]))
        for seed in range(len(arguments.store)):
            mine = [{key: value for key, value in each.items() if key[0] == seed} for each in (first, last)]
            print(f"| {seed} | {against(*mine)} |")
        print(f"| all | {against(first, last)} |")
    print("\n## By kind of fault, all seeds\n")
    print("| stage | kind | n | agent | one go | verified retries |\n|---|---|---|---|---|---|")
    for stage, found in rows.items():
        every = [row for group in found for row in group]
        for kind in sorted({row["kind"] for row in every}):
            chosen = [row for row in every if row["kind"] == kind]
            told = [share([passed(row, way) for row in chosen]) for way in ("agent", "one_shot", "retries")]
            print(f"| {stage} | {kind} | {len(chosen)} | {' | '.join(told)} |")


def recorded(rows: dict[str, list[list[dict]]], arguments: argparse.Namespace) -> dict:
    """Rate by stage and way, over the faults of all seeds."""
    found: dict = {"what": f"{len(arguments.store)} seeds, {arguments.n} held-out faults to each, {CONFIG}"}
    for stage, groups in rows.items():
        every = [row for group in groups for row in group]
        for way, name in WAYS.items():
            key = {"one go": "one_shot"}.get(way, way)
            values = [passed(row, key) for row in every]
            found[f"{stage}_{name}"] = stats.wilson(sum(values), len(values))._asdict()
        actions = [action["valid"] for row in every for action in row["actions"]]
        found[f"{stage}_valid_calls"] = stats.wilson(sum(actions), len(actions))._asdict()
    return found


def pooled(groups: list[list[dict]]) -> str:
    """The row of all seeds."""
    every = [row for group in groups for row in group]
    actions = [action["valid"] for row in every for action in row["actions"]]
    told = [share([passed(row, way) for row in every]) for way in ("agent", "one_shot", "retries", "scripted")]
    one, other = (
        {(seed, row["id"]): passed(row, way) for seed, group in enumerate(groups) for row in group}
        for way in ("one_shot", "retries")
    )
    return f"{len(every)} | {share(actions)} | {' | '.join(told)} | {against(one, other)}"


def outcomes(group: list[dict], way: str) -> dict:
    return {row["id"]: passed(row, way) for row in group}


def named(groups: list[list[dict]]) -> dict:
    return {(seed, row["id"]): row["passed"] for seed, group in enumerate(groups) for row in group}


def passed(row: dict, way: str) -> bool:
    return row["passed"] if way == "agent" else row[way]["passed"]


def against(before: dict, after: dict) -> str:
    told = stats.compare(before, after)
    return f"{100 * told.delta.value:+.1f} points, {told.better} won, {told.worse} lost, p = {told.p:.2g}"


def share(values: list[bool]) -> str:
    return rate(stats.wilson(sum(values), len(values))._asdict())


def rate(interval: dict | None) -> str:
    if interval is None:
        return "–"
    return f"{100 * interval['value']:.1f} % [{100 * interval['low']:.1f}, {100 * interval['high']:.1f}]"


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("store", nargs="+", help="one for each seed")
    parser.add_argument("--n", type=int, default=300, help="faults for each seed")
    parser.add_argument("--stages", default="sft,grpo", help="whose newest runs are evaluated")
    parser.add_argument("--train", help="a pipeline that fills each store first")
    parser.add_argument("--record", help="a JSON file for the rates of all seeds together")
    return parser.parse_args()


if __name__ == "__main__":
    main()
