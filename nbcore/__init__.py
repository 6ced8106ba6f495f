"""Train language models to write Rust: a small tested backend for the notebooks."""

import os
from pathlib import Path

__version__ = "0.1.0"


def find_rustup() -> None:
    """Add the folder of rustup's tools to PATH: only login shells do that, and a notebook's kernel starts from none."""
    tools = str(Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo") / "bin")
    if os.path.isdir(tools) and tools not in os.environ.get("PATH", "").split(os.pathsep):
        os.environ["PATH"] = os.pathsep.join(filter(None, (os.environ.get("PATH"), tools)))


find_rustup()
