"""IPO on edits: of two edits of one file the one that repairs it is preferred, by the ids that were sampled."""

import json
from types import SimpleNamespace

import pytest

from nbcore import config as configs
from nbcore import runs
from nbcore.agent import making
from nbcore.agent.played import Turn
from nbcore.phases import ipo
from nbcore.runs import layout
from nbcore.tasks import katas
from nbcore.training import agent_pairs, agent_play, load
from tests.phases.short_runs import losses

FEW = {"max_steps": 2, "batch_size": 2, "save_steps": 1}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run whose edits were drawn: the working code repairs, the faulty code written once more does not."""
    run = runs.open(configs.load("configs/ipo/agent_tiny.yaml", FEW), tmp_path_factory.mktemp("store"))
    tokenizer, settings = load.tokenizer(run), run.config.episodes
    speaker = agent_play.speaker(tokenizer)
    rows = []
    for problem in making.candidates(katas.load("train")[:24], 1, 0):
        prompt = agent_play.first_prompt(speaker, problem, settings.tools, settings.brief)
        call = "<|channel|>commentary to=functions.write_file<|message|>"
        ids = [
            tokenizer.encode(f"{call}{files[problem.root]}<|call|>", add_special_tokens=False)
            for files in (problem.working, problem.files)
        ]
        rows.append({"id": problem.source, "prompt_ids": prompt, "chosen_ids": ids[0], "rejected_ids": ids[1]})
    (run.path / layout.EDITS).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return run


def test_the_ids_that_were_drawn_are_trained(run):
    """Rendered again from text, an edit could be other tokens than the policy chose."""
    drawn = {tuple(row["chosen_ids"]): row for row in map(json.loads, (run.path / layout.EDITS).open())}
    trained = ipo.trainer(run).train_dataset
    assert len(trained)
    for row in trained:
        assert {name: row[name] for name in ("prompt_ids", "rejected_ids")} == {
            name: drawn[tuple(row["chosen_ids"])][name] for name in ("prompt_ids", "rejected_ids")
        }
    ipo.train(run)
    assert len(losses(run)) == 2 and all(0 < loss < 1e3 for loss in losses(run))


def test_edits_that_were_changed_are_refused(run):
    """A file edited between two sessions would train on what no policy sampled."""
    run.event("edits", sha256="0" * 64)
    with pytest.raises(ValueError, match=r"pairs: .*edits\.jsonl is not what was written; delete it"):
        agent_pairs.pairs(run, None, lambda doing: None)


def played(problem, ids, verdict, *, valid=True, diff="-a\n+b"):
    episode = SimpleNamespace(
        problem=SimpleNamespace(id=problem, source=problem[0]),
        verdict={"verdict": verdict, "passed": verdict == "pass"},
    )
    return SimpleNamespace(episode=episode, steps=[{"valid": valid, "diff": diff}], turns=[Turn([1, 2], ids, None)])


def test_a_pair_is_a_repair_and_a_failure_of_the_same_fault():
    """A call that no tool took, one that changed nothing, or a verdict that is our fault say nothing of two edits; and
    an edit that is drawn twice must not count twice."""
    games = [
        *(played("a-0", [5], "pass"), played("a-0", [5], "pass"), played("a-0", [6], "tests_failed")),
        *(played("a-0", [7], "pass"), played("a-0", [8], "infra_error"), played("a-0", [9], "compile_error", diff="")),
        *(played("b-0", [5], "pass"), played("c-0", [6], "tests_failed")),
        *(played("d-0", [5], "pass"), played("d-0", [6], "tests_failed", valid=False)),
    ]
    assert agent_pairs.paired(games, 2, 0) == [
        {"id": "a", "prompt_ids": [1, 2], "chosen_ids": [5], "rejected_ids": [6]},
    ]


@pytest.mark.slow
def test_a_policy_that_repairs_nothing_is_one_clear_line(tmp_path):
    """The seedling knows no calls: without a pair there would be nothing to train on, minutes later."""
    few = {"episodes.faults": 3, "rollouts": 2, "generation.max_new_tokens": 16, "tasks.limit": 4}
    run = runs.open(configs.load("configs/ipo/agent_tiny.yaml", FEW | few), tmp_path)
    with pytest.raises(ValueError, match=r"of 3 faults with 2 edits each none was both repaired and not; raise"):
        ipo.data(run)
    assert not (run.path / layout.EDITS).exists() and (run.path / layout.PROBLEMS).is_file()


def test_pairs_and_episodes_exclude_each_other(tmp_path):
    """One of them would silently not be trained on."""
    with pytest.raises(ValueError, match="pairs and episodes are both given"):
        configs.load("configs/ipo/agent_tiny.yaml", {"pairs": "mine.jsonl"})
