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


class Verifiers:
    """What verifiers.MultiTurnEnv brings beside (0.3.1): an end of its own, here for an error, or for the answer that
    was to be the last."""

    async def is_completed(self, state, **_):
        return state.get("error") is not None or state.get("final_env_response") is not None


@pytest.fixture
def turns(grader):
    class Repair(adapters.RepairTurns, Verifiers):
        pass

    Repair.grader = grader
    return Repair()


def test_verifiers_gets_turns(turns):
    """Played through verifiers 0.3.1 itself: it refused the tools, asked the model once more after the end, and went on
    for ever after an error, because its own ends were passed over."""

    async def play() -> float:
        environment, [row] = turns, adapters.rows([PROBLEM])
        assert {"name", "description", "parameters"} <= environment.tool_defs[0].keys()
        state = await environment.setup_state({"info": row["info"]})
        arguments = json.dumps({"path": "src/lib.rs", "text": TASK["solution"]})
        calls = [{"id": "1", "function": {"name": "write_file", "arguments": arguments}}, {"id": "2", "function": {}}]
        answers = await environment.env_response([{"role": "assistant", "tool_calls": calls}], state)
        assert [answer["tool_call_id"] for answer in answers] == ["1", "2"]
        assert answers[0]["content"].startswith("wrote") and answers[1]["content"].startswith("error")
        assert not await environment.is_completed(state) and "final_env_response" not in state
        assert await environment.is_completed(state | {"error": "the model is gone"})
        await environment.env_response([{"role": "assistant", "content": "done"}], state)
        assert await environment.is_completed(state) and state["final_env_response"] == []
        return await environment.reward(state)

    assert asyncio.run(play()) == 1.0


def test_verifiers_is_told_of_a_fault_of_this_machine(turns, monkeypatch):
    """verifiers makes a zero of what a reward raises; what is in the state's "error" is left out of training."""

    async def play(state) -> None:
        assert await turns.reward(state) == 0.0  # of a state that could not begin
        await turns.setup_state(state)
        state["episode"].folder.write("src/lib.rs", f"{TASK['solution']}// anew, once more")
        monkeypatch.setattr(turns.grader.pool, "judge", lambda jobs: ((key, None) for key in jobs))
        with pytest.raises(verdicts.Ungraded):
            await turns.reward(state)

    state = {"info": adapters.rows([PROBLEM])[0]["info"]}
    asyncio.run(play(state))
    assert isinstance(state["error"], verdicts.Ungraded)
