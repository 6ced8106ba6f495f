"""What every test stands on: a quiet, offline, repeatable environment, the repository root and an empty store."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Set before anything imports torch or transformers, and inherited by the kernels and programs that tests start.
os.environ.update(
    HF_HUB_OFFLINE="1",  # no test may depend on a download
    HF_DATASETS_OFFLINE="1",
    TOKENIZERS_PARALLELISM="false",  # the warning after a fork, and threads that fight over two cores
    OMP_NUM_THREADS="1",  # a sum in two threads may end in another bit, and the tests themselves run in two processes
    MPLBACKEND="Agg",
    TQDM_MININTERVAL="30",
)
# The same examples every time, and no clock: else a change fails by a draw that has nothing to do with it, or because
# the machine is busy. `--hypothesis-profile=default` draws new ones.
settings.register_profile("tests", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")
for name in ("NBCORE_STORE", "NBCORE_MIRROR"):  # a person's runs are not a test's
    os.environ.pop(name, None)


@pytest.fixture(scope="session")
def repo() -> Path:
    return Path(__file__).resolve().parents[1]


@pytest.fixture
def store(tmp_path) -> Path:
    """An empty folder for run directories."""
    path = tmp_path / "store"
    path.mkdir()
    return path
