"""SFT: the right tokens are trained, the split holds, and equal seeds give equal bytes."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file

from nbcore import config as configs
from nbcore import runs
from nbcore.chat import template
from nbcore.core import lines
from nbcore.phases import sft
from nbcore.runs import checkpoints
from tests.phases.short_runs import same_losses, short, walk


def test_first_losses(chain, golden):
    """A change in data order, masks, schedule or initialisation shows in the first steps."""
    same_losses(runs.find(chain, "sft"), golden)


def test_only_the_answer_and_its_stop_token_are_trained(chain):
    """A mask off by one trains the prompt, or never teaches the model to stop."""
    rows = sft.data(runs.find(chain, "sft"))
    tokenizer = rows["tokenizer"]
    for row in rows["train"][:10]:
        trained = [token for token, label in zip(row["input_ids"], row["labels"], strict=True) if label >= 0]
        text = tokenizer.decode(trained)
        assert text.startswith("<|channel|>final<|message|>") and text.endswith("}<|return|>")
        assert template.answer(tokenizer, trained)[0].count("fn ") >= 1
        masked = [t for t, label in zip(row["input_ids"], row["labels"], strict=True) if label == template.IGNORED]
        assert tokenizer.decode(masked).endswith("<|end|><|start|>assistant")


def test_split_is_disjoint_and_does_not_move_with_the_limit(chain):
    """A row that wanders from validation to training between two runs makes their losses incomparable."""
    few = sft.data(runs.open(short("sft", limit=48), chain, "lang_adapter"))
    many = sft.data(runs.open(short("sft", limit=96), chain, "lang_adapter"))
    ids = lambda rows: {tuple(row["input_ids"]) for row in rows}  # noqa: E731
    assert not ids(many["train"]) & ids(many["validation"])
    assert not ids(few["validation"]) & ids(many["train"])


def test_same_seed_same_bytes(chain, tmp_path):
    """Without bitwise equality no later difference can be blamed on anything."""
    first = runs.find(chain, "sft")
    shutil.copytree(chain / "lang_adapter", tmp_path / "lang_adapter")
    second = walk(sft, runs.open(short("sft"), tmp_path, "lang_adapter"))
    assert first.path != second.path
    weights = "adapter/adapter_model.safetensors"
    assert (first.path / weights).read_bytes() == (second.path / weights).read_bytes()


def test_validation_perplexity_is_logged_each_epoch_and_the_best_checkpoint_kept(chain):
    """Early stopping on a metric that is never logged would stop nothing."""
    run = runs.find(chain, "sft")
    measured = [row for row in run.metrics() if "eval_perplexity" in row]
    best = min(measured, key=lambda row: row["eval_loss"])
    assert run.info["metrics"]["eval_loss"] == best["eval_loss"] and run.info["metrics"]["best_step"] == best["step"]
    left = load_file(run.path / "adapter" / "adapter_model.safetensors")
    kept = load_file(checkpoints.newest(run.path)[0].path / "best.safetensors")
    assert left.keys() == kept.keys() and all(torch.equal(left[name], kept[name]) for name in left)


@pytest.mark.parametrize(
    ("content", "words"),
    [("", "is empty"), ('{"id": 1}\n', "1: 'messages' is missing"), ("{\n", "1: not JSON"), (None, "no file")],
)
def test_bad_rows_are_one_clear_line(chain, tmp_path, content, words):
    """An empty data set must not become a run of zero steps."""
    path = tmp_path / "rows.jsonl"
    if content is not None:
        path.write_text(content)
    run = runs.open(short("sft", rows=str(path)), tmp_path)
    with pytest.raises((ValueError, FileNotFoundError), match=f"rows: .*{words}"):
        sft.train(run)
    assert not run.finished


def test_a_row_that_the_template_cannot_render_is_named(tmp_path):
    """The error spoke of the template alone, and nobody found the row among thousands."""
    turns = (("user", "q"), ("assistant", "a"), ("tool", "t"), ("assistant", "a"))
    row = {"id": "odd one", "messages": [{"role": role, "content": content} for role, content in turns]}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")
    run = runs.open(short("sft", rows=str(tmp_path / "rows.jsonl")), tmp_path)
    with pytest.raises(ValueError, match=r"no call came before; drop it \(row 'odd one' of rows: .*rows.jsonl\)$"):
        sft.data(run)


def test_rows_that_forge_a_turn_or_are_too_long_are_counted_not_trained(tmp_path):
    """Text spelling <|end|> would become the control token and put words into the user's mouth."""
    answer = {"role": "assistant", "content": "fn a() {}"}
    rows = [{"id": f"r{i}", "messages": [{"role": "user", "content": "write a"}, answer]} for i in range(40)]
    rows.append({"id": "forged", "messages": [{"role": "user", "content": "x<|end|>"}, answer]})
    rows.append({"id": "long", "messages": [{"role": "user", "content": "long " * 400}, answer]})
    import json

    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    report = sft.data(runs.open(short("sft", rows=str(path)), tmp_path))["report"]
    assert report["control_tokens_inside"] == 1 and report["too_long"] == 1
    assert report["train"] + report["validation"] == 40


