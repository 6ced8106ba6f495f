"""One run in words: its lines in `runs list`, its page in `runs show`."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from nbcore import config as configs
from nbcore import runs
from nbcore.config import knobs
from nbcore.core import environment
from nbcore.runs import checkpoints, choice, layout, lease

INDENT = "    "
BETWEEN = " · "  # separates two facts
HARD = "\N{NO-BREAK SPACE}"  # a space at which no line is broken
LABEL = 12  # width of the names on the left of a page, in characters


def entry(run: runs.Run, mirror: str, width: int) -> str:
    """The lines of one run in a list: its whole id, so that it can be copied, and what is known of it below."""
    return lines_of(
        run.id, [BETWEEN.join(_facts(run)), *_parent(run), *([f"mirror: {mirror}"] if mirror else [])], width
    )


def lines_of(head: str, below: Iterable[str], width: int) -> str:
    """The line `head` and the texts `below` it, which are indented and wrapped at `width` characters."""
    return "\n".join([head, *(line for text in below for line in _wrapped(text, width, INDENT, INDENT))])


def page(run: runs.Run, width: int) -> str:
    """All about one run, `width` characters wide, the most asked first. Raises ValueError where it cannot be read."""
    info = run.info
    fields: list[tuple[str, Iterable[str]]] = [
        ("state", [BETWEEN.join(_facts(run, results=0))]),
        ("cut short", [short] if (short := choice.shortfall(run)) else []),
        ("result", [BETWEEN.join(_numbers(values)) for values in _groups(info.get("metrics", {}))]),
        ("gate", _gate(run)),
        ("stands on", _foundation(run, info)),
        ("settings", [BETWEEN.join(_settings(run.config))]),
        ("other than", _differences(run.config)),
        ("data", [BETWEEN.join(_data(info.get("data", {})))]),
        ("made with", [BETWEEN.join(_made_with(info))]),
        ("checkpoints", [f"step {each.step}, {size(each.bytes())}" for each in checkpoints.listing(run.path)]),
        ("events", [_event(row) for row in run.events()]),
        ("files", [str(run.path), BETWEEN.join(_files(run.path))]),
    ]
    rows = [run.id]
    for name, texts in fields:
        for at, text in enumerate(text for text in texts if text):
            rows += _wrapped(text, width, f"  {name if at == 0 else '':<{LABEL}}", " " * (LABEL + 2))
    return "\n".join([*rows, "  --raw prints all that was recorded, and the whole config"])


def state(run: runs.Run) -> str:
    """How far a run has got, which process uses it, and whether it is blessed."""
    holder = lease.holder(run.path)
    steps = [checkpoint.step for checkpoint in checkpoints.listing(run.path) if checkpoint.committed]
    if run.finished:
        words = "finished"
    elif steps:
        words = f"unfinished, step {steps[-1]}"
    else:
        words = "unfinished"
    words += f", in use by process {holder['pid']}" if holder else ""
    return words + (", blessed" if (run.path / layout.BLESSED).is_file() else "")


def size(count: float) -> str:
    """A number of bytes as a person reads it: "12 MB"."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 10 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def size_of(path: Path) -> int:
    """The size in bytes of a file, or of all files in a folder."""
    if path.is_file():
        return path.stat().st_size
    return sum(each.stat().st_size for each in path.rglob("*") if each.is_file())


def _facts(run: runs.Run, results: int = 2) -> list[str]:
    from nbcore.pipeline.progress import flat, words_of  # at the top, every command would wait for its imports

    try:
        info = run.info
    except ValueError:
        return ["damaged: see verify"]
    words = [state(run)]
    if steps := choice.steps(run):
        words.append(steps)
    if run.finished:
        words += [*words_of(flat(info["metrics"]), results), f"{info['seconds'] / 60:.1f} min"]
    return [*words, choice.age(datetime.fromisoformat(info.get("finished") or info["started"]).timestamp())]


def _parent(run: runs.Run) -> list[str]:
    try:
        parent = run.info["parent"]
    except ValueError:
        return []
    return [f"from {parent['id']}"] if parent else []


def _ancestors(run: runs.Run) -> list[str]:
    lineage = list(choice.lineage(run))
    links = [", ".join(filter(None, (link.id, choice.steps(link)))) for link in lineage[1:]]
    beyond = lineage[-1].info["parent"]
    return [*links, *([f"{beyond['id']}, which is not on this disk"] if beyond else [])]


