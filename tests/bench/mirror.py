"""What a LoRA checkpoint every 20 steps costs training, with a mirror of 1 MB/s and 5 s latency an operation.

    python tests/bench/mirror.py

The tiny profile's language adapter, batches as shipped, three times: without saves, with saves and no mirror, with
saves and the slow mirror. "blocked" is the time the training thread stands still for a save: Trainer's writing,
hashing, syncing, retention and the offer to the mirror. Copying itself runs beside training on its thread, so its
price shows, if anywhere, in the time of a step.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from nbcore import config as configs  # noqa: E402
from nbcore import runs  # noqa: E402
from nbcore.phases import lang_adapter  # noqa: E402
from nbcore.runs import checkpoints  # noqa: E402
from nbcore.runs.mirror import mirror, publisher  # noqa: E402
from tests.runs.helpers import Faulty  # noqa: E402 - the path must be set before the imports

STEPS = 120


def once(name: str, store: Path, save_steps: int, copier: publisher.Publisher | None) -> tuple[float, float, float]:
    """(seconds of training, share of it blocked, median seconds of a step)."""
    publisher.current = lambda: copier
    overrides = {"max_steps": STEPS, "save_steps": save_steps, "name": name, "validation_documents": 20}
    run = runs.open(configs.load(ROOT / "configs/lang_adapter/tiny.yaml", overrides), store)
    lang_adapter.data(run)
    began = time.monotonic()
    result = lang_adapter.train(run)
    wall = time.monotonic() - began
    times = [row["time"] for row in run.metrics() if "loss" in row]
    if copier:
        saved, _ = checkpoints.newest(run.path)
        size = saved.bytes() / 1e6
        print(f"  a checkpoint has {size:.1f} MB; {copier.status[run.path].words()}")
    return wall, result["saving_seconds"] / wall, statistics.median(b - a for a, b in pairwise(times))


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        once("warm", folder / "store", 10**6, None)  # the first run pays for imports and caches
        base = once("none", folder / "store", 10**6, None)
        local = once("local", folder / "store", 20, None)
        slow = publisher.Publisher(mirror.Mirror(Faulty(folder / "mirror", seconds=5.0, rate=1e6)))
        mirrored = once("mirror", folder / "store", 20, slow)
        print(f"{STEPS} steps, a save every 20           wall      blocked   median step")
        for name, (wall, blocked, step) in (("no saves", base), ("no mirror", local), ("slow mirror", mirrored)):
            print(f"  {name:32} {wall:6.1f} s   {blocked:7.2%}   {step * 1e3:6.0f} ms ({step / base[2]:.2f}×)")


if __name__ == "__main__":
    main()