def test_killed_between_training_and_commit_it_trains_no_further(chain, tmp_path):
    """The steps end inside an epoch: resumed from the last checkpoint, Trainer would take one step too many."""
    # In a store of its own: finished in the shared one, it would be what other tests mean by "sft".
    shutil.copytree(chain / "lang_adapter", tmp_path / "lang_adapter")
    run = runs.open(short("sft", seed=3), tmp_path, "lang_adapter")
    first = sft.train(run)
    weights = (run.path / "adapter/adapter_model.safetensors").read_bytes()
    assert sft.train(run) == first
    assert (run.path / "adapter/adapter_model.safetensors").read_bytes() == weights
    sft.finish(run)
    assert sft.train(run)["step"] == first["step"], "a finished run is read, not trained"
    assert run.verify() == []


def test_best_of_n_and_a_file_of_rows_exclude_each_other():
    with pytest.raises(ValueError, match=r"best_of_n is set and rows is 'mine\.jsonl'"):
        short("sft", rows="mine.jsonl", best_of_n={"samples": 4})


def test_a_run_without_best_of_n_keeps_its_name():
    """Fields that came later must not rename the runs of before."""
    config = short("sft")
    assert configs.digest(config) == configs.digest(configs.load(config, {"best_of_n": None}))
    assert configs.digest(config) != configs.digest(configs.load(config, {"best_of_n.samples": 4}))


@pytest.mark.slow
def test_best_of_n_samples_grades_keeps_the_best_and_trains(chain, tmp_path):
    """Eight answers to each of 32 tasks: what is trained on passes its tests, and a resume draws nothing anew."""
    # In a store of its own: finished in the shared one, it would be what other tests mean by "sft".
    for phase in ("lang_adapter", "sft"):
        shutil.copytree(chain / phase, tmp_path / phase)
    pool = {"tasks": {"limit": 32}, "samples": 8, "generation": {"temperature": 1.0, "max_new_tokens": 64}}
    run = runs.open(short("sft", best_of_n=pool, limit=None, validation_share=0.4), tmp_path, "sft")
    report = sft.data(run)["report"]
    assert report["always"] + report["never"] + report["mixed"] == report["tasks"] == 32
    assert report["rows"] == report["mixed"] >= 4 and report["rollouts"] == 256
    solved = lines.read(run.path / "rollouts.jsonl")
    passing = {(row["id"], row["completion"]) for row in solved if row["passed"]}
    assert len(solved) == 256 and len(passing) >= report["rows"]
    written = (run.path / "rollouts.jsonl").read_bytes()
    (run.path / "rollouts.jsonl").write_bytes(written[:-2])
    with pytest.raises(ValueError, match=r"rollouts: .* is not what was written"):
        sft.data.__wrapped__(run)
    (run.path / "rollouts.jsonl").write_bytes(written)
    assert walk(sft, run).finished and (run.path / "rollouts.jsonl").read_bytes() == written


def test_metadata_comments_are_trained_and_counted_and_off_by_default(chain):
    run = runs.open(short("sft", metadata_comments=True), chain, "lang_adapter")
    rows = sft.data(run)
    tokenizer = rows["tokenizer"]
    first = rows["train"][0]
    trained = [token for token, label in zip(first["input_ids"], first["labels"], strict=True) if label >= 0]
    assert template.answer(tokenizer, trained)[0].startswith("// function: ")
    assert rows["report"]["commented"] == rows["report"]["rows"]
    plain = sft.data(runs.find(chain, "sft"))["report"]
    assert "commented" not in plain and plain["sha256"] != rows["report"]["sha256"]


def test_rows_with_tools_train_the_assistants_actions_only(chain, tmp_path):
    """A person's trajectories: each turn a sample, loss on thinking, calls and answers, on no result of a tool."""
    call = {"function": {"name": "read_file", "arguments": '{"path": "src/lib.rs"}'}}
    tools = [{"name": "read_file", "parameters": {"type": "object", "properties": {"path": {"type": "string"}}}}]
    episode = [
        {"role": "user", "content": "Repair it."},
        {"role": "assistant", "content": None, "thinking": "look first", "tool_calls": [call]},
        {"role": "tool", "name": "read_file", "content": "fn f() {} <|end|>"},
        {"role": "assistant", "content": "Done."},
        {"role": "user", "content": "Sure?"},
        {"role": "assistant", "content": "Yes."},
    ]
    path = tmp_path / "episodes.jsonl"
    rows = [{"id": f"e{number}", "messages": episode, "tools": tools} for number in range(40)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    run = runs.open(short("sft", rows=str(path), max_length=600, limit=None), chain, "lang_adapter")
    made = sft.data(run)
    tokenizer, kept = made["tokenizer"], [*made["train"], *made["validation"]]
    first = next(row for row in kept if "#" not in row["id"])
    trained = tokenizer.decode([label for label in first["labels"] if label != template.IGNORED])
    assert trained == (
        "<|channel|>analysis<|message|>look first<|end|><|start|>assistant<|channel|>commentary to=functions.read_file "
        '<|constrain|>json<|message|>{"path": "src/lib.rs"}<|call|><|channel|>final<|message|>Done.<|return|>'
    )
    second = next(row for row in kept if row["id"].endswith("#1"))
    assert "look first" not in tokenizer.decode(second["input_ids"])
    assert made["report"]["tools_rendered_by"] == ["Harmony (without its system message)"]
    assert "tools rendered by Harmony" in sft.example(run)
    halves = {row["id"].partition("#")[0] for row in made["train"]} & {
        row["id"].partition("#")[0] for row in made["validation"]
    }
    assert not halves, "turns of one conversation on both sides would leak"
