"""Repairs measured: what each way of repairing is counted for, and tests in pairs that can be recomputed by hand."""

import json

import pytest
import torch
from transformers import AutoModelForCausalLM

from nbcore import config as configs
from nbcore.agent.tools import schemas
from nbcore.config import Generation, tasksets
from nbcore.evaluation import crate_faults, repairs, written
from nbcore.grading.grader import RustGrader
from nbcore.training import agent_play, load
from nbcore.view.episodes import repairs as table
from tests.agent.honest import MANIFEST, UNIT, WRONG
from tests.agent.test_episode import TASK

SETTINGS = tasksets.Repairs(tools=["read_file", "write_file", "cargo_test"], steps=3, attempts=3).model_dump()
ACTION = {
    "action": "call",
    "name": "cargo_test",
    "arguments": "{}",
    "answer": "",
    "valid": True,
    "tokens": 5,
    "diff": "",
}


def row(id_, agent, one_shot, retries, kind="constant", **more):
    told = {"verdict": "pass", "tokens": 10, "diff": ""}
    ways = {"one_shot": {**told, "passed": one_shot}, "retries": {**told, "passed": retries, "attempts": 2}}
    used = {"steps": 2, "valid": 1, "tokens": 30, "cargo_seconds": 0.1, "done": "finish"}
    actions = [ACTION, {**ACTION, "action": "malformed", "valid": False}]
    return {"id": id_, "kind": kind, "verdict": "pass", "passed": agent, "actions": actions, **used, **ways, **more}


@pytest.mark.slow
def test_faults_are_put_into_the_crates_of_a_folder(tmp_path):
    """A person's own crates, whatever file has the fault: the scripted agent repairs them all, one that finishes at
    once repairs none, and each crate has its rate."""
    for name in ("one", "two"):
        folder = tmp_path / "mine" / name
        (folder / "src").mkdir(parents=True)
        (folder / "Cargo.toml").write_text(MANIFEST.replace("sums", name))
        (folder / "src" / "lib.rs").write_text("pub mod inner;\npub use inner::double;\n")
        more = "    #[test]\n    fn of_nothing() {\n        assert_eq!(super::double(0), 0);\n    }\n}\n"
        (folder / "src" / "inner.rs").write_text(WRONG.replace("3", "2 + 0") + UNIT.removesuffix("}\n") + more)
    settings = SETTINGS | {"steps": 1, "attempts": 1, "tools": ["read_file", "write_file", "cargo_test"], "limit": 4}
    wanted = tasksets.TaskSet(name="mine", kind="repairs", source=str(tmp_path / "mine"), limit=4)
    found = crate_faults.of_set(wanted)
    assert [task["id"] for task in found.tasks] == ["one-0.1.0", "two-0.1.0"]
    with pytest.raises(ValueError, match=r"sha256 is 0+, and the crates of .* have "):
        crate_faults.of_set(wanted.model_copy(update={"sha256": "0" * 64}))
    tokenizer = load.tokenizer_at(str(load.SEEDLING))
    assert "`one` has a fault" in repairs.example(tokenizer, found.tasks[0], settings)
    model = AutoModelForCausalLM.from_pretrained(str(load.SEEDLING))
    grader = RustGrader(jobs=1, lint=False)
    try:
        rows, measured = repairs.measure(
            *(model, tokenizer, found.tasks, settings, Generation(max_new_tokens=4), 0, grader)
        )
    finally:
        grader.close()
    assert [row["crate"] for row in rows] == ["one-0.1.0", "two-0.1.0"] * 2 and measured["n"] == 4
    assert measured["scripted_rate"]["value"] == 1 and measured["repair_rate"]["value"] == 0
    assert {name: rates["n"] for name, rates in measured["by_crate"].items()} == {"one-0.1.0": 2, "two-0.1.0": 2}
    assert "two-0.1.0" in table(measured).text


