"""What comes of a mirror: the files of a bundle, and what a new machine gets."""

import random
import shutil

from nbcore import runs
from nbcore.runs import checkpoints
from nbcore.runs.mirror import restore


def brought(copies, tmp_path, run):
    """The step that a new machine goes on from; None where it finds nothing."""
    fresh = tmp_path / f"fresh-{random.getrandbits(32):x}"
    restore.restore(copies, fresh, run.id)
    found = runs.listing(fresh)
    step = None
    if found:
        checkpoint, wrong = checkpoints.newest(found[0].path)
        assert wrong == {} and found[0].config == run.config and found[0].metrics() == run.metrics()
        step = checkpoint.step
    shutil.rmtree(fresh, ignore_errors=True)
    return step


def files(copies, record):
    root = copies.backend.root
    return [root / record.name, *(root / part["name"] for part in record.parts)]
