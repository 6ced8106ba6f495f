"""The project's address, OWNER/REPO on GitHub, in everything that names it: badges, setup cells, pyproject, README."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

UNSET = "ORG/REPO"  # what stands there until an address is set
FILES = ("*.md", "docs/*.md", "notebooks/*.ipynb", "pyproject.toml")  # the last says what is set: it is written last
OWNER = r"[A-Za-z0-9](?:-?[A-Za-z0-9]){0,38}"
NAME = r"[A-Za-z0-9._-]{1,100}"


def current(root: Path) -> str:
    """OWNER/REPO as pyproject.toml has it."""
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]
    return project["urls"]["Repository"].removeprefix("https://github.com/")


def checked(address: str) -> str:
    """OWNER/REPO of an address; the whole https address is as good. Raises ValueError where it is neither."""
    short = address.strip().removeprefix("https://github.com/").removesuffix("/").removesuffix(".git")
    if not re.fullmatch(f"{OWNER}/{NAME}", short) or short.partition("/")[2] in (".", ".."):
        raise ValueError(f"OWNER/REPO: {address!r} is no address on GitHub; give it like rust-lang/book")
    return short


def set_everywhere(root: Path, address: str) -> list[str]:
    """Write the address wherever the one set before stands, or none yet; the files that changed, relative to `root`."""
    new, changed = checked(address), []
    for pattern in FILES:
        for path in sorted(root.glob(pattern)):
            text = path.read_bytes().decode("utf-8")
            after = text
            for old in {current(root), UNSET}:
                after = replaced(after, old, new)
            if after != text:
                path.write_bytes(after.encode("utf-8"))
                changed.append(str(path.relative_to(root)))
    return changed


def replaced(text: str, old: str, new: str) -> str:
    """`text` with one OWNER/REPO for another where it is an address, and in the `cd` that follows a `git clone`."""
    folder = re.escape(old.partition("/")[2])
    end = r"(?![\w-]|\.(?!git\b)\w)"  # ORG/REPO is no part of ORG/REPO-two or ORG/REPO.io
    text = re.sub(
        rf"(github\.com/{re.escape(old)}(?:\.git)? && cd ){folder}{end}", rf"\g<1>{new.partition('/')[2]}", text
    )
    return re.sub(rf"(github\.com/|/github/){re.escape(old)}{end}", rf"\g<1>{new}", text)
