"""Kill -9 at any moment and go on: what comes out is, to the bit, what would have come out."""

import importlib
import json
import os
import shutil
import signal
import time
import weakref

import pytest
import torch
from safetensors.torch import load_file
from transformers import Trainer

from nbcore import config as configs
from nbcore import runs
from nbcore.phases import lang_adapter, sft
from nbcore.runs import checkpoints, lease
from nbcore.tasks import katas, sets
from nbcore.training import load, probe, stopping
from tests.phases.children import CONTEXT, go, train
from tests.phases.short_runs import AGENT, losses, short, walk, write_pairs

# 8 steps of 4 rows, 16 rows to an epoch: steps 4 and 8 are the edges of epochs.
BASE = {"max_steps": 8, "batch_size": 4}
CUT = {
    "pretrain": {"architecture.attention_dropout": 0.1},
    "lang_adapter": {"lora.dropout": 0.1},
    "sft": {"limit": 18},
    "ipo": {},
    "grpo": {},
}
EDGES = {
    # name: (config, where the kill comes, the checkpoint it goes on from)
    "mid-epoch": ({"save_steps": 3}, (5, 0), 3),
    "epoch edge": ({"save_steps": 4}, (4, 0), 4),
    "accumulation edge": ({"save_steps": 5, "batch_size": 2, "gradient_accumulation": 2}, (6, 1), 5),
    "last step": ({"save_steps": 4}, "leave", 8),
}


@pytest.fixture(scope="module")
def parents(tmp_path_factory):
    """A language adapter with dropout, which eats random numbers at every step, and an SFT run on it."""
    store = tmp_path_factory.mktemp("parents")
    walk(lang_adapter, runs.open(short("lang_adapter", **CUT["lang_adapter"]), store))
    walk(sft, runs.open(short("sft"), store, "lang_adapter"))
    return store


def opened(store, parents, phase, **values):
    """A run of `phase` in a new store with the parents, held by nobody."""
    for name in ("lang_adapter", "sft"):
        shutil.copytree(parents / name, store / name, dirs_exist_ok=True)
    config = short(phase, **(BASE | CUT[phase] | {"name": "exact"} | values))
    run = runs.open(config, store, "sft" if phase == "grpo" else configs.TABLE[phase].parent)
    if phase == "ipo":
        write_pairs(run, train=16)
    lease.release(run.path)
    return run


def trained_on(log):
    """The rows of each step, whatever micro-batches they came in; where an attempt did a step again, that counts."""
    steps: dict[int, list] = {}
    attempt = None
    for line in log.read_text().splitlines():
        row = json.loads(line)
        if row["attempt"] != attempt:
            attempt = row["attempt"]
            steps = {step: rows for step, rows in steps.items() if step < row["step"]}
        steps.setdefault(row["step"], []).extend(row["rows"])
    return steps


def state(run):
    """Weights, optimizer, scheduler and losses: what has to be equal."""
    weights = run.path / ("model/model.safetensors" if run.phase == "pretrain" else "adapter/adapter_model.safetensors")
    last, _ = checkpoints.newest(run.path)
    optimizer = torch.load(last.path / "optimizer.pt", weights_only=True)["state"]
    numbers = {f"{i}/{key}": value for i, each in optimizer.items() for key, value in each.items()}
    scheduler = torch.load(last.path / "scheduler.pt", weights_only=True)
    return load_file(weights) | numbers, (last.step, scheduler, losses(run))


def same(first, second):
    (tensors, rest), (others, other_rest) = first, second
    assert rest == other_rest
    assert tensors.keys() == others.keys()
    different = [name for name in tensors if not torch.equal(tensors[name], others[name])]
    assert not different, f"{len(different)} of {len(tensors)} tensors differ, the first: {different[0]}"


