"""Episodes per second of the repair environment, and where the time goes; a cargo call against the grader's own time.

python tests/bench/agent_environment.py [EPISODES]
"""

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from itertools import islice
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from nbcore.agent import making, scripted  # noqa: E402 - the path must be set before the imports
from nbcore.agent.episode import run  # noqa: E402
from nbcore.grading.grader import RustGrader  # noqa: E402
from nbcore.tasks import sets  # noqa: E402


def main(count: int) -> None:
    tasks = sets.tasks("katas", "train", None, 0)
    random.Random(0).shuffle(tasks)
    grader = RustGrader(lint=False)
    began = time.monotonic()
    tried = list(islice(making.candidates(tasks, 4, 0), 3 * count))
    problems = making.verified(tried, grader)
    print(f"{len(problems)} of {len(tried)} faults verified in {time.monotonic() - began:.1f} s")
    for name, found in (("tried", tried), ("verified", problems)):
        print(f"  {name}: {dict(Counter(problem.kind for problem in found))}")
    problems = problems[:count]
    planned = [(one, scripted.plan(one, "direct", random.Random(0))[0]) for one in problems]
    grader.forget()  # verifying ran some of the same tests
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        played = scripted.play(planned, grader, Path(folder))
        took = time.monotonic() - began
    cargo = sum(episode.seconds for episode, _ in played)
    print(f"{len(played) / took:.2f} episodes a second ({len(planned[0][1])} calls each, {grader.jobs} workers)")
    print(f"processor time of cargo calls {cargo:.1f} s of {took:.1f} s by the clock")
    samples = [
        {"id": one.id, "code": one.working[one.root], "tests": one.tests, "signature": one.signature}
        for one in problems
    ]
    grader.close()
    grader = RustGrader(lint=False)  # which remembers none of them
    print(f"grader: {median(verdict['cpu_ms'] for verdict in grader.grade(samples)):.0f} ms a sample (median)")
    for name in ("check", "test"):
        said = run(grader, [getattr(one, name)(one.working) for one in problems])
        print(f"cargo_{name}: {median(verdict['cpu_ms'] for verdict in said):.0f} ms")
    grader.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("episodes", type=int, nargs="?", default=40, help="how many (40)")
    main(parser.parse_args().episodes)