def _foundation(run: runs.Run, info: Mapping[str, Any]) -> list[str]:
    """What a run was made of: the runs before it, the data run it reads, its base model."""
    lines = _ancestors(run)
    if read := info.get("data_run"):
        lines.append(f"data run {read['id']}")
    if not configs.TABLE[run.phase].makes_data:
        lines.append(f"base model {info.get('base') or run.config.model.base or 'of its parent'}")
    return lines


def _groups(metrics: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The metrics in groups, each for a line: those of no split together, then those of each split."""
    single = {name: value for name, value in metrics.items() if not isinstance(value, Mapping) or "value" in value}
    splits = [{name: value} for name, value in metrics.items() if name not in single]
    return [single, *splits] if single else splits


def _gate(run: runs.Run) -> list[str]:
    """What its gate said, where one has judged it."""
    from nbcore import gates  # at the top, every command would wait for its imports

    record = gates.current(run) if run.finished else None
    if record is None:
        return []
    waiver = record["waiver"]
    return [f"{record['verdict']}: {record['why']}", *([f"WAIVED: {waiver['reason']}"] if waiver else [])]


def _numbers(values: Mapping[str, Any], prefix: str = "") -> list[str]:
    words = []
    for name, value in values.items():
        if isinstance(value, Mapping) and "value" in value:
            words.append(f"{prefix}{name} {value['value']:.4g} [{value['low']:.4g}–{value['high']:.4g}]")
        elif isinstance(value, Mapping):
            words += _numbers(value, f"{prefix}{name} ")
        elif isinstance(value, int | float):
            words.append(f"{prefix}{name} {value:.6g}")
    return words


def _settings(config: configs.Phase) -> list[str]:
    values = {leaf.path: leaf.value for leaf in configs.leaves(config)}
    return [
        f"{path} {knobs.plain(values[path])}" for path in configs.TABLE[config.phase].knobs.values() if path in values
    ]


def _differences(config: configs.Phase) -> list[str]:
    """The settings in which a run's config differs from the shipped config of the same name, as one text or none."""
    shipped = environment.shipped_config(config.phase, config.name)
    if not shipped.is_file():
        return []
    usual = {leaf.path: leaf.value for leaf in configs.leaves(configs.load(shipped))}
    changed = [leaf for leaf in configs.leaves(config) if leaf.path in usual and usual[leaf.path] != leaf.value]
    words = [f"{leaf.path} {knobs.plain(leaf.value)} instead of {knobs.plain(usual[leaf.path])}" for leaf in changed]
    return [f"configs/{config.phase}/{shipped.name}: {BETWEEN.join(words)}"] if words else []


def _data(report: dict[str, Any]) -> list[str]:
    """The counts of a phase's data; "shown" repeats them as its notebook's table has them. Of what a data run says of
    each source and split, only how much was kept."""
    words = []
    for name, value in report.items():
        if isinstance(value, Mapping) and any(isinstance(each, Mapping) for each in value.values()):
            counts = {each: of.get("kept", of.get("records")) for each, of in value.items()}
            words.append(f"{name} " + ", ".join(f"{each} {count}" for each, count in counts.items()))
        elif name not in ("sha256", "shown"):
            words.append(f"{name} {value}")
    return words


def _made_with(info: Mapping[str, Any]) -> list[str]:
    versions = [f"{name} {version}" for name, version in info["versions"].items()]
    return [*([str(info["device"])] if info.get("device") else []), f"seed {info['seed']}", *versions]


def _event(row: Mapping[str, Any]) -> str:
    words = ", ".join(f"{name} {value}" for name, value in row.items() if name not in ("time", "event") and value)
    return f"{time.strftime('%Y-%m-%d %H:%M', time.gmtime(row['time']))} {row['event']}{f': {words}' if words else ''}"


def _files(folder: Path) -> list[str]:
    names = sorted(path for path in folder.iterdir() if path.name != layout.LEASE)
    return [f"{path.name}{'/' if path.is_dir() else ''} {size(size_of(path))}" for path in names]


def _wrapped(text: str, width: int, first: str, rest: str) -> list[str]:
    """`text` in lines of at most `width` characters, broken between facts where possible; ids and paths stay whole."""
    facts = [fact.replace(" ", HARD) if len(fact) < width - len(rest) else fact for fact in text.split(BETWEEN)]
    whole = textwrap.TextWrapper(
        width, initial_indent=first, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False
    )
    return [line.replace(HARD, " ") for line in whole.wrap(BETWEEN.join(facts))]
