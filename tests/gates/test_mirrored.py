"""Decisions on the mirror: a new machine gets them back with the run, and the whole chain verifies there."""

import pytest

from nbcore import gates, runs
from nbcore.cli.main import main
from nbcore.runs import layout
from tests.gates import made


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    folder = tmp_path / "mirror"
    folder.mkdir()
    monkeypatch.setenv("NBCORE_MIRROR", str(folder))
    return folder


def judged(run, **changes):
    gate = {**made.GATE, "phase": run.phase, "integrity": ["weights_finite"], **changes}
    return gates.decide(run, gates.load(gate))[1]


def test_a_new_machine_gets_the_decisions_back_and_the_chain_verifies(store, tmp_path, mirror, capsys):
    """The run came back without its blessing: nothing could start from it, and nobody knew what it had passed."""
    first, sft = made.chain(store)
    stamped = judged(first, baseline="none", checks=[{"metric": "pass@1", "value": {"min": 0.1}}])
    passed = judged(sft)
    fresh = tmp_path / "fresh"
    assert main(["chain", sft.id, "--store", str(fresh)]) == 0, capsys.readouterr()
    assert "all whole" in capsys.readouterr().out
    assert gates.require_blessed(runs.Run(fresh / sft.id)) == passed
    assert gates.require_blessed(runs.Run(fresh / first.id)) == stamped
    assert gates.aliases(fresh) == gates.aliases(store)
    links = gates.verify_chain(runs.Run(fresh / sft.id))
    assert not [link for link in links if link.state == "absent"]
    assert {link.of for link in links} >= {first.id, sft.id, passed["evaluation"]["id"], passed["baseline"]["id"]}


def test_what_a_rollback_withdrew_opens_nothing_on_a_new_machine_either(store, tmp_path, mirror):
    first, sft = made.chain(store)
    judged(sft)
    other = made.trained(store, "sft", first, seed=5, limit=9)
    made.evaluated(store, other, made.better)
    judged(other)
    gates.rollback(store, "sft")
    fresh = tmp_path / "fresh"
    back = runs.find(fresh, other.id)
    with pytest.raises(ValueError, match="withdrawn by a rollback"):
        gates.require_blessed(back)
    assert gates.opens(gates.current(runs.find(fresh, sft.id)))


def test_a_decision_that_is_damaged_on_the_mirror_stays_there(store, tmp_path, mirror):
    """A flipped byte there must not close the run here: without a decision a gate judges it anew."""
    _, sft = made.chain(store)
    judged(sft)
    (copy,) = (mirror / sft.id).glob("blessing.*.json")
    copy.write_bytes(copy.read_bytes().replace(b'"PASS"', b'"FAIL"', 1))
    back = runs.find(tmp_path / "fresh", sft.id)
    assert gates.current(back) is None and not layout.blessings(tmp_path / "fresh", sft.id)
