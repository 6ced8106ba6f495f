"""Runs without a trainer: directories as a training leaves them, made in milliseconds."""

import json
import random
import struct
import time
from pathlib import Path

from nbcore import config as configs
from nbcore import runs
from nbcore.runs import checkpoints
from nbcore.runs.mirror import backends

SFT = configs.load({"phase": "sft", "max_steps": 100, "save_steps": 10})


def opened(store: Path, **values) -> runs.Run:
    """An unfinished run that has logged a little."""
    run = runs.open(configs.load(SFT, values), store)
    run.log(step=1, loss=2.5)
    return run


def saved(run: runs.Run, step: int, metric: float | None = None, attempt: str = "attempt-00000001", seed: int = 0):
    """A committed checkpoint: weights in safetensors, optimizer state, Trainer's own."""
    path = run.path / "state" / attempt / f"checkpoint-{step}"
    path.mkdir(parents=True)
    draw = random.Random(f"{seed}:{step}")
    weights(path / "adapter_model.safetensors", draw.randbytes(4000))
    (path / "optimizer.pt").write_bytes(draw.randbytes(6000))
    (path / "trainer_state.json").write_text(json.dumps({"global_step": step}))
    (path / "empty").write_bytes(b"")
    facts = {"step": step, "time": time.time(), "metric": metric, "ended": False, "best": {}}
    return checkpoints.save(path, facts)


def weights(path: Path, data: bytes) -> None:
    """A safetensors file with one tensor."""
    header = json.dumps({"w": {"dtype": "U8", "shape": [len(data)], "data_offsets": [0, len(data)]}}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + data)


def finished(store: Path, **values) -> runs.Run:
    """A finished run with an adapter."""
    run = opened(store, **values)
    (run.path / "adapter").mkdir()
    weights(run.path / "adapter" / "adapter_model.safetensors", random.Random(1).randbytes(3000))
    return run.finish({"loss": 2.5}, base="seedling")


class Faulty(backends.Folder):
    """A folder whose medium fails: `fails` is asked before each operation with (name of it, file) for an error."""

    def __init__(self, root, fails=lambda operation, name: None, seconds=0.0, rate=None):
        super().__init__(root)
        self.fails, self.seconds, self.rate = fails, seconds, rate
        self.calls: list[tuple[str, str]] = []

    def _before(self, operation, name):
        self.calls.append((operation, name))
        time.sleep(self.seconds)
        if error := self.fails(operation, name):
            raise error

    def list(self, prefix=""):
        self._before("list", prefix)
        return super().list(prefix)

    def put(self, name, source):
        self._before("put", name)
        super().put(name, source)

    def get(self, name, target):
        self._before("get", name)
        super().get(name, target)

    def delete(self, name):
        self._before("delete", name)
        super().delete(name)

    def stat(self, name):
        self._before("stat", name)
        return super().stat(name)

    def _copy(self, read, write):
        while data := read.read(100_000):
            write.write(data)
            self.moved += len(data)
            if self.rate:
                time.sleep(len(data) / self.rate)
