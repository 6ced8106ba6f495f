"""`python -m nbcore gate`: exit codes, the table, waivers, aliases; each in one line where it goes wrong."""

import copy

import pytest
import yaml

from nbcore import gates
from nbcore.cli.main import main
from tests.gates import made


@pytest.fixture
def gate(tmp_path):
    path = tmp_path / "gate.yaml"
    path.write_text(yaml.safe_dump(copy.deepcopy(made.GATE)))
    return path


def call(capsys, store, *words):
    code = main([*map(str, words), "--store", str(store)])
    return (code, *capsys.readouterr())


def test_pass_is_0_and_prints_the_table(store, gate, capsys):
    _, sft = made.chain(store)
    code, out, err = call(capsys, store, "gate", "sft", "--gate", gate)
    assert code == 0 and err == ""
    for words in (
        "metric",
        "baseline",
        "difference",
        "verdict",
        "pass@1",
        "+30.0",
        "[=o=]",
        "n 300",
        "PASS: ",
        "recorded",
    ):
        assert words in out, words
    table = out.split("[=o=]:")[0].splitlines()
    assert max(map(len, table)) <= 80 and gates.current(sft)["verdict"] == "PASS"


def test_fail_is_1_and_says_why_in_one_line(store, gate, capsys):
    made.chain(store, made.better, made.worse)
    code, out, err = call(capsys, store, "gate", "sft", "--gate", gate)
    assert code == 1 and err.startswith("error: FAIL: pass@1 on heldout") and err.count("\n") == 1 and "FAIL" in out


def test_investigate_is_3(store, gate, capsys):
    first = made.trained(store, "lang_adapter")
    sft = made.trained(store, "sft", first)
    made.evaluated(store, first, made.worse, n=50)
    made.evaluated(store, sft, made.better, n=50)
    code, _, err = call(capsys, store, "gate", sft.id, "--gate", gate)
    assert code == 3 and err.startswith("error: INVESTIGATE: ") and err.count("\n") == 1


def test_an_adapter_of_nan_is_1_without_any_evaluation(store, gate, capsys):
    sft = made.trained(store, "sft", made.trained(store, "lang_adapter"))
    made.adapter(sft.path, {"q.lora_A": [float("nan")]})
    code, _, err = call(capsys, store, "gate", "sft", "--gate", gate)
    assert code == 1 and "weights_finite" in err and "NaN" in err


def test_a_waiver_lets_it_pass_in_red_and_needs_a_reason(store, gate, capsys):
    _, sft = made.chain(store, made.better, made.worse)
    code, _, err = call(capsys, store, "gate", "sft", "--gate", gate, "--waive", " ")
    assert code == 2 and "needs a reason" in err and gates.current(sft) is None
    code, out, err = call(capsys, store, "gate", "sft", "--gate", gate, "--waive", "a [known] fault of the set")
    assert code == 0 and "WAIVED (FAIL): a [known] fault of the set" in err and "WAIVED by" in out
    assert "WAIVED: a [known] fault" in call(capsys, store, "runs", "aliases")[1]


def test_aliases_release_and_rollback(store, gate, capsys):
    _, sft = made.chain(store)
    assert "no gate has judged" in call(capsys, store, "runs", "aliases")[1]
    assert call(capsys, store, "runs", "release", "sft")[0] == 2
    call(capsys, store, "gate", "sft", "--gate", gate)
    assert call(capsys, store, "runs", "release", "sft")[0] == 0
    second = made.trained(store, "sft", sft.parent, seed=3, limit=9)
    made.evaluated(store, second, made.better)
    call(capsys, store, "gate", second.id, "--gate", gate)
    assert f"sft@blessed  {second.id}" in call(capsys, store, "runs", "aliases")[1]
    code, out, _ = call(capsys, store, "runs", "rollback", "sft")
    assert code == 0 and out.startswith(f"sft@blessed is {sft.id} again")
    assert f"sft@blessed  {sft.id}" in call(capsys, store, "runs", "aliases")[1]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["gate", "nothing"], "nothing"),
        (["gate", "sft", "--gate", "no.yaml"], "no file no.yaml"),
        (["gate"], "RUN"),
        (["chain"], "RUN"),
        (["runs", "rollback", "sft"], "points to nothing"),
    ],
)
def test_bad_usage_is_2_and_one_line(store, words, told, capsys):
    made.trained(store, "sft", made.trained(store, "lang_adapter"))
    code, _, err = call(capsys, store, *words)
    assert code == 2 and told in err and err.startswith("error: ") and err.count("\n") == 1


@pytest.mark.parametrize("command", ["gate", "chain", "runs keep", "runs aliases", "runs release", "runs rollback"])
def test_help_teaches_by_example(capsys, command):
    assert main([*command.split(), "--help"]) == 0
    assert f"Example: python -m nbcore {command}" in " ".join(capsys.readouterr().out.split())
