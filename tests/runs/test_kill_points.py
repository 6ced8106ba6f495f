"""SIGKILL at every single change of the file system that a save, a copy, a prune and a commit make."""

import json
import shutil
import subprocess
import sys
from collections import Counter

import pytest

from nbcore import runs
from nbcore.runs import checkpoints, commit, health
from nbcore.runs.mirror import backends, mirror, restore
from tests.faults import killfs
from tests.phases.children import go

pytestmark = pytest.mark.slow


class Nursery:
    """The process of faults/nursery.py."""

    def __init__(self, folder):
        self.root = folder / "root"
        self.process = subprocess.Popen(
            [sys.executable, str(killfs.HERE / "nursery.py"), str(self.root)],
            env=killfs.environment(self.root),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        while (line := self.process.stdout.readline().strip()) != "ready":
            assert line or self.process.poll() is None, "the nursery ended before it was ready"

    def do(self, what, **more):
        self.process.stdin.write(json.dumps({"do": what, **more}) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


@pytest.fixture(scope="module")
def nursery(tmp_path_factory):
    made = Nursery(tmp_path_factory.mktemp("nursery"))
    yield made
    made.process.stdin.close()
    made.process.wait(timeout=30)


def only_run(store):
    (found,) = runs.listing(store)
    return found


def content(checkpoint):
    """What a resume reads of a checkpoint; the marker holds the time of the commit, which differs."""
    return {name: commit.sha256(checkpoint.path / name) for name in ("adapter_model.safetensors", "optimizer.pt")}


def outcome(run, reference):
    """What a store came to: (finished, trained, step). Everything that is trusted in it is as it should be."""
    problems, _ = health.look(run)
    assert problems == []
    checkpoint, wrong = checkpoints.newest(run.path)
    assert not any(checkpoints.Checkpoint(run.path / "state" / name).committed for name in wrong)
    assert run.finished or checkpoint  # a finished run travels without its checkpoints
    assert not checkpoint or content(checkpoint) == reference[checkpoint.step]
    trained = bool(checkpoints.trained(run.path))
    if trained or run.finished:
        assert commit.sha256(run.path / "adapter" / "adapter_model.safetensors") == reference["adapter"]
    return run.finished, trained, checkpoint.step if checkpoint else 4


def from_the_mirror(root, store):
    """The run as a new machine has it, with the mirror alone."""
    copies = mirror.Mirror(backends.Folder(root / "mirror"))
    assert restore.restore(copies, store, only_run(root / "store").id)
    return only_run(store)


@pytest.fixture(scope="module")
def reference(nursery):
    """Hashes of what an uninterrupted life leaves, and how many points it has."""
    passed = nursery.do("save", point=0)
    assert passed["status"] == 0
    run = only_run(nursery.root / "store")
    found = {each.step: content(each) for each in checkpoints.listing(run.path)}
    found["adapter"] = commit.sha256(run.path / "adapter" / "adapter_model.safetensors")
    found["points"] = passed["points"]
    shutil.copytree(nursery.root, nursery.root.parent / "after")
    assert set(found) == {2, 4, "adapter", "points"}
    return found


def test_every_point_leaves_a_store_that_verifies_and_a_run_that_resumes(nursery, reference, tmp_path, capsys):
    """A save that is torn anywhere must be as if it had not begun, or as if it had ended."""
    classes = {}
    counts = Counter()
    for point in range(1, reference["points"] + 1):
        nursery.do("reset")
        assert nursery.do("save", point=point)["status"] == 9, "it was not killed where it should have been"
        fresh = tmp_path / f"{point}"
        here = outcome(only_run(nursery.root / "store"), reference)
        there = outcome(from_the_mirror(nursery.root, fresh), reference)
        for name, store, found in (("disk", nursery.root / "store", here), ("mirror", fresh, there)):
            counts[name, found] += 1
            if (name, found) not in classes:
                classes[name, found] = tmp_path / "kept" / str(len(classes))
                shutil.copytree(store, classes[name, found])
        shutil.rmtree(fresh)
    # Every kind of store that came of it goes on to the very adapter of the run that nobody disturbed.
    for store in classes.values():
        run = only_run(store)
        (run.path / "lease.json").unlink(missing_ok=True)
        # In one thread, as the nursery has it: on some processors two threads add up otherwise.
        assert go(store, run.id) == 0
        assert run.verify() == []
        assert commit.sha256(run.path / "adapter" / "adapter_model.safetensors") == reference["adapter"]
    with capsys.disabled():
        print(
            f"\nkilled at {reference['points']} points of save, mirror, bless, prune and commit: all verify, all resume"
        )
        for (name, (finished, trained, step)), count in sorted(counts.items()):
            state = "finished" if finished else "weights left" if trained else f"step {step}"
            print(f"  {count:4} times the {name} goes on from: {state}")
    assert reference["points"] > 100
    assert {step for (_, (_, _, step)) in classes} == {2, 4}


def test_a_restore_that_is_killed_is_done_again(nursery, reference, capsys):
    """A new runtime is taken away like the old one was, and as well while it copies the run back."""
    after = nursery.root.parent / "after"
    stale = nursery.root.parent / "stale"  # the disk knows step 2, the mirror the finished run
    shutil.copytree(nursery.root.parent / "before", stale)
    shutil.rmtree(stale / "mirror")
    shutil.copytree(after / "mirror", stale / "mirror")
    nursery.do("reset", **{"from": str(stale)})
    passed = nursery.do("bring", point=0)
    assert passed["status"] == 0 and outcome(only_run(nursery.root / "store"), reference)[0]
    for point in range(1, passed["points"] + 1):
        nursery.do("reset", **{"from": str(stale)})
        assert nursery.do("bring", point=point)["status"] == 9
        store = nursery.root / "store"
        if found := runs.listing(store):  # between setting the old aside and renaming the new one there is none
            outcome(found[0], reference)
        copies = mirror.Mirror(backends.Folder(nursery.root / "mirror"))
        restore.restore(copies, store, only_run(after / "store").id)
        assert outcome(only_run(store), reference)[0]
    with capsys.disabled():
        print(f"\nkilled at {passed['points']} points of a restore: every one was made good by the next")
