"""The tokenizer of gpt-oss, built from its vocabulary without a hub, and where the ground truth for Harmony lies."""

import importlib.util
import tempfile
from functools import cache
from pathlib import Path

import pytest
from transformers import AutoTokenizer

SHARED = Path(__file__).resolve().parents[2].parent / "shared"
DATA = SHARED / "data" / "harmony"


@cache
def tokenizer():
    """Skips the test where the vocabulary is not there: it is no part of the repository."""
    tool = SHARED / "tools" / "gptoss_tokenizer.py"
    if not tool.is_file():
        pytest.skip(f"no {tool}: the vocabulary of gpt-oss is not here")
    spec = importlib.util.spec_from_file_location("gptoss_tokenizer", tool)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with tempfile.TemporaryDirectory() as folder:
        module.main(Path(folder))
        return AutoTokenizer.from_pretrained(f"{folder}/hf")


def data(name):
    """The path of a file or folder of the ground truth; skips the test where it is not there."""
    path = DATA / name
    if not path.exists():
        pytest.skip(f"no {path}: the ground truth is not here")
    return path
