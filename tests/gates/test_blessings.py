"""Blessings: records that nobody changes unnoticed, aliases that move, waivers that stay visible."""

import copy
import json
from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbcore import config as configs
from nbcore import gates, runs
from nbcore.gates import blessings
from nbcore.runs import layout
from nbcore.tasks import katas
from tests.gates import made

GATE = gates.load({**copy.deepcopy(made.GATE), "integrity": ["weights_finite"]})


@pytest.fixture
def sft(store):
    return made.chain(store)[1]


def decided(run, waive=None, **changes):
    values = {**copy.deepcopy(made.GATE), "integrity": ["weights_finite"], "phase": run.phase, **changes}
    return gates.decide(run, gates.load(values), waive)[1]


def test_a_decision_is_one_record_with_all_that_it_rests_on(store, sft):
    record = decided(sft)
    path = layout.blessing(store, sft.id, record["self"])
    assert blessings.read(path) == record and not path.stat().st_mode & 0o222
    assert record["verdict"] == "PASS" and record["waiver"] is None and record["run"] == sft.id
    assert {"parent_blessing", "data", "base_model", "config", "code", "adapter", "env_lock", "id"} <= set(
        record["chain"]
    )
    assert record["metrics"][0]["delta"]["n"] == 300 and record["evaluation"]["id"].startswith("evaluate/")
    assert record["gate_sha256"] == GATE.sha256 and record["self"] == blessings.digest(record)


def test_each_record_names_its_parents(store, sft):
    adapter = sft.parent
    first = decided(adapter, baseline="none", checks=[{"metric": "pass@1", "value": {"min": 0.1}}])
    second = decided(sft)
    assert first["verdict"] == "RUBBER_STAMP" and second["chain"]["parent_blessing"] == first["self"]


def test_any_changed_byte_of_a_record_is_noticed(store, sft):
    path = layout.blessing(store, sft.id, decided(sft)["self"])
    text = path.read_bytes()

    @settings(max_examples=200, deadline=None)
    @given(at=st.integers(0, len(text) - 1), byte=st.integers(0, 255))
    def flip(at, byte):
        changed = text[:at] + bytes([byte]) + text[at + 1 :]
        path.chmod(0o644)
        path.write_bytes(changed)
        if changed == text:
            return
        with pytest.raises(ValueError, match="differs from what the gate wrote"):
            blessings.read(path)

    flip()
    for changed in (text[:-1], text + b"\n", text.replace(b'"PASS"', b'"FAIL"', 1)):
        path.write_bytes(changed)
        with pytest.raises(ValueError, match="differs"):
            gates.current(sft)


def test_the_remedy_for_a_damaged_record_is_one(sft):
    """To gate the run anew changed nothing as long as the damaged record lay there."""
    path = layout.blessing(sft.store, sft.id, decided(sft)["self"])
    path.chmod(0o644)
    path.write_bytes(b"{}")
    with pytest.raises(ValueError, match="take it away and gate its run anew"):
        gates.require_blessed(sft)
    path.unlink()
    record = decided(sft)
    assert gates.require_blessed(sft) == record


def test_a_clock_that_was_set_back_leaves_no_older_pass_in_force(sft, monkeypatch):
    """The newest decision was the one with the latest time: a FAIL of another machine's clock opened the next phase."""
    decided(sft)

    class SetBack(datetime):
        @classmethod
        def now(cls, tz=None):
            return cls(2001, 1, 1, tzinfo=tz)

    monkeypatch.setattr(blessings, "datetime", SetBack)
    failed = decided(sft, checks=[{"metric": "pass@1", "value": {"min": 0.9}}])
    assert failed["verdict"] == "FAIL" and gates.current(sft) == failed
    with pytest.raises(ValueError, match="its gate said FAIL"):
        gates.require_blessed(sft)


def test_a_record_under_another_name_is_none(store, sft):
    """Copied beside another run, the blessing of one would open the door for the other."""
    record = decided(sft)
    other = made.trained(store, "sft", sft.parent, seed=3, limit=9)
    layout.blessing(store, other.id, record["self"]).write_bytes(
        layout.blessing(store, sft.id, record["self"]).read_bytes()
    )
    with pytest.raises(ValueError, match="differs"):
        gates.current(other)


def test_only_what_passed_or_was_waived_opens_the_next_phase(store):
    _, sft = made.chain(store, made.better, made.worse)
    with pytest.raises(ValueError, match="no gate has judged it"):
        gates.require_blessed(sft)
    assert decided(sft)["verdict"] == "FAIL"
    with pytest.raises(ValueError, match=r"its gate said FAIL: pass@1 .*--waive"):
        gates.require_blessed(sft)
    for empty in ("", " \n"):
        with pytest.raises(ValueError, match="needs a reason"):
            decided(sft, empty)
    record = decided(sft, "the set was\nreplaced")
    assert record["verdict"] == "FAIL" and record["waiver"]["reason"] == "the set was replaced"
    assert gates.require_blessed(sft) == record
    ipo = made.trained(store, "ipo", sft)
    assert [each["run"] for each in gates.waivers(ipo)] == [sft.id], "shown by every run that stands on it"


