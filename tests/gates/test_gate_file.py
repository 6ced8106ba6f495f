"""The gate file: what it takes, and that a margin below what its tasks can find is refused."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbcore import config as configs
from nbcore import gates, stats
from nbcore.core.environment import REPO
from nbcore.gates import gate_file
from tests.gates import made


@pytest.mark.parametrize("path", sorted((REPO / "configs" / "gates").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_gate_loads_and_is_called_as_its_phase(path):
    assert gates.load(path).phase == path.stem


def test_every_phase_that_others_build_on_has_a_gate():
    for name, entry in configs.TABLE.items():
        if entry.trains or entry.makes_data:
            assert gates.of_phase(name).integrity, name


def gate(**changes):
    values = copy.deepcopy(made.GATE)
    return gates.load({**values, **changes})


def of_delta(n=300, discordance=0.2, **delta):
    tasks = {"name": "heldout", "n_min": n, "discordance": discordance}
    return gate(eval_set=tasks, checks=[{"metric": "pass@1", "delta": delta}])


@given(n=st.integers(20, 20_000), discordance=st.floats(0.01, 1.0), alpha=st.sampled_from([0.01, 0.05, 0.1]))
def test_a_margin_below_the_detectable_effect_is_refused_and_one_above_is_taken(n, discordance, alpha):
    """vllm's gate had half a percent of power against the regression it was there for."""
    detectable = stats.minimum_detectable_effect(n, discordance, 0.8, alpha)
    of_delta(n, discordance, non_inferior=-detectable * 1.001, alpha=alpha)
    for margin in (-detectable * 0.999, detectable * 0.5):
        with pytest.raises(ValueError, match="below the minimum detectable effect") as caught:
            of_delta(n, discordance, non_inferior=margin, alpha=alpha)
        assert "\n" not in str(caught.value) and "n_min" in str(caught.value)


def test_the_remedy_of_a_refusal_is_taken():
    with pytest.raises(ValueError, match=r"widen it to 0\.073, or set eval_set\.n_min to 1745"):
        of_delta(non_inferior=-0.03)
    of_delta(non_inferior=-0.073)
    of_delta(n=1745, non_inferior=-0.03)


def test_a_superiority_margin_is_not_refused():
    """The table prints margin + detectable effect instead: the true gain that it takes."""
    assert of_delta(superior_by=0.01).checks[0].delta.margin == 0.01


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"phase": "sfd"}, "did you mean 'sft'"),
        ({"chekcs": []}, "did you mean 'checks'"),
        ({"checks": [{"metric": "pas@1", "value": {"min": 0}}]}, "did you mean 'pass@1'"),
        ({"checks": [{"metric": "pass@0", "value": {"min": 0}}]}, "is no metric"),
        ({"checks": [{"metric": "pass@1"}]}, "neither value nor delta"),
        ({"checks": [{"metric": "pass@1", "value": {}}]}, "neither min nor max"),
        ({"checks": [{"metric": "pass@1", "value": {"min": 1, "max": 0}}]}, "above max"),
        ({"checks": [{"metric": "pass@1", "value": {"min": True}}]}, "boolean"),
        ({"checks": [{"metric": "pass@1", "value": {"min": float("nan")}}]}, "finite"),
        ({"checks": [{"metric": "pass@1", "delta": {}}]}, "either superior_by or non_inferior"),
        ({"checks": [{"metric": "pass@1", "delta": {"superior_by": 0, "non_inferior": -1}}]}, "either"),
        ({"checks": [{"metric": "pass@1", "delta": {"superior_by": -0.1}}]}, "superior_by"),
        ({"checks": [{"metric": "pass@1", "delta": {"non_inferior": 0}}]}, "give a margin"),
        ({"checks": [{"metric": "pass@1", "delta": {"superior_by": 0, "alpha": 1}}]}, "alpha"),
        ({"checks": [{"metric": "pass@1", "delta": {"superior_by": 0, "test": "t"}}]}, "test"),
        ({"checks": [{"metric": "heldout.n", "delta": {"superior_by": 0}}]}, "give it a value"),
        ({"integrity": ["weights_finit"]}, "did you mean 'weights_finite'"),
        ({"integrity": [{"hack_rate": 2}]}, "no share"),
        ({"integrity": [{"weights_finite": 0.5}]}, "takes no bound"),
        ({"integrity": [], "checks": []}, "passes anything"),
        ({"baseline": {"ref": "alias:sfd@blessed"}}, "did you mean 'sft'"),
        ({"baseline": {"ref": "alias:sft@blest"}}, "is no alias"),
        ({"eval_set": {"sha256": "…"}}, "sha256"),
        ({"schema": 2}, "schema"),
    ],
)
def test_what_is_wrong_in_a_gate_is_one_line_with_the_field(changes, words):
    with pytest.raises(ValueError) as caught:
        gate(**changes)
    assert words in str(caught.value) and "\n" not in str(caught.value), caught.value


def test_files_that_are_no_gate(tmp_path):
    with pytest.raises(FileNotFoundError, match="configs/gates"):
        gates.load(tmp_path / "no.yaml")
    for text in ("", "- 1", "phase: [", "a: 1\na: 2"):
        path = tmp_path / "gate.yaml"
        path.write_text(text)
        with pytest.raises(ValueError, match=r"gate\.yaml"):
            gates.load(path)


def test_no_baseline_may_be_written_as_a_word_or_left_out():
    assert gate(baseline="none").baseline is None and gate(baseline=None).baseline is None
    assert gate(baseline="base").baseline.ref == "base"


def test_integrity_is_whole_where_it_is_left_out():
    values = {name: value for name, value in made.GATE.items() if name != "integrity"}
    assert gates.load(values).integrity == gate_file.INTEGRITY


def test_equal_gates_have_equal_hashes():
    assert gate().sha256 == gate(integrity=made.GATE["integrity"]).sha256
    assert gate().sha256 != gate(baseline=None).sha256


@pytest.mark.parametrize(
    "check",
    [
        {"metric": "pass@1", "value": {"min": 70}},
        {"metric": "truncated", "value": {"max": 5}},
        {"metric": "compile_rate", "delta": {"superior_by": 1.0}},
        {"metric": "pass@1", "delta": {"non_inferior": -6}},
    ],
)
def test_a_bound_that_no_share_can_break_or_keep_is_refused(check):
    """At most 5 of a share passes whatever comes, and at least 70 nothing: both were meant in percent."""
    with pytest.raises(ValueError, match=r"is a share from 0 to 1"):
        gates.load({"phase": "sft", "checks": [check]})


@pytest.mark.parametrize("metric", ["run.", ".", "heldout..n"])
def test_a_path_with_nothing_in_it_is_no_metric(metric):
    with pytest.raises(ValueError, match="is no metric"):
        gates.load({"phase": "sft", "checks": [{"metric": metric, "value": {"min": 0.1}}]})
