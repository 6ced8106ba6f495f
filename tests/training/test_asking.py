"""What a model is asked: the same words in training and evaluation, chosen by one rule, shown, and part of the data."""

import contextlib
import json

import pytest
from transformers import AutoModelForCausalLM

from nbcore import config as configs
from nbcore import runs
from nbcore.chat import template
from nbcore.config import prompt_form
from nbcore.core import lines
from nbcore.grading.grader import RustGrader
from nbcore.phases import evaluate, grpo, ipo, sft
from nbcore.tasks import katas, sets
from nbcore.training import asking, generate, load, rollout
from tests.chat import templates
from tests.phases.short_runs import short
from tests.training.small_bases import saved

TASK = {
    "id": "braces",
    "prompt": "Say {name}, in {braces}.",
    "signature": "use std::{fmt, io};\nfn say(name: &str) -> String {",
    "tests": '#[cfg(test)]\nmod t { use super::*; #[test] fn a() { assert_eq!(say("x"), "x"); } }',
}
PHASES = {"sft": sft, "grpo": grpo, "evaluate": evaluate}


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A chat model of another maker."""
    folder = tmp_path_factory.mktemp("base")
    saved(folder, "qwen2_5", [0])
    return str(folder)


def opened(phase, store, **changes):
    return runs.open(short(phase, **changes), store)


def test_the_seedling_is_asked_barely_and_its_data_stay_what_they_were(tmp_path):
    """It was taught on bare prompts; every number of the tiny profile stands on these rows and this hash."""
    for phase in ("sft", "ipo", "grpo", "evaluate"):
        assert asking.form(opened(phase, tmp_path)) == prompt_form.BARE
    rows = [
        {
            "id": task["id"],
            "messages": [
                {"role": "user", "content": task["prompt"]},
                {"role": "assistant", "content": katas.code(task)},
            ],
            "meta": {"family": task["family"]},
        }
        for task in katas.load("train", demonstrated=True)
    ]
    run = opened("sft", tmp_path)
    assert sft.data(run)["report"]["sha256"] == lines.digest(sets.drawn(rows, 48, run.config.seed))
    run = opened("grpo", tmp_path)
    assert grpo.data(run)["report"]["sha256"] == lines.digest(list(grpo.data(run)["tasks"].values()))


def test_any_other_base_is_asked_in_the_shipped_chat_form(tmp_path, base):
    """Asked with the prompt alone, chat models answered in Python, C++ and C#: 0 % compiled."""
    for phase, module in PHASES.items():
        run = opened(phase, tmp_path, **{"model.base": base, **({"max_length": 1024} if phase == "sft" else {})})
        shown = module.example(run)
        assert "Write a function in Rust." in shown and "exactly this signature:\n```rust\n" in shown
        assert shown.endswith("<|im_end|>\n<|im_start|>assistant\n") and "the shipped form 'chat'" in shown
        assert module.data(run)["report"]["prompt_form"] == prompt_form.CHAT


def test_demonstrations_answer_as_they_are_asked(tmp_path, base):
    """Trained on bare code and asked for a ```rust block, a chat model would unlearn what it is asked for."""
    run = opened("sft", tmp_path, **{"model.base": base, "max_length": 1024})
    row = sft.data(run)["train"][0]
    text = sft.data(run)["tokenizer"].decode([token for token in row["labels"] if token != template.IGNORED])
    assert text.startswith("```rust\n") and text.endswith("\n}\n```<|im_end|>")
    assert text.removesuffix("<|im_end|>") in sft.data(run)["tokenizer"].decode(row["input_ids"])


def test_rollouts_are_asked_what_training_will_ask(tmp_path, base):
    """IPO draws its answers and trains on them under the same prompt, which its pairs keep."""
    run = opened("ipo", tmp_path, **{"model.base": base, "max_length": 2048})
    task = rollout.training_tasks(run, run.config.tasks)[0]
    asked = sets.question(task, prompt_form.CHAT)[0]["content"]
    assert asked in ipo.example(run) and not (run.path / ipo.PAIRS).exists(), "shown before anything is generated"
    pair = {"id": task["id"], "prompt": asked, "chosen": "```rust\nfn a() {}\n```", "rejected": "fn b() {}"}
    ids = ipo._tokens(load.tokenizer(run), pair)
    assert ids["prompt_ids"] == template.prompt_ids(load.tokenizer(run), sets.question(task, prompt_form.CHAT))


