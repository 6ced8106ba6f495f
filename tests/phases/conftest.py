"""A short chain of runs, shared by the phase tests."""

import json
from pathlib import Path

import pytest

from nbcore import runs
from nbcore.phases import lang_adapter, sft
from tests.phases.short_runs import short, walk


@pytest.fixture(scope="session")
def chain(tmp_path_factory) -> Path:
    """A store with a finished language adapter and a finished SFT run on top of it."""
    store = tmp_path_factory.mktemp("store")
    walk(lang_adapter, runs.open(short("lang_adapter"), store))
    walk(sft, runs.open(short("sft"), store, "lang_adapter"))
    return store


@pytest.fixture(scope="session")
def golden() -> dict:
    return json.loads(Path("tests/phases/golden.json").read_text())
