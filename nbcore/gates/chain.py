"""The chain of a run: every link from it to the base model, verified byte for byte.

Of each run: its record, config, weights, logs and executed notebook, the files that its data came from, the decision
of its gate and the evaluation behind that; of the first one the base model's files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from nbcore import config as configs
from nbcore import runs
from nbcore.core import formats
from nbcore.gates import blessings
from nbcore.runs import choice, commit, data_runs, inputs, layout, notebooks

OK, BROKEN, ABSENT, NONE = "ok", "broken", "absent", "none"


class Link(NamedTuple):
    """One link of a chain."""

    kind: str
    """base, data, config, adapter, model, run record, logs, executed notebook, evaluation, blessing or parent."""
    of: str
    """The id of the run that it belongs to."""
    state: str
    """ok; broken: a byte differs; absent: it is not here, so nothing tells; none: there never was one."""
    what: str
    """Which file, and what is wrong with it."""

    @property
    def is_whole(self) -> bool:
        return self.state in (OK, NONE)

    def line(self) -> str:
        """For people."""
        return f"{self.kind} of {self.of}: {self.what}"


def verify_chain(run: runs.Run) -> list[Link]:
    """Every link from a finished run to its base, the run's own first. Nothing is raised for damage: it is in the
    links. A broken record of a run ends the walk, since nothing tells then what came before."""
    links: list[Link] = []
    reached: runs.Run | None = run
    while reached is not None:
        links += _of_run(reached)
        reached, found = _parent(reached)
        links += found
    return links


def broken(links: list[Link]) -> list[Link]:
    """Those that are damaged or not here."""
    return [link for link in links if not link.is_whole]


def files_of(run: runs.Run) -> list[Link]:
    """The files that a run's manifest vouches for, and its executed notebook."""
    links = []
    measures = configs.TABLE[run.phase].measures
    damaged: dict[str, list[str]] = {}
    for problem in commit.problems(run.path, layout.RUN):
        kind = "evaluation" if measures else _kind(problem.partition(":")[0])
        damaged.setdefault(kind, []).append(problem)
    kinds = ["evaluation"] if measures else ["run record", "config", *_weights(run), "logs"]
    for kind in [*kinds, *(kind for kind in damaged if kind not in kinds)]:
        wrong = damaged.get(kind)
        links.append(Link(kind, run.id, BROKEN if wrong else OK, "; ".join(wrong or [run.path.name])))
    if wrong := notebooks.problems(run.path):
        links.append(Link("executed notebook", run.id, BROKEN, wrong[0]))
    elif notebooks.lacks_note(run.path):
        links.append(
            Link("executed notebook", run.id, NONE, f"nothing vouches for {layout.NOTEBOOK}: kept without note")
        )
    elif (run.path / layout.NOTEBOOK).is_file():
        links.append(Link("executed notebook", run.id, OK, layout.NOTEBOOK))
    return links


def sources_of(run: runs.Run) -> list[Link]:
    """What a run read from outside of the store: the files of its data and of its base, as its record names them."""
    try:
        info = run.info
    except (OSError, ValueError):
        return []  # the run record is broken, and told by files_of
    links = []
    recorded: dict[str, dict[str, str | None]] = {}
    for field, files in info.get("inputs", {}).items():
        if field in (inputs.BASE, *inputs.FILES):
            recorded.setdefault("base" if field == inputs.BASE else "data", {}).update(files)
    for name, sha256 in info.get("shipped", {}).items():
        recorded.setdefault("data" if name.endswith(inputs.KATAS.name) else "base", {})[name] = sha256
    if info.get("seedling") and "base" not in recorded:  # an older run knows of its weights alone
        weights = sorted(inputs.SEEDLING.glob("*.safetensors"))[0]
        recorded["base"] = {f"{inputs.SEEDLING.name}/{weights.name}": info["seedling"]}
    for kind, files in recorded.items():
        wrong = list(_differing(files))
        state, words = OK, f"{len(files)} file{'s' if len(files) > 1 else ''}"
        if wrong:
            state, words = wrong[0][0], "; ".join(words for _, words in wrong[:3])
        links.append(Link(kind, run.id, state, words))
    if reference := info.get(data_runs.FIELD):
        links += _data_run(run, reference)
    elif "data" not in recorded:
        links.append(Link("data", run.id, NONE, "no file from outside of the store"))
    return links


def _data_run(run: runs.Run, reference: Mapping[str, str]) -> list[Link]:
    """The run of prepared data that a run read, as data."""
    prepared = runs.Run(run.store / reference["id"])
    if not prepared.finished:
        return [Link("data", reference["id"], ABSENT, f"which {run.id} read, is not in this store")]
    links = [link._replace(kind="data") for link in files_of(prepared)]
    try:
        if prepared.info["manifest"] != reference["hash"]:
            links.append(Link("data", prepared.id, BROKEN, f"is not what {run.id} read: its manifest is another"))
    except (OSError, ValueError):
        pass  # its own links tell
    return links + sources_of(prepared)


