"""IPO: the right reference, the right loss, tokens as they were sampled."""

import pytest
import torch

from nbcore import runs
from nbcore.grading import verdicts
from nbcore.grading.grader import RustGrader
from nbcore.phases import ipo
from tests.phases.short_runs import same_losses, short, walk, write_pairs


@pytest.fixture(scope="module")
def run(chain):
    run = runs.open(short("ipo"), chain, "sft")
    write_pairs(run)
    return walk(ipo, run)


def test_first_losses(run, golden):
    """A change in pairs, reference or schedule shows in the first steps."""
    same_losses(run, golden)


def test_the_reference_is_the_sft_model_not_the_base(chain):
    """With the base as reference (trl#1340) the first margin is not zero and IPO undoes SFT."""
    run = runs.open(short("ipo", seed=7), chain, "sft")
    write_pairs(run)
    trainer = ipo.trainer(run)
    ids = torch.tensor([ipo.data(run)["train"][0]["prompt_ids"] + ipo.data(run)["train"][0]["chosen_ids"]])
    model = trainer.model.eval()

    def logits(adapter):
        model.set_adapter(adapter)
        with torch.inference_mode():
            return model(input_ids=ids).logits

    policy, reference = logits("default"), logits("ref")
    assert torch.equal(policy, reference)
    with model.disable_adapter(), torch.inference_mode():
        assert (model(input_ids=ids).logits - reference).abs().max() > 1e-4


def test_the_first_loss_is_ipos(run):
    """At step 0 the margin is 0, so the loss is (1/(2·beta))²; sigmoid would give log 2 (ms-swift#10167)."""
    first = next(row["loss"] for row in run.metrics() if "loss" in row)
    assert first == pytest.approx((1 / (2 * run.config.beta)) ** 2, rel=1e-3)


def test_its_evaluation_loss_is_no_perplexity(run):
    """A run of a real model showed a perplexity of 528: the exponential of IPO's loss, which means nothing."""
    measured = [row for row in run.metrics() if "eval_loss" in row]
    assert measured and not any("eval_perplexity" in row for row in measured)


def test_pairs_share_their_prompt_and_end_in_one_stop_token(run):
    """TRL's own tokenisation would append a second end of sequence."""
    rows = ipo.data(run)
    stop = rows["tokenizer"].eos_token_id
    for row in rows["train"] + rows["validation"]:
        for side in ("chosen_ids", "rejected_ids"):
            assert row[side][-1] == stop and row[side].count(stop) == 1


def test_a_length_that_no_pair_can_have_is_refused_before_anything_is_generated(chain):
    with pytest.raises(ValueError, match=r"^max_length is 9: the shortest prompt has \d+ tokens"):
        ipo.data(runs.open(short("ipo", max_length=9), chain, "sft"))


def test_answers_with_odd_line_ends_are_pairs_as_any_other(chain, tmp_path):
    """A completion with U+2028 in it: the run could not read back the pairs that it had written itself."""
    run = runs.open(short("ipo", seed=8), chain, "sft")
    write_pairs(run)
    path = run.path / ipo.PAIRS
    path.write_text(path.read_text().replace("Default::default()", "Default::default() // a\u2028b\x85c"))
    assert "\u2028" in path.read_text() and ipo.data(run)["report"]["pairs"] == 60


def test_only_the_trained_adapter_is_left(run):
    """The reference copy must not be taken for the result."""
    assert sorted(p.name for p in (run.path / "adapter").iterdir()) == [
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
    ]


def test_rollouts_of_which_nothing_was_graded_say_why(chain, monkeypatch):
    """A grader that is broken was taken for a parent that never passes, with the advice to train it longer."""

    def ungradable(self, samples, progress):
        return [
            {**verdicts.unknown(6), "id": sample["id"], "errors": [verdicts.note("infra", "no disk")]}
            for sample in samples
        ]

    monkeypatch.setattr(RustGrader, "grade", ungradable)
    config = short("ipo", seed=4, rollouts=2, **{"tasks.limit": 2, "generation.max_new_tokens": 4})
    run = runs.open(config, chain, "sft")
    with pytest.raises(verdicts.Ungraded, match=r"none of 4 answers could be graded .*no disk"):
        ipo.data(run)
    assert not (run.path / ipo.PAIRS).exists()


def test_no_pairs_is_one_clear_error(chain):
    """An untrained policy passes nothing: the message must say what to change."""
    config = short("ipo", seed=3, rollouts=2, **{"tasks.limit": 2, "generation.max_new_tokens": 4})
    with pytest.raises(ValueError, match="no task that both passed and failed"):
        ipo.data(runs.open(config, chain, "sft"))


def test_pairs_of_a_file_are_trained_on_without_any_rollouts(chain, tmp_path):
    """A person's pairs, or those that `data pairs` made; another file under the same name is another run."""
    elsewhere = runs.open(short("ipo", seed=21), chain, "sft")
    write_pairs(elsewhere)
    path = tmp_path / "mine.jsonl"
    path.write_text((elsewhere.path / ipo.PAIRS).read_text())
    run = runs.open(short("ipo", seed=22, pairs=str(path)), chain, "sft")
    assert ipo.data(run)["report"]["pairs"] == 60 and not (run.path / ipo.PAIRS).exists()
    assert "mine.jsonl" in ipo.example(run)
    first, *others = path.read_text().splitlines()
    path.write_text("\n".join([first.replace("Default", "<|return|>"), *others]))
    changed = runs.open(short("ipo", seed=22, name="other", pairs=str(path)), chain, "sft")
    assert ipo.data(changed)["report"]["control_tokens_inside"] == 1
    assert runs.open(short("ipo", seed=22, pairs=str(path)), chain, "sft").id != run.id
    path.write_text("\n")
    with pytest.raises(ValueError, match=r"pairs: .* is empty"):
        ipo.data(runs.open(short("ipo", seed=23, pairs=str(path)), chain, "sft"))
