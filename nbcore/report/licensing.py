"""What base and data of a model are licensed as, what that asks for, and whether it goes together.

A table of what the licences say, no legal advice: whether weights are a work made of their data is open. Here a licence
that asks derived works to carry it is taken to mean the model. What is not known is said to be unknown.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from nbcore import config as configs
from nbcore import runs
from nbcore.config.filters import PERMISSIVE
from nbcore.core import licences as stated
from nbcore.core.base_model import local_folder
from nbcore.data import inflow, rust_source
from nbcore.data.filters import licences as spdx
from nbcore.runs import choice, data_runs, inputs

FREE, SHARED, BOUND, CLOSED, OWN, UNKNOWN = "permissive", "copyleft", "conditions", "no offer", "own", "unknown"
ALSO_PERMISSIVE = (
    "CC0-1.0", "CC-BY-4.0", "CC-BY-3.0", "Unicode-3.0", "Unicode-DFS-2016", "BSL-1.0", "PostgreSQL", "NCSA",
    "CDLA-Permissive-2.0", "ODC-By-1.0", "BlueOak-1.0.0",
)  # fmt: skip
COPYLEFT = tuple(
    f"{name}{end}"
    for name in ("GPL-2.0", "GPL-3.0", "LGPL-2.1", "LGPL-3.0", "AGPL-3.0")
    for end in ("", "-only", "-or-later")
)
GNU = re.compile(r"(A?GPL|LGPL)-(\d\.\d)(-only|-or-later|\+)?", re.IGNORECASE)
GNU_VERSIONS = ("2.0", "2.1", "3.0")
COPYLEFT += ("MPL-2.0", "EPL-2.0", "EUPL-1.2", "CC-BY-SA-4.0", "CC-BY-SA-3.0", "ODbL-1.0", "CDLA-Sharing-1.0")
# How names of licences with conditions begin -> the duty of whoever passes the model on, in short.
CONDITIONS = {
    "llama2": "pass on its text and its acceptable use policy; above 700 million monthly users ask Meta",
    "llama": "pass on its text and its acceptable use policy, show 'Built with Llama', and begin the model's name with "
    "'Llama'; above 700 million monthly users ask Meta",
    "gemma": "pass on Gemma's terms of use and its prohibited use policy, and say that files were changed",
    "qwen-research": "research alone: no commercial use",
    "qwen": "pass on its text, and show 'Built with Qwen'; above 100 million monthly users ask Alibaba",
    "tongyi-qianwen": "pass on its text, and show 'Built with Qwen'; above 100 million monthly users ask Alibaba",
    "deepseek": "pass on its text and its use restrictions",
    "bigcode-openrail-m": "pass on its text and its use restrictions",
    "bigscience-": "pass on its text and its use restrictions",
    "openrail": "pass on its text and its use restrictions",
    "cc-by-nc-nd": "no commercial use, and no changed copies",
    "cc-by-nd": "no changed copies",
    "cc-by-nc": "no commercial use",
}
SAME_TERMS = ("cc-by-nc", "qwen-research")  # what is made of it must not be offered on wider terms
NO_CHANGES = ("cc-by-nc-nd", "cc-by-nd")  # a trained model is a changed copy

# What the Hub knows by name; any other is "other" there, with its name beside it.
ON_THE_HUB = {name.lower() for name in (*PERMISSIVE, *ALSO_PERMISSIVE, *COPYLEFT)} - {"mit-0"}
ON_THE_HUB |= {"llama2", "llama3", "llama3.1", "llama3.2", "llama3.3", "llama4", "gemma", "bigcode-openrail-m"}
ON_THE_HUB |= {"openrail", "cc-by-nc-4.0", "cc-by-nc-sa-4.0"}


class Part(NamedTuple):
    """A base model or a source of data, and what it is licensed as."""

    what: str
    licence: str | None
    where: str
    """Where that stands."""

    @property
    def kind(self) -> str:
        return kind(self.licence)


class Judgement(NamedTuple):
    """What a model's licences say."""

    base: Part
    data: list[Part]
    licence: str | None
    """What the model can be passed on as: its base's; None where that is not known."""
    duties: list[str]
    unknown: list[str]
    conflicts: list[str]


def kind(licence: str | None) -> str:
    """Which of the kinds above a licence is; of an SPDX OR the more permissive side counts."""
    if licence == OWN:
        return OWN
    name = (licence or "").lower()
    if any(name.startswith(each) for each in NO_CHANGES):
        return CLOSED
    if name and spdx.reason(licence, (*PERMISSIVE, *ALSO_PERMISSIVE)) is None:
        return FREE
    if name and spdx.reason(licence, (*PERMISSIVE, *ALSO_PERMISSIVE, *COPYLEFT)) is None:
        return SHARED
    return BOUND if duty(licence) else UNKNOWN


def duty(licence: str | None) -> str | None:
    """What a licence with conditions asks of whoever passes a model on; None for one that is not in the table."""
    name = (licence or "").lower()
    return next((words for begin, words in CONDITIONS.items() if name.startswith(begin)), None)


def shown(name: str) -> str:
    """The name of a base or source; of a path only the last part, or the Hub's name where it is the Hub's cache."""
    if cached := re.search(r"/models--([^/]+)--([^/]+)/snapshots/", name):
        return f"{cached[1]}/{cached[2]}"
    return Path(name).name if Path(name).is_absolute() or name.startswith(("~", ".")) else name


