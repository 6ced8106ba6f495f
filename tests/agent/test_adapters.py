"""The environment as TRL and verifiers call it: begun, called, wrong calls answered, paid by the hidden tests."""

import asyncio
import json

import pytest
from datasets import Dataset
from transformers import Qwen3Config, Qwen3ForCausalLM
from trl import GRPOConfig, GRPOTrainer

from nbcore.agent import adapters
from nbcore.grading import verdicts
from nbcore.grading.grader import RustGrader
from nbcore.training import private
from tests.agent.test_episode import PROBLEM, TASK
from tests.chat import templates


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
    for ever after an error, because its own ends were passed over. A call as JSON text ended the episode with an
    exception."""

    async def play() -> float:
        environment, [row] = turns, adapters.rows([PROBLEM])
        assert {"name", "description", "parameters"} <= environment.tool_defs[0].keys()
        state = await environment.setup_state({"info": row["info"]})
        arguments = json.dumps({"path": "src/lib.rs", "text": TASK["solution"]})
        calls = [{"id": "1", "function": {"name": "write_file", "arguments": arguments}}, {"id": "2", "function": {}}]
        answers = await environment.env_response([{"role": "assistant", "tool_calls": calls}], state)
        assert [answer["tool_call_id"] for answer in answers] == ["1", "2"]
        assert answers[0]["content"].startswith("wrote") and answers[1]["content"].startswith("error")
        as_text = [json.dumps({"id": "3", "function": {"name": "cargo_check", "arguments": "{}"}}), "no call", "5"]
        answers = await environment.env_response([{"role": "assistant", "tool_calls": as_text}], state)
        assert [answer["tool_call_id"] for answer in answers] == ["3", "", ""]
        assert answers[0]["content"] == "the crate compiles" and answers[1]["content"].startswith("error")
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


def test_trl_trains_on_it(grader, tmp_path):
    """Through GRPOTrainer itself, on what a model is made to write: calls reach the tools, the hidden tests pay."""
    tokenizer = templates.tokenizer("qwen3")
    tokenizer.eos_token = "<|im_end|>"
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "head_dim": 16}
    sizes |= {"num_attention_heads": 2, "num_key_value_heads": 2}
    model = Qwen3ForCausalLM(Qwen3Config(vocab_size=len(tokenizer), **sizes))
    repair = {"name": "write_file", "arguments": {"path": "src/lib.rs", "text": TASK["solution"]}}
    written = [f"<tool_call>\n{json.dumps(repair)}\n</tool_call><|im_end|>", "done<|im_end|>"]

    class Scripted(private.Generating, GRPOTrainer):
        def generate(self, prompts, complete):
            text = written.pop(0)
            return [tokenizer.encode(text, add_special_tokens=False) for _ in prompts]

    settings = {
        "per_device_train_batch_size": 2,
        "num_generations": 2,
        "max_completion_length": 512,
        "logging_steps": 1,
    }
    settings |= {"use_cpu": True, "bf16": False, "report_to": "none", "save_strategy": "no", "disable_tqdm": True}
    trainer = Scripted(
        model=model,
        args=GRPOConfig(str(tmp_path), max_steps=1, **settings),
        reward_funcs=[],
        train_dataset=Dataset.from_list(adapters.rows([PROBLEM] * 2)),
        processing_class=tokenizer,
        environment_factory=lambda: adapters.RepairEnvironment(grader),
    )
    trainer.train()
    [row] = [row for row in trainer.state.log_history if "reward" in row]
    assert not written and row["rewards/RepairEnvironment/mean"] == row["reward"] == 1.0
    assert row["tools/call_frequency"] == 1 and row["tools/failure_frequency"] == 0
