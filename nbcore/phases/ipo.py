"""IPO: prefer programs that pass their tests over programs that do not.

    L = (margin - 1 / (2·beta))²,   margin = mean log-ratio per token of the chosen minus that of the rejected

The log-ratio is policy over reference, and the reference is the parent (the SFT model), frozen.
"""

from __future__ import annotations

from typing import Any

from datasets import Dataset
from trl import DPOTrainer

from nbcore import runs
from nbcore.chat import template
from nbcore.core import lines
from nbcore.core.records import Pair
from nbcore.data import preferences, sources
from nbcore.tasks import sets
from nbcore.training import agent_pairs, agent_rollout, asking, fit, load, lora, once, order, packing, private, rollout
from nbcore.training.remembered import remembered
from nbcore.view.live import Live

PAIRS = "pairs.jsonl"


class PairTrainer(private.Tokenised, DPOTrainer):
    """DPO on pairs that are token ids already."""


@remembered
def data(run: runs.Run) -> dict[str, Any]:
    """Pairs of prompt_ids, chosen_ids and rejected_ids from graded rollouts of the parent, in training order.

    The rollouts cost minutes, so the pairs are written once and read back on a resume.
    Raises ValueError where the parent's answers give no pair.
    """
    config = run.config
    tokenizer = load.tokenizer(run)
    if config.episodes:
        pairs = agent_pairs.pairs(run, tokenizer, Live("edits").tell)
    else:
        pairs = _given(config.pairs) if config.pairs else _drawn(run, tokenizer)
    splits: dict[str, list[dict]] = {"train": [], "validation": []}
    counts = {"pairs": len(pairs), "tasks": len({pair["id"] for pair in pairs}), "too_long": 0}
    for pair in pairs:
        try:
            ids = pair if config.episodes else _tokens(tokenizer, pair)
        except template.ForgedToken:
            if not config.pairs:  # of our own rollouts such answers were left out before
                raise
            counts["control_tokens_inside"] = counts.get("control_tokens_inside", 0) + 1
            continue
        if _length(ids) > config.max_length:
            counts["too_long"] += 1
            continue
        splits["validation" if sources.in_share(pair["id"], 0.1) else "train"].append({**ids, "id": pair["id"]})
    for split, kept in splits.items():
        if not kept:
            raise ValueError(f"tasks: no {split} pairs ({counts}); raise tasks.limit, rollouts or max_length")
        counts[split] = len(kept)
    batch = config.effective_batch
    sides = [
        {"input_ids": row["prompt_ids"] + row[side]}
        for row in splits["train"]
        for side in ("chosen_ids", "rejected_ids")
    ]
    return {
        "train": order.in_order(splits["train"], config.max_steps, batch, config.seed, length=_length),
        "validation": splits["validation"],
        "tokenizer": tokenizer,
        "report": {
            **counts,
            "prompt_form": asking.form(run),
            "sha256": lines.digest([*pairs, *asking.as_rendered(tokenizer)]),
            "shown": packing.counted(sides, config.max_length, truncated=0, dropped=counts["too_long"], fully_masked=0),
        },
    }


def example(run: runs.Run) -> str:
    """The first task as the model will see it, before anything is generated."""
    if run.config.episodes:
        tokenizer = load.tokenizer(run)
        tasks = rollout.training_tasks(run, run.config.tasks)
        known, prompts, report = agent_rollout.crates(run, tasks, tokenizer, Live("faults").tell)
        seen = asking.text(tokenizer, prompts[0])
        return f"{report['frame']}\nWhat the model will see of {next(iter(known))}:\n\n{seen}"
    if run.config.pairs:
        tokenizer, pair = load.tokenizer(run), _given(run.config.pairs)[0]
        ids = template.prompt_ids(tokenizer, [{"role": "user", "content": pair["prompt"]}])
        seen = asking.text(tokenizer, ids)
        return f"asked as {run.config.pairs} has it\nWhat the model will see of {pair['id']}:\n\n{seen}"
    return asking.example(run, rollout.training_tasks(run, run.config.tasks)[0])


def model(run: runs.Run) -> Any:
    """The parent's policy, trainable; TRL keeps a frozen copy of its adapter as the reference."""
    return fit.trainable_policy(run)