def test_a_notebook_that_asks_for_it_opens_only_on_what_was_let_through(store):
    """Gates that only a pipeline kept to were passed by, without a word, by whoever opened the next notebook."""
    _, sft = made.chain(store, made.better, made.worse)
    config = configs.load({"phase": "ipo", "name": "tiny"})
    decided(sft)
    with pytest.raises(ValueError, match=rf"parent: {sft.id} is not blessed: its gate said FAIL") as refused:
        runs.open(config, store, "sft", gates.require_blessed)
    assert "\n" not in str(refused.value) and runs.listing(store, "ipo") == [], "it leaves nothing behind"
    assert runs.open(config, store, "sft", admits=False).parent == sft, "who does not ask for it is let in"
    decided(sft, "the set was replaced")
    assert runs.open(config, store, "sft", gates.require_blessed).parent == sft
    base = configs.load({"phase": "sft", "name": "base"})
    assert runs.open(base, store, "base", gates.require_blessed).parent is None, "no gate judges a base model"


def test_data_that_failed_their_gate_are_not_trained_on_either(store):
    """They are nobody's parent, so a door that looks at parents alone let contaminated data in."""
    data = made.prepared(store, [katas.code(katas.load("heldout")[3])])
    config = configs.load({"phase": "lang_adapter", "name": "tiny", "data_run": "data"})
    gates.decide(data, gates.of_phase("data"))
    with pytest.raises(ValueError, match=rf"data_run: {data.id} is not blessed: its gate said FAIL: no_contamination"):
        runs.open(config, store, None, gates.require_blessed)
    assert runs.listing(store, "lang_adapter") == []
    gates.decide(data, gates.of_phase("data"), waive="to see how much it helps")
    assert runs.open(config, store, None, gates.require_blessed)


def test_a_pass_needs_no_waiver(store, sft):
    assert decided(sft, "just in case")["waiver"] is None


def test_damage_cannot_be_waived(store, sft):
    made.adapter(sft.path, {"q.lora_A": [float("inf")]})
    with pytest.raises(ValueError, match="weights_finite cannot be waived"):
        decided(runs.Run(sft.path), "it will be fine")


def test_a_run_that_has_changed_since_has_no_blessing(store, sft):
    decided(sft)
    path = sft.path / "run.json"
    facts = json.loads(path.read_text())
    facts["seconds"] += 1
    path.write_text(json.dumps(facts, indent=1) + "\n")
    assert gates.current(sft) is None


def test_aliases_follow_the_verdicts_and_a_person(store, sft):
    assert gates.aliased(store, "sft", "latest") is None
    good = decided(sft)
    bad = made.trained(store, "sft", sft.parent, seed=3, limit=9)
    made.evaluated(store, bad, lambda number: "tests_failed")
    failed = decided(bad)
    assert failed["verdict"] == "FAIL"
    named = gates.aliases(store)["aliases"]["sft"]
    assert named == {"latest": failed["self"], "candidate": good["self"], "blessed": good["self"]}
    assert gates.release(sft) == good and gates.aliased(store, "sft", "released") == good
    with pytest.raises(ValueError, match="not blessed"):
        gates.release(bad)


def test_a_rollback_moves_one_alias_and_closes_the_run_that_it_leaves(store, sft):
    first = decided(sft)
    with pytest.raises(ValueError, match="nothing to go back to"):
        gates.rollback(store, "sft")
    second = made.trained(store, "sft", sft.parent, seed=3, limit=9)
    made.evaluated(store, second, made.better)
    decided(second)
    decided(second)  # judged twice: one step back is to the run before
    assert gates.rollback(store, "sft") == first
    assert gates.aliased(store, "sft", "blessed") == first and gates.aliased(store, "sft", "latest")["run"] == second.id
    with pytest.raises(ValueError, match="withdrawn by a rollback"):
        gates.require_blessed(second)
    assert gates.require_blessed(sft) == first
    assert decided(second)["verdict"] == "PASS" and gates.require_blessed(second), "until a gate judges it anew"


@pytest.mark.parametrize(
    ("phase", "alias", "words"),
    [
        ("sfd", "blessed", "did you mean 'sft'"),
        ("sft", "blest", "did you mean"),
        ("ipo", "blessed", "points to nothing"),
    ],
)
def test_what_cannot_be_rolled_back(store, sft, phase, alias, words):
    with pytest.raises(ValueError, match=words):
        gates.rollback(store, phase, alias)


def test_aliases_that_were_changed_by_hand_are_refused(store, sft):
    decided(sft)
    path = store / layout.BLESSINGS / layout.ALIASES
    path.write_text(path.read_text().replace('"candidate"', '"released"'))
    with pytest.raises(ValueError, match="aliases"):
        gates.aliased(store, "sft", "released")