def test_evaluation_and_grpo_put_the_same_words(tmp_path, base):
    """What is trained is what is measured: both prompts are the same ids."""
    source = tmp_path / "tasks.jsonl"
    source.write_text(json.dumps(TASK) + "\n")
    changes = {"model.base": base, "prompt_form": "In {language}: {prompt} {{x}}\n{signature}"}
    run = opened("grpo", tmp_path, **changes, **{"tasks.source": str(source), "batch_size": 4, "group_size": 4})
    asked = grpo.data(run)["train"][0]["prompt"]
    assert asked == [
        {
            "role": "user",
            "content": "In Rust: Say {name}, in {braces}. {x}\nuse std::{fmt, io};\nfn say(name: &str) -> String",
        }
    ]
    measured = opened("evaluate", tmp_path, **changes, source=str(source), heldout=1, perplexity_documents=0)
    evaluate.run_tasks(measured)
    tokenizer, model = load.tokenizer(measured), load.policy(measured, None)
    (done,) = generate.generate(
        model, tokenizer, [template.prompt_ids(tokenizer, asked)], measured.config.generation, measured.config.seed
    )
    (row,) = measured.samples()
    assert (row["completion"], row["prompt"]) == (done["text"], TASK["prompt"])
    assert "a form of your own" in grpo.example(run)


def test_another_form_is_other_data(tmp_path, base):
    """A checkpoint that was trained on one question must not go on with another."""
    hashes = set()
    for number, form in enumerate(("bare", "chat", "{prompt}\n{signature}")):
        run = opened("grpo", tmp_path, **{"model.base": base, "prompt_form": form, "name": f"n{number}"})
        hashes.add(grpo.data(run)["report"]["sha256"])
    assert len(hashes) == 3


def test_a_childs_form_is_its_parents(tmp_path, base):
    """A form named once, where training began, holds for the whole chain; the child's own config wins over it."""
    parent = opened("sft", tmp_path, **{"model.base": base, "prompt_form": "Rust: {prompt}", "max_length": 1024})
    parent.finish({"loss": 1.0}, base=base, device="CPU", data_hash="0" * 64)
    child = runs.open(short("grpo"), tmp_path, "sft")
    assert asking.form(child) == "Rust: {prompt}"
    other = runs.open(short("grpo", prompt_form="chat"), tmp_path, "sft")
    assert asking.form(other) == prompt_form.CHAT


@pytest.mark.parametrize("change", ["template", "date"])
def test_the_data_of_a_run_are_other_data_under_another_template(tmp_path, change):
    """A publisher mends its chat template, a date moves: the same rows train other tokens, and their hash was equal."""
    saved(tmp_path / "base", "llama3_2" if change == "date" else "qwen2_5", [])
    settings = {"model.base": str(tmp_path / "base"), "limit": 60, "max_length": 512}
    before = sft.data(runs.open(configs.load("configs/sft/tiny.yaml", settings), tmp_path / "store"))["report"]
    if change == "template":
        path = tmp_path / "base" / "chat_template.jinja"
        path.write_text(path.read_text().replace("You are Qwen", "You are QWEN"))
    else:
        settings["model.date"] = "2025-01-31"
    after = sft.data(runs.open(configs.load("configs/sft/tiny.yaml", settings), tmp_path / "other"))["report"]
    assert before["sha256"] != after["sha256"] and before["train"] == after["train"]


def test_models_made_here_keep_the_hashes_they_had():
    assert asking.as_rendered(load.tokenizer_at(str(load.SEEDLING))) == []
    (known,) = asking.as_rendered(templates.tokenizer("phi3"))
    assert known["rendered"].endswith("hello<|end|>") and len(known["chat_template"]) == 64


def test_a_text_to_go_on_from_is_read_without_the_template():
    """A base whose template opens <think> was worth 0 % in the form 'complete': all it wrote was taken for thought."""
    model = AutoModelForCausalLM.from_pretrained(str(load.SEEDLING))
    tokenizer, settings = templates.tokenizer("qwen3_5_think"), configs.Generation(max_new_tokens=12)
    with contextlib.closing(RustGrader(jobs=1, lint=False)) as grader:
        (row,) = rollout.solve(model, tokenizer, [TASK], settings, 0, grader, form=prompt_form.COMPLETE)
    assert row["completion"].strip() and "reasoning" not in row
