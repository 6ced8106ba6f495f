"""What a run reads from outside of the store, by content: the files and the base folder that its config names by path.

A path says nothing about what stands there tomorrow. So open.json holds the sha256 of each file, and a run whose files
have changed since is another run: {"rows": {"mine.jsonl": "9f86…"}, "model.base": {"base/config.json": "60303…", …}}.
Runs opened before this was recorded have no entry, and then nothing is compared.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from nbcore import config as configs
from nbcore.config import tasksets
from nbcore.core import environment, formats
from nbcore.core.base_model import local_folder
from nbcore.core.formats import crates
from nbcore.runs import commit, data_runs, layout
from nbcore.runs.run import SEEDLING, Run

Inputs = dict[str, dict[str, str | None]]
BASE = "model.base"
ITS_DATA = "its data"
FILES = (
    "source",
    "tasks.source",
    "rows",
    "corpus.sources",
    "pairs",
    "best_of_n.tasks.source",
    "episodes.source",
    "sources",
    "protect",
)  # fields of a config that may name a file or folder
INSTEAD = ("rows", "corpus.sources")  # of which a data run takes the place
OF_A_BASE = (".safetensors", ".json", ".jinja", ".txt", ".model")  # weights, settings, tokenizer and chat template
KATAS = SEEDLING.parent / "katas.jsonl.gz"
SHIPPED = SEEDLING.parent.relative_to(environment.REPO).as_posix()  # how names of shipped files begin
LARGE = 1 << 26  # bytes; above, a file is not read again while its size and times stay


def read_by(config: configs.Phase, parent: Run | None, store: Path) -> Inputs:
    """Field -> path -> sha256 of what a run of this config and parent would read now; None where there is no file. Of a
    data run it is the hash of its data."""
    values = {leaf.path: leaf.value for leaf in configs.leaves(config)}
    inputs: Inputs = {}
    for field in FILES:
        if field in INSTEAD and data_runs.named(config):
            continue  # named, but not read
        paths = [path for path in _names(values.get(field)) if path not in configs.BUILT_IN]
        if paths:
            inputs[field] = {name: sha256 for path in paths for name, sha256 in _named(path).items()}
    if data_runs.named(config):
        inputs[data_runs.FIELD] = {ITS_DATA: data_runs.data_hash(store, config)}
    if sets := _task_sets(config):
        inputs["tasksets"] = sets
    base = _base(config, parent)
    if folder := _folder(base):
        files = sorted(path for path in folder.rglob("*") if path.suffix in OF_A_BASE and path.is_file())
        inputs[BASE] = {f"{base}/{path.relative_to(folder).as_posix()}": _sha256(path) for path in files}
    return inputs


def trained_on(config: configs.Phase) -> list[str]:
    """The names of what a config's training reads, built in or a file; a data run that it names is none of them."""
    unread = INSTEAD if data_runs.named(config) else ()
    fields = {
        leaf.path: leaf.value for leaf in configs.leaves(config) if leaf.path in FILES and leaf.path not in unread
    }
    return sorted({name for value in fields.values() for name in _names(value)})


def shipped(config: configs.Phase, parent: Run | None) -> dict[str, str | None]:
    """Path in the repository -> sha256 of the files of nbcore/assets that a run of this config and parent reads.

    These are the seedling where it stands on that, and the katas where a field names what is built in. They tell later
    whether base and data are what they were.
    """
    files = []
    first = _first(config, parent)
    if first.model.base in (None, "seedling") and not configs.TABLE[first.phase].from_scratch:
        files += sorted(path for path in SEEDLING.rglob("*") if path.suffix in OF_A_BASE)
    unread = INSTEAD if data_runs.named(config) else ()
    named = [leaf.value for leaf in configs.leaves(config) if leaf.path in FILES and leaf.path not in unread]
    words = {word for value in named for word in _names(value)}
    files += [KATAS] if words & set(configs.BUILT_IN) else []
    return {path.relative_to(environment.REPO).as_posix(): _sha256(path) for path in files}


def changed(run: Run, now: Inputs) -> list[str]:
    """ "field: path" of each file that is not what it was when the run was opened.

    A file or base folder that is not there now tells nothing: a finished run stays what it is without it.
    """
    differing = []
    for field, then in run.info.get("inputs", {}).items():
        files = now.get(field, {})
        missing = tuple(f"{path}/" for path, sha256 in files.items() if sha256 is None)
        there = [path for path in then | files if files and files.get(path, "gone") is not None]
        there = [path for path in there if not path.startswith(missing)]  # a folder that is not there now
        differing += [f"{field}: {path}" for path in there if then.get(path) != files.get(path)]
    return differing


