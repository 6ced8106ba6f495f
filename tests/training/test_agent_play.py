"""A policy in the repair environment: its ids stay as sampled, and whatever it emits is answered."""

import copy
import itertools

import pytest
import torch
from tokenizers import AddedToken
from transformers import AutoModelForCausalLM

from nbcore import runs
from nbcore.agent import problems, scripted
from nbcore.agent.episode import Budget
from nbcore.chat import renderer
from nbcore.chat.template import IGNORED
from nbcore.config import Generation
from nbcore.core import lines
from nbcore.grading.grader import RustGrader
from nbcore.runs import layout
from nbcore.training import agent_play, agent_rollout, load, once
from tests.agent.test_episode import TASK
from tests.chat import templates
from tests.phases.short_runs import AGENT, short

FEW = ("read_file", "write_file", "cargo_test")
PROBLEM = problems.of_task(TASK, "double-1", "constant", TASK["solution"].replace("2", "3"))
OTHER = problems.of_task(TASK, "double-2", "constant", TASK["solution"].replace("2", "5"))


@pytest.fixture(scope="module")
def grader():
    with_ = RustGrader(jobs=1, lint=False)
    yield with_
    with_.close()


@pytest.fixture(scope="module")
def model():
    return AutoModelForCausalLM.from_pretrained(str(load.SEEDLING))


def speaks(model, monkeypatch, said):
    """Have the model emit these ids: an action for each call of generate, the same in every row."""
    coming = iter(said)

    def generate(input_ids, **_):
        ids = torch.tensor(next(coming))
        return torch.cat([input_ids, ids.expand(len(input_ids), -1)], dim=1)

    monkeypatch.setattr(model, "generate", generate)


@pytest.mark.parametrize("way", ["harmony", "qwen2_5", "llama3_1"])
def test_what_is_played_is_what_is_trained(way, model, grader, tmp_path, monkeypatch):
    """A policy that emits a demonstration's actions sees the very ids that the demonstration trains: one token more
    between two actions, and the policy would stand where it never was in training."""
    tokenizer = load.tokenizer_at(str(load.SEEDLING)) if way == "harmony" else templates.tokenizer(way)
    speaker = renderer.Harmony(tokenizer) if way == "harmony" else renderer.Template(tokenizer)
    raw = way == "harmony"
    [row] = scripted.demonstrate([(PROBLEM, "direct")], grader, tmp_path, raw=raw, names=FEW)
    [sample] = speaker.render(row)
    speaks(model, monkeypatch, templates.emitted(sample))
    monkeypatch.setattr(model.config, "max_position_embeddings", 4096)  # tools as JSON are long
    games = agent_play.play(model, tokenizer, speaker, [PROBLEM, PROBLEM], grader=grader, names=FEW)
    for game in games:
        prompt, completion, mask, _ = game.ids()
        assert prompt + completion == sample.ids[: len(prompt + completion)]
        assert sample.ids[len(prompt + completion) :] in ([], sample.ids[-1:])  # a line break after a template's end
        trained = [label != IGNORED for label in sample.labels[len(prompt) : len(prompt + completion)]]
        assert [bool(place) for place in mask] == trained
        assert game.episode.verdict["passed"] and game.episode.done == "finish"
        assert [step["valid"] for step in game.steps] == [True for _ in game.steps]
        assert [bool(step["diff"]) for step in game.steps].count(True) == 1 and "-    value * 3" in game.record()[
            "diff"
        ]
        told = [message["content"] for message in game.messages if message["role"] == "tool"]
        assert told == [message["content"] for message in row["messages"] if message["role"] == "tool"]


def test_a_call_that_ends_as_its_publisher_alone_says_is_a_call(model, grader, tmp_path, monkeypatch):
    """Llama 3 ends a call in <|eom_id|>, which only its generation config names: it was generated up to there, read as
    one that had been cut, and closed a second time."""
    tokenizer = copy.deepcopy(templates.tokenizer("llama3_1"))
    tokenizer.add_tokens([AddedToken("<|eom_id|>", special=True, normalized=False)])
    speaker, end = renderer.Template(tokenizer), tokenizer.convert_tokens_to_ids("<|eom_id|>")
    [row] = scripted.demonstrate([(PROBLEM, "direct")], grader, tmp_path, raw=False, names=FEW)
    [sample] = speaker.render(row)
    speaks(model, monkeypatch, [[*ids[:-1], end] for ids in templates.emitted(sample)])
    monkeypatch.setattr(model.config, "max_position_embeddings", 4096)
    monkeypatch.setattr(model.generation_config, "eos_token_id", [end])
    [game] = agent_play.play(model, tokenizer, speaker, [PROBLEM], grader=grader, names=FEW)
    assert game.episode.verdict["passed"] and game.episode.done == "finish"
    own = tokenizer.convert_tokens_to_ids("<|eot_id|>")
    for turn, after in itertools.pairwise(game.turns):
        behind = after.prompt_ids[len(turn.prompt_ids + turn.completion_ids) :]
        assert turn.completion_ids[-1] == end and behind[0] != own