@pytest.mark.slow
@pytest.mark.parametrize("phase", ["pretrain", "lang_adapter", "sft", "ipo"])
@pytest.mark.parametrize("edge", EDGES)
def test_killed_and_resumed_is_bitwise_the_straight_run(parents, tmp_path, phase, edge):
    """Dropout, data order, Adam's moments and the schedule all have to come back, or some number differs."""
    values, kill, resumed_from = EDGES[edge]
    straight = opened(tmp_path / "straight", parents, phase, **values)
    assert go(straight.store, straight.id, log=tmp_path / "straight.jsonl") == 0
    broken = opened(tmp_path / "broken", parents, phase, **values)
    assert go(broken.store, broken.id, end_at=kill, log=tmp_path / "broken.jsonl") == -9
    assert not broken.finished
    assert go(broken.store, broken.id, log=tmp_path / "broken.jsonl") == 0
    assert broken.finished and broken.verify() == []
    assert [row["step"] for row in broken.events("resumed")] == [resumed_from]
    same(state(straight), state(broken))
    rows = trained_on(tmp_path / "straight.jsonl")
    assert rows == trained_on(tmp_path / "broken.jsonl")
    assert len(rows) == 8 and sorted(map(str, rows[0] + rows[1] + rows[2] + rows[3])) == sorted(
        map(str, rows[4] + rows[5] + rows[6] + rows[7])
    ), "two epochs of the same rows"


@pytest.mark.slow
def test_grpo_goes_on_with_its_prompts_counters_and_weights(parents, tmp_path):
    """Rollouts are drawn anew after a kill; which prompts they answer, and what they start from, is exact."""
    values = {"save_steps": 2, "group_size": 2, "tasks.limit": 6, "max_steps": 6}
    straight = opened(tmp_path / "straight", parents, "grpo", **values)
    assert go(straight.store, straight.id, log=tmp_path / "straight.jsonl") == 0
    broken = opened(tmp_path / "broken", parents, "grpo", **values)
    assert go(broken.store, broken.id, end_at=(3, 0), log=tmp_path / "broken.jsonl") == -9
    assert checkpoints.newest(broken.path)[0].step == 2
    assert go(broken.store, broken.id, log=tmp_path / "broken.jsonl") == 0
    assert trained_on(tmp_path / "straight.jsonl") == trained_on(tmp_path / "broken.jsonl")
    assert losses(straight)[:2] == losses(broken)[:2] and len(losses(broken)) == 6
    rates = [[row["learning_rate"] for row in run.metrics() if "learning_rate" in row] for run in (straight, broken)]
    assert rates[0] == rates[1]


@pytest.mark.slow
def test_an_agent_killed_and_resumed_is_bitwise_the_straight_run(tmp_path):
    """Episodes are drawn by seed and step, so what the policy sampled before a kill it samples again after it."""
    made = [runs.open(short("grpo", **AGENT), tmp_path / name, "base") for name in ("straight", "broken")]
    for run in made:
        lease.release(run.path)
    straight, broken = made
    assert go(straight.store, straight.id) == 0
    assert go(broken.store, broken.id, end_at=(3, 0)) == -9
    assert checkpoints.newest(broken.path)[0].step == 2
    assert go(broken.store, broken.id) == 0
    same(state(straight), state(broken))


@pytest.mark.slow
def test_the_batch_may_be_cut_otherwise_and_the_order_of_rows_stays(parents, tmp_path):
    """A smaller GPU takes over: half the micro-batch, twice the accumulation, the same steps on the same rows."""
    straight = opened(tmp_path / "straight", parents, "sft", save_steps=3)
    assert go(straight.store, straight.id, log=tmp_path / "straight.jsonl") == 0
    moved = opened(tmp_path / "moved", parents, "sft", save_steps=3)
    assert go(moved.store, moved.id, end_at=(4, 0), log=tmp_path / "moved.jsonl") == -9
    other = configs.load(moved.config, {"batch_size": 1, "gradient_accumulation": 4, "save_steps": 2})
    again = runs.open(other, moved.store, "lang_adapter")
    assert again == moved and again.config == other and moved.events("settings")[0]["values"]["batch_size"] == 1
    lease.release(moved.path)
    assert go(moved.store, moved.id, log=tmp_path / "moved.jsonl") == 0
    assert trained_on(tmp_path / "straight.jsonl") == trained_on(tmp_path / "moved.jsonl")
    assert losses(moved) == pytest.approx(losses(straight), rel=5e-2), "dropout alone differs"


