"""Train language models to write Rust: a small tested backend for the notebooks."""

import os
from pathlib import Path

__version__ = "0.1.0"

# rustup puts its tools where only a login shell looks, and a notebook's kernel never was one.
_cargo = str(Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo") / "bin")
if os.path.isdir(_cargo) and _cargo not in os.environ.get("PATH", "").split(os.pathsep):
    os.environ["PATH"] = os.pathsep.join(filter(None, (os.environ.get("PATH"), _cargo)))
