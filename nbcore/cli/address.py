"""Sets the project's address on GitHub, OWNER/REPO, in every file that names it: README, notebooks, pyproject.toml."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

UNSET = "ORG/REPO"  # the placeholder in these files until an address is set
# pyproject.toml comes last: `current` reads the old address from it, and the other files need that one.
FILES = ("*.md", "docs/*.md", "notebooks/*.ipynb", "pyproject.toml")
OWNER = r"[A-Za-z0-9](?:-?[A-Za-z0-9]){0,38}"
NAME = r"[A-Za-z0-9._-]{1,100}"


def current(root: Path) -> str:
    """The address that pyproject.toml has now, as OWNER/REPO."""
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]
    return project["urls"]["Repository"].removeprefix("https://github.com/")


def checked(address: str) -> str:
    """The address as OWNER/REPO; it may be given as https://github.com/…, too. Raises ValueError for anything else."""
    short = address.strip().removeprefix("https://github.com/").removesuffix("/").removesuffix(".git")
    if not re.fullmatch(f"{OWNER}/{NAME}", short) or short.partition("/")[2] in (".", ".."):
        raise ValueError(f"OWNER/REPO: {address!r} is no address on GitHub; give it like rust-lang/book")
    return short


def set_everywhere(root: Path, address: str) -> list[str]:
    """Replace the old address, or the placeholder, by `address`; returns the files that changed, relative to `root`."""
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
    """`text` with OWNER/REPO replaced in addresses on GitHub, and the folder's name in the `cd` after a `git clone`."""
    folder = re.escape(old.partition("/")[2])
    end = r"(?![\w-]|\.(?!git\b)\w)"  # do not match inside ORG/REPO-two or ORG/REPO.io
    text = re.sub(
        rf"(github\.com/{re.escape(old)}(?:\.git)? && cd ){folder}{end}", rf"\g<1>{new.partition('/')[2]}", text
    )
    return re.sub(rf"(github\.com/|/github/){re.escape(old)}{end}", rf"\g<1>{new}", text)
