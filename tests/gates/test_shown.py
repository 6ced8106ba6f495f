"""The gate's table in a notebook: what was decided, drawn from its record; a line where nothing was."""

from nbcore import gates, runs
from tests.gates import made


def test_a_decision_is_shown_as_it_was_made(store):
    """Judging anew would load a second model beside the one that was just trained."""
    _, sft = made.chain(store)
    assert "none has judged" in str(gates.shown(sft)) and "07_evaluate" in str(gates.shown(sft))
    decision, _ = gates.decide(sft, gates.load(made.GATE))
    shown = gates.shown(sft)
    for text in (str(shown), shown._repr_html_()):
        assert "PASS" in text and decision.why in text and decision.baseline.id in text
        assert "+30.0 [" in text and "o" in text and "weights_finite" in text
    evaluation = runs.listing(store, "evaluate")[-1]
    assert str(gates.shown(evaluation)) == str(shown), "an evaluation shows what it decided"


def test_a_loss_and_a_waiver_are_shown_with_why(store):
    _, sft = made.chain(store, made.better, made.worse)
    decision, _ = gates.decide(sft, gates.load(made.GATE), waive="the <set> was wrong")
    shown = gates.shown(sft)
    assert f"FAIL: {decision.why}" in str(shown) and "WAIVED" in str(shown)
    assert "the &lt;set&gt; was wrong" in shown._repr_html_() and "<set>" not in shown._repr_html_()


def test_what_no_gate_judges_is_said_in_a_line(store):
    lone = made.evaluated(store, None, made.worse)
    assert str(gates.shown(lone)) == "gate: a base model is judged by none"
    _, sft = made.chain(store)
    gates.decide(sft, gates.load(made.GATE))
    record = next((store / "blessings").glob("sft/*.json"))
    record.chmod(0o644)
    record.write_text(record.read_text().replace('"PASS"', '"FAIL"', 1))
    assert "differs from what the gate wrote" in str(gates.shown(sft))