@pytest.mark.slow
@pytest.mark.parametrize("phase", ["pretrain", "lang_adapter", "sft", "ipo", "grpo"])
def test_out_of_memory_goes_on_with_a_smaller_micro_batch(parents, tmp_path, phase):
    """The injected error is torch's own; the rows of every step, and nearly the losses, are those of a calm run."""
    values = {"save_steps": 2, "max_steps": 4} | ({"group_size": 2, "tasks.limit": 6} if phase == "grpo" else {})
    calm = opened(tmp_path / "calm", parents, phase, **values)
    assert go(calm.store, calm.id, log=tmp_path / "calm.jsonl") == 0
    run = opened(tmp_path / "tight", parents, phase, **values)
    assert go(run.store, run.id, log=tmp_path / "tight.jsonl", oom_at=((1, 0), (3, 1))) == 0
    assert run.finished and len(run.events("out_of_memory")) == 2
    assert [row["values"] for row in run.events("settings")] == [
        {"batch_size": 2, "gradient_accumulation": 2},
        {"batch_size": 1, "gradient_accumulation": 4},
    ]
    assert [row["step"] for row in run.events("resumed")] == [2]
    rows = [trained_on(tmp_path / f"{name}.jsonl") for name in ("calm", "tight")]
    if phase == "grpo":  # each micro-batch is handed the prompts of the whole step
        rows = [{step: list(dict.fromkeys(tasks)) for step, tasks in each.items()} for each in rows]
    if phase == "ipo":  # a micro-batch holds its chosen answers and then its rejected ones
        rows = [{step: sorted(map(str, pairs)) for step, pairs in each.items()} for each in rows]
    assert rows[0] == rows[1]
    if phase != "grpo":
        assert losses(run) == pytest.approx(losses(calm), rel=2e-2)