def trainer(run: runs.Run) -> PairTrainer:
    """The trainer as it stands before its first step."""
    arguments = fit.arguments(
        run,
        loss_type=run.config.loss_type,
        beta=run.config.beta,
        max_length=run.config.max_length,
        eval_strategy="steps",
        eval_steps=max(1, run.config.max_steps // 4),
    )
    rows = data(run)
    built = PairTrainer(
        model=model(run),
        args=arguments,
        train_dataset=Dataset.from_list(rows["train"]),
        eval_dataset=Dataset.from_list(rows["validation"]),
        processing_class=rows["tokenizer"],
    )
    lora.complete_reference(built.model)
    return built


def train(run: runs.Run, live: Any = None) -> dict:
    """Train, resume where a checkpoint stands, and leave adapter/."""
    return fit.train(run, data(run), trainer, live)


def see(run: runs.Run) -> list[dict]:
    """The same tasks, or faults, before and after, graded; logged to samples.jsonl."""
    if run.config.episodes:
        most = run.config.generation.max_new_tokens
        return agent_rollout.before_after(run, run.config.episodes, most, show=Live("before and after").tell)
    return rollout.before_after(run, show=Live("before and after").tell)


def finish(run: runs.Run) -> runs.Run:
    """Commit the run."""
    return fit.finish(run, fit.last(run), data(run)["report"])


def _length(row: dict[str, Any]) -> int:
    return len(row["prompt_ids"]) + max(len(row["chosen_ids"]), len(row["rejected_ids"]))


def _given(path: str) -> list[Pair]:
    """The pairs of a person's file. Raises ValueError where it holds none."""
    pairs = [pair for _, pair in lines.parsed(path, Pair.parse, "pairs")]
    if not pairs:
        raise ValueError(f"pairs: {path} is empty; a line is id, prompt, chosen, rejected")
    return pairs


def _drawn(run: runs.Run, tokenizer: Any) -> list[Pair]:
    """The pairs of graded rollouts, written once and read back on a resume."""
    path = run.path / PAIRS
    if not path.is_file():
        once.write(run, path, _pairs(run, tokenizer), "pairs")
        run.publish()
    once.require(run, path, "pairs", "pairs", "the rollouts are drawn anew")
    return [pair for _, pair in lines.parsed(path, Pair.parse, "pairs")]


def _pairs(run: runs.Run, tokenizer: Any) -> list[Pair]:
    """Pairs of two rollouts of one task: the chosen one passes, the rejected one does not. Both are complete, and no
    answer is taken twice."""
    config, form = run.config, asking.form(run)
    tasks = rollout.training_tasks(run, config.tasks)
    if load.adapter_of(run.parent) is None:
        print(
            f"{run.id} draws its pairs from the bare base: where that has not learnt to answer, few tasks pass and "
            "few give a pair. More rollouts or tasks.limit help, running sft first helps more",
            flush=True,
        )
    shortest = min(len(template.prompt_ids(tokenizer, sets.question(task, form))) for task in tasks)
    if shortest + 2 > config.max_length:
        raise ValueError(
            f"max_length is {config.max_length}: the shortest prompt has {shortest} tokens, which leaves no room "
            "for an answer; raise it"
        )
    solved = rollout.several(run, tokenizer, config.tasks, config.rollouts, config.generation, Live("rollouts").tell)
    # From a cut answer the model would not learn to end.
    mixed = preferences.groups(solved, lambda text: rollout.spoiled(tokenizer, text)).mixed
    asked = {task["id"]: sets.question(task, form)[0]["content"] for task in tasks}
    pairs = [
        preferences.pair(chosen, rejected, asked[id_])
        for id_, group in mixed.items()
        for chosen, rejected in preferences.paired(group, config.pairs_per_task)
    ]
    if not pairs:
        raise ValueError(
            f"tasks: {len(tasks)} tasks with {config.rollouts} rollouts each gave no task that both passed and failed; "
            "raise rollouts or generation.temperature, or start from a better parent"
        )
    return pairs


def _tokens(tokenizer: Any, pair: Pair) -> dict[str, list[int]]:
    question = [{"role": "user", "content": pair["prompt"]}]
    prompt = template.prompt_ids(tokenizer, question)
    ids = {"prompt_ids": prompt}
    for side in ("chosen", "rejected"):
        whole, _ = template.render(tokenizer, [*question, {"role": "assistant", "content": pair[side]}])
        ids[f"{side}_ids"] = whole[len(prompt) :]
    return ids
