"""Which licence a model folder states: in the front matter of its card, or by its licence file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from nbcore.core import plain_yaml

LONGEST = 1 << 16  # characters of a file that are looked at
# How files are called that travel with a model: its licence, notices, and what some licences say must go along.
FILES = ("LICEN[SC]E*", "NOTICE*", "COPYING*", "USE_POLICY*")
# The words that a licence file begins with -> what the Hub and SPDX call it. The first that fits counts.
TEXTS = {
    r"GNU AFFERO GENERAL PUBLIC LICENSE": "AGPL-3.0",
    r"GNU LESSER GENERAL PUBLIC LICENSE": "LGPL-3.0",
    r"GNU GENERAL PUBLIC LICENSE\s+Version 2": "GPL-2.0",
    r"GNU GENERAL PUBLIC LICENSE": "GPL-3.0",
    r"Mozilla Public License Version 2": "MPL-2.0",
    r"LLAMA (?P<version>[\d.]+) COMMUNITY LICENSE": "llama",
    r"Gemma Terms of Use": "gemma",
    r"Qwen RESEARCH LICENSE": "qwen-research",
    r"(?:Tongyi )?Qian?wen LICENSE AGREEMENT": "qwen",
    r"DEEPSEEK LICENSE AGREEMENT": "deepseek",
    r"BigCode Open ?RAIL-M": "bigcode-openrail-m",
    r"Apache License\s+Version 2\.0": "Apache-2.0",
    r"MIT License|Permission is hereby granted, free of charge, to any person": "MIT",
}


class Stated(NamedTuple):
    """A licence, and where it is stated."""

    licence: str | None
    """As SPDX or the Hub writes it; None where nothing states one that is known here."""
    where: str


def of_folder(folder: Path) -> Stated:
    """What a folder says of its own licence. The card's front matter counts before a licence file."""
    card = folder / "README.md"
    if card.is_file() and (named := _front_matter(_read(card))):
        return Stated(named, card.name)
    for path in _files(folder, FILES[:1]):
        text = _read(path)
        for words, name in TEXTS.items():
            if found := re.search(words, text[:3000], re.IGNORECASE):
                version = found.groupdict().get("version")
                return Stated(f"{name}{version.removesuffix('.0')}" if version else name, path.name)
        return Stated(None, f"{path.name}, whose text is not known here")
    return Stated(None, "it brings no card and no licence file")


def texts(folder: Path) -> list[Path]:
    """The files of a model folder that have to travel with it."""
    return _files(folder, FILES)


def _files(folder: Path, names: tuple[str, ...]) -> list[Path]:
    return [path for name in names for path in sorted(folder.glob(name)) if path.is_file()]


def _read(path: Path) -> str:
    with path.open(encoding="utf-8", errors="replace") as file:
        return file.read(LONGEST)


def _front_matter(text: str) -> str | None:
    """`license` of a card's front matter; where that is "other", the name that it gives the licence."""
    found = re.match(r"---\r?\n(.*?)\n---", text, re.DOTALL)
    try:
        values = plain_yaml.parse(found[1]) if found else None
    except ValueError:  # a card that is no YAML states no licence
        return None
    if not isinstance(values, dict):
        return None
    named = values.get("license")
    if named == "other":
        named = values.get("license_name") or named
    if isinstance(named, list):
        named = " AND ".join(str(name) for name in named)
    return str(named) if named else None