def evaluations(run: runs.Run) -> list[runs.Run]:
    """The finished evaluations of a run as it is now, damaged ones too, oldest first."""
    found = []
    for each in runs.listing(run.store):
        if configs.TABLE[each.phase].measures and each.finished and _parent_id(each) == run.id:
            found.append(each)
    return found


def _of_run(run: runs.Run) -> list[Link]:
    links = files_of(run)
    if configs.TABLE[run.phase].measures:
        return [*links, *sources_of(run)]
    return [*_decision(run), *links, *sources_of(run)]


def _decision(run: runs.Run) -> list[Link]:
    """The decisions of gates on a run, and the evaluation that the one in force rests on."""
    links, sound = [], True
    for path in layout.blessings(run.store, run.id):
        try:
            blessings.read(path)
        except (OSError, ValueError) as error:
            links.append(Link("blessing", run.id, BROKEN, str(error)))
            sound = False
    try:
        lost = blessings.lost(run)
        record = blessings.current(run) if sound else None
    except (OSError, ValueError) as error:
        return [*links, Link("blessing", run.id, BROKEN, str(error))]
    links += [Link("blessing", run.id, ABSENT, words) for words in lost]
    if record is None:
        if not links:
            links.append(Link("blessing", run.id, NONE, "no gate's decision on it as it is now is in force"))
        measured = evaluations(run)[-1:]
        return links + [link for each in measured for link in files_of(each)]
    state, words = OK, f"{record['verdict']} {record['self'][:12]}"
    if parent := record["chain"]["parent_blessing"]:
        try:
            blessings.by_hash(run.store, parent)
        except (OSError, ValueError) as error:
            state, words = ABSENT if isinstance(error, OSError) else BROKEN, f"the parent's: {error}"
    links.append(Link("blessing", run.id, state, words + (", waived" if record["waiver"] else "")))
    notebook, blessed = run.path / layout.NOTEBOOK, record["chain"].get("notebook")
    if blessed and not (notebook.is_file() and commit.sha256(notebook) == blessed):
        links.append(Link("executed notebook", run.id, BROKEN, f"{notebook.name}: is not the one that was blessed"))
    for side in ("evaluation", "baseline"):
        if record[side]:
            links += _evaluation(run, side, record[side])
    return links


def _evaluation(run: runs.Run, side: str, recorded: Mapping[str, str]) -> list[Link]:
    evaluation = runs.Run(run.store / recorded["id"])
    if not evaluation.finished:
        return [Link("evaluation", recorded["id"], ABSENT, f"the {side} of the blessing of {run.id} is not here")]
    if commit.sha256(evaluation.path / layout.RUN) != recorded["sha256"]:
        return [Link("evaluation", evaluation.id, BROKEN, f"{layout.RUN}: is not the one that {run.id} was judged by")]
    return files_of(evaluation)


def _parent(run: runs.Run) -> tuple[runs.Run | None, list[Link]]:
    try:
        reference = run.info["parent"]
    except (OSError, ValueError):
        return None, []
    if reference is None:
        return None, []
    parent = runs.Run(run.store / reference["id"])
    if not (parent.path / layout.OPENING).is_file() or not parent.finished:
        return None, [Link("parent", reference["id"], ABSENT, "is not in this store")]
    try:
        if parent.info["manifest"] != reference["hash"]:
            wrong = f"{layout.MANIFEST}: is not the one that {run.id} started from"
            return parent, [Link("parent", parent.id, BROKEN, wrong)]
    except (OSError, ValueError):
        pass  # its own links tell
    return parent, []


def _parent_id(run: runs.Run) -> str | None:
    """The parent of a run, by whichever of its records can still be read."""
    for name in (layout.RUN, layout.OPENING):
        try:
            return (commit.read_sealed(run.path / name)["parent"] or {}).get("id")
        except (OSError, ValueError):
            continue
    return None


def _differing(files: Mapping[str, str | None]) -> Iterator[tuple[str, str]]:
    """(state, words) of each file that is not what it was; damage first."""
    absent = []
    for name, sha256 in files.items():
        if sha256 is None or formats.revision(name):
            continue  # it was not there then; a data set of the Hub is its commit
        path = inputs.located(name)
        if path is None:
            absent.append((ABSENT, f"{name}: is not here any more, so nothing tells whether it was that"))
        elif commit.sha256(path) != sha256:
            yield BROKEN, f"{name}: content differs from what was read"
    yield from absent


def _weights(run: runs.Run) -> list[str]:
    leaves = choice.leaves(run)
    return [leaves] if leaves and (run.path / leaves).is_dir() else []


def _kind(name: str) -> str:
    top = Path(name).parts[0]
    if top in {entry.leaves for entry in configs.TABLE.values()}:
        return top
    if top in (layout.RUN, layout.OPENING, layout.MANIFEST):
        return "run record"
    return "config" if top == layout.CONFIG else "logs"
