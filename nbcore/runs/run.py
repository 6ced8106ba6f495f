"""A run: log to it, read it back, finish, publish, find and verify it. What its folder holds: see layout.py."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

from nbcore import config as configs
from nbcore.core import finite, lines
from nbcore.core.suggest import did_you_mean
from nbcore.runs import activity, checkpoints, commit, layout, lease, notebooks, pausing, pruning, weights
from nbcore.runs.mirror import publisher, restore

SEEDLING = Path(__file__).parents[1] / "assets" / "seedling"  # the base model where a config names none
ASKED = "asked for when it was opened again"  # the reason noted where a person changed settings of a run


@dataclass(frozen=True)
class Run:
    """One run directory. What is asked for is read from the disk each time, except config and parent."""

    path: Path

    @property
    def phase(self) -> str:
        return layout.phase_of(self.path)

    @property
    def id(self) -> str:
        return layout.run_id(self.path)

    @property
    def store(self) -> Path:
        return layout.store_of(self.path)

    @cached_property
    def config(self) -> Any:
        """The config as it is now: the one it was opened with, and the settings that were changed since.

        Raises ValueError where config.yaml is not the file that the run was opened with.
        """
        return self._config_after(self.events("settings"))

    @property
    def requested(self) -> Any:
        """The config as a person last asked for it: without the smaller batches that lack of memory has led to."""
        return self._config_after([row for row in self.events("settings") if row["why"] == ASKED])

    @property
    def halvings(self) -> int:
        """How often memory ran out, and the batch was halved, since a person last changed the settings."""
        count = 0
        for row in self.events():
            count = 0 if row.get("why") == ASKED else count + (row["event"] == "out_of_memory")
        return count

    def _config_after(self, settings: list[dict]) -> Any:
        if not self.finished and commit.sha256(self.path / layout.CONFIG) != self.info["config"]:
            raise ValueError(f"{self.id}: config.yaml is not the one it was opened with; restore it, or open a new run")
        changed: dict[str, Any] = {}
        for row in settings:
            changed |= row["values"]
        return configs.load(self.path / layout.CONFIG, changed)

    @property
    def finished(self) -> bool:
        return (self.path / layout.RUN).is_file()

    @property
    def info(self) -> dict:
        """The content of run.json, or of open.json while it is unfinished. Raises ValueError where that was changed."""
        return commit.read_sealed(self.path / (layout.RUN if self.finished else layout.OPENING))

    @cached_property
    def parent(self) -> Run | None:
        """The run this one started from; None where it started from a base model.

        It is looked up once, as each look hashes all of its files. Raises FileNotFoundError where it is gone,
        ValueError where it is no longer what it was.
        """
        reference = self.info["parent"]
        if reference is None:
            return None
        parent = get(self.store, reference["id"])
        if parent.info["manifest"] != reference["hash"]:
            raise ValueError(f"parent {parent.id} of {self.id} is not the run it was: its manifest has changed")
        return parent

    def ancestors(self) -> list[Run]:
        """This run, its parent, and so on to the first."""
        parent = self.parent
        return [self, *(parent.ancestors() if parent else [])]

    def log(self, **numbers: Any) -> None:
        """Append one line to metrics.jsonl, stamped with the time.

        Raises NotFinite for a number that is NaN or infinite, pausing.Paused where the disk is full.
        """
        finite.refuse(self.id, numbers)
        self._append(layout.METRICS, {"time": round(time.time(), 3), **numbers})

    def sample(self, *rows: dict) -> None:
        """Append rows to samples.jsonl in one write: a kill in the middle leaves at most one line cut off."""
        self._append(layout.SAMPLES, *rows)

    def event(self, kind: str, **facts: Any) -> None:
        """Append to events.jsonl something that happened: resumed, fell_back, out_of_memory, settings, pairs …"""
        self._append(layout.EVENTS, {"time": round(time.time(), 3), "event": kind, **facts})

    def set(self, why: str, **values: Any) -> None:
        """Change settings of an unfinished run from now on; only such as do not change its result."""
        self.event("settings", values=values, why=why)
        self.__dict__.pop("config", None)

    def metrics(self) -> list[dict]:
        """Rows of metrics.jsonl; where a resumed run logged a step twice, the later row counts."""
        rows: dict[Any, dict] = {}
        for number, row in enumerate(lines.read(self.path / layout.METRICS)):
            # One step has a row of training, one of evaluation and more: the keys tell which one is written again.
            rows[(row["step"], frozenset(row)) if "step" in row else number] = row
        return list(rows.values())

    def samples(self) -> list[dict]:
        """Rows of samples.jsonl; where a resumed run wrote a sample twice, the later row counts."""
        rows = lines.read(self.path / layout.SAMPLES)
        return list({(row.get("split"), row.get("when"), row["id"], row.get("sample")): row for row in rows}.values())

    def events(self, kind: str | None = None) -> list[dict]:
        """Rows of events.jsonl, of one kind or all."""
        return [row for row in lines.read(self.path / layout.EVENTS) if kind in (None, row["event"])]

    def finish(self, metrics: dict, **facts: Any) -> Run:
        """Commit the run and copy it to the mirror. A run that has finished before is only copied, if it is not yet.

        `metrics` are its final numbers; `facts` go into run.json beside them (base, device, data_hash …). Raises
        NotFinite where a metric or a weight is NaN or infinite: the run stays unfinished and can be no parent.
        """
        if not self.finished:
            finite.refuse(self.id, metrics)
            for file in sorted(self.path.glob("*/*.safetensors")):
                if wrong := weights.not_finite(file):
                    raise finite.NotFinite(f"{self.id}: {file.name}: {wrong}; it cannot be finished")
            opening = self.info
            ended = datetime.now(UTC)
            facts = {
                "status": "finished",
                **opening,
                "finished": ended.isoformat(timespec="seconds"),
                "seconds": round(self._active_seconds(), 1),
                "metrics": metrics,
                **facts,
            }
            pausing.write(self.path, lambda: commit.commit(self.path, layout.RUN, facts, without=layout.OUTSIDE))
            lease.release(self.path)
            activity.clear(self.path)
        self.publish()
        self.wait_for_mirror()
        return self

    def publish(self, checkpoint: checkpoints.Checkpoint | None = None, step: int = 0) -> None:
        """Offer the run as it stands, with a checkpoint if there is one, to the mirror; returns at once."""
        if copier := publisher.current():
            metric = checkpoint.facts.get("metric") if checkpoint else None
            path, step = (checkpoint.path, checkpoint.step) if checkpoint else (None, step)
            if self.finished and not step:
                step = self.config.max_steps if isinstance(self.config, configs.Training) else 0
            copier.offer(publisher.Offer(self.path, step, path, metric, self.finished, pruning.policy(self.path)))

    def mirror_status(self) -> str:
        """How much of this run is on the mirror, in one line for people."""
        copier = publisher.current()
        if copier is None:
            return "mirror: none, this run is on this disk alone"
        if self.path not in copier.status:
            return "mirror: nothing to copy yet"
        return copier.status[self.path].words()

    def wait_for_mirror(self) -> None:
        """Wait until the mirror, where there is one, has everything that was offered; if it stands still, say so."""
        copier = publisher.current()
        if copier and self.path in copier.status:
            doing = activity.Activity(self.path)
            if not copier.flush(waiting=lambda: doing(f"waiting for the {self.mirror_status()}")):
                print(f"{self.id}: {self.mirror_status()}; it goes on as long as this process lives", flush=True)
            activity.clear(self.path)

    def verify(self) -> list[str]:
        """What is wrong with a finished run, one line a file; empty when nothing is."""
        return self.damage() + notebooks.problems(self.path)

    def damage(self) -> list[str]:
        """What of that keeps it from being built upon: all but the executed notebook, which is only to look at."""
        return commit.problems(self.path, layout.RUN) or weights.problems(self.path)

    def keep_notebook(self, text: str) -> Path:
        """Put the executed notebook into the run and offer it to the mirror; returns its path."""
        kept = notebooks.keep(self.path, text)
        if copier := publisher.current():
            copier.offer(publisher.Offer(self.path, 0, None, None, self.finished, notebook=True))
        return kept

    def _append(self, name: str, *rows: dict) -> None:
        pausing.write(self.path, lambda: lines.append(self.path / name, *rows))

    def _active_seconds(self) -> float:
        # From open to finish would include the night between two sessions. Rows an hour apart are such a gap.
        times = [datetime.fromisoformat(self.info["started"]).timestamp()]
        times += [row["time"] for row in lines.read(self.path / layout.METRICS)] + [time.time()]
        return sum(gap for gap in (b - a for a, b in pairwise(times)) if 0 < gap < 3600)


def get(store: str | Path, reference: str | Path, field: str = "parent") -> Run:
    """A finished, verified run by its id ("sft/2026…") or its path; from the mirror, if only that has it.

    `field` is what an error calls the reference; `choice.find` knows the names of phases too. Raises
    FileNotFoundError where there is none, ValueError where its content differs from its manifest.
    """
    store, text = Path(store), str(reference)
    if layout.is_run_id(text):
        phase, name = text.split("/")
        path = layout.phase_folder(store, phase) / name
        if not layout.is_run(path) or commit.problems(path, layout.RUN):
            restore.bring(store, phase, lambda ids: [run for run in ids if run == text])
    else:
        path = layout.run_at(Path(text))
    if not layout.is_run(path):
        if (path / layout.OPENING).is_file():
            own = commit.read_sealed(path / layout.OPENING)["id"]
            wrong = path.resolve() if own.endswith(f"/{path.name}") else path  # a link, or what it leads to
            raise ValueError(f"{field}: {wrong} is the run {own} under another name; give it that name back")
        raise FileNotFoundError(
            f"{field}: {text!r} is neither a run in {store} nor a run directory"
            f"{did_you_mean(text, [*configs.PHASES, *(run.id for run in listing(store))])}; "
            "`python -m nbcore runs list` shows what there is"
        )
    run = Run(path)
    if not run.finished:
        raise ValueError(f"{field}: {run.id} is unfinished; run its notebook again, it resumes by itself")
    problems = run.damage()
    if problems:
        raise ValueError(
            f"{field}: {run.id} is damaged: {'; '.join(problems[:3])}. Name another {field}, "
            "or run its phase again (names are never reused)"
        )
    return run


def listing(store: str | Path, phase: str | None = None) -> list[Run]:
    """Every run of the store, or of one phase, finished or not, oldest first.

    Raises ValueError for a link in the store that leads nowhere.
    """
    paths = [path for name in ([phase] if phase else configs.PHASES) for path in layout.runs_of(Path(store), name)]
    return [Run(path) for path in sorted(paths, key=lambda path: path.name)]