def test_pairs_and_kinds_are_counted_fault_by_fault():
    """Seven faults that retries alone repair, and none the other way: exact McNemar says 2 / 2 ** 7."""
    rows = [row(str(n), agent=n < 3, one_shot=n < 3, retries=True, kind="borrow" if n < 3 else "") for n in range(10)]
    ours = row("x", False, False, False, verdict="infra_error")
    found = repairs.summary([*rows, ours], SETTINGS)
    assert (found["n"], found["infra_errors"]) == (10, 1)
    lost = row("y", True, False, True)
    lost["one_shot"] |= {"verdict": "infra_error"}  # a fault of this machine is no loss of one way in the pairs
    assert repairs.summary([*rows, ours, lost], SETTINGS) == {**found, "infra_errors": 2}
    assert [found[name]["value"] for name in ("repair_rate", "one_shot_rate", "retries_rate")] == [0.3, 0.3, 1.0]
    pair = next(one for one in found["pairs"] if (one["of"], one["against"]) == ("retries", "one_shot"))
    assert (pair["won"], pair["lost"], pair["p"]) == (7, 0, 2 / 2**7)
    assert found["by_kind"]["borrow"]["agent"]["value"] == 1 and found["by_kind"]["borrow"]["n"] == 3
    assert found["valid_calls"]["value"] == 0.5 and found["invalid"] == {"malformed": 10}
    assert found["means"]["tokens"]["value"] == 30 and found["caps"]["steps"] == 3


def test_retries_start_from_the_original_and_end_where_the_visible_tests_pass(monkeypatch):
    """A policy that writes a wrong file first and the right one at its second attempt: one go fails, retries repair at
    the second of three, and the scripted agent is the ceiling."""
    tokenizer = load.tokenizer_at(str(load.SEEDLING))
    model = AutoModelForCausalLM.from_pretrained(str(load.SEEDLING))
    speaker = agent_play.speaker(tokenizer)
    drawn, tools = [], schemas()

    def generate(input_ids, do_sample, **_):
        drawn.append(do_sample)
        code = TASK["solution"] if do_sample else TASK["solution"].replace("2", "7")
        call = {"type": "function", "function": {"name": "write_file", "arguments": code}}
        messages = [{"role": "user", "content": "x"}, {"role": "assistant", "content": None, "tool_calls": [call]}]
        [sample] = speaker.render({"messages": messages, "tools": tools})
        ids = torch.tensor([label for label in sample.labels if label >= 0])
        return torch.cat([input_ids, ids.expand(len(input_ids), -1)], dim=1)

    monkeypatch.setattr(model, "generate", generate)
    grader = RustGrader(jobs=1, lint=False)
    try:
        settings = SETTINGS | {"limit": 2}
        rows, found = repairs.measure(model, tokenizer, [TASK], settings, Generation(), 0, grader)
    finally:
        grader.close()
    assert [found[name]["value"] for name in ("repair_rate", "one_shot_rate", "retries_rate")] == [0, 0, 1]
    assert found["scripted_rate"]["value"] == 1 and drawn == [False, False, False, False, True]
    assert [one["retries"]["attempts"] for one in rows] == [2, 2] and all(one["done"] == "steps" for one in rows)
    assert json.loads(json.dumps(rows)) == rows
    page = written._episode(rows[0] | {"prompt": "```\n<script>"})
    assert "````text\n```\n<script>\n````" in page and "+    value * 7" in page


def test_a_set_that_is_no_repairs_keeps_its_digest():
    """`agent` came later: a run that was evaluated before has the same name, and goes on."""
    given = {"tasksets": [{"name": "mine", "source": "katas", "limit": 3}]}
    config = configs.load("configs/evaluate/tiny.yaml", given)
    assert "agent" not in configs.dump(config)
    with pytest.raises(ValueError, match="only repairs have an agent"):
        configs.load("configs/evaluate/tiny.yaml", {"tasksets": [{"source": "katas", "agent": {}}]})
    repaired = configs.load("configs/evaluate/agent_tiny.yaml")
    assert configs.load(repaired.model_dump(mode="json")) == repaired