def of_run(run: runs.Run) -> Judgement:
    """Of a finished run: its base, and what each run of its chain was trained on."""
    links = list(choice.lineage(run))
    data = [part for link in links[::-1] if configs.TABLE[link.phase].trains for part in _trained_on(link)]
    root = links[-1]
    if parent := root.info["parent"]:
        data.insert(0, Part(f"{parent['id']}, whose run is not here", None, "nothing here says"))
    return judged(_base(root), data)


def of_base(name: str, revision: str | None = None) -> Part:
    """Of a base model by its name: the seedling, a folder, or a Hub model as far as this disk holds it."""
    if name == "seedling":
        return Part(name, inflow.OWN_LICENCE, "this project's")
    try:
        folder = local_folder(name) or _cached(name, revision)
    except ValueError:
        folder = None
    if folder is None:
        return Part(shown(name), None, "its files are not on this machine")
    return Part(shown(name), *stated.of_folder(folder))


def judged(base: Part, data: Iterable[Part]) -> Judgement:
    """Set a base's licence beside those of the data."""
    parts = list(dict.fromkeys(data))
    duties, unknown, conflicts = [], [], []
    for part in (base, *parts):
        if words := duty(part.licence):
            duties.append(f"{part.what} is under {part.licence}: {words}")
        if part.kind == UNKNOWN:
            known = f"states {part.licence}, which is not known here" if part.licence else part.where
            unknown.append(f"{part.what}: {known}")
        if part.kind == CLOSED:
            conflicts.append(f"{part.what} is under {part.licence}, which allows no changed copies to be passed on")
    for part in parts:
        if not (part.kind == SHARED or (part.licence or "").lower().startswith(SAME_TERMS)) or part.kind == CLOSED:
            continue
        if base.kind == OWN:
            duties.append(f"{part.what} is under {part.licence}: the model has to be, too")
        elif base.kind == UNKNOWN or spdx.reason(part.licence, _taken_under(base.licence)) is not None:
            offered = f"under {base.licence}" if base.licence else "under a licence that is not known"
            conflicts.append(
                f"{part.what} is under {part.licence}, which asks what is made of it to be under the same; the base "
                f"{base.what} is {offered}"
            )
    licence = None if base.kind in (OWN, UNKNOWN) and not base.licence else base.licence
    return Judgement(base, parts, None if licence == OWN else licence, duties, unknown, conflicts)


def _taken_under(licence: str) -> tuple[str, ...]:
    """The licences of data that may be in a model under this one: itself by each of its names, the permissive ones, and
    those of the GNU licences that allow its version "or any later"."""
    names = (licence, *PERMISSIVE, *ALSO_PERMISSIVE)
    if not (gnu := GNU.fullmatch(licence)):
        return names
    family, version, end = gnu.groups()
    if (end or "").lower() in ("", "-only"):  # SPDX's old short name is the same as "-only"
        names += (f"{family}-{version}", f"{family}-{version}-only")
    earlier = [each for each in GNU_VERSIONS if float(each) <= float(version)]
    return (*names, *(f"{family}-{each}{later}" for each in earlier for later in ("-or-later", "+")))


def _base(root: runs.Run) -> Part:
    if configs.TABLE[root.phase].from_scratch:
        return Part(root.id, OWN, "trained here from the first weight")
    return of_base(root.info["base"], root.config.model.revision)


def _cached(name: str, revision: str | None) -> Path | None:
    """The folder of a Hub model on this disk; the Hub itself is not asked."""
    from huggingface_hub import try_to_load_from_cache  # takes a second that other commands should not cost

    held = (try_to_load_from_cache(name, file, revision=revision) for file in ("README.md", "LICENSE", "config.json"))
    return next((Path(path).parent for path in held if isinstance(path, str)), None)


def _trained_on(link: runs.Run) -> list[Part]:
    if read := link.info.get(data_runs.FIELD):
        return _of_data_run(link, read["id"])
    parts = []
    for name in inputs.trained_on(link.config):
        shipped = {"rust-src": rust_source.LICENCE}.get(name, inflow.OWN_LICENCE)
        if name in configs.BUILT_IN:
            parts.append(Part(name, shipped, "ships with this project" if name != "rust-src" else "the Rust project's"))
        else:
            parts.append(Part(Path(name).name, None, f"a file of {link.id}; a data run records a source's licence"))
    return parts


def _of_data_run(link: runs.Run, id_: str) -> list[Part]:
    try:
        sources = data_runs.of(link).info["data"]["sources"]
    except (ValueError, FileNotFoundError):
        return [Part(id_, None, "that data run is not here, or is damaged")]
    parts = []
    for name, facts in sources.items():
        for licence, count in sorted(facts["licences"].items()):
            known = None if licence == "unknown" else licence
            parts.append(Part(f"{count} records of {shown(name)}", known, f"recorded by {id_}"))
    return parts


def for_the_hub(licence: str | None) -> dict[str, str]:
    """The fields of a model card's front matter for a licence; none where it is not known."""
    if licence is None:
        return {}
    if licence.lower() in ON_THE_HUB:
        return {"license": licence.lower()}
    return {"license": "other", "license_name": licence}
