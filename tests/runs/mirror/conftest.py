"""A mirror whose medium can be made to fail, and a run that is on it."""

import pytest

from nbcore.runs.mirror import mirror
from tests.runs.helpers import Faulty, opened, saved


@pytest.fixture
def copies(tmp_path):
    return mirror.Mirror(Faulty(tmp_path / "mirror"), part=5000)


@pytest.fixture
def two(tmp_path, copies):
    """A run whose steps 10 and 20 are on the mirror, each in several parts."""
    run = opened(tmp_path / "store")
    records = [copies.publish(run.path, step, saved(run, step).path, None, False) for step in (10, 20)]
    assert all(len(record.parts) > 2 for record in records)
    return run, records
