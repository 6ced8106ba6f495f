"""Data: sources of any format to clean, split and mixed records in shards, which training runs read.

read = kept + set aside + dropped, for every source and in sum
"""

from __future__ import annotations

import json
import shutil
from itertools import islice
from typing import Any

from nbcore import runs
from nbcore.core import hardware
from nbcore.data import building, describing, inflow
from nbcore.data.formats import SetAside
from nbcore.runs import activity, checkpoints, inputs, layout, pausing

LOOKED_AT = 3  # records of each source


def data(run: runs.Run) -> dict[str, Any]:
    """What will be read, before anything is: of each source what it is, and its first records as they come.

    {"sources": {name: {"kind", "access", "revision", "filtered", …}}, "first": {name: [records]}}.
    Raises ValueError or FileNotFoundError naming the source.
    """
    if run.info["parent"]:
        raise ValueError(
            f"parent: a data run starts from its sources, not from {run.info['parent']['id']}; leave it out"
        )
    if not run.finished:
        inputs.require(run)
    about, first = {}, {}
    for source in run.config.sources:
        given = source.model_dump(mode="json", exclude_defaults=True, exclude={"name"})
        known = inflow.revision(source, run.config) or "by its hash"
        about[source.name] = {"kind": source.kind, **given, "revision": known}
        looked = islice(inflow.records(source, run.config), LOOKED_AT)
        first[source.name] = [record._asdict() if isinstance(record, SetAside) else record for record in looked]
    return {"sources": about, "first": first}


def build(run: runs.Run, live: Any = None) -> dict[str, Any]:
    """Read, filter, leave out copies and evaluation tasks, split, mix and write; returns the numbers of the run.

    data/ appears whole or not at all. After a kill, sources that were read to their end are not read again. Raises
    ValueError where a source leaves nothing, runs.Paused where the disk is full.
    """
    if run.finished:
        return run.info["metrics"]
    if already := checkpoints.trained(run.path):
        return already
    inputs.require(run)
    doing = activity.Activity(run.path, live.tell if live else lambda doing: None)
    finished = run.path / layout.BUILDING / layout.DATA

    def write() -> dict[str, Any]:
        return building.build(run.config, run.path / layout.BUILDING, finished, doing)

    numbers = _numbers(pausing.write(run.path, write))
    pausing.write(run.path, lambda: building.publish(finished, run.path / layout.DATA))
    checkpoints.ended(run.path, numbers, layout.DATA)
    shutil.rmtree(run.path / layout.BUILDING)
    run.log(**numbers)
    run.publish()
    return numbers


def see(run: runs.Run) -> tuple[dict[str, Any], dict[str, list[dict[str, Any]]]]:
    """(report, examples of each stage) of a run that has been built."""
    folder = run.path / layout.DATA
    return tuple(
        json.loads((folder / name).read_text("utf-8")) for name in (describing.REPORT, describing.EXAMPLES_FILE)
    )


def finish(run: runs.Run) -> runs.Run:
    """Commit the run. Raises ValueError where it has not been built."""
    if not run.finished and not checkpoints.trained(run.path):
        raise ValueError(f"{run.id}: nothing is built yet, or it has changed since; build it first")
    shutil.rmtree(run.path / layout.BUILDING, ignore_errors=True)  # of a build that was killed after its last step
    report, _ = see(run)
    facts = {name: value for name, value in report.items() if name not in ("shards", "lengths")}
    metrics = run.info["metrics"] if run.finished else checkpoints.trained(run.path)
    return run.finish(metrics, base=None, device=hardware.device().name, data_hash=report["sha256"], data=facts)


def _numbers(report: dict[str, Any]) -> dict[str, Any]:
    """What lists and progress lines show of a run."""
    return {
        "read": report["read"],
        "kept": report["kept"],
        "set_aside": sum(report["set_aside"].values()),
        "dropped": sum(report["dropped"].values()),
        "train": report["splits"]["train"]["records"],
        "heldout": report["splits"]["heldout"]["records"],
    }
