"""The environment as TRL and verifiers call it: begun, called, wrong calls answered, paid by the hidden tests."""

import asyncio
import json

import pytest

from nbcore.agent import adapters
from nbcore.grading import verdicts
from nbcore.grading.grader import RustGrader
from tests.agent.test_episode import PROBLEM, TASK


@pytest.fixture(scope="module")
def grader():
    with_ = RustGrader(jobs=1, lint=False)
    yield with_
    with_.close()


def test_trl_gets_a_method_for_each_tool_and_the_reward_of_the_hidden_tests(grader):
    from transformers.utils import get_json_schema

    environment = adapters.RepairEnvironment(grader)
    names = [name for name in dir(environment) if not name.startswith("_") and name not in ("reset", "get_reward")]
    shown = {get_json_schema(getattr(environment, name))["function"]["name"] for name in names}
    offered = {tool["function"]["name"] for tool in adapters.schemas(raw=False)}
    assert shown == offered - {"reset"} | {"restore"}
    [row] = adapters.rows([PROBLEM])
    with pytest.raises(ValueError, match="no episode has begun"):
        environment.get_reward()
    environment.reset(**row)
    assert environment.get_reward() == 0.0
    assert "error" in environment.write_file("../x.rs", "x") and "error" in environment.replace_lines("a", "b", 3, 4)
    environment.write_file("src/lib.rs", TASK["solution"])
    assert environment.cargo_test() == "all 2 visible tests pass"
    environment.restore()
    assert environment.get_reward() == 0.0
    environment.write_file("src/lib.rs", TASK["solution"])
    environment.finish()
    assert environment.list_files() == adapters.ENDED and environment.get_reward() == 1.0
    environment.reset(**row)
    assert environment.get_reward() == 0.0


def test_a_fault_of_this_machine_is_no_reward_of_zero(grader, monkeypatch):
    """A policy would learn from it that what it did was wrong."""
    environment = adapters.RepairEnvironment(grader)
    environment.reset(**adapters.rows([PROBLEM])[0])
    environment.write_file("src/lib.rs", f"{TASK['solution']}// anew")
    monkeypatch.setattr(grader.pool, "judge", lambda jobs: ((key, None) for key in jobs))
    with pytest.raises(verdicts.Ungraded, match="could not be judged"):
        environment.get_reward()


def test_verifiers_gets_turns(grader):
    class Repair(adapters.RepairTurns):
        pass

    Repair.grader = grader

    async def play() -> float:
        environment, [row] = Repair(), adapters.rows([PROBLEM])
        state = await environment.setup_state({"info": row["info"]})
        arguments = json.dumps({"path": "src/lib.rs", "text": TASK["solution"]})
        calls = [{"id": "1", "function": {"name": "write_file", "arguments": arguments}}, {"id": "2", "function": {}}]
        answers = await environment.env_response([{"role": "assistant", "tool_calls": calls}], state)
        assert [answer["tool_call_id"] for answer in answers] == ["1", "2"]
        assert answers[0]["content"].startswith("wrote") and answers[1]["content"].startswith("error")
        assert not await environment.is_completed(state)
        await environment.env_response([{"role": "assistant", "content": "done"}], state)
        assert await environment.is_completed(state)
        return await environment.reward(state)

    assert asyncio.run(play()) == 1.0