def test_out_of_memory_gives_back_what_it_held_and_ends_with_a_remedy(chain, tmp_path, monkeypatch):
    """A traceback that pins the old model would make the second attempt fail for want of the memory of the first."""
    shutil.copytree(chain / "lang_adapter", tmp_path / "lang_adapter")
    run = runs.open(short("sft", batch_size=4), tmp_path, "lang_adapter")
    build, models = sft.trainer, []

    def lacking(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    def trainer(run):
        assert all(model() is None for model in models), "the model of the attempt before is still there"
        made = build(run)
        models.append(weakref.ref(made.model))
        made.training_step = lacking
        return made

    monkeypatch.setattr(sft, "trainer", trainer)
    with pytest.raises(ValueError, match=r"batch_size: 1 does not fit after 2 halvings .* profile tiny"):
        sft.train(run)
    assert len(models) == 3
    assert [row["batch_size"] for row in run.events("out_of_memory")] == [4, 2, 1]


def test_what_was_begun_otherwise_is_refused_with_what_differs(chain, tmp_path):
    """A changed learning rate would have trained on in silence, or begun anew and thrown the old steps away."""
    shutil.copytree(chain / "lang_adapter", tmp_path / "lang_adapter")
    run = runs.open(short("sft"), tmp_path, "lang_adapter")
    faster = short("sft", learning_rate=0.5)
    assert runs.open(faster, tmp_path, "lang_adapter") != run, "no checkpoint yet: nothing would be lost"
    shutil.rmtree(runs.matching(faster, tmp_path, run.parent).path)
    assert go(run.store, run.id, end_at=(3, 0)) == -9
    with pytest.raises(ValueError, match=rf"learning_rate: is 0.5, and {run.id}, unfinished at step 2, .*name"):
        runs.open(faster, tmp_path, "lang_adapter")
    assert runs.open(configs.load(faster, {"name": "faster"}), tmp_path, "lang_adapter").id.endswith(
        f"-faster-{configs.digest(configs.load(faster, {'name': 'faster'}))}"
    )
    with pytest.raises(ValueError, match="batch_size"):
        runs.open(short("sft", batch_size=2), tmp_path, "lang_adapter")


def test_other_data_under_a_checkpoint_is_refused(chain, tmp_path):
    """Rows that changed on disk since step 2 would be trained on as if they were the same."""
    shutil.copytree(chain / "lang_adapter", tmp_path / "lang_adapter")
    rows = [{"id": task["id"], "messages": [*sets.question(task), answer(task)]} for task in katas.load("train")[:48]]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    run = runs.open(short("sft", rows=str(path), limit=None, batch_size=4), tmp_path, "lang_adapter")
    assert go(run.store, run.id, end_at=(3, 0)) == -9
    path.write_text("".join(json.dumps(row) + "\n" for row in rows[1:]))
    with pytest.raises(ValueError, match=r"data: sft/.* stands at step 2 on [0-9a-f]+, now it is [0-9a-f]+; restore"):
        sft.train(run)


def test_other_tokens_under_a_checkpoint_are_refused(chain, tmp_path, monkeypatch):
    """An edited chat template, or one that prints today's date, renders the same rows as other tokens."""
    shutil.copytree(chain / "lang_adapter", tmp_path / "lang_adapter")
    run = runs.open(short("sft"), tmp_path, "lang_adapter")
    assert go(run.store, run.id, end_at=(3, 0)) == -9
    real = load.tokenizer

    def edited(run):
        tokenizer = real(run)
        told = tokenizer.chat_template
        tokenizer.chat_template = told.replace("'<|start|>' + message.role", "'<|start|> ' + message.role")
        return tokenizer

    monkeypatch.setattr(load, "tokenizer", edited)
    with pytest.raises(ValueError, match=r"^data: sft/.* at step 2 on .*; restore the rows, or the chat template"):
        sft.train(run)


def answer(task):
    return {"role": "assistant", "content": katas.code(task)}


@pytest.mark.parametrize("phase", ["pretrain", "lang_adapter", "sft", "ipo", "grpo"])
def test_the_probe_of_the_longest_batch_leaves_no_trace(parents, tmp_path, phase):
    """A probe that moved a weight, a random number or a metric would make two machines train two models."""
    run = opened(tmp_path, parents, phase, **({"group_size": 2, "tasks.limit": 6} if phase == "grpo" else {}))
    module = importlib.import_module(f"nbcore.phases.{phase}")
    trainer = module.trainer(run)
    before = {name: tensor.clone() for name, tensor in trainer.model.state_dict().items()}
    random_numbers = torch.random.get_rng_state()
    seen = []

    def longest(built):
        loss = module.longest(built, 40) if phase == "grpo" else probe.longest_rows(built)
        seen.append(float(loss))
        return loss

    probe.run(trainer, longest)
    assert seen[0] != 0
    assert torch.equal(random_numbers, torch.random.get_rng_state())
    assert all(torch.equal(before[name], tensor) for name, tensor in trainer.model.state_dict().items())
    assert all(parameter.grad is None for parameter in trainer.model.parameters())
    assert not trainer._metrics["train"]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_ends_the_step_and_saves(parents, tmp_path, number):
    """Ctrl-C at step 40 of 50 cost forty steps; now it costs none."""
    run = opened(tmp_path, parents, "sft", max_steps=400, save_steps=300, patience=400)
    child = CONTEXT.Process(target=train, args=(run.store, run.id))
    child.start()
    until = time.monotonic() + 600
    while not any(row.get("step", 0) >= 3 for row in run.metrics()):
        assert child.is_alive() and time.monotonic() < until
        time.sleep(0.05)
    os.kill(child.pid, number)
    child.join(timeout=300)
    assert child.exitcode == 1  # KeyboardInterrupt, which a notebook shows and a person understands
    last = max(row["step"] for row in run.metrics() if "loss" in row)
    saved, _ = checkpoints.newest(run.path)
    assert saved.step == last < 400 and not saved.facts["ended"]
    assert lease.holder(run.path) is None


def test_the_second_signal_stops_at_once():
    """Somebody who asks twice does not want to wait for a step of minutes."""
    callback = type("Callback", (), {"asked": False})()
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), stopping.on_signals(callback):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)
        assert callback.asked
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)
    assert signal.getsignal(signal.SIGINT) is before


def test_a_seed_drawn_after_the_restore_is_noticed(chain, tmp_path, monkeypatch):
    """Random numbers restored and then seeded anew would train on in silence, on another path than the straight run."""
    shutil.copytree(chain / "lang_adapter", tmp_path / "lang_adapter")
    run = runs.open(short("sft", batch_size=4), tmp_path, "lang_adapter")
    assert go(run.store, run.id, end_at=(3, 0)) == -9
    restore = Trainer._load_rng_state
    monkeypatch.setattr(Trainer, "_load_rng_state", lambda *a: (restore(*a), torch.manual_seed(1)))
    with pytest.raises(RuntimeError, match="random numbers of step 2 are not those that were saved"):
        sft.train(run)
