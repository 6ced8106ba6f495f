"""GRPO on episodes: the policy repairs faults with tools, in several turns."""

from types import SimpleNamespace

import pytest

from nbcore import config as configs
from nbcore import runs
from nbcore.grading import verdicts
from nbcore.grading.grader import RustGrader
from nbcore.phases import grpo
from nbcore.runs import profile
from nbcore.training import agent_rollout, private
from tests.phases.short_runs import AGENT, losses, same_losses, short


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    run = runs.open(short("grpo", **AGENT), tmp_path_factory.mktemp("agent"), "base")
    grpo.train(run)
    return run


def test_first_losses(run, golden):
    """What is sampled, what the tools answer, the reward and the mask: a change of any moves the first steps."""
    same_losses(run, golden, "grpo_agent")


def test_it_trains_and_logs_what_an_agent_does(run):
    """A rising reward without the share of repairs and of valid calls behind it may be anything."""
    rows = [row for row in run.metrics() if "reward" in row]
    assert len(losses(run)) == 4 and len(rows) == 4
    for row in rows:
        assert {"repaired", "valid_calls", "steps_used", "hack_rate", "infra_dropped"} <= row.keys()
        means = {name: row[f"rewards/{name}/mean"] for name in agent_rollout.COMPONENTS}
        weights = run.config.episodes.weights.model_dump()
        total = sum(weights[name] * means[name] for name in means)
        assert row["reward"] == pytest.approx(total, abs=1e-6)
    seconds = profile.of(run).seconds
    assert seconds["grading"] > 0 and seconds["generation"] > 0, "an agent's turns are both, one after the other"


@pytest.fixture(scope="module")
def played(run):
    """What TRL is given for two steps of the same two problems; the first step twice."""
    rows = grpo.data(run)
    function = agent_rollout.rollout_function(run, rows["tokenizer"], rows["problems"], RustGrader(lint=False))
    policy = grpo.model(run)
    asked = [id_ for id_ in list(rows["problems"])[:2] for _ in range(2)]

    def of(step):
        told = {"model": policy, "chunks": 1, "state": SimpleNamespace(global_step=step)}
        told["part_ended"] = lambda part: None
        return function(asked, SimpleNamespace(accelerator=SimpleNamespace(unwrap_model=lambda it: it), **told))

    return of(0), of(0), of(1)


def test_a_step_draws_the_same_again_and_the_next_one_something_else(played):
    """A resumed run that drew other episodes would be another run; the same draw in each step would teach one thing."""
    first, again, other = played
    assert first["completion_ids"] == again["completion_ids"] != other["completion_ids"]
    assert len(set(map(tuple, first["completion_ids"]))) > 2  # two problems, and a group's answers are not all alike


def test_only_what_was_sampled_carries_loss(run, played):
    """A policy trained on the environment's words learns to invent the answers of its tools."""
    tokenizer = grpo.data(run)["tokenizer"]
    said = 0
    for ids, mask, episode in zip(
        *(played[0][name] for name in ("completion_ids", "env_mask", "episode")), strict=True
    ):
        assert len(ids) == len(mask) and set(mask) <= {0, 1}
        assert sum(mask) == episode["tokens"]
        between = [id_ for id_, own in zip(ids, mask, strict=True) if not own]
        said += len(between)
        if between:  # how the next prompt of the same conversation ends
            assert tokenizer.decode(between).endswith("<|start|>assistant")
    assert said


def test_what_trl_trains_on_is_what_was_sampled(run, monkeypatch):
    """Decoded and encoded again, an action would be other tokens; and an episode that ended in no stop token,
    for it ran out of turns, would lose its gradient."""
    games, real = [], agent_rollout.play
    monkeypatch.setattr(agent_rollout, "play", lambda *given, **more: games.extend(real(*given, **more)) or games)
    trainer = grpo.trainer(run)
    batch = [row for row in grpo.data(run)["train"][:2] for _ in range(2)]
    made = private.scored(trainer, batch)
    assert [game.episode.problem.id for game in games] == [row["task"] for row in batch]
    for at, game in enumerate(games):
        ids, mask = made["completion_ids"][at], made["completion_mask"][at] * made["tool_mask"][at]
        assert ids[mask.bool()].tolist() == [id_ for turn in game.turns for id_ in turn.completion_ids]
    assert "steps" in {game.episode.done for game in games}


def test_an_episode_that_runs_out_of_turns_keeps_its_gradient(run):
    """TRL masks what does not end in a stop token: all failures to finish would teach nothing."""
    assert not grpo.arguments(run).mask_truncated_completions
    assert grpo.arguments(run).max_completion_length == 640


@pytest.mark.slow
def test_before_and_after_are_episodes(run):
    """What is shown of an agent is what it changed, and what the hidden tests say of that."""
    rows = grpo.see(run)
    assert [row["when"] for row in rows] == ["before"] * 8 + ["after"] * 8
    assert {"id", "prompt", "completion", "verdict", "actions", "diff"} <= rows[0].keys()
    assert grpo.see(run) == rows


def test_problems_are_those_that_were_verified(run):
    """A file edited between two sessions would train on faults that nobody verified."""
    path = run.path / "problems.jsonl"
    text = path.read_text()
    path.write_text(text[:-20] + "\n")
    try:
        with pytest.raises(ValueError, match=r"problems: .* is not what was written; delete it"):
            agent_rollout.problems(run, [], RustGrader(lint=False))
    finally:
        path.write_text(text)


def episode(**known):
    return {"verdict": "pass", "passed": True, "valid": 3, "steps": 4, "most": 8, "why": ""} | known


def asked(functions, episodes):
    return [function(episode=episodes) for function in functions]


def test_worth_of_an_episode():
    """A repair is worth most, fewer steps a little more; steps saved by giving up at once are worth nothing."""
    functions = agent_rollout.rewards(2, 3)
    failed = episode(verdict="tests_failed", passed=False, valid=1, steps=1)
    passed, valid, left = asked(functions, [episode(), failed])
    assert (passed, valid, left) == ([1, 0], [0.75, 1], [0.5, 0])


def test_our_own_fault_leaves_the_group_out_and_too_many_stop_the_run():
    """An infra_error scored 0 teaches from our broken disk; a run of those alone would end as if it had learnt."""
    ours = episode(verdict="infra_error", passed=False, why="no disk")
    functions = agent_rollout.rewards(2, 2)
    assert asked(functions, [episode(), ours, episode(), episode()])[0] == [None, None, 1, 1]
    assert asked(functions, [ours, ours])[0] == [None, None]
    with pytest.raises(verdicts.Ungraded, match=r"2 steps in a row taught nothing.*no disk"):
        asked(functions, [ours, ours])


def test_an_agent_that_need_not_repair_is_refused():
    """Paid for valid calls alone it would call list_files for ever."""
    with pytest.raises(ValueError, match=r"passed is 0\.0"):
        configs.load("configs/grpo/tiny.yaml", {"episodes.weights.passed": 0})


def test_a_prompt_longer_than_an_episode_may_be_is_one_clear_line(tmp_path):
    """Each episode would end before its first action, and every reward be undefined."""
    run = runs.open(short("grpo", **AGENT | {"episodes.length": 20}), tmp_path, "base")
    with pytest.raises(ValueError, match=r"episodes\.length: the shortest prompt has \d+ tokens"):
        grpo.data(run)
