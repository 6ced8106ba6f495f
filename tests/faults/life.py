"""Everything the store writes in the life of a run, without a trainer: `python life.py STORE MIRROR`."""

import os
import sys
from pathlib import Path

os.environ["NBCORE_MIRROR"] = "off"

from nbcore.runs import checkpoints, pruning, retention
from nbcore.runs.mirror import backends, mirror
from tests.runs.helpers import opened, saved, weights

run = opened(Path(sys.argv[1]))
copies = mirror.Mirror(backends.Folder(Path(sys.argv[2])), part=5000)
for step in (10, 20, 30, 40, 50):
    checkpoint = saved(run, step)
    copies.publish(run.path, step, checkpoint.path, None, False)
    copies.prune(run.id, checkpoints.blessed(run.path), retention.Policy(newest=1))
    pruning.prune(run.path)
checkpoints.bless(run.path, "the last", 50)
(run.path / "adapter").mkdir()
weights(run.path / "adapter" / "adapter_model.safetensors", b"w" * 3000)
checkpoints.ended(run.path, {"steps": 50}, "adapter")
run.finish({"loss": 1.0}, base="seedling")
copies.publish(run.path, 50, None, None, True)
