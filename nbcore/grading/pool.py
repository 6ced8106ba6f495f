"""The worker processes of a grader: jobs go out one at a time, and one that dies is replaced without losing its job."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import weakref
from collections import deque
from collections.abc import Iterator
from multiprocessing import connection
from pathlib import Path
from typing import Any

from nbcore.grading import verdicts
from nbcore.grading.rust import hidden

_PACKAGES = ("tree_sitter", "tree_sitter_rust")  # all that grading imports beside the standard library
_LIFE = 1000  # jobs of one worker: a new one costs little, and whatever grew in the old is gone
_TRIES = 20  # of a job whose worker died: no sample can end its worker, so what did is worth waiting out
_STILLBORN = 20  # workers that may die in a row before they have begun
# Of a long text that was freed glibc learns to keep as much, and small things then lie above it: 10 MB were never back.
_GIVES_BACK = {"MALLOC_MMAP_THRESHOLD_": str(128 << 10), "MALLOC_TRIM_THRESHOLD_": str(128 << 10)}
_PATIENCE_S = 5  # with a worker that has been told to end


class Pool:
    """At most `size` workers, started when there is work for them; `setup` is the first line that each is told."""

    def __init__(self, size: int, setup: dict[str, Any]):
        self.size, self._setup = size, setup | {"packages": _package_folders()}
        self.workers = [_Worker(self._setup)]
        self.proved = self.workers[0].ready()
        weakref.finalize(self, _end, self.workers)

    def judge(self, jobs: dict[str, dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any] | None]]:
        """Yield (key, verdict) as they come in; the verdict is None where twenty workers died over the job.

        Raises RuntimeError when a new worker cannot keep what the first one kept.
        """
        waiting, stillborn = deque((key, job, 1) for key, job in jobs.items()), 0
        try:
            while waiting or any(worker.job for worker in self.workers):
                while waiting and (worker := self._idle()):
                    worker.give(waiting.popleft())
                for pipe in connection.wait([worker.answers for worker in self.workers if worker.job]):
                    worker = next(one for one in self.workers if one.answers is pipe)
                    key, job, tries = worker.job
                    verdict = worker.take(self.proved)
                    if not worker.alive:
                        self.workers.remove(worker)
                    if verdict is None:  # it died: nothing that it began is believed
                        stillborn = 0 if worker.begun else stillborn + 1
                        if stillborn == _STILLBORN:
                            raise RuntimeError(f"{_STILLBORN} workers in a row died at their start: {worker.obstacle}")
                        if tries < _TRIES:
                            waiting.append((key, job, tries + worker.begun))  # last: what kills workers may pass
                            continue
                    yield key, verdict
        except BaseException:  # an interrupt: what is under way belongs to nobody any more
            for worker in [worker for worker in self.workers if worker.job]:
                worker.kill()
                self.workers.remove(worker)
            raise

    def _idle(self) -> _Worker | None:
        """A worker without a job; a new one while there may be more, or in place of one that has done its share."""
        for worker in [worker for worker in self.workers if not worker.job]:
            if worker.given < _LIFE:
                return worker
            worker.close()
            self.workers.remove(worker)
        if len(self.workers) == self.size:
            return None
        self.workers.append(worker := _Worker(self._setup))
        return worker

    def close(self) -> None:
        """End the workers."""
        _end(self.workers)


class _Worker:
    """A worker process and the job that it has in hand."""

    def __init__(self, setup: dict[str, Any]):
        root = str(Path(__file__).parents[2])
        # A session of its own: Ctrl-C is for the grader to hear. Nothing of the environment: no token in its memory.
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-I",
                "-c",
                f"import sys; sys.path.insert(0, {root!r}); sys.path += {setup['packages']!r}; "
                "from nbcore.grading.worker import main; main()",
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            env={"PATH": os.environ.get("PATH", os.defpath), "TMPDIR": setup["folder"], **_GIVES_BACK},
        )
        self.pid, self.answers = self._process.pid, self._process.stdout
        self.job: tuple[str, dict[str, Any], int] | None = None
        self.given = 0
        self._hello: dict[str, Any] | None = None
        self.obstacle: str | None = None
        self._send(setup)

    def ready(self) -> dict[str, Any]:
        """What it proved. Raises RuntimeError when it could not start."""
        if self._hello is None:
            line = self.answers.readline()
            said = json.loads(line) if line else {"obstacle": "it died without a word; what it printed stands above"}
            self.obstacle = said.get("obstacle")
            if self.obstacle:
                raise RuntimeError(f"a grading worker cannot start: {self.obstacle}")
            self._hello = said
        return self._hello

    @property
    def alive(self) -> bool:
        """Whether it can be given another job."""
        return not self.answers.closed

    @property
    def begun(self) -> bool:
        """Whether it ever said what it proved, and so was ready for a job."""
        return self._hello is not None

    def give(self, job: tuple[str, dict[str, Any], int]) -> None:
        self.job, self.given = job, self.given + 1
        self._send({"job": self.given, **job[1]})

    def take(self, proved: dict[str, Any]) -> dict[str, Any] | None:
        """The verdict on the job in hand, None when the worker died over it."""
        try:
            promises = self.ready()["promises"]
            verdict = json.loads(self.answers.readline())
        except (ValueError, RuntimeError):
            job = self.job[1]
            ended = self._ended()
            self.kill()
            return _unreadable(job) if ended == -signal.SIGVTALRM else None
        if promises != proved["promises"]:
            raise RuntimeError(f"the sandbox is no longer what it was when grading began: {promises}")
        if verdict.pop("job") != self.given:
            raise AssertionError("a worker answered another job than the one it has")
        self.job = None
        return verdict

    def _send(self, message: dict[str, Any]) -> None:
        try:
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:  # it is dead: `take` will see
            pass

    def _ended(self) -> int | None:
        """How it ended by itself; None when it has not, within a second."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(1)
        return None

    def kill(self) -> None:
        """End it now, whatever it is doing."""
        self.job = None
        self._process.kill()
        self.close()

    def close(self) -> None:
        """Let it end by itself: it takes its fork server and its folder along."""
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self.answers.close()


def _unreadable(job: dict[str, Any]) -> dict[str, Any]:
    """The verdict on a text that a worker could not finish reading in its time."""
    cases = hidden.count(job["tests"]) if job["language"] == "rust" else 1
    said = verdicts.unknown(cases) | {"verdict": "rejected", "flags": ["too_complex"], "keep": True}
    return said | {"errors": [verdicts.note("too_complex", "takes too long to read")]}


def _package_folders() -> list[str]:
    """Where this process has the packages that a worker imports.

    A worker is isolated (`-I`), so that nothing on PYTHONPATH or in the current folder takes the place of a module of
    the standard library. Packages that a person has there, or in the user's site, are given behind it.
    """
    specs = [importlib.util.find_spec(name) for name in _PACKAGES]
    return sorted({str(Path(os.path.abspath(spec.origin)).parents[1]) for spec in specs if spec and spec.origin})


def _end(workers: list[_Worker]) -> None:
    for worker in workers:
        worker.kill() if worker.job else worker.close()
    workers.clear()
