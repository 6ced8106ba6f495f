"""A process under killfs.c that has a trainer in hand and forks a child for every point of what it is told to do.

    KILLFS_ROOT=<root> LD_PRELOAD=killfs.so python nursery.py <root>

Forking saves the five seconds of imports that thousands of points would cost each. It answers lines of JSON on
standard input: {"do": name, "point": n} runs a scenario in a child that is killed at its n-th point (0: never) and
tells how many points it passed; {"do": "reset"} puts the store back.
"""

import ctypes
import json
import os
import shutil
import sys
from pathlib import Path

root = Path(sys.argv[1])
STORE, MIRROR, BEFORE = root / "store", root / "mirror", root.parent / "before"
os.environ["NBCORE_MIRROR"] = "off"  # mirrored in the open, not by a thread: a fork has none

import torch  # noqa: E402 - the environment comes first

from nbcore import runs  # noqa: E402
from nbcore.phases import lang_adapter  # noqa: E402
from nbcore.runs import checkpoints, lease, retention  # noqa: E402
from nbcore.runs.mirror import backends, mirror, restore  # noqa: E402
from nbcore.training import fit, saving  # noqa: E402
from tests.phases.short_runs import short  # noqa: E402

torch.set_num_threads(1)
libc = ctypes.CDLL(None)
libc.killfs_arm.argtypes = [ctypes.c_long]
CONFIG = short("lang_adapter", **{"lora.rank": 1, "lora.targets": ["q_proj"], "max_steps": 4, "save_steps": 2})

run = runs.open(CONFIG, STORE)
copies = mirror.Mirror(backends.Folder(MIRROR), part=100_000)  # so that a bundle has several parts
rows = lang_adapter.data(run)
trainer = lang_adapter.trainer(run)
facts = {"config": run.path.name[-12:], "data": rows["report"]["sha256"], "parent": None, "versions": {}}
keep = saving.CheckpointCallback(run, trainer, facts | {"base": fit.load.fingerprint(run)}, None, None)
trainer.add_callback(keep)
held = []


def pausing(model, trial=None):
    """The save of step 4 is what the children do."""
    if trainer.state.global_step == 2:
        keep.save(model)
        copies.publish(run.path, 2, checkpoints.newest(run.path)[0].path, None, False)
    else:
        held.append(model)


trainer._save_checkpoint = pausing
trainer.train()
lease.release(run.path)  # the next machine's process is another
shutil.copytree(root, BEFORE)


def save():
    """Everything that writes in the life of a run, one after the other."""
    keep.save(held[0])  # step 4: write, commit, retention
    copies.publish(run.path, 4, checkpoints.newest(run.path)[0].path, None, False)
    checkpoints.bless(run.path, "the last", 4)
    copies.prune(run.id, checkpoints.blessed(run.path), retention.Policy(newest=1, best=0))
    run.event("noted", by="the nursery")
    fit._leave(run, "adapter", trainer, rows["tokenizer"])
    checkpoints.ended(run.path, {"steps": 4}, "adapter")
    run.finish({"loss": 1.0}, base="seedling", data=rows["report"])
    copies.publish(run.path, 4, None, None, True)
    copies.prune(run.id, checkpoints.blessed(run.path), runs.run.pruning.policy(run.path))


def bring():
    """A new machine brings the run back, over what an older session left."""
    restore.restore(copies, STORE, run.id)


SCENARIOS = {"save": save, "bring": bring}
print("ready", flush=True)
for line in sys.stdin:
    order = json.loads(line)
    if order["do"] == "reset":
        shutil.rmtree(root)
        shutil.copytree(order.get("from", BEFORE), root)
        print("{}", flush=True)
        continue
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        libc.killfs_arm(order["point"])
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 1)
        SCENARIOS[order["do"]]()
        os.write(write, str(libc.killfs_seen()).encode())
        os._exit(0)
    os.close(write)
    _, status = os.waitpid(child, 0)
    passed = os.read(read, 20).decode()
    os.close(read)
    print(json.dumps({"status": status, "points": int(passed or 0)}), flush=True)
