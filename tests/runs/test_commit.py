"""What is damaged is noticed, whatever the damage; what is sound is never suspected."""

import errno
import json
import random
import shutil

import pytest

from nbcore import runs
from nbcore.runs import checkpoints, commit, health
from tests.runs.helpers import finished, opened, saved


@pytest.fixture
def two(tmp_path):
    """A run with sound checkpoints of steps 10 and 20."""
    run = opened(tmp_path)
    saved(run, 10)
    return run, saved(run, 20)


def payload(checkpoint):
    return [path for path in sorted(checkpoint.path.rglob("*")) if path.is_file()]


def chosen(run):
    checkpoint, wrong = checkpoints.newest(run.path)
    return checkpoint.step, list(wrong.values())


def test_a_thousand_flipped_bits_are_all_noticed(two):
    """safetensors has no checksum: two hundred of two hundred flips in its tensors load silently."""
    run, newer = two
    draw = random.Random(0)
    files = [path for path in payload(newer) if path.stat().st_size]
    sizes = [path.stat().st_size for path in files]
    for _ in range(1000):
        path = draw.choices(files, sizes)[0] if draw.random() < 0.7 else draw.choice(files)
        content = path.read_bytes()
        at = draw.randrange(8 * len(content))
        path.write_bytes(content[: at // 8] + bytes([content[at // 8] ^ 1 << at % 8]) + content[at // 8 + 1 :])
        step, wrong = chosen(run)
        assert step == 10 and len(wrong) == 1, f"a flip of bit {at} of {path.name} went unnoticed"
        path.write_bytes(content)
    assert chosen(run) == (20, [])


def test_every_truncation_and_every_zero_tail_is_noticed(two):
    """Half-written files, and Drive's own shapes: nothing at all, and the right length with nothing in it."""
    run, newer = two
    for path in payload(newer):
        content = path.read_bytes()
        size = len(content)
        for keep in {0, 1, 8, 9, size // 3, size // 2, size - 8, size - 1} & set(range(size)):
            for damaged in (content[:keep], content[:keep] + bytes(size - keep)):
                if damaged == content:
                    continue  # a tail that was zero before
                path.write_bytes(damaged)
                assert chosen(run)[0] == 10, (path.name, keep, len(damaged))
        path.write_bytes(content)
    assert chosen(run) == (20, [])


def test_missing_and_swapped_files_are_noticed_and_new_ones_are_not_read(two):
    """Each file of the manifest has to be there, and be itself."""
    run, newer = two
    for path in payload(newer):
        content = path.read_bytes()
        path.unlink()
        assert chosen(run)[0] == 10, path.name
        (run.path / "elsewhere").write_bytes(content)  # a link to the very same bytes, which may change tomorrow
        path.symlink_to(run.path / "elsewhere")
        assert chosen(run)[0] == 10, path.name
        path.unlink()
        path.write_bytes(content)
    other = checkpoints.listing(run.path)[0]
    shutil.copy(other.path / "optimizer.pt", newer.path / "optimizer.pt")
    assert chosen(run)[0] == 10
    shutil.copytree(other.path, newer.path, dirs_exist_ok=True)  # a sound one under another step's name
    assert checkpoints.newest(run.path)[1] == {newer.name: ["commit.json: is of step 10, the folder of step 20"]}


def test_two_hundred_healthy_saves_raise_no_alarm(tmp_path):
    """A check that cries wolf costs as much work as one that sleeps."""
    run = opened(tmp_path)
    for step in range(1, 201):
        assert saved(run, step).problems() == []
    assert chosen(run) == (200, [])
    assert health.look(run) == ([], [f"checkpoint of step {step}" for step in range(1, 201)])


def test_a_manifest_that_points_outside_is_refused(two):
    """A crafted manifest must not have files of the host read as if they were the run's."""
    _, newer = two
    manifest = json.loads((newer.path / "manifest.json").read_text())
    entry = manifest["files"].pop("optimizer.pt")
    for name in ("../../../config.yaml", "/etc/passwd", "a/../../b", "..\\b"):
        (newer.path / "manifest.json").write_text(json.dumps({"files": manifest["files"] | {name: entry}}))
        facts = commit.read_sealed(newer.path / "commit.json")
        facts["manifest"] = commit.sha256(newer.path / "manifest.json")
        commit.write_sealed(newer.path / "commit.json", facts)
        assert checkpoints.Checkpoint(newer.path).problems() == [f"{name}: names a file outside of the directory"]


def test_a_link_is_not_committed(tmp_path):
    """What it points to changes behind the manifest's back, or is not there on the next machine."""
    run = opened(tmp_path)
    (run.path / "adapter").symlink_to(tmp_path)
    with pytest.raises(ValueError, match="adapter is a symbolic link"):
        run.finish({})
    assert not run.finished


def test_weights_that_were_not_written_whole_are_not_committed(tmp_path):
    """A manifest over half a file would vouch for the half."""
    run = opened(tmp_path)
    good = saved(run, 1)
    torn = good.path.with_name("checkpoint-2")
    shutil.copytree(good.path, torn)
    content = (torn / "adapter_model.safetensors").read_bytes()
    for cut in (content[:4], content[:40], content[:-1], content + b"x", b"\xff" * 100, b""):
        (torn / "adapter_model.safetensors").write_bytes(cut)
        with pytest.raises(ValueError, match="not written whole"):
            checkpoints.save(torn, {"step": 2})


def test_run_json_vouches_for_itself(tmp_path):
    """Nothing else vouches for it, and a flipped digit in a metric reads like a result."""
    run = finished(tmp_path)
    marker = run.path / "run.json"
    text = marker.read_text()
    marker.write_text(text.replace('"loss": 2.5', '"loss": 1.5'))
    assert run.verify() == ["run.json: differs from what was written"]
    with pytest.raises(ValueError, match="differs"):
        _ = run.info
    marker.write_text(text)
    assert run.verify() == []


def test_a_write_that_fails_leaves_the_old_content(tmp_path, monkeypatch):
    """Replaced whole or not at all: the marker of a commit is written this way."""
    path = tmp_path / "file"
    commit.write_durably(path, "old")
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError(5, "Input/output error")))
    with pytest.raises(OSError, match="Input/output"):
        commit.write_durably(path, "new")
    assert path.read_text() == "old"


def test_weights_that_changed_after_training_are_trained_again_from_the_checkpoint(tmp_path):
    """Between the end of training and the commit of the run only trained.json vouches for the adapter."""
    run = opened(tmp_path)
    (run.path / "adapter").mkdir()
    (run.path / "adapter" / "w").write_bytes(b"weights")
    checkpoints.ended(run.path, {"steps": 3}, "adapter")
    assert checkpoints.trained(run.path) == {"steps": 3}
    (run.path / "adapter" / "w").write_bytes(b"weighty")
    assert checkpoints.trained(run.path) == {}
    assert health.look(run)[0] == ["trained.json: differs, or the weights that it vouches for do"]


@pytest.mark.parametrize("left", [".manifest.json.new", ".run.json.new", ".adapter.deadbeef/w"])
def test_what_a_kill_left_half_done_is_in_no_manifest(tmp_path, monkeypatch, left):
    """It vanished after the commit, or was in no bundle, and the run was damaged for good."""
    monkeypatch.setenv("NBCORE_MIRROR", str(tmp_path / "mirror"))
    run = opened(tmp_path / "store")
    (run.path / left).parent.mkdir(exist_ok=True)
    (run.path / left).write_text("half")
    run.finish({"loss": 1.0})
    assert run.verify() == []
    assert runs.find(tmp_path / "fresh", run.id).verify() == []


def test_a_disk_that_fails_to_read_one_checkpoint_still_has_the_other(tmp_path, monkeypatch):
    """EIO in the newest ended everything, `verify` of all the other runs too."""
    run = opened(tmp_path)
    saved(run, 10)
    bad = saved(run, 20).path / "optimizer.pt"
    real = commit.sha256

    def failing(path):
        if path == bad:
            raise OSError(errno.EIO, "Input/output error")
        return real(path)

    monkeypatch.setattr(commit, "sha256", failing)
    assert checkpoints.newest(run.path)[0].step == 10
    assert health.look(run)[0] == ["attempt-00000001/checkpoint-20/optimizer.pt: cannot be read (Input/output error)"]