def test_the_same_faults_under_another_template_are_other_data(tmp_path):
    """Its hash told of the faults alone: a mended template showed the model other words, and the data seemed the
    same."""
    run = runs.open(short("grpo", **AGENT), tmp_path, "base")
    once.write(run, run.path / layout.PROBLEMS, [PROBLEM.record()], "problems")
    tokenizer = load.tokenizer(run)
    mended = copy.deepcopy(tokenizer)
    mended.chat_template += "{#- mended -#}"
    own, other = (agent_rollout.crates(run, [], each, lambda doing: None)[2] for each in (tokenizer, mended))
    assert own["sha256"] == lines.digest([PROBLEM.record()]) != other["sha256"] and own["faults"] == 1


def test_a_model_that_knows_nothing_is_answered_and_plays_the_same_again(model, grader):
    """Random actions end in every way there is: cut, malformed, out of steps. None may raise, what was sampled stays in
    the next prompt token by token, and a logprob is the model's own."""
    tokenizer = load.tokenizer_at(str(load.SEEDLING))
    speaker = agent_play.speaker(tokenizer)
    drawing = Generation(max_new_tokens=16, temperature=0.7, batch_size=2)
    options = {"grader": grader, "budgets": Budget(steps=3), "sampling": drawing, "names": FEW, "logprobs": True}
    games = agent_play.play(model, tokenizer, speaker, [PROBLEM, OTHER, PROBLEM], **options)
    again = agent_play.play(model, tokenizer, speaker, [PROBLEM, OTHER, PROBLEM], **options)
    other = agent_play.play(model, tokenizer, speaker, [PROBLEM, OTHER, PROBLEM], **options, seed=1)
    assert [game.turns for game in games] == [game.turns for game in again] != [game.turns for game in other]
    assert games[0].turns[0] != games[2].turns[0]  # two samples of one problem are two samples
    for game in games:
        assert game.episode.done == "steps" and len(game.turns) == len(game.steps) == 3
        assert all(step["answer"].startswith("error:") for step in game.steps if not step["valid"])
        for turn, following in zip(game.turns, game.turns[1:], strict=False):
            before = turn.prompt_ids + turn.completion_ids
            assert following.prompt_ids[: len(before)] == before
        prompt, completion, mask, likely = game.ids()
        with torch.inference_mode():
            logits = model(torch.tensor([prompt + completion])).logits[0, len(prompt) - 1 : -1] / drawing.temperature
        own = torch.log_softmax(logits, dim=-1).gather(1, torch.tensor(completion)[:, None])[:, 0]
        sampled = torch.tensor(mask, dtype=torch.bool)
        assert torch.allclose(own[sampled], torch.tensor(likely)[sampled], atol=1e-3)


def test_an_episode_ends_where_the_context_does(model, grader, monkeypatch):
    """Past its context a model is asked what it cannot answer, and the whole batch would end in an error."""
    tokenizer = load.tokenizer_at(str(load.SEEDLING))
    speaker = agent_play.speaker(tokenizer)
    calls = [("read_file", {"path": "src/lib.rs"})]
    monkeypatch.setattr(model.config, "max_position_embeddings", 560)
    [game] = agent_play.play(
        *(model, tokenizer, speaker, [PROBLEM]),
        **{"grader": grader, "names": FEW, "sampling": Generation(max_new_tokens=40), "opening": lambda _: calls},
    )
    assert game.episode.done == "context" and len(game.turns[-1].prompt_ids + game.turns[-1].completion_ids) <= 560
    assert game.messages[3]["content"] == PROBLEM.files["src/lib.rs"].rstrip() and len(game.steps) == game.episode.steps