def located(name: str) -> Path | None:
    """Where the file of an input stands, by its name in open.json; None where it is not here. A relative name counts
    from where this process runs, or from the repository, where notebooks run."""
    paths = [Path(name).expanduser(), environment.REPO / name]
    if name.startswith(f"{SHIPPED}/"):
        paths = paths[1:]
    if name.startswith(f"{SEEDLING.name}/"):  # the word that model.base has for it
        paths = [SEEDLING.parent / name]
    return next((path for path in paths if path.is_file()), None)


def require(run: Run) -> None:
    """Raises ValueError naming the file where one that the run reads has changed since it was opened."""
    parent_id = (run.info["parent"] or {}).get("id")
    parent = Run(run.store / parent_id) if parent_id else None
    if differing := changed(run, read_by(run.config, parent, run.store)):
        raise ValueError(
            f"{differing[0]} has changed since {run.id} was opened{_others(differing)}; {remedy(run, differing)}, "
            "or open the run again for a new one"
        )


def refuse_changed_base(parent: Run) -> None:
    """Raises ValueError where the base folder that a parent was trained on has changed: its adapter would not fit."""
    grandparent_id = (parent.info["parent"] or {}).get("id")
    now = read_by(parent.config, Run(parent.store / grandparent_id) if grandparent_id else None, parent.store)
    differing = [entry for entry in changed(parent, now) if entry.startswith(f"{BASE}: ")]
    if differing:
        raise ValueError(
            f"{differing[0]} has changed since the parent {parent.id} was trained on it{_others(differing)}; put back "
            "what was there, or run the parent's phase again"
        )


def _names(value: Any) -> list[str]:
    """The names in a field: a name, a mapping or list of them, or a list of settings that have one each."""
    if isinstance(value, str):
        return [value]
    return [each.name if isinstance(each, configs.Closed) else each for each in value or ()]


def remedy(run: Run, differing: list[str]) -> str:
    """How a run can go on with what it was opened with."""
    if differing[0].startswith(f"{data_runs.FIELD}: "):
        return f"name the data run that it read, {data_runs.FIELD}={run.info[data_runs.FIELD]['id']}"
    return "put back what was there"


def _others(differing: list[str]) -> str:
    return f" (and {len(differing) - 1} more)" if len(differing) > 1 else ""


def _base(config: configs.Phase, parent: Run | None) -> str | None:
    """The base that the first run of the chain names."""
    first = _first(config, parent)
    return first.model.base or getattr(first, "start", None)


def _first(config: configs.Phase, parent: Run | None) -> configs.Phase:
    """The config of the chain's first run."""
    while parent is not None and (parent.path / layout.OPENING).is_file():
        config, above = parent.config, parent.info["parent"]
        parent = Run(parent.store / above["id"]) if above else None
    return config


def _folder(base: str | None) -> Path | None:
    if not base or base == "seedling":
        return SEEDLING if base else None
    try:
        return local_folder(base)
    except ValueError:  # no model is there: a run that is opened says so
        return None


def _task_sets(config: configs.Phase) -> dict[str, str | None]:
    """Name -> sha256 of the YAML of each task set that is named, and of the files that it draws from."""
    read: dict[str, str | None] = {}
    for named in getattr(config, "tasksets", ()):
        if isinstance(named, str):
            read[named] = _sha256(tasksets.path_of(named))
        source = tasksets.resolve(named).source
        if source not in (*configs.BUILT_IN, tasksets.REFUSALS):
            read |= {_in_the_clone(name): digest for name, digest in _named(source).items()}
    return read


def _in_the_clone(name: str) -> str:
    """A path of the clone's own files from its root: wherever the clone lies, the run is the same."""
    path = Path(name).expanduser()
    shipped = path.is_absolute() and path.is_relative_to(environment.REPO)
    return path.relative_to(environment.REPO).as_posix() if shipped else name


def _named(path: str) -> dict[str, str | None]:
    """Name -> sha256 of the file that an input stands for, or of each file in its folder; a data set of the Hub is its
    pinned revision."""
    if pinned := formats.revision(path):
        return {path: pinned}
    folder = Path(path).expanduser()
    if not folder.is_dir():
        return {path: _sha256(folder)}
    held = {*formats.files(folder), *crates.files(folder), *crates.sources(folder)}  # exercises have hidden folders
    files = {f"{path}/{file.relative_to(folder).as_posix()}": _sha256(file) for file in sorted(held)}
    return files or {path: None}


def _sha256(path: Path) -> str | None:
    if not path.is_file():
        return None
    about = path.stat()
    if about.st_size <= LARGE:
        return commit.sha256(path)
    return _sha256_of_large(path, about.st_size, about.st_mtime_ns, about.st_ctime_ns)


@functools.lru_cache(maxsize=1024)
def _sha256_of_large(path: Path, _size: int, _modified: int, _changed: int) -> str:
    return commit.sha256(path)
